"""What the read side is made from: occurrences as a decision would see them, and the sums of products."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from psycopg import Connection

from holdgate_workers.adapters.postgres import arrays
from holdgate_workers.adapters.postgres.connection import DatabaseUnavailable
from holdgate_workers.adapters.postgres.cursor import Cursor
from holdgate_workers.adapters.postgres.gate.rows import (
    HOLD_COLUMNS,
    POOL_COLUMNS,
    definition_from,
    hold_from,
    pool_from,
)
from holdgate_workers.adapters.postgres.gate.waitlist import LINE, entry_from
from holdgate_workers.adapters.postgres.reports.reading import Reader
from holdgate_workers.adapters.postgres.session import Session
from holdgate_workers.app.gate.effects import Unavailable
from holdgate_workers.app.projection.effects import Lag, ReadLag, ReadPage, ReadRows, ReadTouched, Touched
from holdgate_workers.app.projection.entries import KEPT_AFTER_END, ProductTotals, Rows, rules_of
from holdgate_workers.app.relay.relay import Advance
from holdgate_workers.domain.decision import LimitKey
from holdgate_workers.domain.occurrences.occurrence import Occurrence
from holdgate_workers.domain.settings.settings import InvalidSettings, Settings, parse

CURSOR = "projection"

T = TypeVar("T")
Link = Connection[tuple[Any, ...]]

_NOW = "SELECT clock_timestamp(), pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
_SETTINGS = "SELECT name, value FROM settings"
_HEADS = "SELECT id, definition::text, version FROM occurrences WHERE id = ANY(%s::text[])"
_POOLS = f"SELECT {POOL_COLUMNS} FROM pools WHERE occurrence_id = ANY(%s::text[])"
_HOLDS = f"""
WITH live AS (
  SELECT *, min(expires_at) FILTER (WHERE expires_at > %(now)s) OVER (PARTITION BY occurrence_id) AS next
  FROM holds WHERE state = 'active' AND occurrence_id = ANY(%(ids)s::text[]))
SELECT {HOLD_COLUMNS} FROM live WHERE expires_at <= %(now)s OR expires_at = next"""
"""A popular occurrence has thousands of live holds. What it answers rests on those past their time and the next."""
_PRODUCTS = """
SELECT o.product_id, count(*), sum(p.capacity)::bigint, sum(p.sellable)::bigint, sum(p.held)::bigint,
  sum(p.sold)::bigint,
  sum(greatest(0, p.capacity * (100 + p.overbooking_percent) / 100 - p.buffer - p.held - p.sold))::bigint
FROM occurrences o JOIN pools p ON p.occurrence_id = o.id AND p.key = 'total'
WHERE o.product_id = ANY(%s::text[]) GROUP BY o.product_id"""
_LIMITS = """
SELECT scope, key, used FROM shared_limits
WHERE (scope = 'session' AND key = ANY(%s::text[])) OR (scope = 'stock' AND key = ANY(%s::text[]))"""
_NEXT_OCCURRENCES = (
    "SELECT id FROM occurrences WHERE id > %s AND ends_at > clock_timestamp() - %s ORDER BY id LIMIT %s"
)
_NEXT_PRODUCTS = "SELECT DISTINCT product_id FROM occurrences WHERE product_id > %s ORDER BY product_id LIMIT %s"
_LAG = """
SELECT coalesce((
  SELECT greatest(0, extract(epoch FROM clock_timestamp() - j.decided_at)) FROM journal j
  WHERE (j.xid, j.id) > (c.xid, c.id) ORDER BY j.xid, j.id LIMIT 1), 0)::float8
FROM relay_cursors c WHERE c.name = %s"""
_IDENTITY = "SELECT value FROM house WHERE name = 'installation_id'"


class ProjectionRows(Reader):
    """Reads of the projection. Not thread-safe."""

    def house(self) -> str:
        """The installation's id, which copies of the database share. Raises `DatabaseUnavailable`."""
        row = self._read(lambda connection: connection.execute(_IDENTITY).fetchone())
        return str(row[0]) if row else ""

    def rows(self, wanted: ReadRows) -> Rows | Unavailable:
        """These occurrences with the sums of their products, in one snapshot."""
        return self._answer(lambda link: _rows(link, wanted.occurrences, wanted.products, with_products=True))

    def page(self, wanted: ReadPage) -> Rows | Unavailable:
        """The next occurrences that are not long past, or the next products."""

        def work(link: Link) -> Rows:
            ids = _next(link, wanted)
            is_product = wanted.kind == "product"
            rows = _rows(link, () if is_product else ids, ids if is_product else (), with_products=is_product)
            return replace(rows, last=ids[-1] if ids else None)

        return self._answer(work)

    def lag(self, _wanted: ReadLag | None = None) -> Lag | Unavailable:
        """How long the oldest committed row behind the cursor has waited, and the rules in force."""

        def work(link: Link) -> Lag:
            row = link.execute(_LAG, [CURSOR]).fetchone()
            return Lag(row[0] if row else 0.0, rules_of(_settings(link)))

        return self._answer(work)

    def _answer(self, work: Callable[[Link], T]) -> T | Unavailable:
        try:
            return self._read(work)
        except (DatabaseUnavailable, InvalidSettings) as exc:
            return Unavailable(str(exc))


