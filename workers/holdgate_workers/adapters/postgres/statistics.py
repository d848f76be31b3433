"""How full everything is, and how holds end. Counted from the rows, in one snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection

from .reading import Reader

TOP = 10
LOW_PERCENT = 80
NEARLY_FULL_PERCENT = 95
FULL_PERCENT = 100

_OCCURRENCES = """
WITH release AS (
  SELECT occurrence_id, min(expires_at) AS at FROM holds
  WHERE state = 'active' AND expires_at > clock_timestamp() GROUP BY occurrence_id)
SELECT o.id, o.product_id, o.status, o.starts_at, p.capacity, p.sellable, p.held, p.sold,
  greatest(0, p.capacity * (100 + p.overbooking_percent) / 100 - p.buffer - p.held - p.sold), r.at
FROM occurrences o JOIN pools p ON p.occurrence_id = o.id AND p.key = 'total'
LEFT JOIN release r ON r.occurrence_id = o.id
WHERE (%(occurrence)s::text IS NULL OR o.id = %(occurrence)s)
  AND (%(product)s::text IS NULL OR o.product_id = %(product)s)
ORDER BY o.starts_at, o.id"""

_WANTED = """
FROM holds h WHERE (%(occurrence)s::text IS NULL OR h.occurrence_id = %(occurrence)s)
  AND (%(product)s::text IS NULL
    OR h.occurrence_id IN (SELECT id FROM occurrences WHERE product_id = %(product)s))"""

_HOLDS = f"""
SELECT count(*) FILTER (WHERE state = 'active'),
  count(*) FILTER (WHERE state = 'active' AND expires_at <= clock_timestamp()),
  count(*) FILTER (WHERE state = 'converting'), count(*) FILTER (WHERE state = 'confirmed'),
  count(*) FILTER (WHERE state = 'expired'), count(*) FILTER (WHERE state = 'released'),
  count(*) FILTER (WHERE state = 'cancelled'),
  (avg(extract(epoch FROM ended_at - created_at)) FILTER (WHERE state IN ('expired', 'released')))::float8
{_WANTED}"""

_TOP_SESSIONS = f"""
SELECT session_id, count(*), sum(seats)::integer {_WANTED} AND state IN ('active', 'converting')
GROUP BY session_id ORDER BY 2 DESC, 3 DESC, 1 LIMIT {TOP}"""

_TOP_OCCURRENCES = f"""
SELECT occurrence_id, count(*), sum(seats)::integer {_WANTED} AND state IN ('active', 'converting')
GROUP BY occurrence_id ORDER BY 2 DESC, 3 DESC, 1 LIMIT {TOP}"""


@dataclass(slots=True, frozen=True)
class OccurrenceStats:
    """One occurrence's pool `total`. `utilisation_percent` is held + sold of sellable; `band` says how full that
    is: open, low, nearly_full or full."""

    occurrence_id: str
    product_id: str
    status: str
    starts_at: datetime
    capacity: int
    sellable: int
    held: int
    sold: int
    available: int
    utilisation_percent: float
    band: str
    next_release_at: datetime | None


@dataclass(slots=True, frozen=True)
class Totals:
    """The sums over all occurrences that were asked for."""

    occurrences: int
    capacity: int
    sellable: int
    held: int
    sold: int
    available: int
    utilisation_percent: float
    band: str


@dataclass(slots=True, frozen=True)
class Most:
    """Who has how many live holds, and seats in them."""

    id: str
    holds: int
    seats: int


@dataclass(slots=True, frozen=True)
class HoldStats:
    """Holds by state. `due` are active ones past their time. `average_life_seconds` is measured on those that
    expired or were released; `conversion_percent` is confirmed of all that have ended or were confirmed."""

    active: int
    due: int
    converting: int
    confirmed: int
    expired: int
    released: int
    cancelled: int
    average_life_seconds: float | None
    conversion_percent: float | None
    by_session: list[Most]
    by_occurrence: list[Most]


@dataclass(slots=True, frozen=True)
class Stats:
    """Everything at one instant."""

    read_at: datetime
    occurrences: list[OccurrenceStats]
    totals: Totals
    holds: HoldStats


class Statistics(Reader):
    """Numbers for people."""

    def read(self, *, occurrence: str | None = None, product: str | None = None) -> Stats:
        """The numbers of all occurrences, or of one, or of one product's."""
        wanted = {"occurrence": occurrence, "product": product}

        def work(connection: Connection[tuple[Any, ...]]) -> Stats:
            clock = connection.execute("SELECT clock_timestamp()").fetchone()
            assert clock is not None
            rows = connection.execute(_OCCURRENCES, wanted).fetchall()
            lines = [_occurrence(row) for row in rows]
            return Stats(clock[0], lines, _totals(lines), _holds(connection, wanted))

        return self._read(work)


def band(utilisation_percent: float) -> str:
    """The name of how full something is."""
    if utilisation_percent >= FULL_PERCENT:
        return "full"
    if utilisation_percent >= NEARLY_FULL_PERCENT:
        return "nearly_full"
    return "low" if utilisation_percent >= LOW_PERCENT else "open"


def _utilisation(held: int, sold: int, sellable: int) -> float:
    """Nothing to sell counts as full."""
    return round(100 * (held + sold) / sellable, 1) if sellable else 100.0


def _occurrence(row: tuple[Any, ...]) -> OccurrenceStats:
    used = _utilisation(held=row[6], sold=row[7], sellable=row[5])
    return OccurrenceStats(*(*row[:9], used, band(used), row[9]))


def _totals(lines: list[OccurrenceStats]) -> Totals:
    held, sold, sellable = (sum(getattr(line, name) for line in lines) for name in ("held", "sold", "sellable"))
    used = _utilisation(held, sold, sellable) if lines else 0.0
    return Totals(
        occurrences=len(lines),
        capacity=sum(line.capacity for line in lines),
        sellable=sellable,
        held=held,
        sold=sold,
        available=sum(line.available for line in lines),
        utilisation_percent=used,
        band=band(used),
    )


def _holds(connection: Connection[tuple[Any, ...]], wanted: dict[str, str | None]) -> HoldStats:
    counts = connection.execute(_HOLDS, wanted).fetchone()
    assert counts is not None
    confirmed, ended = counts[3] + counts[6], counts[4] + counts[5]
    rate = round(100 * confirmed / (confirmed + ended), 1) if confirmed + ended else None
    sessions = connection.execute(_TOP_SESSIONS, wanted).fetchall()
    occurrences = connection.execute(_TOP_OCCURRENCES, wanted).fetchall()
    most = [Most(*row) for row in sessions], [Most(*row) for row in occurrences]
    return HoldStats(*(*counts, rate, *most))
