"""Reading what a batch needs, in one round trip."""

from __future__ import annotations

from typing import Any

from psycopg import Connection, Cursor

from holdgate_workers.app.effects import Load, Loaded, Recorded
from holdgate_workers.domain.decision import LimitKey
from holdgate_workers.domain.occurrence import Occurrence

from . import arrays
from .rows import HOLD_COLUMNS, POOL_COLUMNS, definition_from, hold_from, pool_from

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
  ON o.product_id = s.product_id AND o.starts_at = s.starts_at"""
_LIMITS = """
SELECT c.scope, c.key, coalesce(s.used, 0) FROM unnest(%s::text[], %s::text[]) AS c (scope, key)
LEFT JOIN shared_limits s ON s.scope = c.scope AND s.key = c.key"""
_REQUESTS = (
    "SELECT request_id::text, fingerprint, reply::text, outcome FROM journal WHERE request_id = ANY(%s::uuid[])"
)


def load(connection: Connection[tuple[Any, ...]], wanted: Load) -> Loaded:
    """Read it. Raises the driver's exceptions."""
    with connection.pipeline():
        requests = _query(connection, _REQUESTS, arrays.plain(wanted.requests)) if wanted.requests else None
        occurrences = _Occurrences(connection, wanted) if wanted.occurrences else None
        holds = _query(connection, _HOLDS, arrays.plain(wanted.holds)) if wanted.holds else None
        starts = _starts(connection, wanted) if wanted.starts else None
        limits = _limits(connection, wanted) if wanted.limits else None
        clock = connection.execute("SELECT clock_timestamp()")
    row = clock.fetchone()
    assert row is not None
    return Loaded(
        now=row[0],
        occurrences=occurrences.fetch() if occurrences else {},
        holds={row[0]: hold_from(row) for row in holds.fetchall()} if holds else {},
        starts={(row[0], row[1]): row[2] for row in starts.fetchall()} if starts else {},
        limits={LimitKey(row[0], row[1]): row[2] for row in limits.fetchall()} if limits else {},
        requests={row[0]: Recorded(row[1], row[2].encode(), row[3]) for row in requests.fetchall()}
        if requests
        else {},
    )


class _Occurrences:
    """The three reads that make up an occurrence."""

    def __init__(self, connection: Connection[tuple[Any, ...]], wanted: Load) -> None:
        ids = arrays.quoted(wanted.occurrences)
        self._heads = _query(connection, _OCCURRENCES, ids)
        self._pools = _query(connection, _POOLS, ids)
        self._holds = _query(connection, _LIVE_HOLDS, ids)

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
        for occurrence in found.values():
            occurrence.index()
        return found


def _query(connection: Connection[tuple[Any, ...]], statement: str, array: str) -> Rows:
    return connection.execute(statement, [array])


def _starts(connection: Connection[tuple[Any, ...]], wanted: Load) -> Rows:
    products = arrays.quoted(product for product, _ in wanted.starts)
    return connection.execute(_STARTS, [products, arrays.times(at for _, at in wanted.starts)])


def _limits(connection: Connection[tuple[Any, ...]], wanted: Load) -> Rows:
    scopes = arrays.quoted(limit.scope for limit in wanted.limits)
    return connection.execute(_LIMITS, [scopes, arrays.quoted(limit.key for limit in wanted.limits)])
