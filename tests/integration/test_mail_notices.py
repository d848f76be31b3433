"""Mails from decision to mailbox: the real gate and feeder on PostgreSQL, a real SMTP server, a calendar library."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import Any
from zoneinfo import ZoneInfo

import icalendar
import pytest
from tests.support.mail_server import Inbox, mail_server
from tests.support.postgres import migrated_database
from tests.support.telling import HASH, HOUSE, OCCURRENCE, TITLE, ZOE, ZONE, Teller, soon

from holdgate_schema.commands.selling import Customer
from holdgate_schema.values.quotes import Quote, QuoteLine
from holdgate_workers.adapters.postgres.maintenance.erasure import CustomerErasure
from holdgate_workers.adapters.postgres.notifications import mail_plans
from holdgate_workers.adapters.postgres.notifications.store import NoticeStore
from holdgate_workers.adapters.postgres.pricing.quotes import QuoteBook
from holdgate_workers.app.notifications import handlers
from holdgate_workers.app.notifications import telling as telling_module
from holdgate_workers.app.ordering.facts import reference_of
from holdgate_workers.app.tasks.tasks import Again, Dead, Done

pytestmark = pytest.mark.services


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def teller(inbox: Inbox) -> Iterator[Teller]:
    """A house with a mail server."""
    with ExitStack() as stack:
        port = stack.enter_context(mail_server(inbox))
        url = stack.enter_context(migrated_database())
        teller = Teller(url, mail_url=f"smtp+plain://localhost:{port}", **HOUSE)
        stack.callback(teller.close)
        yield teller


def subjects(inbox: Inbox) -> list[str]:
    return [str(message["Subject"]) for message in inbox.messages()]


def event_of(message: EmailMessage) -> tuple[str, Any]:
    """The method and the event of the attached invitation."""
    [attachment] = [part for part in message.iter_attachments() if part.get_content_type() == "text/calendar"]
    calendar = icalendar.Calendar.from_ical(attachment.get_content())
    [event] = calendar.walk("VEVENT")
    return str(calendar["METHOD"]), event


def text_of(message: EmailMessage) -> str:
    body = message.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def local(instant: datetime) -> datetime:
    return instant.astimezone(ZoneInfo(ZONE))


def test_whoever_books_gets_a_confirmation_with_an_invitation(teller: Teller, inbox: Inbox) -> None:
    booking_id = teller.sell()
    teller.tell()
    [message] = inbox.messages()
    assert TITLE in str(message["Subject"])
    assert ZOE.email in str(message["To"])
    assert "Adult" in text_of(message)
    method, event = event_of(message)
    assert (method, str(event["UID"])) == ("REQUEST", booking_id)
    assert event["DTSTART"].dt == local(teller.starts_at)
    assert str(event["SUMMARY"]) == TITLE


def test_a_mail_says_what_was_charged_line_by_line_and_what_was_given_back(teller: Teller, inbox: Inbox) -> None:
    line = QuoteLine(kind="ticket", label="Adult, early bird", amount=5000, key="adult", quantity=2, each="2500")
    quote = Quote(
        product_id="harbour-tour",
        occurrence_id=OCCURRENCE,
        currency="EUR",
        items={"adult": 2},
        lines=[line],
        tickets_total=5000,
        extras_total=0,
        total=5000,
        hash=HASH,
    )
    with closing(QuoteBook(teller.url)) as book:
        book.keep(quote, None)
    booking_id = teller.sell()
    teller.tell()
    teller.note_order(booking_id, "refunded", soon(1))
    teller.tell()
    confirmed, cancelled = (text_of(message) for message in inbox.messages())
    assert "Adult, early bird" in confirmed
    assert "€50.00" in confirmed
    assert "€50.00" in cancelled


def test_reminders_wait_for_24_and_2_hours_before_the_start(teller: Teller, inbox: Inbox) -> None:
    teller.sell()
    teller.tell()
    assert teller.reminders() == [teller.starts_at - timedelta(hours=24), teller.starts_at - timedelta(hours=2)]
    teller.bring_forward("mail/reminder/%/24h")
    teller.work()
    assert len(inbox.messages()) == 2
    assert teller.reminders() == [teller.starts_at - timedelta(hours=2)]


def test_each_mail_goes_out_once_however_often_it_is_planned(teller: Teller, inbox: Inbox) -> None:
    """A cursor that is put back feeds everything again; a plan that is repeated plans the same."""
    teller.sell()
    teller.tell()
    teller.rows("DELETE FROM relay_cursors")
    teller.rows("DELETE FROM tasks WHERE kind = 'mail.plan.v1'")
    teller.tell()
    assert len(inbox.messages()) == 1
    assert len(teller.reminders()) == 2


def test_when_the_occurrence_moves_everybody_is_told_and_the_reminders_move(teller: Teller, inbox: Inbox) -> None:
    first = [teller.sell(f"session-{number}") for number in range(3)]
    teller.tell()
    before = teller.starts_at
    teller.put(starts_at=before + timedelta(days=2))
    teller.tell()
    changes = inbox.messages()[3:]
    assert len(changes) == 3
    invitations = [event_of(message) for message in changes]
    assert {str(event["UID"]) for _, event in invitations} == set(first)
    assert {event["DTSTART"].dt for _, event in invitations} == {local(teller.starts_at)}
    sequences = [int(event["SEQUENCE"]) for _, event in map(event_of, inbox.messages())]
    assert min(sequences[3:]) > max(sequences[:3])
    new = [teller.starts_at - timedelta(hours=hours) for hours in (24, 2)]
    assert [due for due in teller.reminders() if due >= before] == sorted(new * 3)


def test_more_bookings_than_go_into_one_go_are_told_all_the_same(
    teller: Teller, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "MOVED_MAX", 2)
    for number in range(5):
        teller.sell(f"session-{number}")
    teller.tell()
    teller.put(starts_at=teller.starts_at + timedelta(days=2))
    outcomes = [outcome for key, outcome in teller.tell() if key.startswith("mails/")]
    assert outcomes == [Again(0.0, "more bookings to tell")] * 2 + [Done()]
    assert len(inbox.messages()) == 10


def test_a_reminder_of_the_old_time_does_not_go_out(teller: Teller, inbox: Inbox) -> None:
    teller.sell()
    teller.tell()
    old = f"{teller.starts_at:%Y%m%dT%H%M%SZ}"
    teller.put(starts_at=teller.starts_at + timedelta(days=2))
    teller.tell()
    teller.bring_forward(f"mail/reminder/%/{old}/%")
    assert {outcome for _, outcome in teller.work()} == {Done()}
    assert len(inbox.messages()) == 2


def test_moved_away_and_back_the_booking_has_its_two_reminders(teller: Teller, inbox: Inbox) -> None:
    teller.sell()
    teller.tell()
    before, start = teller.reminders(), teller.starts_at
    teller.put(starts_at=start + timedelta(days=2))
    teller.tell()
    teller.put(starts_at=start)
    teller.tell()
    assert [due for due in teller.reminders() if due < start] == before
    assert len(inbox.messages()) == 3


def test_a_change_that_nobody_notices_is_told_to_nobody(teller: Teller, inbox: Inbox) -> None:
    teller.sell()
    teller.tell()
    teller.put(capacity=400)
    teller.tell()
    assert len(inbox.messages()) == 1


def test_with_a_cancelled_booking_its_reminders_go(teller: Teller, inbox: Inbox) -> None:
    booking_id, other = teller.sell("one"), teller.sell("two")
    teller.tell()
    teller.cancel(booking_id, "one")
    teller.tell()
    method, event = event_of(inbox.messages()[-1])
    assert (method, str(event["STATUS"]), str(event["UID"])) == ("CANCEL", "CANCELLED", booking_id)
    assert len(inbox.messages()) == 3
    assert all(other in key for key, state in teller.tasks("key LIKE 'mail/reminder/%'") if state == "open")
    assert len(teller.reminders("cancelled")) == 2


def test_a_reminder_that_is_already_due_is_dropped_with_its_booking(teller: Teller, inbox: Inbox) -> None:
    """It was cancelled a moment ago, and nobody has planned what follows from that."""
    booking_id = teller.sell()
    teller.tell()
    teller.cancel(booking_id)
    teller.bring_forward("mail/reminder/%/24h")
    [(_, outcome)] = teller.work()
    assert outcome == Done()
    assert len(inbox.messages()) == 1
    assert ("mail", "withdrawn", 0, "not wanted any more") in teller.deliveries()


def test_a_cancelled_occurrence_is_told_to_everybody_once(teller: Teller, inbox: Inbox) -> None:
    bookings = [teller.sell(f"session-{number}") for number in range(3)]
    teller.tell()
    teller.close_occurrence("cancelled")
    teller.tell()
    methods = [event_of(message)[0] for message in inbox.messages()[3:]]
    assert methods == ["CANCEL"] * 3
    assert teller.reminders() == []
    teller.note_order(bookings[0], "refunded", soon(0))
    teller.tell()
    assert len(inbox.messages()) == 6


def test_a_booking_that_comes_back_is_confirmed_and_reminded_of_again(teller: Teller, inbox: Inbox) -> None:
    """The shop said that its order had failed, and then that it was paid after all."""
    booking_id = teller.sell()
    teller.tell()
    teller.note_order(booking_id, "cancelled", soon(1))
    teller.tell()
    teller.note_order(booking_id, "paid", soon(2))
    teller.tell()
    assert [event_of(message)[0] for message in inbox.messages()] == ["REQUEST", "CANCEL", "REQUEST"]
    assert len(teller.reminders()) == 2


def test_planned_the_wrong_way_round_the_end_is_the_same(teller: Teller, inbox: Inbox) -> None:
    """Two workers take the plans of one booking, and the later one is quicker."""
    booking_id = teller.sell()
    teller.cancel(booking_id)
    teller.feed()
    teller.rows(
        "UPDATE tasks SET due_at = clock_timestamp() + interval '1 day' WHERE payload ->> 'event' = 'booking.confirmed'"
    )
    teller.work()
    teller.rows("UPDATE tasks SET due_at = clock_timestamp() WHERE state = 'open'")
    teller.work()
    [message] = inbox.messages()
    assert is_plain(message), "there is no invitation that could be taken back"
    assert teller.reminders() == []


def test_what_is_called_off_before_its_mails_are_planned_is_told(teller: Teller, inbox: Inbox) -> None:
    teller.sell()
    teller.close_occurrence("cancelled")
    teller.tell()
    [message] = inbox.messages()
    assert message["Subject"].startswith("Cancelled:")
    assert is_plain(message)
    assert "calendar" not in text_of(message)
    teller.tell()
    assert len(inbox.messages()) == 1


@pytest.mark.parametrize("status", ["paid", "pending"])
def test_what_is_called_off_while_it_is_booked_is_told(teller: Teller, inbox: Inbox, status: str) -> None:
    """Its order is made too late: it is parked if it was paid, else it fails, and either way the buyer hears of it."""
    booking_id = teller.convert(status=status)
    teller.close_occurrence("cancelled")
    teller.tell()
    assert inbox.messages() == []
    teller.settle(booking_id, status)
    teller.tell()
    ((state,),) = teller.rows("SELECT state FROM bookings WHERE id = %s", booking_id)
    assert state == ("parked" if status == "paid" else "failed")
    [message] = inbox.messages()
    assert message["Subject"].startswith("Cancelled:")
    assert is_plain(message)


@pytest.mark.parametrize("status", ["paid", "pending"])
def test_a_booking_that_fails_is_told_if_it_was_paid(teller: Teller, inbox: Inbox, status: str) -> None:
    """Without money the answer to the request says all there is; with it, somebody waits for what comes of it."""
    booking_id = teller.convert(status=status)
    teller.settle(booking_id, outcome="failed")
    teller.tell()
    if status == "pending":
        assert inbox.messages() == []
        return
    [message] = inbox.messages()
    assert message["Subject"].startswith("Cancelled:")
    assert is_plain(message)
    assert "We refund €50.00." in text_of(message)


def test_a_booking_that_is_parked_because_all_of_its_money_went_back_is_told_and_leaves_the_calendar(
    teller: Teller, inbox: Inbox
) -> None:
    """Once; and if a person sells it again, that is told, too."""
    booking_id = teller.sell()
    teller.tell()
    teller.note_order(booking_id, "paid", soon(1), refunded=5000)
    ((state,),) = teller.rows("SELECT state FROM bookings WHERE id = %s", booking_id)
    assert state == "parked"
    for _ in range(2):
        teller.tell()
        assert [event_of(message)[0] for message in inbox.messages()] == ["REQUEST", "CANCEL"]
    assert "We refund €50.00." in text_of(inbox.messages()[-1])
    assert teller.reminders() == []
    teller.resolve(booking_id, "fulfil")
    teller.tell()
    assert [event_of(message)[0] for message in inbox.messages()] == ["REQUEST", "CANCEL", "REQUEST"]


def test_a_part_that_is_given_back_is_told_with_what_is_left_also_in_the_calendar(
    teller: Teller, inbox: Inbox
) -> None:
    """By the house, too, and after the end: it is about money."""
    booking_id = teller.sell()
    teller.tell()
    teller.resolve(booking_id, "reduce", items={"adult": 1}, refund_amount=1700)
    teller.tell()
    first, second = inbox.messages()
    assert second["Subject"].startswith("Changed:")
    (_, before), (method, after) = event_of(first), event_of(second)
    assert method == "REQUEST"
    assert (before["UID"], after["SEQUENCE"] > before["SEQUENCE"]) == (after["UID"], True)
    assert ("2 × Adult" in before["DESCRIPTION"], "1 × Adult" in after["DESCRIPTION"]) == (True, True)


def is_plain(message: EmailMessage) -> bool:
    """Whether it has nothing for a calendar."""
    return list(message.iter_attachments()) == []


def test_an_occurrence_that_moves_while_a_booking_is_told_of_it_is_not_missed(
    teller: Teller, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It moves after the booking was read and before what its customer was told is written down."""
    start = teller.starts_at

    def tell_slowly(event: str, *rest: Any) -> Any:
        telling = telling_module.tell(event, *rest)
        if event == "booking.confirmed" and teller.starts_at == start:
            teller.put(starts_at=start + timedelta(days=2))
            with closing(NoticeStore(teller.url)) as other:
                assert other.plans.moved(OCCURRENCE, 10) == []
        return telling

    monkeypatch.setattr(mail_plans, "tell", tell_slowly)
    teller.sell()
    teller.tell()
    assert [due for due in teller.reminders() if due > start] == [
        teller.starts_at - timedelta(hours=24),
        teller.starts_at - timedelta(hours=2),
    ]
    assert event_of(inbox.messages()[-1])[1]["DTSTART"].dt == local(teller.starts_at)


