"""Forgetting who somebody was. What was booked, for when and for how much stays."""

from __future__ import annotations

from typing import Any

from psycopg import Connection

from holdgate_workers.adapters.postgres.session import Session
from holdgate_workers.app.ordering.facts import REFERENCE_PREFIX

_BOOKINGS = """
UPDATE bookings SET customer = NULL WHERE {chosen} AND customer IS NOT NULL RETURNING id::text"""
_ORDERS = """
UPDATE orders SET customer = '{{}}'::jsonb, changed_at = clock_timestamp()
WHERE reference IN (SELECT %s || id::text FROM bookings WHERE {chosen}) AND customer <> '{{}}'::jsonb
RETURNING substr(reference, length(%s) + 1)"""
_BOOKING, _SESSION = "id = %s", "session_id = %s"


class CustomerErasure:
    """Erases names, addresses and telephone numbers. Not thread-safe; raises `DatabaseUnavailable` and
    `DatabaseError`.

    They are kept with bookings, and with the orders of our own table; another shop has its own ways. A mail that still
    waits finds no address then and does not go out.
    """

    def __init__(self, url: str) -> None:
        self._session = Session(url, name="erasure")

    def of_booking(self, booking_id: str) -> int:
        """Of one booking. Returns how many bookings something was erased of; again: 0."""
        return self._erase(_BOOKING, booking_id)

    def of_session(self, session_id: str) -> int:
        """Of all bookings of a session."""
        return self._erase(_SESSION, session_id)

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._session.close()

    def _erase(self, chosen: str, value: str) -> int:
        def work(connection: Connection[tuple[Any, ...]]) -> int:
            erased = {
                row[0]
                for statement, values in (
                    (_BOOKINGS, [value]),
                    (_ORDERS, [REFERENCE_PREFIX, value, REFERENCE_PREFIX]),
                )
                for row in connection.execute(statement.format(chosen=chosen), values).fetchall()
            }
            return len(erased)

        return self._session.run(work)
