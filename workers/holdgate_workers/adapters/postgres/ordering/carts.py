"""The rows of carts: what is true of one, how it ends, and how far it has come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from psycopg import Connection

from holdgate_schema.answers.holds import FieldProblem
from holdgate_schema.events.holds import Event
from holdgate_schema.events.selling import CartBegun
from holdgate_workers.adapters.postgres.session import Session
from holdgate_workers.app.carts.next_step import (
    Answered,
    Cart,
    CartState,
    Verdict,
    cart_of,
    hold_ids,
    seen_of,
    settle_id_of,
)
from holdgate_workers.app.carts.protocol import Look

_BEGUN = """
SELECT j.events::text, f.reply_to, f.correlation_id, (c.document -> 'verdict')::text
FROM journal j LEFT JOIN carts c ON c.id = j.request_id LEFT JOIN follow_ups f ON f.request_id = j.request_id
WHERE j.request_id = %s AND j.outcome = 'cart_started'"""
_ANSWERS = """
SELECT request_id::text, outcome, coalesce(reason, ''), coalesce(reply ->> 'message', ''),
    coalesce(reply ->> 'errors', '[]')
FROM journal WHERE request_id = ANY(%s::uuid[])"""
_HOLDS = "SELECT id::text, state FROM holds WHERE id = ANY(%s::uuid[])"

_VERDICT = """
INSERT INTO carts (id, session_id, state, document)
VALUES (%(id)s, %(session_id)s, 'placing', %(document)s::jsonb)
ON CONFLICT (id) DO UPDATE SET document = carts.document || excluded.document, changed_at = clock_timestamp()
WHERE NOT carts.document ? 'verdict'"""
_STANDS = "SELECT (document -> 'verdict')::text FROM carts WHERE id = %s"

_SHOW = """
INSERT INTO carts (id, session_id, state, document)
VALUES (%(id)s, %(session_id)s, %(state)s, %(document)s::jsonb)
ON CONFLICT (id) DO UPDATE
SET document = carts.document || excluded.document, state = excluded.state, changed_at = clock_timestamp()
WHERE carts.state = 'placing'"""

_events = msgspec.json.Decoder(list[Event])
_problems = msgspec.json.Decoder(list[FieldProblem])
_verdicts = msgspec.json.Decoder(Verdict)


class CartBook:
    """`app.carts.protocol.CartRows` on PostgreSQL. Not thread-safe.

    Every call raises `DatabaseUnavailable` or `DatabaseError`.
    """

    def __init__(self, url: str) -> None:
        self._session = Session(url, name="carts")

    def look(self, cart_id: str) -> Look | None:
        """What is true of a cart; None if the journal has no such cart."""
        return self._session.run_outside(lambda connection: _look(connection, cart_id))

    def write_verdict(self, cart: Cart, verdict: Verdict) -> Verdict:
        """Write down how it ends; the first word stands, and is returned."""
        document = {**_head(cart), "verdict": verdict}
        values = {"id": cart.id, "session_id": cart.session_id, "document": _json(document)}

        def write(connection: Connection[tuple[Any, ...]]) -> Verdict:
            connection.execute(_VERDICT, values)
            row = connection.execute(_STANDS, [cart.id]).fetchone()
            assert row is not None, "a cart's row is never deleted"
            return _verdicts.decode(row[0])

        return self._session.run_outside(write)

    def show(self, cart: Cart, state: CartState, legs: Mapping[str, str]) -> None:
        """Write down how far it has come. What has ended is not changed any more."""
        shown = [
            {"occurrence_id": key, "hold_id": hold_id, "state": legs[key]}
            for key, hold_id in hold_ids(cart).items()
        ]
        document = {**_head(cart), "legs": shown}
        values = {"id": cart.id, "session_id": cart.session_id, "state": state, "document": _json(document)}
        self._session.run_outside(lambda connection: connection.execute(_SHOW, values))

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._session.close()


def _look(connection: Connection[tuple[Any, ...]], cart_id: str) -> Look | None:
    """The verdict is read first and the holds last: whatever is read later is at least as new."""
    row = connection.execute(_BEGUN, [cart_id]).fetchone()
    if row is None:
        return None
    events, reply_to, correlation_id, verdict = row
    begun = next(event for event in _events.decode(events) if isinstance(event, CartBegun))
    cart = cart_of(
        begun,
        reply_to=reply_to,
        correlation_id=correlation_id,
        verdict=None if verdict is None else _verdicts.decode(verdict),
    )
    ids = list(hold_ids(cart).values())
    found = connection.execute(_ANSWERS, [[*ids, settle_id_of(cart.id)]]).fetchall()
    answers = {
        request_id: Answered(outcome, reason, message, _problems.decode(errors))
        for request_id, outcome, reason, message, errors in found
    }
    holds = dict(connection.execute(_HOLDS, [ids]).fetchall())
    return Look(cart, seen_of(cart, answers, holds))


def _head(cart: Cart) -> dict[str, Any]:
    return {"occurrence_id": cart.occurrence_id}


def _json(document: dict[str, Any]) -> str:
    return msgspec.json.encode(document).decode()
