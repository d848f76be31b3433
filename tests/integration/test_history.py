"""What happened to a thing is found wherever it happened, in the journal of a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.domain import NOW, a_place, a_put, a_release, request_id
from tests.support.drive import Station
from tests.support.postgres import migrated_database

from holdgate_schema.commands.selling import (
    CartLeg,
    ConvertBooking,
    HoldCartLeg,
    JoinWaitlist,
    NoteOrder,
    PaymentNotice,
    PlaceCart,
    PriceHold,
    SettleBooking,
    SettleCart,
)
from holdgate_schema.values.views import BookedOrder, QuoteView
from holdgate_workers.adapters.postgres.reports.history import History, JournalEntry
from holdgate_workers.cli.output.event_text import is_about

pytestmark = pytest.mark.services

STARTS = datetime(2090, 7, 1, 18, tzinfo=UTC)
HASH = "a" * 64
HOLD, CONVERT, SETTLE, NOTE = (request_id(number) for number in (2, 4, 5, 6))


@pytest.fixture
def station() -> Iterator[Station]:
    with migrated_database() as url:
        opened = Station(url)
        puts = [
            a_put(f"occ-{n}", request_id=request_id(100 + n), capacity=4, starts_at=STARTS + timedelta(days=n))
            for n in range(3)
        ]
        opened.work(*puts)
        yield opened
        opened.close()


@pytest.fixture
def history(station: Station) -> Iterator[History]:
    reader = History(station.url)
    yield reader
    reader.close()


def kinds(entries: list[JournalEntry]) -> list[str]:
    return [entry.kind.removesuffix(".v1") for entry in entries]


def sell(station: Station) -> None:
    """Ann's two seats, ordered; the shop says that the order was cancelled."""
    quote = QuoteView(hash=HASH, currency="EUR", total=5000, tickets_total=5000, extras_total=0)
    payment = PaymentNotice(method="card", amount=5000, currency="EUR", status="paid")
    about: dict[str, Any] = {"occurrence_id": "occ-1"}
    order = BookedOrder(gateway="local", order_id="77", status="paid")
    station.work(a_place(2, request_id=HOLD, **about))
    station.work(
        PriceHold(request_id=request_id(3), hold_id=HOLD, items={"adult": 2}, quote=quote, **about),
        ConvertBooking(
            request_id=CONVERT, hold_id=HOLD, session_id="ann", quote_hash=HASH, payment=payment, **about
        ),
        SettleBooking(
            request_id=SETTLE, booking_id=HOLD, outcome="ordered", answers=CONVERT, order=order, **about
        ),
        NoteOrder(request_id=NOTE, booking_id=HOLD, order_id="77", status="cancelled", changed_at=NOW, **about),
    )


def test_a_booking_has_its_order_and_its_shop_in_its_history(station: Station, history: History) -> None:
    """By its id, which is its hold's, and by its session; what others do there is left out."""
    sell(station)
    station.work(a_place(1, request_id=request_id(7), occurrence_id="occ-1", session_id="bob"))
    way = ["hold.place", "hold.price", "booking.convert", "booking.settle", "booking.note_order"]
    assert kinds(history.about(HOLD, 50)) == way
    assert kinds(history.of_session("ann", 50)) == way
    assert kinds(history.of_session("bob", 50)) == ["hold.place"]
    assert kinds(history.about(HOLD, 2)) == way[-2:]
    booked = [e for entry in history.about(HOLD, 50) for e in entry.events if e["type"].startswith("booking.")]
    assert [event["type"] for event in booked][:2] == ["booking.converting.v1", "booking.confirmed.v1"]
    assert all(is_about(event, HOLD) for event in booked)


def test_a_request_is_shown_with_its_second_answer(station: Station, history: History) -> None:
    sell(station)
    assert [entry.outcome for entry in history.of_request(CONVERT)] == ["converting", "confirmed"]
    assert [entry.outcome for entry in history.of_request(HOLD)] == ["held"]
    assert history.of_request(request_id(99)) == []


def test_a_place_in_line_is_followed_up_to_its_offer(station: Station, history: History) -> None:
    """The offer is made in the request of whoever frees the seats."""
    entry, first = request_id(8), request_id(7)
    about: dict[str, Any] = {"occurrence_id": "occ-1"}
    station.work(a_place(4, request_id=first, session_id="bob", **about))
    station.work(JoinWaitlist(request_id=entry, items={"adult": 2}, session_id="ann", **about))
    station.work(a_release(first, request_id=request_id(9), session_id="bob", **about))
    station.work(a_place(1, request_id=request_id(10), session_id="cy", **about))
    for found in (history.about(entry, 50), history.of_session("ann", 50)):
        assert kinds(found) == ["waitlist.join", "hold.release"]
        told = [event["type"] for event in found[-1].events if is_about(event, entry)]
        assert told == ["hold.created.v1", "waitlist.offered.v1"]
    assert history.entries_like(entry[:35]) == [entry]


def test_a_cart_is_followed_over_all_of_its_occurrences(station: Station, history: History) -> None:
    """It has the id of the request that asked for it, which names its legs."""
    cart, leg = request_id(20), request_id(21)
    legs = [CartLeg(occurrence_id=f"occ-{n}", items={"adult": 1}) for n in (1, 2)]
    about: dict[str, Any] = {"cart_id": cart, "items": {"adult": 1}, "session_id": "ann"}
    station.work(
        PlaceCart(request_id=cart, occurrence_id="occ-1", legs=legs, session_id="ann"),
        HoldCartLeg(request_id=leg, occurrence_id="occ-2", **about),
        SettleCart(
            request_id=request_id(22), occurrence_id="occ-1", answers=cart, outcome="refused", reason="sold_out"
        ),
    )
    assert kinds(history.about(leg, 50)) == ["cart.hold"]
    for found in (history.about(cart, 50), history.of_session("ann", 50)):
        assert sorted(kinds(found)) == ["cart.hold", "cart.place", "cart.settle"]
    assert kinds(history.of_request(cart)) == ["cart.place", "cart.settle"]
