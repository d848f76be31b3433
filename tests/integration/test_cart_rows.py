"""The rows of carts in PostgreSQL: what is true is read from the journal, and the first verdict stands."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from threading import Barrier
from typing import Any

import msgspec
import psycopg
import pytest
from psycopg.types.json import Json
from tests.support.postgres import migrated_database

from holdgate_schema.commands.selling import CartLeg
from holdgate_schema.events.selling import CartBegun
from holdgate_workers.adapters.postgres.ordering.carts import CartBook
from holdgate_workers.app.carts.next_step import Cart, LegSeen, Verdict, hold_id_of, settle_id_of
from holdgate_workers.ids import new_request_id

pytestmark = pytest.mark.services

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)
HELD = Verdict(outcome="held")
REFUSED = Verdict(outcome="refused", occurrence_id="b", reason="sold_out", message="Not enough is left")
ALL_ACTIVE = {"a": "active", "b": "active"}

_DECIDED = """
INSERT INTO journal (request_id, fingerprint, occurrence_id, version, kind, outcome, reason, reply, events, decided_at)
VALUES (%s, '', %s, 1, 'test', %s, %s, %s, %s, %s)"""
_EXPECTED = "INSERT INTO follow_ups (request_id, reply_to, correlation_id, wish) VALUES (%s, %s, %s, '{}')"
_HOLD = """
INSERT INTO holds (id, occurrence_id, session_id, state, basket, seats, ttl_seconds, created_at, expires_at,
  extensions_used, cart_id)
VALUES (%s, %s, 'ann', 'active', '{}', 1, 600, %s, %s, 0, %s)"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A migrated database."""
    with migrated_database() as fresh:
        yield fresh


