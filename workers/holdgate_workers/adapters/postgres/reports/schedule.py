"""The stored dates that a list of dates is compared with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection

from holdgate_workers.adapters.postgres.gate.rows import POOL_COLUMNS, definition_from, pool_from
from holdgate_workers.domain.occurrences.occurrence import Pool
from holdgate_workers.domain.schedule.dates import StoredDate

from .reading import Reader

_BUYERS = """
SELECT count(*) FROM bookings b
WHERE b.occurrence_id = o.id AND b.state = 'confirmed' AND b.customer IS NOT NULL"""
_NAMED = f"SELECT o.id, o.definition::text, ({_BUYERS}) FROM occurrences o WHERE o.id = ANY(%s::text[])"
# What is over can neither be missing from a list nor stand in its way, unless the list goes back to it.
_OTHERS = f"""
SELECT o.id, o.definition::text, ({_BUYERS}) FROM occurrences o
WHERE o.product_id = ANY(%s::text[]) AND o.id <> ALL(%s::text[])
  AND o.ends_at > least(clock_timestamp(), %s::timestamptz)"""
_POOLS = f"SELECT {POOL_COLUMNS} FROM pools WHERE occurrence_id = ANY(%s::text[])"
_ZONES = """
SELECT DISTINCT ON (id) id, definition ->> 'timezone' FROM products WHERE id = ANY(%s::text[])
ORDER BY id, version DESC"""


@dataclass(slots=True, frozen=True)
class StoredSchedule:
    """Stored dates by their id, when they were read, and the zones of products that have a definition."""

    read_at: datetime
    dates: Mapping[str, StoredDate]
    zones: Mapping[str, str]


class ScheduleBook(Reader):
    """What is stored, for comparing a list of dates with it."""

    def read(self, ids: Iterable[str], products: Iterable[str], since: datetime | None = None) -> StoredSchedule:
        """The dates of these ids, and the others of the same products and of `products`.

        Those others have no pools here; and only those that end after `since`, or after now if that is earlier.
        """
        named, sold = list(dict.fromkeys(ids)), set(products)

        def work(connection: Connection[tuple[Any, ...]]) -> StoredSchedule:
            pools: dict[str, dict[str, Pool]] = {}
            for row in connection.execute(_POOLS, [named]):
                pools.setdefault(row[0], {})[row[1]] = pool_from(row)
            dates = [_date(row, pools.get(row[0], {})) for row in connection.execute(_NAMED, [named])]
            concerned = sorted(sold | {date.definition.product_id for date in dates})
            dates += [_date(row, {}) for row in connection.execute(_OTHERS, [concerned, named, since])]
            zones = connection.execute(_ZONES, [concerned]).fetchall()
            now = connection.execute("SELECT clock_timestamp()").fetchone()
            assert now is not None
            return StoredSchedule(now[0], {date.occurrence_id: date for date in dates}, dict(zones))

        return self._read(work)


def _date(row: tuple[Any, ...], pools: Mapping[str, Pool]) -> StoredDate:
    occurrence_id, definition, buyers = row
    return StoredDate(
        occurrence_id=occurrence_id, definition=definition_from(definition), pools=pools, buyers=buyers
    )