def test_the_plan_of_a_change_that_comes_before_that_of_the_booking_takes_nothing_away(
    teller: Teller, inbox: Inbox
) -> None:
    teller.sell()
    teller.feed()
    teller.put(starts_at=teller.starts_at + timedelta(days=2))
    teller.feed()
    teller.rows(
        "UPDATE tasks SET due_at = due_at - interval '1 hour' WHERE payload ->> 'event' = 'occurrence.changed'"
    )
    teller.work()
    assert teller.reminders() == [teller.starts_at - timedelta(hours=hours) for hours in (24, 2)]
    assert len(inbox.messages()) == 1


# --- when it does not go through ----------------------------------------------------------------------------------


def test_a_mail_that_the_server_takes_later_arrives_once_under_its_own_id(teller: Teller, inbox: Inbox) -> None:
    inbox.answers["DATA"] = "451 Try again later"
    teller.sell()
    outcomes = [outcome for key, outcome in teller.tell() if key.startswith("mail/")]
    assert [type(outcome) for outcome in outcomes] == [Again]
    assert ("mail", "waiting", 1, "451 at handing over the message") in teller.deliveries()
    del inbox.answers["DATA"]
    teller.bring_forward("mail/confirmation/%")
    teller.work()
    assert len(inbox.messages()) == 1
    assert ("mail", "delivered", 2, "250") in teller.deliveries()


