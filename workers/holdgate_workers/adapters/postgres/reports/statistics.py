"""How full everything is, and how holds and bookings end. Counted from the rows, in one snapshot."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from psycopg import Connection

from holdgate_schema.commands.holds import AlertOverrides
from holdgate_workers.domain.occurrences.alerts import band
from holdgate_workers.domain.settings.settings import Settings, parse

from .figures import (
    BookingStats,
    HoldStats,
    Most,
    OccurrenceStats,
    ParkedBooking,
    Stats,
    by_product,
    totals,
    utilisation,
)
from .reading import Reader

TOP = 10
PARKED_MAX = 50

Link = Connection[tuple[Any, ...]]
Wanted = dict[str, Any]

_overrides = msgspec.json.Decoder(AlertOverrides)

_OCCURRENCES = """
WITH release AS (
  SELECT occurrence_id, min(expires_at) AS at FROM holds
  WHERE state = 'active' AND expires_at > %(now)s GROUP BY occurrence_id),
line AS (SELECT occurrence_id, count(*) AS waiting FROM waitlist WHERE state = 'waiting' GROUP BY occurrence_id)
SELECT o.id, o.product_id, o.status, o.starts_at, p.capacity, p.sellable, p.held, p.sold,
  greatest(0, p.capacity * (100 + p.overbooking_percent) / 100 - p.buffer - p.held - p.sold),
  o.definition ->> 'alerts', r.at, coalesce(l.waiting, 0)
FROM occurrences o JOIN pools p ON p.occurrence_id = o.id AND p.key = 'total'
LEFT JOIN release r ON r.occurrence_id = o.id
LEFT JOIN line l ON l.occurrence_id = o.id
WHERE (%(occurrence)s::text IS NULL OR o.id = %(occurrence)s)
  AND (%(product)s::text IS NULL OR o.product_id = %(product)s)
ORDER BY o.starts_at, o.id"""

_WANTED = """
WHERE (%(occurrence)s::text IS NULL OR h.occurrence_id = %(occurrence)s)
  AND (%(product)s::text IS NULL
    OR h.occurrence_id IN (SELECT id FROM occurrences WHERE product_id = %(product)s))"""

_HOLDS = f"""
SELECT count(*) FILTER (WHERE state = 'active'),
  count(*) FILTER (WHERE state = 'active' AND expires_at <= %(now)s),
  count(*) FILTER (WHERE state = 'converting'), count(*) FILTER (WHERE state = 'confirmed'),
  count(*) FILTER (WHERE state = 'expired'), count(*) FILTER (WHERE state = 'released'),
  count(*) FILTER (WHERE state = 'cancelled'),
  (avg(extract(epoch FROM ended_at - created_at)) FILTER (WHERE state IN ('expired', 'released')))::float8
FROM holds h {_WANTED}"""

_TOP = f"""
SELECT {{column}}, count(*), sum(seats)::integer FROM holds h {_WANTED} AND state IN ('active', 'converting')
GROUP BY {{column}} ORDER BY 2 DESC, 3 DESC, 1 LIMIT {TOP}"""

_BOOKINGS = f"""
SELECT count(*) FILTER (WHERE state = 'converting'), count(*) FILTER (WHERE state = 'confirmed'),
  count(*) FILTER (WHERE state = 'cancelled'), count(*) FILTER (WHERE state = 'failed'),
  count(*) FILTER (WHERE state = 'parked'), count(*) FILTER (WHERE state = 'refund_required')
FROM bookings h {_WANTED}"""

_PARKED = f"""
SELECT id::text, occurrence_id, state, changed_at, (document ->> 'seats')::integer,
  (document #>> '{{quote,total}}')::bigint, document #>> '{{quote,currency}}', coalesce(document ->> 'reason', '')
FROM bookings h {_WANTED} AND state IN ('parked', 'refund_required')
ORDER BY changed_at, id LIMIT {PARKED_MAX}"""


class Statistics(Reader):
    """Numbers for people."""

    def read(self, *, occurrence: str | None = None, product: str | None = None) -> Stats:
        """The numbers of all occurrences, or of one, or of one product's. Raises `InvalidSettings` as well."""

        def work(connection: Link) -> Stats:
            clock = connection.execute("SELECT clock_timestamp()").fetchone()
            assert clock is not None
            wanted = {"occurrence": occurrence, "product": product, "now": clock[0]}
            settings = parse(dict(connection.execute("SELECT name, value FROM settings").fetchall()))
            lines = [_occurrence(row, settings) for row in connection.execute(_OCCURRENCES, wanted).fetchall()]
            rules = settings.alerts_for(None)
            return Stats(
                read_at=clock[0],
                occurrences=lines,
                products=by_product(lines, rules),
                totals=totals(lines, rules),
                holds=_holds(connection, wanted),
                bookings=_bookings(connection, wanted),
            )

        return self._read(work)


def _occurrence(row: tuple[Any, ...], settings: Settings) -> OccurrenceStats:
    capacity, sellable, held, sold, available, alerts = row[4:10]
    overrides = _overrides.decode(alerts) if alerts else None
    release: datetime | None = row[10]
    return OccurrenceStats(
        occurrence_id=row[0],
        product_id=row[1],
        status=row[2],
        starts_at=row[3],
        capacity=capacity,
        sellable=sellable,
        held=held,
        sold=sold,
        available=available,
        utilisation_percent=utilisation(held + sold, sellable),
        band=band(held + sold, sellable, settings.alerts_for(overrides)),
        next_release_at=release,
        waiting=row[11],
    )


def _holds(connection: Link, wanted: Wanted) -> HoldStats:
    counts = connection.execute(_HOLDS, wanted).fetchone()
    assert counts is not None
    confirmed, ended = counts[3] + counts[6], counts[4] + counts[5]
    rate = round(100 * confirmed / (confirmed + ended), 1) if confirmed + ended else None
    most = [_most(connection, wanted, column) for column in ("session_id", "occurrence_id")]
    return HoldStats(*(*counts, rate, *most))


def _most(connection: Link, wanted: Wanted, column: str) -> list[Most]:
    return [Most(*row) for row in connection.execute(_TOP.format(column=column), wanted).fetchall()]


def _bookings(connection: Link, wanted: Wanted) -> BookingStats:
    counts = connection.execute(_BOOKINGS, wanted).fetchone()
    assert counts is not None
    parked = [ParkedBooking(*row) for row in connection.execute(_PARKED, wanted).fetchall()]
    return BookingStats(*(*counts, parked))
