"""Bookings, carts and lines as people look at them: what waits for somebody stands first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pytest
from tests.support.postgres import migrated_database

from holdgate_schema.values.views import Payment
from holdgate_workers.adapters.postgres.reports.sales import Sales
from holdgate_workers.cli.doctor import selling as checks_selling
from holdgate_workers.domain.bookings.booking import Booking, HoldQuote
from holdgate_workers.ids import new_request_id

pytestmark = pytest.mark.services

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
BOOKING = """
INSERT INTO bookings (id, occurrence_id, hold_id, session_id, state, document, customer, created_at, timeout_at,
  changed_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"""
CART = "INSERT INTO carts (id, session_id, state, document) VALUES (%s, 's', 'held', %s)"
ENTRY = """
INSERT INTO waitlist (id, occurrence_id, session_id, state, basket, seats, place, joined_at, ended_at)
VALUES (%s, %s, %s, %s, '{"items": {"adult": 2}}', 2, %s, clock_timestamp(), %s)"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with migrated_database() as fresh:
        yield fresh


@pytest.fixture
def connection(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, autocommit=True) as opened:
        opened.execute("TRUNCATE bookings, carts, waitlist")
        yield opened


@pytest.fixture
def sales(url: str) -> Iterator[Sales]:
    opened = Sales(url)
    yield opened
    opened.close()


def booked(
    connection: psycopg.Connection[Any], state: Any, minutes: int = 0, *, name: str = "occ-1", session: str = "s"
) -> str:
    """A booking that was changed, and is to be ordered, so many minutes after noon."""
    at, booking_id = NOON + timedelta(minutes=minutes), new_request_id()
    booking = Booking(
        id=booking_id,
        hold_id=booking_id,
        occurrence_id=name,
        session_id=session,
        state=state,
        items={"adult": 1},
        seats=1,
        quote=HoldQuote(hash="0" * 64, currency="EUR", total=2500),
        payment=Payment(method="card", amount=2500, currency="EUR", status="paid"),
        created_at=NOON,
        timeout_at=at,
    )
    document = msgspec.json.encode(booking).decode()
    values = [booking_id, name, booking_id, session, state, document, '{"name": "Ada"}', NOON, at, at]
    connection.execute(BOOKING, values)
    return booking_id


def test_what_waits_for_a_person_is_first_then_what_is_under_way_then_the_latest(
    connection: psycopg.Connection[Any], sales: Sales
) -> None:
    old, new = booked(connection, "confirmed", 1), booked(connection, "cancelled", 50)
    under_way = booked(connection, "converting", 2)
    refund, parked = booked(connection, "refund_required", 40), booked(connection, "parked", 30)
    found = [booking.id for booking in sales.bookings(10)]
    assert found == [parked, refund, under_way, new, old]
    assert [booking.id for booking in sales.bookings(2)] == [parked, refund]


def test_the_doctor_says_what_waits_for_a_person(connection: psycopg.Connection[Any], url: str) -> None:
    booked(connection, "confirmed")
    assert [check.status for check in checks_selling.bookings(url)] == ["ok"]
    for state in ("parked", "parked", "refund_required"):
        booked(connection, state)
    (check,) = checks_selling.bookings(url)
    assert (check.status, check.detail) == ("warn", "2 parked, 1 refund_required")
    assert check.mend.startswith("holdgate booking list --state parked --state refund_required")


def test_bookings_are_chosen_by_state_occurrence_and_session(
    connection: psycopg.Connection[Any], sales: Sales
) -> None:
    one = booked(connection, "confirmed")
    elsewhere = booked(connection, "confirmed", name="occ-2")
    somebody = booked(connection, "parked", session="t")
    assert {booking.id for booking in sales.bookings(10, states=["confirmed"])} == {one, elsewhere}
    assert [booking.id for booking in sales.bookings(10, occurrence_id="occ-2")] == [elsewhere]
    assert [booking.id for booking in sales.bookings(10, session_id="t")] == [somebody]


def test_one_booking_comes_with_whoever_buys(connection: psycopg.Connection[Any], sales: Sales) -> None:
    booking_id = booked(connection, "confirmed")
    row = sales.booking(booking_id)
    assert row is not None
    assert (row.booking.id, row.customer) == (booking_id, {"name": "Ada"})
    assert sales.bookings_like(booking_id[:18]) == [booking_id]
    assert sales.booking(new_request_id()) is None


def test_a_cart_is_found_by_the_beginning_of_its_id(connection: psycopg.Connection[Any], sales: Sales) -> None:
    cart_id = new_request_id()
    connection.execute(CART, [cart_id, '{"legs": []}'])
    assert sales.carts_like(cart_id[:18]) == [cart_id]
    row = sales.cart(cart_id)
    assert row is not None
    assert (row.state, row.document) == ("held", {"legs": []})
    assert sales.cart(new_request_id()) is None


def test_a_position_counts_only_those_who_wait(connection: psycopg.Connection[Any], sales: Sales) -> None:
    ids = [new_request_id() for _ in range(4)]
    for place, (entry_id, state) in enumerate(zip(ids, ("left", "waiting", "offered", "waiting"), strict=True)):
        ended = None if state == "waiting" else NOON
        connection.execute(ENTRY, [entry_id, "occ-1", f"s{place}", state, place, ended])
    assert [(row.entry_id, row.position) for row in sales.line(10)] == [(ids[1], 1), (ids[3], 2)]
    every = sales.line(10, ended=True)
    assert {row.entry_id: row.position for row in every} == {ids[0]: None, ids[1]: 1, ids[2]: None, ids[3]: 2}
    (mine,) = sales.line(10, session_id="s3")
    assert (mine.items, mine.seats, mine.state, mine.position) == ({"adult": 2}, 2, "waiting", 2)
    assert sales.line(10, occurrence_id="occ-2", ended=True) == []
