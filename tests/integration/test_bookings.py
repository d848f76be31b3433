"""Holds that are priced and sold, in the rows: the gate's own protocol on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace
from tests.support.domain import NOW, a_place, a_put, request_id
from tests.support.drive import Station, held_of
from tests.support.postgres import migrated_database

from holdgate_schema.commands.holds import Command
from holdgate_schema.commands.selling import (
    CancelBooking,
    ConvertBooking,
    Customer,
    GetBooking,
    NoteOrder,
    PaymentNotice,
    PriceHold,
    Pricing,
    ReduceBooking,
    ResolveBooking,
    SettleBooking,
)
from holdgate_schema.values.views import BookedOrder, QuoteView
from holdgate_workers.adapters.postgres.expiry.due import DueHolds
from holdgate_workers.adapters.postgres.reports.money import Money
from holdgate_workers.cli.doctor import selling as checks_selling
from holdgate_workers.ids import derived_id

pytestmark = pytest.mark.services

OCCURRENCE = "occ-1"
STARTS = datetime(2090, 7, 1, 18, tzinfo=UTC)
HASH = "a" * 64
SESSION = "ann"
HOLD, PRICE, CONVERT, SETTLE = (request_id(number) for number in (2, 3, 4, 5))
ORDER = BookedOrder(gateway="local", order_id="77", status="paid")


@pytest.fixture
def station() -> Iterator[Station]:
    with migrated_database() as url:
        opened = Station(url)
        opened.work(a_put(OCCURRENCE, request_id=request_id(1), capacity=4, starts_at=STARTS))
        yield opened
        opened.close()


def rows(station: Station, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(station.url) as connection:
        return connection.execute(statement).fetchall()


def place(**fields: Any) -> Command:
    return a_place(2, request_id=fields.pop("request_id", HOLD), session_id=SESSION, **fields)


def price(hold_id: str = HOLD, **fields: Any) -> Command:
    quote = QuoteView(hash=HASH, currency="EUR", total=5000, tickets_total=5000, extras_total=0)
    defaults: dict[str, Any] = {"request_id": PRICE, "items": {"adult": 2}, "quote": quote}
    return PriceHold(occurrence_id=OCCURRENCE, hold_id=hold_id, **(defaults | fields))


def convert(**fields: Any) -> Command:
    payment = PaymentNotice(method="card", amount=5000, currency="EUR", status="paid")
    defaults: dict[str, Any] = {
        "request_id": CONVERT,
        "session_id": SESSION,
        "hold_id": HOLD,
        "quote_hash": HASH,
        "payment": payment,
        "customer": Customer(name="Ann", email="ann@example.org"),
    }
    return ConvertBooking(occurrence_id=OCCURRENCE, **(defaults | fields))


def settle(outcome: Any = "ordered", **fields: Any) -> Command:
    defaults: dict[str, Any] = {"request_id": SETTLE, "answers": CONVERT}
    order = ORDER if outcome == "ordered" else None
    return SettleBooking(
        occurrence_id=OCCURRENCE, booking_id=HOLD, outcome=outcome, order=order, **(defaults | fields)
    )


def pools(station: Station) -> tuple[int, int]:
    ((held, sold),) = rows(station, "SELECT held, sold FROM pools WHERE key = 'total'")
    return held, sold


@pytest.mark.parametrize("together", [True, False])
def test_a_hold_is_priced_converted_and_sold(station: Station, together: bool) -> None:
    """In one batch or in four, read again each time: the rows are the same."""
    commands = [place(pricing=Pricing()), price(answers=HOLD), convert(), settle()]
    if together:
        answers = station.work(*commands[:1]) + station.work(*commands[1:])
    else:
        answers = [answer for command in commands for answer in station.work(command)]
    assert [answer["outcome"] for answer in station.answers_to(commands[0])] == ["held", "priced"]
    assert [answer["outcome"] for answer in station.answers_to(commands[2])] == ["converting", "confirmed"]
    assert answers[0]["outcome"] in ("held", "priced")
    assert pools(station) == (0, 2)
    ((state, customer),) = rows(station, "SELECT state, customer ->> 'name' FROM bookings")
    assert (state, customer) == ("confirmed", "Ann")
    assert rows(station, "SELECT state FROM holds") == [("confirmed",)]
    assert station.problems() == []


def test_a_repeated_request_gets_both_of_its_answers_again(station: Station) -> None:
    place_it, convert_it = place(pricing=Pricing()), convert()
    for command in (place_it, price(answers=HOLD), convert_it, settle()):
        station.work(command)
    for command in (place_it, convert_it):
        before = station.answers_to(command)
        station.work(command)
        assert station.answers_to(command) == before * 2
    assert station.problems() == []


def test_what_the_worker_does_not_seal_is_refused(station: Station) -> None:
    """Whoever may publish could otherwise make any price."""
    station.work(place())
    station.seals = type(station.seals)(b"not the house's secret")
    assert held_of(station.work(price())) == ["forbidden"] or station.answers_to(price()) == []
    assert rows(station, "SELECT quote FROM holds") == [(None,)]


def test_a_conversion_that_fails_gives_everything_back(station: Station) -> None:
    for command in (place(), price(voucher="WINTER-26", voucher_uses_max=1), convert()):
        station.work(command)
    assert rows(station, "SELECT used FROM shared_limits WHERE scope = 'voucher'") == [(1,)]
    station.work(settle("failed", reason="the shop refused"))
    assert station.answers_to(convert())[-1]["reason"] == "order_failed"
    assert pools(station) == (0, 0)
    assert rows(station, "SELECT used FROM shared_limits WHERE scope = 'voucher'") == [(0,)]
    assert station.problems() == []


def test_a_booking_is_cancelled_once_and_paid_again_afterwards_takes_new_seats(station: Station) -> None:
    for command in (place(), price(), convert(), settle()):
        station.work(command)
    ended = NoteOrder(
        request_id=request_id(6),
        occurrence_id=OCCURRENCE,
        booking_id=HOLD,
        order_id="77",
        status="cancelled",
        changed_at=NOW,
    )
    station.work(ended)
    assert pools(station) == (0, 0)
    cancel = CancelBooking(request_id=request_id(7), occurrence_id=OCCURRENCE, session_id=SESSION, booking_id=HOLD)
    assert held_of(station.work(cancel)) == ["booking_final"]
    paid = NoteOrder(
        request_id=request_id(8),
        occurrence_id=OCCURRENCE,
        booking_id=HOLD,
        order_id="77",
        status="paid",
        changed_at=NOW + timedelta(seconds=1),
    )
    station.work(paid)
    assert pools(station) == (0, 2)
    get = GetBooking(request_id=request_id(9), occurrence_id=OCCURRENCE, session_id=SESSION, booking_id=HOLD)
    (answer,) = station.work(get)
    assert answer["booking"]["state"] == "confirmed"
    assert answer["booking"]["hold_id"] == request_id(8)
    assert station.problems() == []


def test_a_ticket_of_a_booking_is_given_back_in_the_rows_and_the_rest_by_who_reads_them(
    station: Station,
) -> None:
    for command in (place(), price(shares={"ticket.adult": 2400}), convert(), settle()):
        station.work(command)
    reduce = ReduceBooking(
        request_id=request_id(6),
        occurrence_id=OCCURRENCE,
        session_id=SESSION,
        booking_id=HOLD,
        items={"adult": 1},
    )
    station.work(reduce, by=station.worker("another"))
    assert pools(station) == (0, 1)
    kept = "SELECT state, seats, basket -> 'items', basket -> 'draws' FROM holds"
    assert rows(station, kept) == [("confirmed", 1, {"adult": 1}, {"total": 1})]
    assert rows(station, "SELECT document -> 'seats', document -> 'refund_due' FROM bookings") == [(1, 2400)]
    cancel = CancelBooking(request_id=request_id(7), occurrence_id=OCCURRENCE, session_id=SESSION, booking_id=HOLD)
    station.work(cancel, by=station.worker("third"))
    assert pools(station) == (0, 0)


def test_nobody_can_take_the_id_of_an_internal_command_before_it_comes(station: Station) -> None:
    """What it follows from is public, so its id can be guessed: under such an id only what is sealed leaves a trace."""
    taken = derived_id("booking.settle", HOLD, "ordered", "77")
    for command in (place(), price(), convert()):
        station.work(command)
    assert held_of(station.work(a_place(1, request_id=taken, occurrence_id=OCCURRENCE))) == ["forbidden"]
    station.waiting.append(
        (f'{{"request_id":"{taken}","occurrence_id":"{OCCURRENCE}","type":"no.such"}}'.encode(), False)
    )
    station.worker("reader").take().finish()
    assert rows(station, f"SELECT 1 FROM journal WHERE request_id = '{taken}'") == []
    station.work(settle(request_id=taken))
    assert pools(station) == (0, 2)


def test_a_hold_that_is_being_converted_is_still_one_of_its_sessions(station: Station) -> None:
    """The expiry worker and the doctor find no difference there, before, while and after it is bought."""
    with closing(DueHolds(station.url)) as due:
        for command in (place(), price(), convert(), settle()):
            station.work(command)
            assert due.session_differences() == []
            assert due.differences() == []


def test_a_price_that_is_told_again_in_other_words_is_nobody_elses_conflict(station: Station) -> None:
    """The pricing worker did its task twice, and the price had changed meanwhile: the first word stands."""
    place_it = place(pricing=Pricing())
    other = QuoteView(hash="b" * 64, currency="EUR", total=6000, tickets_total=6000, extras_total=0)
    for command in (place_it, price(answers=HOLD), price(answers=HOLD, quote=other)):
        station.work(command)
    assert [answer["outcome"] for answer in station.answers_to(place_it)] == ["held", "priced"]
    assert rows(station, "SELECT quote ->> 'hash' FROM holds") == [(HASH,)]


def test_who_settles_too_late_answers_nobody_however_often(station: Station) -> None:
    late = settle("failed", request_id=request_id(6))
    for command in (place(), price(), convert(), settle(), late, late):
        station.work(command)
    outcomes = [answer["outcome"] for answer in station.answers_to(convert())]
    assert outcomes == ["converting", "confirmed"]


# --- money that is not taken ----------------------------------------------------------------------------------------


def test_a_refused_payment_is_in_the_rows_once_until_a_booking_has_it_or_somebody_settles_it(
    station: Station,
) -> None:
    """Every list of what is open and every sum of it say the same."""
    paid = PaymentNotice(method="card", amount=4000, currency="EUR", status="paid", reference="pi_1")
    nameless = PaymentNotice(method="card", amount=4100, currency="EUR", status="paid")
    station.work(place(), price())
    for number, payment in enumerate((paid, paid, replace(paid, amount=4500), nameless, nameless), start=20):
        assert held_of(station.work(convert(request_id=request_id(number), payment=payment))) == [
            "payment_mismatch"
        ]
    book = Money(station.url)
    with closing(book):
        assert [(item.reference, item.amount, item.since.tzinfo is not None) for item in book.refused()] == [
            ("pi_1", 4500, True),
            ("", 4100, True),
        ]
        assert open_money(station) == {("refused", "EUR"): (2, 8600)}
        [check] = [check for check in checks_selling.bookings(station.url) if check.status != "ok"]
        assert (check.name, check.mend) == ("refused payments", "holdgate booking money")
        assert check.detail == "paid, and nothing was sold for it: 2 in EUR"
        station.work(convert(payment=replace(paid, amount=5000)), settle())
        [left] = book.refused()
        assert (left.name, left.reference, left.hold_id) == (request_id(23), "", HOLD)
        assert book.payments_like(left.name[:35]) == [request_id(20), left.name]
        assert book.settle(left.name, "ada", "given back by bank")
        assert not book.settle(left.name, "ada", "given back by bank")
        station.work(convert(request_id=request_id(30), payment=nameless))
        assert book.refused() == []
    assert open_money(station) == {}
    assert station.problems() == []


def test_many_refused_payments_of_one_batch_and_of_no_occurrence_are_written_down(station: Station) -> None:
    station.work(place(), price())
    payment = PaymentNotice(method="card", amount=1, currency="XXX", status="paid", reference="شكرا “pi”\\")
    wrong = [convert(request_id=request_id(40 + number), payment=payment) for number in range(3)]
    nowhere = replace(wrong[0], request_id=request_id(50), occurrence_id="nowhere", hold_id=request_id(51))
    station.work(*wrong, nowhere)
    with closing(Money(station.url)) as book:
        assert [(item.occurrence_id, item.reason, item.reference) for item in book.refused()] == [
            (OCCURRENCE, "payment_mismatch", payment.reference),
            ("nowhere", "unknown_occurrence", payment.reference),
        ]
    assert station.problems() == []


def test_the_sums_of_open_money_are_those_of_the_list(station: Station) -> None:
    """Whatever state a booking is in."""
    station.work(place(), price(), convert())
    listed(station, {})
    station.work(settle("unknown", reason="nobody knows"))
    listed(station, {("undecided", "EUR"): (1, 5000)})
    resolve = ResolveBooking(
        request_id=request_id(60), occurrence_id=OCCURRENCE, booking_id=HOLD, action="cancel", by="ada"
    )
    station.work(replace(resolve, refund_amount=1200))
    listed(station, {("due", "EUR"): (1, 1200)})
    station.work(replace(resolve, request_id=request_id(61), action="refunded", refund_amount=500))
    listed(station, {("due", "EUR"): (1, 700)})
    station.work(replace(resolve, request_id=request_id(62), action="refunded"))
    listed(station, {})


def listed(station: Station, expected: dict[tuple[str, str], tuple[int, int]]) -> None:
    """What is open, by the list and by the sums."""
    with closing(Money(station.url)) as book:
        found: dict[tuple[str, str], tuple[int, int]] = {}
        for item in (*book.open(), *book.refused()):
            number, amount = found.get((item.kind, item.currency), (0, 0))
            found[item.kind, item.currency] = number + 1, amount + item.amount
    assert (found, open_money(station)) == (expected, expected)


def open_money(station: Station) -> dict[tuple[str, str], tuple[int, int]]:
    """What the metric and the doctor are made of."""
    with closing(DueHolds(station.url)) as due:
        return dict(due.open_work().money)
