"""Which mail follows from which event, when it is due, and when it is no longer wanted."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.notices import BOOKING_ID, NOW, START, a_booking, a_slot

from holdgate_workers.app.notifications.facts import Booking, Slot
from holdgate_workers.app.notifications.mails import MailKind, MailNotice, MailPlan, mails_after, still_wanted

DAY, HOURS_2 = timedelta(hours=24), timedelta(hours=2)
CONFIRMED = a_booking()
CANCELLED = a_booking(state="cancelled", version=9)
LATER = a_slot(START + timedelta(days=7), version=8)


def confirmed(booking: Booking = CONFIRMED, now: datetime = NOW) -> tuple[MailNotice, ...]:
    return mails_after("booking.confirmed", booking, now).send


def changed(slot: Slot, told: Slot | None = CONFIRMED.slot, now: datetime = NOW) -> MailPlan:
    return mails_after("occurrence.changed", a_booking(slot), now, told=told)


def due(notices: tuple[MailNotice, ...]) -> list[tuple[str, datetime]]:
    return [(str(notice.kind), notice.due_at) for notice in notices]


def test_a_confirmed_booking_gets_a_confirmation_and_two_reminders() -> None:
    plan = mails_after("booking.confirmed", CONFIRMED, NOW)
    assert due(plan.send) == [("confirmation", NOW), ("reminder", START - DAY), ("reminder", START - HOURS_2)]
    assert not plan.withdraw_others


@pytest.mark.parametrize(
    ("before_start", "reminders"),
    [
        (DAY + timedelta(seconds=1), 2),
        (DAY, 1),
        (HOURS_2 + timedelta(seconds=1), 1),
        (HOURS_2, 0),
        (timedelta(0), 0),
    ],
)
def test_a_reminder_whose_time_is_not_ahead_is_left_out(before_start: timedelta, reminders: int) -> None:
    assert len(confirmed(now=START - before_start)) == 1 + reminders


@pytest.mark.parametrize(
    ("zone", "wall"),
    [
        ("Europe/Rome", "2030-03-31T10:00"),
        ("Europe/Rome", "2030-10-27T10:00"),
        ("America/New_York", "2030-03-10T03:30"),
        ("Australia/Lord_Howe", "2030-10-06T12:00"),
    ],
)
def test_reminders_are_elapsed_hours_before_the_local_start_over_a_change_of_the_clock(
    zone: str, wall: str
) -> None:
    starts_at = datetime.fromisoformat(wall).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    _, first, second = confirmed(a_booking(a_slot(starts_at, timezone=zone)), now=starts_at - timedelta(days=3))
    assert (starts_at - first.due_at, starts_at - second.due_at) == (DAY, HOURS_2)
    assert first.due_at.astimezone(ZoneInfo(zone)).time() != datetime.fromisoformat(wall).time()


def test_a_reminder_is_useless_once_the_next_one_is_due_and_every_mail_but_a_cancellation_one_day() -> None:
    confirmation, first, second = confirmed()
    assert first.useless_after == second.due_at
    assert second.useless_after == START
    assert confirmation.useless_after == CONFIRMED.slot.ends_at
    [cancellation] = mails_after("booking.cancelled", CANCELLED, NOW).send
    assert cancellation.useless_after is None


def test_a_cancelled_booking_gets_a_cancellation_and_nothing_that_waits() -> None:
    plan = mails_after("booking.cancelled", CANCELLED, NOW)
    assert due(plan.send) == [("cancellation", NOW)]
    assert plan.withdraw_others


def test_a_moved_occurrence_is_told_once_with_new_reminders() -> None:
    plan = changed(LATER)
    assert due(plan.send) == [
        ("change", NOW),
        ("reminder", LATER.starts_at - DAY),
        ("reminder", LATER.starts_at - HOURS_2),
    ]
    assert not {notice.key for notice in plan.send} & {notice.key for notice in confirmed()}


@pytest.mark.parametrize("fields", [{"version": 8}, {"title": "Harbour by night"}, {"status": "closed"}])
def test_what_changes_no_time_is_no_news(fields: dict[str, object]) -> None:
    assert changed(replace(CONFIRMED.slot, **fields)) == MailPlan()


@pytest.mark.parametrize(
    "fields", [{"ends_at": START + timedelta(hours=3)}, {"timezone": "Europe/London"}], ids=["end", "zone"]
)
def test_another_end_or_zone_is_news_and_the_same_reminders(fields: dict[str, object]) -> None:
    plan = changed(replace(CONFIRMED.slot, version=8, **fields))
    assert plan.send[0].kind is MailKind.CHANGE
    assert {notice.key for notice in plan.send[1:]} == {notice.key for notice in confirmed()[1:]}


def test_a_cancelled_occurrence_and_then_its_booking_are_told_in_one_mail() -> None:
    off = replace(CONFIRMED.slot, status="cancelled", version=8)
    [from_occurrence] = changed(off).send
    [from_booking] = mails_after("booking.cancelled", replace(CANCELLED, slot=off), NOW + DAY).send
    assert from_occurrence.kind is MailKind.CANCELLATION
    assert from_occurrence.key == from_booking.key


@pytest.mark.parametrize("event", ["booking.confirmed", "booking.failed", "booking.parked"])
def test_what_was_called_off_before_anybody_was_told_is_told(event: str) -> None:
    state: Any = "confirmed" if event == "booking.confirmed" else "held"
    [mail] = mails_after(event, a_booking(a_slot(status="cancelled"), state=state), NOW).send
    assert mail.kind is MailKind.CANCELLATION
    assert still_wanted(mail, a_booking(a_slot(status="cancelled"), state=state), NOW)


@pytest.mark.parametrize(
    ("event", "booking"),
    [
        ("hold.created", a_booking(state="held")),
        ("hold.expired", a_booking(state="held")),
        ("booking.converting", a_booking(state="held")),
        ("booking.confirmed", CANCELLED),
        ("booking.failed", a_booking(state="held")),
        ("booking.parked", a_booking(state="held")),
        ("booking.cancelled", CONFIRMED),
        ("occurrence.changed", a_booking(LATER, state="held")),
        ("occurrence.changed", replace(CANCELLED, slot=LATER)),
        ("capacity.full", CONFIRMED),
    ],
)
def test_everything_else_and_what_is_overtaken_writes_to_nobody(event: str, booking: Booking) -> None:
    assert mails_after(event, booking, NOW, told=CONFIRMED.slot) == MailPlan()


@given(st.integers(0, 20 * 24 * 3600))
def test_an_event_that_comes_again_plans_nothing_new(later_seconds: int) -> None:
    again = confirmed(now=NOW + timedelta(seconds=later_seconds))
    assert {notice.key for notice in again} <= {notice.key for notice in confirmed()}


def test_keys_are_readable_and_bound_to_their_booking() -> None:
    assert [notice.key for notice in confirmed()] == [
        f"mail/confirmation/{BOOKING_ID}",
        f"mail/reminder/{BOOKING_ID}/20300614T080000Z/24h",
        f"mail/reminder/{BOOKING_ID}/20300614T080000Z/2h",
    ]
    other = confirmed(a_booking(booking_id="6f1f7c3e-8a51-4c0e-9a63-0d2f6a1b7c02"))
    assert not {notice.key for notice in other} & {notice.key for notice in confirmed()}


def test_a_booking_that_is_moved_and_moved_back_keeps_its_reminders() -> None:
    _, reminder, _ = confirmed()
    assert not still_wanted(reminder, a_booking(LATER), NOW)
    back = replace(CONFIRMED.slot, version=12)
    again = changed(back, told=LATER)
    assert still_wanted(reminder, a_booking(back), NOW)
    assert reminder.key in {notice.key for notice in again.send}
    assert again.send[0].key != changed(LATER).send[0].key


def test_two_moves_are_told_by_the_second_alone_if_the_first_was_not_sent_yet() -> None:
    first, second = changed(LATER).send[0], changed(a_slot(START + DAY, version=9), told=LATER).send[0]
    now_there = a_booking(a_slot(START + DAY, version=9))
    assert [still_wanted(notice, now_there, NOW) for notice in (first, second)] == [False, True]


@pytest.mark.parametrize(
    "booking", [CANCELLED, a_booking(a_slot(status="cancelled"))], ids=["booking", "occurrence"]
)
def test_once_cancelled_only_the_cancellation_is_wanted(booking: Booking) -> None:
    [cancellation] = mails_after("booking.cancelled", CANCELLED, NOW).send
    assert still_wanted(cancellation, booking, NOW)
    assert not any(still_wanted(notice, booking, NOW) for notice in (*confirmed(), changed(LATER).send[0]))


def test_a_cancellation_is_not_wanted_while_the_booking_stands() -> None:
    [cancellation] = mails_after("booking.cancelled", CANCELLED, NOW).send
    assert not still_wanted(cancellation, CONFIRMED, NOW)


def test_nobody_is_reminded_of_what_has_begun() -> None:
    _, _, reminder = confirmed()
    assert still_wanted(reminder, CONFIRMED, START - timedelta(seconds=1))
    assert not still_wanted(reminder, CONFIRMED, START)
