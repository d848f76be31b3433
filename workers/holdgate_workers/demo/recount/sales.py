"""What was sold of an occurrence, by the rows: bookings, the seats in the counter, the local shop's orders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from holdgate_schema.ids import TOTAL_POOL
from holdgate_workers.adapters.postgres.session import Session

_CONFIRMED = "SELECT id::text FROM bookings WHERE occurrence_id = %s AND state = 'confirmed'"
_SEATS = "SELECT sold FROM pools WHERE occurrence_id = %s AND key = %s"
_ORDERS = """
SELECT b.id::text, o.total FROM orders o JOIN bookings b ON o.reference LIKE '%%' || b.id::text
WHERE b.occurrence_id = %s"""


@dataclass(slots=True, frozen=True, kw_only=True)
class Sold:
    """One snapshot. `order_totals`: booking -> the total of its order, in minor units."""

    confirmed: set[str]
    seats: int
    order_totals: dict[str, int]


class SalesBook:
    """Reads what was sold. Not thread-safe; raises `DatabaseUnavailable`."""

    def __init__(self, url: str) -> None:
        self._session = Session(url, name="sales")

    def sold(self, occurrence_id: str) -> Sold:
        """What was sold of an occurrence until now."""

        def read(connection: Connection[tuple[Any, ...]]) -> Sold:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            confirmed = connection.execute(_CONFIRMED, [occurrence_id]).fetchall()
            seats = connection.execute(_SEATS, [occurrence_id, TOTAL_POOL]).fetchone()
            orders = connection.execute(_ORDERS, [occurrence_id]).fetchall()
            return Sold(
                confirmed={row[0] for row in confirmed},
                seats=seats[0] if seats is not None else 0,
                order_totals={row[0]: row[1] for row in orders},
            )

        return self._session.run(read)

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._session.close()