def test_a_lost_answer_brings_the_same_mail_again(teller: Teller, inbox: Inbox) -> None:
    """At least once: whoever reads mail knows it again by its Message-ID."""
    inbox.hang_up_after_data = True
    teller.sell()
    teller.tell()
    inbox.hang_up_after_data = False
    teller.bring_forward("mail/confirmation/%")
    teller.work()
    first, second = inbox.messages()
    assert first["Message-ID"] == second["Message-ID"]


def test_a_refused_address_is_dead_and_listed_without_it(teller: Teller, inbox: Inbox) -> None:
    inbox.answers["RCPT"] = "550 No such user: <{}>"
    teller.sell()
    outcomes = dict(teller.tell())
    assert [value for key, value in outcomes.items() if key.startswith("mail/")] == [
        Dead("550 at naming the recipient")
    ]
    assert ("mail", "failed", 1, "550 at naming the recipient") in teller.deliveries()


def test_a_retried_mail_begins_anew(teller: Teller, inbox: Inbox) -> None:
    inbox.answers["RCPT"] = "550 No"
    teller.sell()
    teller.tell()
    inbox.answers.clear()
    [task] = teller.book.find(("dead",), 10)
    assert teller.book.retry(task.id)
    teller.work()
    assert len(inbox.messages()) == 1
    assert ("mail", "delivered", 1, "250") in teller.deliveries()