@pytest.fixture(scope="module")
def connection(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def book(url: str) -> Iterator[CartBook]:
    with closing(CartBook(url)) as book:
        yield book


def decided(
    connection: psycopg.Connection[Any],
    request_id: str,
    outcome: str,
    *,
    reason: str | None = None,
    message: str | None = None,
    events: list[Any] | None = None,
) -> None:
    reply = Json({} if message is None else {"message": message})
    told = None if events is None else Json(msgspec.to_builtins(events))
    connection.execute(_DECIDED, [request_id, "b", outcome, reason, reply, told, NOON])


def begun(connection: psycopg.Connection[Any], *, reply_to: str | None = "replies") -> str:
    """A cart that has begun; its id."""
    cart_id = new_request_id()
    event = CartBegun(
        event_id=f"{cart_id}/0",
        occurrence_id="b",
        version=1,
        occurred_at=NOON,
        cart_id=cart_id,
        session_id="ann",
        legs=[CartLeg(occurrence_id=key, items={"adult": 1}) for key in ("b", "a")],
        user_id="u1",
        ttl_seconds=600,
    )
    decided(connection, cart_id, "cart_started", events=[event])
    connection.execute(_EXPECTED, [cart_id, reply_to, reply_to and "theirs"])
    return cart_id


def looked(book: CartBook, cart_id: str) -> Cart:
    look = book.look(cart_id)
    assert look is not None
    return look.cart


def test_a_cart_is_read_as_it_was_asked_for(connection: psycopg.Connection[Any], book: CartBook) -> None:
    cart_id = begun(connection)
    cart = looked(book, cart_id)
    assert (cart.id, cart.occurrence_id, cart.session_id, cart.user_id) == (cart_id, "b", "ann", "u1")
    assert [leg.occurrence_id for leg in cart.legs] == ["a", "b"]
    assert (cart.ttl_seconds, cart.reply_to, cart.correlation_id) == (600, "replies", "theirs")
    assert cart.verdict is None


def test_a_cart_for_whose_end_nobody_waits_is_taken_all_the_same(
    connection: psycopg.Connection[Any], book: CartBook
) -> None:
    cart_id = begun(connection, reply_to=None)
    assert (looked(book, cart_id).reply_to, looked(book, cart_id).correlation_id) == (None, cart_id)


def test_a_cart_that_was_refused_or_never_asked_for_is_not_there(
    connection: psycopg.Connection[Any], book: CartBook
) -> None:
    refused = new_request_id()
    decided(connection, refused, "refused", reason="invalid", message="no")
    assert book.look(refused) is None
    assert book.look(new_request_id()) is None


def test_what_became_of_each_leg_is_read_from_journal_and_holds(
    connection: psycopg.Connection[Any], book: CartBook
) -> None:
    cart_id = begun(connection)
    look = book.look(cart_id)
    assert look is not None
    assert look.seen.legs == {"a": LegSeen(), "b": LegSeen()}
    a, b = (hold_id_of(cart_id, key) for key in ("a", "b"))
    decided(connection, a, "held")
    connection.execute(_HOLD, [a, "a", NOON, NOON, cart_id])
    decided(connection, b, "refused", reason="sold_out", message="Not enough is left")
    look = book.look(cart_id)
    assert look is not None
    assert look.seen.legs == {
        "a": LegSeen(outcome="held", hold="active"),
        "b": LegSeen(outcome="refused", reason="sold_out", message="Not enough is left"),
    }
    assert not look.seen.is_settled
    decided(connection, settle_id_of(cart_id), "refused", reason="sold_out", message="Not enough is left")
    look = book.look(cart_id)
    assert look is not None
    assert look.seen.is_settled


def test_the_first_verdict_stands_and_is_told_to_whoever_comes_later(
    connection: psycopg.Connection[Any], book: CartBook
) -> None:
    cart = looked(book, begun(connection))
    assert book.write_verdict(cart, REFUSED) == REFUSED
    assert book.write_verdict(cart, HELD) == REFUSED
    assert looked(book, cart.id).verdict == REFUSED


def test_of_many_who_judge_at_once_all_are_told_the_same(connection: psycopg.Connection[Any], url: str) -> None:
    workers = 8
    with closing(CartBook(url)) as book:
        cart = looked(book, begun(connection))
    together = Barrier(workers)

    def judge(number: int) -> Verdict:
        with closing(CartBook(url)) as mine:
            together.wait()
            return mine.write_verdict(cart, HELD if number % 2 else REFUSED)

    with ThreadPoolExecutor(workers) as pool:
        told = set(map(msgspec.json.encode, pool.map(judge, range(workers))))
    assert len(told) == 1


def test_how_far_a_cart_has_come_is_shown_and_its_verdict_is_kept(
    connection: psycopg.Connection[Any], book: CartBook
) -> None:
    cart = looked(book, begun(connection))
    book.show(cart, "placing", {"a": "active", "b": "waiting"})
    book.write_verdict(cart, HELD)
    book.show(cart, "placing", ALL_ACTIVE)
    state, document = _shown(connection, cart)
    assert state == "placing"
    assert document == {
        "occurrence_id": "b",
        "legs": [
            {"occurrence_id": "a", "hold_id": hold_id_of(cart.id, "a"), "state": "active"},
            {"occurrence_id": "b", "hold_id": hold_id_of(cart.id, "b"), "state": "active"},
        ],
        "verdict": {"outcome": "held"},
    }


def test_what_has_ended_is_not_changed_by_a_late_look(connection: psycopg.Connection[Any], book: CartBook) -> None:
    cart = looked(book, begun(connection))
    book.write_verdict(cart, HELD)
    book.show(cart, "held", ALL_ACTIVE)
    ended = _shown(connection, cart)
    book.show(cart, "placing", {"a": "active", "b": "waiting"})
    assert _shown(connection, cart) == ended
    assert ended[0] == "held"


def _shown(connection: psycopg.Connection[Any], cart: Cart) -> tuple[str, dict[str, Any]]:
    row = connection.execute("SELECT state, document FROM carts WHERE id = %s", [cart.id]).fetchone()
    assert row is not None
    return row[0], row[1]
