"""Quotes in PostgreSQL, and what a price rests on: all of it read at one instant, the hold's own seats left out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from tests.support.postgres import migrated_database
from tests.support.pricing import a_product, a_ticket, quoted

from holdgate_schema.commands.selling import Pricing
from holdgate_schema.values.products import Voucher
from holdgate_workers.adapters.postgres.pricing.products import PriceBook
from holdgate_workers.adapters.postgres.pricing.quotes import QuoteBook
from holdgate_workers.app.pricing.quoting import HoldSeen, Wanted
from holdgate_workers.ids import new_request_id

pytestmark = pytest.mark.services

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
OCCURRENCE = """
INSERT INTO occurrences (id, product_id, starts_at, ends_at, status, definition, version)
VALUES (%s, 'tour', clock_timestamp(), clock_timestamp(), 'active', '{"timezone": "Europe/Rome"}', 5)"""
POOL = """
INSERT INTO pools (occurrence_id, key, capacity, overbooking_percent, buffer, sellable, held, sold)
VALUES (%s, 'total', 20, 0, 0, 20, 5, 2)"""
HOLD = """
INSERT INTO holds (id, occurrence_id, session_id, state, basket, seats, ttl_seconds, created_at, expires_at,
  extensions_used, ended_at)
VALUES (%s, %s, 's', %s, '{"items": {"adult": 3}, "draws": {"total": 3}}', 3, 900, clock_timestamp(),
  clock_timestamp() + make_interval(secs => %s), 0, CASE WHEN %s = 'released' THEN clock_timestamp() END)"""
DECIDED = """
INSERT INTO journal (request_id, fingerprint, occurrence_id, version, kind, outcome, hold_id, reply, decided_at)
VALUES (%s, '', %s, %s, 'hold.change.v1', 'changed', %s, '{}', clock_timestamp())"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with migrated_database() as fresh:
        prices = PriceBook(fresh)
        prices.products.put("tour", a_product(product_id="tour", ticket_types=a_ticket(2500)), changed_by="test")
        prices.vouchers.put("WINTER-26", Voucher(code="WINTER-26", percent=10, uses_max=7), changed_by="test")
        prices.close()
        yield fresh


@pytest.fixture
def connection(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, autocommit=True) as opened:
        yield opened


@pytest.fixture
def book(url: str) -> Iterator[QuoteBook]:
    opened = QuoteBook(url)
    yield opened
    opened.close()


@pytest.fixture
def occurrence(connection: psycopg.Connection[Any]) -> str:
    """Twenty seats, five of them held and two sold."""
    name = f"occ-{new_request_id()}"
    connection.execute(OCCURRENCE, [name])
    connection.execute(POOL, [name])
    return name


def wanted_of(occurrence: str, items: dict[str, int], **fields: Any) -> Wanted:
    """A basket to be priced that nobody holds."""
    given: dict[str, Any] = {"request_id": new_request_id(), "version": 5, "decided_at": NOON}
    return Wanted(occurrence_id=occurrence, items=items, **(given | fields))


def held(
    connection: psycopg.Connection[Any], occurrence: str, state: str = "active", seconds: float = 900
) -> Wanted:
    """Three adults held, to be priced."""
    hold_id = new_request_id()
    connection.execute(HOLD, [hold_id, occurrence, state, seconds, state])
    return Wanted(
        request_id=hold_id,
        occurrence_id=occurrence,
        version=5,
        decided_at=NOON,
        items={"adult": 3},
        hold_id=hold_id,
        is_asked=True,
    )


def test_a_holds_own_seats_do_not_count_as_taken(
    connection: psycopg.Connection[Any], book: QuoteBook, occurrence: str
) -> None:
    wanted = held(connection, occurrence)
    seen = book.look(wanted)
    assert seen.occasion is not None
    assert (seen.occasion.taken, seen.occasion.sellable) == (4, 20)
    assert seen.hold == HoldSeen("active", is_changed=False)
    assert (seen.product_id, seen.product is not None, seen.is_answered) == ("tour", True, False)
    nobodys = book.look(wanted_of(occurrence, {"adult": 3}))
    assert nobodys.occasion is not None
    assert nobodys.occasion.taken == 7


def test_a_hold_that_is_past_its_time_is_taken_off_once_and_seen_as_expired(
    connection: psycopg.Connection[Any], book: QuoteBook, occurrence: str
) -> None:
    seen = book.look(held(connection, occurrence, seconds=-1))
    assert seen.occasion is not None
    assert seen.occasion.taken == 4
    assert seen.hold == HoldSeen("expired", is_changed=False)
    assert book.look(held(connection, occurrence, "released")).hold == HoldSeen("released", is_changed=False)


def test_a_later_change_of_the_hold_is_seen_and_an_earlier_one_is_not(
    connection: psycopg.Connection[Any], book: QuoteBook, occurrence: str
) -> None:
    wanted = held(connection, occurrence)
    connection.execute(DECIDED, [new_request_id(), occurrence, 5, wanted.hold_id])
    assert book.look(wanted).hold == HoldSeen("active", is_changed=False)
    connection.execute(DECIDED, [new_request_id(), occurrence, 6, wanted.hold_id])
    assert book.look(wanted).hold == HoldSeen("active", is_changed=True)


def test_an_answer_that_was_given_already_is_seen(
    connection: psycopg.Connection[Any], book: QuoteBook, occurrence: str
) -> None:
    wanted = held(connection, occurrence)
    connection.execute(DECIDED, [wanted.answer_id, occurrence, 6, new_request_id()])
    assert book.look(wanted).is_answered


def test_a_quote_is_kept_as_it_is_and_valid_until_the_later_of_two_times(book: QuoteBook) -> None:
    quote = quoted(a_product(), 2)
    assert book.get(quote.hash) is None
    book.keep(quote, None)
    for until in (NOON, NOON - timedelta(minutes=1), None):
        book.keep(quote, until)
        found = book.get(quote.hash)
        assert found is not None
        assert (found.quote, found.valid_until) == (quote, NOON)
    book.keep(quote, NOON + timedelta(minutes=1))
    later = book.get(quote.hash)
    assert later is not None
    assert later.valid_until == NOON + timedelta(minutes=1)


def test_the_voucher_is_the_one_that_is_wished_for_else_that_of_the_quote(
    connection: psycopg.Connection[Any], book: QuoteBook, occurrence: str
) -> None:
    quote = quoted(a_product(), 2, voucher=Voucher(code="WINTER-26", percent=10))
    book.keep(quote, NOON)
    named = wanted_of(occurrence, {"adult": 2}, pricing=Pricing(quote_hash=quote.hash))
    seen = book.look(named)
    assert seen.earlier is not None
    assert seen.earlier.quote == quote
    assert seen.voucher is not None
    assert seen.voucher.uses_max == 7
    other = wanted_of(occurrence, {"adult": 2}, pricing=Pricing(voucher="NO-SUCH"))
    assert book.look(other).voucher is None


def test_what_is_not_there_is_none(book: QuoteBook) -> None:
    wanted = wanted_of("nowhere", {"adult": 1}, hold_id=new_request_id())
    seen = book.look(wanted)
    assert (seen.occasion, seen.product, seen.product_id, seen.hold, seen.earlier) == (
        None,
        None,
        None,
        None,
        None,
    )