class TouchedCursor:
    """Which occurrences the journal says were touched, since this cursor. Not thread-safe."""

    def __init__(self, url: str) -> None:
        self._cursor = Cursor(CURSOR)
        self._session = Session(url, name=f"cursor {CURSOR}")

    def read(self, wanted: ReadTouched) -> Touched | Unavailable:
        """The next rows; none if another process has the right to the cursor."""

        def work(link: Link) -> Touched:
            page = self._cursor.rows(link, "j.occurrence_id", wanted.rows_max)
            return Touched(page.start, page.end, [row[0] for row in page.rows], self._cursor.is_mine)

        try:
            return self._session.run_outside(work)
        except DatabaseUnavailable as exc:
            self._cursor.forget()
            return Unavailable(str(exc))

    def advance(self, step: Advance) -> bool:
        """Move the cursor if it is still where it was read."""
        try:
            return self._session.run_outside(lambda link: self._cursor.advance(link, step))
        except DatabaseUnavailable:
            self._cursor.forget()
            return False

    def close(self) -> None:
        """Give up the right to the cursor. Idempotent."""
        self._cursor.forget()
        self._session.close()


def _next(link: Link, wanted: ReadPage) -> list[str]:
    if wanted.kind == "product":
        found = link.execute(_NEXT_PRODUCTS, [wanted.after, wanted.rows_max])
    else:
        found = link.execute(_NEXT_OCCURRENCES, [wanted.after, KEPT_AFTER_END, wanted.rows_max])
    return [row[0] for row in found.fetchall()]


def _rows(link: Link, ids: Sequence[str], products: Sequence[str], *, with_products: bool) -> Rows:
    now_row = link.execute(_NOW).fetchone()
    assert now_row is not None
    now, snapshot = now_row
    occurrences = _occurrences(link, ids, now) if ids else {}
    wanted = {*products, *(occurrence.definition.product_id for occurrence in occurrences.values())}
    sums = _products(link, wanted if with_products else (), snapshot, now)
    return Rows(now, _settings(link), occurrences, sums, limits=_limits(link, occurrences))


def _occurrences(link: Link, ids: Sequence[str], now: Any) -> dict[str, Occurrence]:
    array = arrays.quoted(ids)
    with link.pipeline():
        heads = link.execute(_HEADS, [array])
        pools = link.execute(_POOLS, [array])
        holds = link.execute(_HOLDS, {"ids": array, "now": now})
        line = link.execute(LINE, [array])
    found = {row[0]: Occurrence(row[0], definition_from(row[1]), {}, version=row[2]) for row in heads.fetchall()}
    for row in pools.fetchall():
        if row[0] in found:
            found[row[0]].pools[row[1]] = pool_from(row)
    for row in holds.fetchall():
        if row[1] in found:
            found[row[1]].holds[row[0]] = hold_from(row)
    for row in line.fetchall():
        if row[1] in found:
            found[row[1]].waiting[row[0]] = entry_from(row)
    return found


def _limits(link: Link, occurrences: Mapping[str, Occurrence]) -> dict[LimitKey, int]:
    """What the line of an occurrence is bounded by elsewhere."""
    lines = [occurrence for occurrence in occurrences.values() if occurrence.waiting]
    if not lines:
        return {}
    sessions = {entry.session_id for occurrence in lines for entry in occurrence.waiting.values()}
    extras = (extra for occurrence in lines for extra in occurrence.definition.extras.values())
    stocks = {extra.stock.key for extra in extras if extra.stock is not None}
    found = link.execute(_LIMITS, [arrays.quoted(sorted(sessions)), arrays.quoted(sorted(stocks))])
    return {LimitKey(row[0], row[1]): row[2] for row in found.fetchall()}


def _products(link: Link, ids: Any, snapshot: int, now: Any) -> dict[str, ProductTotals]:
    if not ids:
        return {}
    return {
        row[0]: ProductTotals(
            product_id=row[0],
            version=snapshot,
            decided_at=now,
            occurrences=row[1],
            capacity=row[2],
            sellable=row[3],
            held=row[4],
            sold=row[5],
            available=row[6],
        )
        for row in link.execute(_PRODUCTS, [arrays.quoted(sorted(ids))]).fetchall()
    }


def _settings(link: Link) -> Settings:
    return parse(dict(link.execute(_SETTINGS).fetchall()))
