"""What makes somebody look at a booking in the shop, and with which words the order is asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from tests.support.pricing import a_product, a_ticket, an_occasion

from holdgate_schema.commands.selling import Customer
from holdgate_schema.events.selling import (
    BookingCancelled,
    BookingChanged,
    BookingConfirmed,
    BookingConverting,
    BookingFailed,
    BookingParked,
)
from holdgate_schema.values.quotes import Quote
from holdgate_schema.values.views import BookedOrder, Payment
from holdgate_workers.app.ordering.facts import Create, Run, Saga, Terms, booking_id_of, reference_of
from holdgate_workers.app.ordering.next_step import Ask, Decide, next_step
from holdgate_workers.app.ordering.protocol import Look, Recorded, _facts
from holdgate_workers.app.ordering.tasks import order_tasks
from holdgate_workers.app.tasks.tasks import DecidedRow, NewTask
from holdgate_workers.domain.bookings.booking import Booking, HoldQuote
from holdgate_workers.domain.pricing.basket import Basket
from holdgate_workers.domain.pricing.engine import price

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
BOOKING, REQUEST = "00000000-0000-4000-8000-00000000000b", "00000000-0000-4000-8000-00000000000c"
ORDER = BookedOrder(gateway="shop", order_id="77", status="paid")
TERMS = Terms(gateway="shop", call_seconds=10, settle_seconds=20, is_watched=True)


def a_quote() -> Quote:
    """Two adults at 25.00 with the platform's fee."""
    product = a_product(ticket_types=a_ticket(2500))
    made = price(product, Basket(items={"adult": 2}), an_occasion())
    assert isinstance(made, Quote), made
    return made


QUOTE = a_quote()


def a_booking(state: Any = "converting", **fields: Any) -> Booking:
    quote = HoldQuote(hash=QUOTE.hash, currency=QUOTE.currency, total=QUOTE.total)
    payment = Payment(method="card", amount=QUOTE.total, currency=QUOTE.currency, status="paid", reference="pi_1")
    given: dict[str, Any] = {
        "id": BOOKING,
        "hold_id": BOOKING,
        "occurrence_id": QUOTE.occurrence_id,
        "session_id": "ann",
        "state": state,
        "items": QUOTE.items,
        "seats": 2,
        "quote": quote,
        "payment": payment,
        "created_at": NOW,
        "timeout_at": NOW + timedelta(minutes=10),
    }
    return Booking(**(given | fields))


def planned(kind: Any, booking: Booking, **fields: Any) -> list[NewTask]:
    event = kind(
        event_id=f"{REQUEST}/0",
        occurrence_id="occ-1",
        version=7,
        occurred_at=NOW,
        booking=booking.view(),
        **fields,
    )
    row = DecidedRow(
        request_id=REQUEST,
        kind="any",
        outcome="any",
        occurrence_id="occ-1",
        version=7,
        session_id="ann",
        hold_id=BOOKING,
        events=[event],
        decided_at=NOW,
        reply_to="holdgate.reply.ann",
        correlation_id="corr",
    )
    return list(order_tasks(row))


@pytest.mark.parametrize(
    ("kind", "booking", "fields", "kinds"),
    [
        (BookingConverting, a_booking(), {}, ["order.create", "order.watch"]),
        (BookingConfirmed, a_booking("confirmed", order=ORDER), {}, ["order.watch"]),
        (BookingConfirmed, a_booking("confirmed"), {}, ["order.create", "order.watch"]),
        (BookingParked, a_booking("parked"), {}, ["order.check"]),
        (BookingParked, a_booking("refund_required", order=ORDER), {}, ["order.refund"]),
        (BookingFailed, a_booking("failed"), {}, ["order.check", "order.check"]),
        (
            BookingCancelled,
            a_booking("cancelled", refund="due"),
            {"refund": "due"},
            ["order.refund", "order.check"],
        ),
        (BookingCancelled, a_booking("cancelled"), {"refund": "none"}, ["order.cancel", "order.check"]),
        (BookingChanged, a_booking("cancelled", refund="due"), {}, ["order.refund"]),
        (BookingChanged, a_booking("confirmed"), {}, []),
    ],
)
def test_each_decision_that_leaves_something_to_do_makes_somebody_look(
    kind: Any, booking: Booking, fields: dict[str, Any], kinds: list[str]
) -> None:
    tasks = planned(kind, booking, **fields)
    assert [task.kind for task in tasks] == kinds
    assert len({(task.kind, task.key) for task in tasks}) == len(tasks)
    assert all(task.payload["booking_id"] == BOOKING for task in tasks)


def test_only_the_conversion_itself_brings_a_second_answer() -> None:
    create, watch = planned(BookingConverting, a_booking())
    assert (create.key, create.payload["answers"], create.reply_to) == (BOOKING, REQUEST, "holdgate.reply.ann")
    assert create.due_at is None
    assert watch.due_at is not None
    [check] = planned(BookingParked, a_booking("parked"))
    assert (check.reply_to, check.payload["answers"]) == (None, None)


def test_a_reference_names_the_booking_and_nothing_else_does() -> None:
    assert booking_id_of(reference_of(BOOKING)) == BOOKING
    assert booking_id_of(f"{reference_of(BOOKING)}-r1") != BOOKING
    assert booking_id_of("somebody-elses") == ""


def step_for(quote: Quote | None, **fields: Any) -> Any:
    saga = Saga(booking_id=BOOKING)
    look = Look(
        booking=a_booking(),
        hold_state="converting",
        recorded=Recorded(saga=saga, now=NOW),
        buyer=Customer(name="Ada King Lovelace", email="ada@example.org"),
        quote=quote,
    )
    return next_step(_facts(replace(look, **fields), look.recorded), TERMS, Run())


def test_the_order_charges_the_quote_to_the_last_cent() -> None:
    step = step_for(QUOTE)
    assert isinstance(step, Ask)
    assert isinstance(step.call, Create)
    order = step.call.order
    assert not step.call.sent_before
    assert (order.total, order.reference) == (QUOTE.total, f"hg-{BOOKING}")
    assert [line.amount for line in order.lines] == [line.amount for line in QUOTE.lines if line.kind == "ticket"]
    assert (order.customer.first_name, order.customer.last_name) == ("Ada King", "Lovelace")
    assert (order.payment.is_paid, order.payment.reference) == (True, "pi_1")


@pytest.mark.parametrize(
    "quote", [None, replace(QUOTE, total=1), replace(QUOTE, lines=[*QUOTE.lines, QUOTE.lines[0]])]
)
def test_a_quote_that_is_not_as_it_was_made_is_never_charged(quote: Quote | None) -> None:
    step = step_for(quote)
    assert isinstance(step, Decide)
    assert step.verdict.outcome == "unknown"


def test_another_quote_than_the_buyers_is_never_charged() -> None:
    other = a_booking(quote=HoldQuote(hash="b" * 64, currency="EUR", total=QUOTE.total))
    step = step_for(QUOTE, booking=other)
    assert isinstance(step, Decide)
    assert step.verdict.outcome == "unknown"
