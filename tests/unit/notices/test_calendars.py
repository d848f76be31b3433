"""Calendar objects as calendars read them: the right instant in every zone, one UID, a rising SEQUENCE."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from icalendar import Calendar
from tests.support.notices import BOOKING_ID, HOUSE, NOW, START, a_booking, a_customer, a_slot

from holdgate_workers.adapters.calendars import feed as feeds
from holdgate_workers.adapters.calendars.invitations import IcsInvitations
from holdgate_workers.adapters.calendars.zones import vtimezone
from holdgate_workers.app.notifications.delivery.composing import compose
from holdgate_workers.app.notifications.delivery.mail import MailText
from holdgate_workers.app.notifications.facts import Booking, ProductSlots, Slot
from holdgate_workers.app.notifications.mails import MailKind, mails_after
from holdgate_workers.app.notifications.people import Customer

INVITATIONS = IcsInvitations(HOUSE)
NUMBERS = itertools.count()
ZONES = [
    "Europe/Rome",
    "Europe/Dublin",
    "America/New_York",
    "America/Santiago",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Asia/Kathmandu",
    "Pacific/Chatham",
    "UTC",
]


def event_of(booking: Booking, customer: Customer | None = None) -> Any:
    return only_event(INVITATIONS.invitation(booking, customer or a_customer()).content)


def only_event(content: bytes) -> Any:
    [event] = Calendar.from_ical(content).walk("VEVENT")
    assert event.errors == []
    return event


def with_foreign_zones(content: bytes) -> bytes:
    """The calendar with zones that no program has ever heard of, so that it must believe the VTIMEZONE."""
    name = b"Unheard/Of/%d/" % next(NUMBERS)
    return content.replace(b"TZID:", b"TZID:" + name).replace(b"TZID=", b"TZID=" + name)


def read_by_its_own_zone(content: bytes) -> tuple[datetime, datetime]:
    event = only_event(with_foreign_zones(content))
    return event.start.astimezone(UTC), event.end.astimezone(UTC)


def test_an_invitation_says_what_where_who_and_that_it_is_certain() -> None:
    calendar = Calendar.from_ical(INVITATIONS.invitation(a_booking(a_slot(place="Pier 4")), a_customer()).content)
    event = only_event(calendar.to_ical())
    assert (calendar["METHOD"], event["STATUS"], event["SUMMARY"], event["LOCATION"]) == (
        "REQUEST",
        "CONFIRMED",
        "Harbour tour",
        "Pier 4",
    )
    assert event["DESCRIPTION"] == "2 × Adult\n1 × Audio guide\nHG-1042"
    assert (str(event["ORGANIZER"]), event["ORGANIZER"].params["CN"]) == (
        "mailto:bookings@harbour.example",
        "Harbour House",
    )
    attendee = event["ATTENDEE"]
    assert (str(attendee), attendee.params["PARTSTAT"], attendee.params["RSVP"]) == (
        "mailto:zoe.secret@example.org",
        "ACCEPTED",
        "FALSE",
    )


def test_lines_are_as_long_and_end_as_the_standard_wants_it() -> None:
    content = INVITATIONS.invitation(a_booking(a_slot(title="ü" * 100)), a_customer()).content
    lines = content.split(b"\r\n")
    assert all(len(line) <= 75 for line in lines)
    assert b"\n" not in b"".join(lines)


@pytest.mark.parametrize(
    "text", ["a;b,c\\d:e", 'say "now"', "one\ntwo", "^n^'^^", "END:VCALENDAR", "x\r\nATTENDEE:y"]
)
def test_no_text_can_be_more_than_text(text: str) -> None:
    slot = a_slot(title=text, place=text)
    event = event_of(a_booking(slot))
    assert event["SUMMARY"].replace("\r\n", "\n") == text.replace("\r\n", "\n")
    assert not isinstance(event["ATTENDEE"], list)


@pytest.mark.parametrize("name", ['Zoë "Z" O\'Neil', "O'Neil; Zoë, x:y", "^n ^' ^^", "RSVP=TRUE"])
def test_no_name_can_be_more_than_a_name(name: str) -> None:
    event = event_of(a_booking(), a_customer(name=name))
    assert event["ATTENDEE"].params["CN"] == name
    assert event["ATTENDEE"].params["RSVP"] == "FALSE"


def test_the_uid_stays_and_the_sequence_rises_with_every_change() -> None:
    confirmed = a_booking()
    moved = replace(
        confirmed, slot=a_slot(START + timedelta(days=1), version=12, changed_at=NOW + timedelta(hours=1))
    )
    cancelled = replace(moved, state="cancelled", version=15, changed_at=NOW + timedelta(hours=2))
    events = [event_of(booking) for booking in (confirmed, moved, cancelled)]
    assert {str(event["UID"]) for event in events} == {BOOKING_ID}
    assert [event["SEQUENCE"] for event in events] == [7, 12, 15]
    stamps = [event["DTSTAMP"].dt for event in events]
    assert stamps == sorted(set(stamps))


def test_the_same_booking_has_the_same_bytes() -> None:
    assert INVITATIONS.invitation(a_booking(), a_customer()) == INVITATIONS.invitation(a_booking(), a_customer())


@pytest.mark.parametrize(
    "booking", [a_booking(state="cancelled"), a_booking(a_slot(status="cancelled"))], ids=["booking", "occurrence"]
)
def test_what_is_cancelled_is_taken_out(booking: Booking) -> None:
    found = INVITATIONS.invitation(booking, a_customer())
    assert found.method == "CANCEL"
    assert Calendar.from_ical(found.content)["METHOD"] == "CANCEL"
    event = only_event(found.content)
    assert (event["STATUS"], event["TRANSP"]) == ("CANCELLED", "TRANSPARENT")


@pytest.mark.parametrize("zone", ZONES)
@given(
    seconds=st.integers(0, 10 * 366 * 24 * 3600),
    minutes=st.integers(1, 3 * 24 * 60),
)
def test_the_instants_are_right_in_every_zone_and_at_every_change_of_the_clock(
    zone: str, seconds: int, minutes: int
) -> None:
    starts_at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    slot = a_slot(starts_at, ends_at=starts_at + timedelta(minutes=minutes), timezone=zone)
    content = INVITATIONS.invitation(a_booking(slot), a_customer()).content
    event = only_event(content)
    assert (event.start.astimezone(UTC), event.end.astimezone(UTC)) == (slot.starts_at, slot.ends_at)
    assert read_by_its_own_zone(content) == (slot.starts_at, slot.ends_at)


@pytest.mark.parametrize(
    ("starts_at", "written"),
    [
        (datetime(2030, 3, 31, 0, 59, tzinfo=UTC), b"DTSTART;TZID=Europe/Rome:20300331T015900"),
        (datetime(2030, 3, 31, 1, 0, tzinfo=UTC), b"DTSTART;TZID=Europe/Rome:20300331T030000"),
        (datetime(2030, 10, 27, 0, 30, tzinfo=UTC), b"DTSTART;TZID=Europe/Rome:20301027T023000"),
        # 02:30 for the second time: to a calendar, the local form would mean the first.
        (datetime(2030, 10, 27, 1, 30, tzinfo=UTC), b"DTSTART:20301027T013000Z"),
    ],
)
def test_a_start_has_its_local_form_unless_that_would_mean_another_instant(
    starts_at: datetime, written: bytes
) -> None:
    content = INVITATIONS.invitation(a_booking(a_slot(starts_at)), a_customer()).content
    assert written in content.split(b"\r\n")
    assert read_by_its_own_zone(content)[0] == starts_at


@pytest.mark.parametrize("zone", ZONES[:-1])
def test_a_zone_has_every_change_of_its_clock(zone: str) -> None:
    first, last = datetime(2029, 7, 1, tzinfo=UTC), datetime(2031, 7, 1, tzinfo=UTC)
    component = vtimezone(zone, first, last)
    instants = [first + timedelta(hours=hours) for hours in range((last - first).days * 24)]
    offsets = [instant.astimezone(ZoneInfo(zone)).utcoffset() for instant in instants]
    changes = sum(before != after for before, after in itertools.pairwise(offsets))
    assert len(component.subcomponents) == 1 + changes
    onsets = [observance["DTSTART"].dt - observance["TZOFFSETFROM"].td for observance in component.subcomponents]
    assert onsets == sorted(onsets)
    for onset, observance in zip(onsets, component.subcomponents, strict=True):
        instant = onset.replace(tzinfo=UTC)
        assert instant.astimezone(ZoneInfo(zone)).utcoffset() == observance["TZOFFSETTO"].td
        just_before = (instant - timedelta(seconds=1)).astimezone(ZoneInfo(zone)).utcoffset()
        assert just_before == observance["TZOFFSETFROM"].td


def product_feed(title: str, slots: Sequence[Slot], *, domain: str) -> bytes:
    zones = {slot.timezone for slot in slots}
    own = {zone: [slot for slot in slots if slot.timezone == zone] for zone in zones}
    found = ProductSlots(
        product_id="harbour-tour",
        title=title,
        slots=iter(sorted(slots, key=lambda slot: slot.starts_at)),
        number=len(slots),
        spans={zone: (min(s.starts_at for s in of), max(s.ends_at for s in of)) for zone, of in own.items()},
        digest="",
    )
    return b"".join(feeds.product_feed(found, domain=domain))


# --- feeds -----------------------------------------------------------------------------------------------------------


def test_a_feed_has_every_occurrence_in_order_and_nobody_in_it() -> None:
    slots = [
        a_slot(START + timedelta(days=days), occurrence_id=f"occ-{days}", timezone=zone, version=days + 1)
        for days, zone in ((20, "Europe/Rome"), (3, "America/New_York"), (0, "UTC"))
    ]
    slots[1] = replace(slots[1], status="cancelled")
    feed = product_feed("Harbour tour", slots, domain="harbour.example")
    calendar = Calendar.from_ical(feed)
    assert (calendar["METHOD"], str(calendar["X-WR-CALNAME"])) == ("PUBLISH", "Harbour tour")
    events = calendar.walk("VEVENT")
    assert [str(event["UID"]) for event in events] == [f"occ-{days}@harbour.example" for days in (0, 3, 20)]
    assert [event.start.astimezone(UTC) for event in events] == sorted(slot.starts_at for slot in slots)
    assert [str(event["STATUS"]) for event in events] == ["CONFIRMED", "CANCELLED", "CONFIRMED"]
    assert [event["SEQUENCE"] for event in events] == [1, 4, 21]
    assert not any("ATTENDEE" in event for event in events)
    assert {str(zone["TZID"]) for zone in calendar.walk("VTIMEZONE")} == {"Europe/Rome", "America/New_York"}
    assert feed == product_feed("Harbour tour", list(reversed(slots)), domain="harbour.example")


def test_a_feed_over_years_is_right_on_both_sides_of_every_change() -> None:
    first = datetime(2026, 1, 3, 9, 30, tzinfo=UTC)
    slots = [a_slot(first + timedelta(days=7 * week), occurrence_id=f"occ-{week:04}") for week in range(300)]
    feed = product_feed("Tours", slots, domain="harbour.example")
    events = Calendar.from_ical(with_foreign_zones(feed)).walk("VEVENT")
    starts = [event.start.astimezone(UTC) for event in events]
    assert starts == [slot.starts_at for slot in slots]


def test_a_feed_may_be_empty() -> None:
    assert Calendar.from_ical(product_feed("Harbour tour", [], domain="harbour.example")).walk("VEVENT") == []


# --- composing -------------------------------------------------------------------------------------------------------


class Words:
    """Says of which mail and whom it was asked to write."""

    def write(self, kind: MailKind, booking: Booking, customer: Customer) -> MailText:
        return MailText(f"{kind} {booking.reference}", customer.name, "")


def test_a_mail_is_made_of_the_words_and_the_invitation_as_things_stand() -> None:
    notice = mails_after("booking.confirmed", a_booking(), NOW).send[1]
    moved = a_booking(a_slot(version=12))
    mail = compose(notice, moved, a_customer(), NOW, texts=Words(), invitations=INVITATIONS)
    assert (mail.key, mail.written_at, mail.recipient) == (notice.key, NOW, a_customer())
    assert mail.text == MailText("reminder HG-1042", "Zoë O'Neil", "")
    assert mail.calendar == INVITATIONS.invitation(moved, a_customer())


def test_a_notice_is_not_written_about_another_booking() -> None:
    notice = mails_after("booking.confirmed", a_booking(), NOW).send[0]
    with pytest.raises(AssertionError):
        compose(notice, a_booking(booking_id="x"), a_customer(), NOW, texts=Words(), invitations=INVITATIONS)
