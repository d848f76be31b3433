"""Bookings, carts and waiting lists as their rows say, for people who look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from psycopg import Connection

from holdgate_workers.adapters.postgres.gate.rows import basket_from, booking_from
from holdgate_workers.domain.bookings.booking import Booking

from .reading import Reader

# What waits for a person comes first, then what is under way, by how long it has been waiting.
_documents = msgspec.json.Decoder()
_customers = msgspec.json.Decoder(dict[str, str])

_BOOKINGS = """
SELECT document::text FROM bookings
WHERE (%(states)s::text[] IS NULL OR state = ANY(%(states)s))
  AND (%(occurrence)s::text IS NULL OR occurrence_id = %(occurrence)s)
  AND (%(session)s::text IS NULL OR session_id = %(session)s)
ORDER BY CASE state WHEN 'parked' THEN 0 WHEN 'refund_required' THEN 0 WHEN 'converting' THEN 1 ELSE 2 END,
  CASE WHEN state IN ('parked', 'refund_required', 'converting') THEN timeout_at END, changed_at DESC, id
LIMIT %(limit)s"""
_WITH_ADDRESS = """
SELECT count(*) FROM bookings
WHERE occurrence_id = %s AND state = ANY(%s) AND coalesce(customer ->> 'email', '') <> ''"""
_BOOKING = "SELECT document::text, customer::text, changed_at, clock_timestamp() FROM bookings WHERE id = %s"
_BOOKINGS_LIKE = "SELECT id::text FROM bookings WHERE id BETWEEN %s::uuid AND %s::uuid ORDER BY id LIMIT 3"

_CART = """
SELECT id::text, session_id, state, document::text, created_at, changed_at, clock_timestamp()
FROM carts WHERE id = %s"""
_CARTS_LIKE = "SELECT id::text FROM carts WHERE id BETWEEN %s::uuid AND %s::uuid ORDER BY id LIMIT 3"

_LINE = """
SELECT id::text, occurrence_id, session_id, user_id, state, basket::text, seats,
  CASE WHEN state = 'waiting' THEN (
    SELECT count(*) FROM waitlist before
    WHERE before.occurrence_id = w.occurrence_id AND before.state = 'waiting' AND before.place <= w.place) END,
  joined_at, ended_at
FROM waitlist w
WHERE (%(occurrence)s::text IS NULL OR occurrence_id = %(occurrence)s)
  AND (%(session)s::text IS NULL OR session_id = %(session)s) AND (state = 'waiting' OR %(ended)s)
ORDER BY occurrence_id, ended_at NULLS FIRST, place LIMIT %(limit)s"""

_ZERO = "00000000-0000-0000-0000-000000000000"
_LAST = "ffffffff-ffff-ffff-ffff-ffffffffffff"


@dataclass(slots=True, frozen=True)
class BookingRow:
    """A booking, and who buys, as far as that is still known."""

    booking: Booking
    customer: dict[str, str] | None
    changed_at: datetime
    read_at: datetime


@dataclass(slots=True, frozen=True)
class CartRow:
    """A cart: its legs as far as they have come, and how it ended."""

    cart_id: str
    session_id: str
    state: str
    document: dict[str, Any]
    created_at: datetime
    changed_at: datetime
    read_at: datetime


@dataclass(slots=True, frozen=True)
class LineRow:
    """A place in line. `position` is 1 for whoever is first; None if it is over."""

    entry_id: str
    occurrence_id: str
    session_id: str
    user_id: str | None
    state: str
    items: dict[str, int]
    extras: dict[str, int]
    seats: int
    position: int | None
    joined_at: datetime
    ended_at: datetime | None


class Sales(Reader):
    """What was sold and what is under way. Ids that begin so: up to three; `prefix` in lower case."""

    def bookings(
        self,
        limit: int,
        *,
        states: Sequence[str] = (),
        occurrence_id: str | None = None,
        session_id: str | None = None,
    ) -> list[Booking]:
        """Parked ones and those with a refund first, then those under way, then by their last change."""
        values = {
            "states": list(states) or None,
            "occurrence": occurrence_id,
            "session": session_id,
            "limit": limit,
        }
        rows = self._read(lambda connection: connection.execute(_BOOKINGS, values).fetchall())
        return [booking_from(row[0]) for row in rows]

    def with_address(self, occurrence_id: str, states: Sequence[str]) -> int:
        """How many bookings of the occurrence in these states have a customer who can be written to."""
        row = self._one(_WITH_ADDRESS, [occurrence_id, list(states)])
        return 0 if row is None else int(row[0])

    def booking(self, booking_id: str) -> BookingRow | None:
        """One booking; None if there is none."""
        row = self._one(_BOOKING, [booking_id])
        if row is None:
            return None
        customer = None if row[1] is None else _customers.decode(row[1])
        return BookingRow(booking_from(row[0]), customer, row[2], row[3])

    def bookings_like(self, prefix: str) -> list[str]:
        """Ids of bookings."""
        return self._like(_BOOKINGS_LIKE, prefix)

    def cart(self, cart_id: str) -> CartRow | None:
        """One cart; None if there is none, or nobody has looked at it yet."""
        row = self._one(_CART, [cart_id])
        if row is None:
            return None
        return CartRow(row[0], row[1], row[2], _documents.decode(row[3]), row[4], row[5], row[6])

    def carts_like(self, prefix: str) -> list[str]:
        """Ids of carts."""
        return self._like(_CARTS_LIKE, prefix)

    def line(
        self, limit: int, *, occurrence_id: str | None = None, session_id: str | None = None, ended: bool = False
    ) -> list[LineRow]:
        """Who waits, in the order of the line; with `ended` those whose place is over, too."""
        values = {"occurrence": occurrence_id, "session": session_id, "ended": ended, "limit": limit}
        rows = self._read(lambda connection: connection.execute(_LINE, values).fetchall())
        return [_line(row) for row in rows]

    def _one(self, statement: str, values: list[object]) -> tuple[Any, ...] | None:
        def work(connection: Connection[tuple[Any, ...]]) -> tuple[Any, ...] | None:
            return connection.execute(statement, values).fetchone()

        return self._read(work)

    def _like(self, statement: str, prefix: str) -> list[str]:
        bounds = [prefix + _ZERO[len(prefix) :], prefix + _LAST[len(prefix) :]]
        return self._read(lambda connection: [row[0] for row in connection.execute(statement, bounds).fetchall()])


def _line(row: tuple[Any, ...]) -> LineRow:
    basket = basket_from(row[5])
    return LineRow(
        entry_id=row[0],
        occurrence_id=row[1],
        session_id=row[2],
        user_id=row[3],
        state=row[4],
        items=basket.items,
        extras=basket.extras,
        seats=row[6],
        position=row[7],
        joined_at=row[8],
        ended_at=row[9],
    )
