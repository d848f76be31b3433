"""The occurrences as the database has them, for looking."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection

from holdgate_workers.adapters.postgres.gate.rows import POOL_COLUMNS, definition_from, pool_from
from holdgate_workers.domain.occurrences.occurrence import Definition, Pool

from .reading import Reader

_LIST = """
SELECT o.id, o.product_id, o.status, o.starts_at, o.ends_at, o.definition ->> 'timezone', p.capacity, p.sellable,
  p.held, p.sold,
  greatest(0, p.capacity * (100 + p.overbooking_percent) / 100 - p.buffer - p.held - p.sold)
FROM occurrences o LEFT JOIN pools p ON p.occurrence_id = o.id AND p.key = 'total'
WHERE (%(product)s::text IS NULL OR o.product_id = %(product)s)
  AND (%(status)s::text IS NULL OR o.status = %(status)s)
  AND (%(starts_from)s::timestamptz IS NULL OR o.starts_at >= %(starts_from)s)
  AND (%(starts_until)s::timestamptz IS NULL OR o.starts_at < %(starts_until)s)
ORDER BY o.starts_at, o.id LIMIT %(limit)s"""

_ONE = "SELECT definition::text, version, created_at, clock_timestamp() FROM occurrences WHERE id = %s"
_POOLS = f"SELECT {POOL_COLUMNS} FROM pools WHERE occurrence_id = %s ORDER BY key <> 'total', key"
_LIVE = """
SELECT count(*), count(*) FILTER (WHERE state = 'active' AND expires_at <= clock_timestamp()),
  min(expires_at) FILTER (WHERE state = 'active' AND expires_at > clock_timestamp())
FROM holds WHERE occurrence_id = %s AND state IN ('active', 'converting')"""


@dataclass(slots=True, frozen=True)
class OccurrenceLine:
    """One occurrence in a list; the numbers are those of the pool `total`."""

    occurrence_id: str
    product_id: str
    status: str
    starts_at: datetime
    ends_at: datetime
    timezone: str
    capacity: int | None
    sellable: int | None
    held: int
    sold: int
    available: int | None


@dataclass(slots=True, frozen=True)
class OccurrenceRecord:
    """Everything about one occurrence. `due_holds` are past their time and not swept yet."""

    occurrence_id: str
    version: int
    created_at: datetime
    read_at: datetime
    definition: Definition
    pools: list[Pool]
    live_holds: int
    due_holds: int
    next_release_at: datetime | None


class Catalogue(Reader):
    """The occurrences, for looking."""

    def list(
        self,
        *,
        product: str | None = None,
        status: str | None = None,
        starts_from: datetime | None = None,
        starts_until: datetime | None = None,
        limit: int = 100,
    ) -> list[OccurrenceLine]:
        """Occurrences by their start."""
        wanted = {
            "product": product,
            "status": status,
            "starts_from": starts_from,
            "starts_until": starts_until,
            "limit": limit,
        }
        return self._read(
            lambda connection: [OccurrenceLine(*row) for row in connection.execute(_LIST, wanted).fetchall()]
        )

    def get(self, occurrence_id: str) -> OccurrenceRecord | None:
        """One occurrence, or None."""

        def work(connection: Connection[tuple[Any, ...]]) -> OccurrenceRecord | None:
            row = connection.execute(_ONE, [occurrence_id]).fetchone()
            if row is None:
                return None
            pools = [pool_from(found) for found in connection.execute(_POOLS, [occurrence_id]).fetchall()]
            live = connection.execute(_LIVE, [occurrence_id]).fetchone()
            assert live is not None
            return OccurrenceRecord(occurrence_id, row[1], row[2], row[3], definition_from(row[0]), pools, *live)

        return self._read(work)