def test_an_address_that_no_mail_can_go_to_is_dead_without_being_tried(teller: Teller, inbox: Inbox) -> None:
    teller.sell(customer=Customer(name="Zoë", email="zoe@not..a.domain"))
    outcomes = dict(teller.tell())
    [outcome] = [value for key, value in outcomes.items() if key.startswith("mail/")]
    assert outcome == Dead("email must be one address such as name@example.org")
    assert inbox.commands == []


@pytest.mark.parametrize("customer", [None, Customer(name="Zoë")], ids=["nobody", "no address"])
def test_whoever_left_no_address_gets_no_mail(teller: Teller, inbox: Inbox, customer: Customer | None) -> None:
    teller.sell(customer=customer)
    assert {outcome for _, outcome in teller.tell()} == {Done()}
    assert inbox.messages() == []


# --- people's data ------------------------------------------------------------------------------------------------


def test_who_it_was_stands_in_no_task_no_delivery_no_journal_and_no_log(
    teller: Teller, inbox: Inbox, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    inbox.answers["RCPT"] = "550 No such user: <{}>"
    teller.sell()
    teller.tell()
    rows = [
        str(teller.rows(f"SELECT * FROM {table}")) for table in ("tasks", "deliveries", "told_slots", "journal")
    ]
    written = capfd.readouterr()
    # The mail server of the test logs what it is told; that is its own affair.
    logged = [record.getMessage() for record in caplog.records if record.name != "mail.log"]
    for text in (*rows, *logged, written.out, written.err):
        assert not any(word in text for word in (ZOE.email, "Zoë", "O'Neil", ZOE.phone)), text


def test_who_was_erased_gets_no_mail_any_more(teller: Teller, inbox: Inbox) -> None:
    booking_id = teller.sell()
    teller.tell()
    erasure = CustomerErasure(teller.url)
    assert erasure.of_booking(booking_id) == 1
    assert erasure.of_booking(booking_id) == erasure.of_session("session-of-zoe") == 0
    erasure.close()
    assert teller.rows("SELECT customer FROM bookings") == [(None,)]
    teller.bring_forward("mail/reminder/%/24h")
    teller.work()
    assert len(inbox.messages()) == 1
    assert ("mail", "withdrawn", 0, "no address") in teller.deliveries()


def test_erased_by_session_it_stays_erased_when_the_booking_changes(teller: Teller, inbox: Inbox) -> None:
    booking_id, other = teller.sell("mine"), teller.sell("somebody-elses")
    erasure = CustomerErasure(teller.url)
    assert erasure.of_session("mine") == 1
    erasure.close()
    teller.cancel(booking_id, "mine")
    known = dict(teller.rows("SELECT id::text, customer IS NOT NULL FROM bookings"))
    assert known == {booking_id: False, other: True}


def test_who_was_erased_is_erased_from_the_order_of_our_own_table(teller: Teller) -> None:
    mine, other = teller.sell("mine"), teller.sell("somebody-elses")
    for booking_id in (mine, other):
        teller.rows(
            "INSERT INTO orders (reference, status, currency, total, content, customer) "
            "VALUES (%s, 'paid', 'EUR', 5000, '{}', '{\"name\": \"Zoë\"}')",
            reference_of(booking_id),
        )
    with closing(CustomerErasure(teller.url)) as erasure:
        assert erasure.of_session("mine") == 1
        assert erasure.of_booking(mine) == 0
    left = dict(teller.rows("SELECT reference, customer FROM orders"))
    assert left == {reference_of(mine): {}, reference_of(other): {"name": "Zoë"}}


def test_nothing_is_planned_while_nothing_is_configured() -> None:
    with migrated_database() as url:
        teller = Teller(url)
        teller.sell()
        teller.put(starts_at=teller.starts_at + timedelta(days=1))
        teller.feed()
        assert teller.tasks() == []
        assert OCCURRENCE in str(teller.rows("SELECT id FROM occurrences"))
        teller.close()
