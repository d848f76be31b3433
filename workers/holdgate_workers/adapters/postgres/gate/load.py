"""Reading what a batch needs, in one round trip."""

from __future__ import annotations

from typing import Any

from psycopg import Connection, Cursor

from holdgate_workers.adapters.postgres import arrays
from holdgate_workers.app.gate.effects import Load, Loaded, Recorded
from holdgate_workers.domain.bookings.booking import Booking
from holdgate_workers.domain.decision import LimitKey
from holdgate_workers.domain.occurrences.occurrence import Hold, Occurrence

from .rows import HOLD_COLUMNS, POOL_COLUMNS, booking_from, definition_from, hold_from, pool_from
from .waitlist import LINE, entry_from

Rows = Cursor[tuple[Any, ...]]

# The version is read first: whatever is read after it is at least as new, and the fence catches the rest.
_OCCURRENCES = "SELECT id, definition::text, version FROM occurrences WHERE id = ANY(%s::text[])"
_POOLS = f"SELECT {POOL_COLUMNS} FROM pools WHERE occurrence_id = ANY(%s::text[]) ORDER BY occurrence_id, key"
_LIVE_HOLDS = (
    f"SELECT {HOLD_COLUMNS} FROM holds WHERE occurrence_id = ANY(%s::text[]) AND state IN ('active', 'converting')"
)
_HOLDS = f"SELECT {HOLD_COLUMNS} FROM holds WHERE id = ANY(%s::uuid[])"
_STARTS = """
SELECT o.product_id, o.starts_at, o.id FROM occurrences o
JOIN unnest(%s::text[], %s::timestamptz[]) AS s (product_id, starts_at)
  ON o.product_id = s.product_id AND o.starts_at = s.starts_at
WHERE o.status <> 'cancelled' AND NOT o.yields_start"""
_LIMITS = """
SELECT c.scope, c.key, coalesce(s.used, 0), CASE c.scope WHEN 'voucher' THEN (
  SELECT coalesce((v.definition ->> 'uses_max')::integer, 1) FROM vouchers v WHERE v.code = c.key
  ORDER BY v.version DESC LIMIT 1) END
FROM unnest(%s::text[], %s::text[]) AS c (scope, key)
LEFT JOIN shared_limits s ON s.scope = c.scope AND s.key = c.key"""
_REQUESTS = (
    "SELECT request_id::text, fingerprint, reply::text, outcome FROM journal WHERE request_id = ANY(%s::uuid[])"
)
_SECOND = """
SELECT f.request_id::text, j.fingerprint, j.reply::text, j.outcome FROM follow_ups f
JOIN journal j ON j.request_id = f.answered_by WHERE f.request_id = ANY(%s::uuid[])"""
_BOOKINGS = "SELECT id::text, document::text FROM bookings WHERE id = ANY(%s::uuid[])"
_BOOKED_HOLDS = f"""
SELECT {HOLD_COLUMNS} FROM holds WHERE id = ANY(%s::uuid[])
UNION SELECT {HOLD_COLUMNS} FROM holds WHERE id IN (SELECT b.hold_id FROM bookings b WHERE b.id = ANY(%s::uuid[]))"""


def load(connection: Connection[tuple[Any, ...]], wanted: Load) -> Loaded:
    """Read it. Raises the driver's exceptions."""
    with connection.pipeline():
        requests = _query(connection, _REQUESTS, arrays.plain(wanted.requests)) if wanted.requests else None
        second = _query(connection, _SECOND, arrays.plain(wanted.requests)) if wanted.requests else None
        bookings = _Bookings(connection, wanted) if wanted.bookings else None
        occurrences = _Occurrences(connection, wanted) if wanted.occurrences else None
        holds = _query(connection, _HOLDS, arrays.plain(wanted.holds)) if wanted.holds else None
        starts = _starts(connection, wanted) if wanted.starts else None
        limits = _limits(connection, wanted) if wanted.limits else None
        clock = connection.execute("SELECT clock_timestamp()")
    row = clock.fetchone()
    assert row is not None
    numbers = limits.fetchall() if limits else []
    found, booked_holds = bookings.fetch() if bookings else ({}, {})
    return Loaded(
        now=row[0],
        occurrences=occurrences.fetch() if occurrences else {},
        holds=booked_holds | ({row[0]: hold_from(row) for row in holds.fetchall()} if holds else {}),
        starts={(row[0], row[1]): row[2] for row in starts.fetchall()} if starts else {},
        limits={LimitKey(row[0], row[1]): row[2] for row in numbers},
        caps={LimitKey(row[0], row[1]): row[3] for row in numbers if row[3] is not None},
        requests=_recorded(requests),
        second=_recorded(second),
        bookings=found,
    )


class _Bookings:
    """The two reads that make up what is known of a booking."""

    def __init__(self, connection: Connection[tuple[Any, ...]], wanted: Load) -> None:
        ids = arrays.plain(wanted.bookings)
        self._bookings = _query(connection, _BOOKINGS, ids)
        self._holds = connection.execute(_BOOKED_HOLDS, [ids, ids])

    def fetch(self) -> tuple[dict[str, Booking], dict[str, Hold]]:
        """The bookings, and the holds that they were made of or that have their seats."""
        bookings = {row[0]: booking_from(row[1]) for row in self._bookings.fetchall()}
        return bookings, {row[0]: hold_from(row) for row in self._holds.fetchall()}


class _Occurrences:
    """The four reads that make up an occurrence."""

    def __init__(self, connection: Connection[tuple[Any, ...]], wanted: Load) -> None:
        ids = arrays.quoted(wanted.occurrences)
        self._heads = _query(connection, _OCCURRENCES, ids)
        self._pools = _query(connection, _POOLS, ids)
        self._holds = _query(connection, _LIVE_HOLDS, ids)
        self._line = _query(connection, LINE, ids)

    def fetch(self) -> dict[str, Occurrence]:
        """Put them together."""
        found = {
            row[0]: Occurrence(row[0], definition_from(row[1]), {}, version=row[2])
            for row in self._heads.fetchall()
        }
        for row in self._pools.fetchall():
            if row[0] in found:
                found[row[0]].pools[row[1]] = pool_from(row)
        for row in self._holds.fetchall():
            if row[1] in found:
                found[row[1]].holds[row[0]] = hold_from(row)
        for row in self._line.fetchall():
            if row[1] in found:
                found[row[1]].waiting[row[0]] = entry_from(row)
        return found


def _recorded(rows: Rows | None) -> dict[str, Recorded]:
    if rows is None:
        return {}
    return {row[0]: Recorded(row[1], row[2].encode(), row[3]) for row in rows.fetchall()}


def _query(connection: Connection[tuple[Any, ...]], statement: str, array: str) -> Rows:
    return connection.execute(statement, [array])


def _starts(connection: Connection[tuple[Any, ...]], wanted: Load) -> Rows:
    products = arrays.quoted(product for product, _ in wanted.starts)
    return connection.execute(_STARTS, [products, arrays.times(at for _, at in wanted.starts)])


def _limits(connection: Connection[tuple[Any, ...]], wanted: Load) -> Rows:
    scopes = arrays.quoted(limit.scope for limit in wanted.limits)
    return connection.execute(_LIMITS, [scopes, arrays.quoted(limit.key for limit in wanted.limits)])
