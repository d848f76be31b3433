"""Occurrences as people are told of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from psycopg import Connection, ServerCursor

from holdgate_schema.values.products import PRODUCT, Product
from holdgate_workers.adapters.postgres.gate.rows import definition_from
from holdgate_workers.adapters.postgres.session import Session
from holdgate_workers.app.notifications.facts import Piece, ProductSlots, Slot
from holdgate_workers.domain.occurrences.occurrence import Definition

PAGE_ROWS = 500
"""So many rows are fetched at a time, and none is kept."""

T = TypeVar("T")

COLUMNS = """o.id, o.definition::text, coalesce(s.version, 0), coalesce(s.decided_at, o.created_at),
  p.definition::text"""
WORDS = """
LEFT JOIN LATERAL (
  SELECT definition FROM products WHERE id = o.product_id ORDER BY version DESC LIMIT 1) p ON true
LEFT JOIN LATERAL (
  SELECT j.version, j.decided_at FROM journal j
  WHERE j.occurrence_id = o.id AND j.kind IN ('occurrence.put.v1', 'occurrence.close.v1')
    AND position('"occurrence.changed.v1"' IN j.events::text) > 0
  ORDER BY j.version DESC LIMIT 1) s ON true"""
"""An occurrence's own version counts every hold; what people are told changes with the catalogue alone, and
not with a put of what was there already."""

_WINDOW = """
(%(since)s::timestamptz IS NULL OR o.starts_at >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR o.starts_at < %(until)s)"""
_FEED = f"""
SELECT {COLUMNS} FROM occurrences o {WORDS}
WHERE o.product_id = %(product)s AND {_WINDOW} ORDER BY o.starts_at, o.id"""
_SPANS = f"""
SELECT o.definition ->> 'timezone', count(*), min(o.starts_at), max(o.ends_at),
  max(coalesce(s.decided_at, o.created_at)),
  md5(string_agg(concat_ws(' ', o.id, coalesce(s.version, 0), o.status, o.starts_at, o.ends_at), E'\\n'
    ORDER BY o.starts_at, o.id))
FROM occurrences o {WORDS} WHERE o.product_id = %(product)s AND {_WINDOW} GROUP BY 1 ORDER BY 1"""
_LEFT_OUT = f"SELECT count(*) FROM occurrences o WHERE o.product_id = %(product)s AND NOT ({_WINDOW})"
_DAY = "SELECT date_trunc('day', clock_timestamp() - %s::interval, 'UTC')"
"""By the day, so that a feed is the same all day."""
_LABEL = """
SELECT definition ->> 'label', changed_at FROM products WHERE id = %(product)s ORDER BY version DESC LIMIT 1"""


@dataclass(slots=True, frozen=True)
class Told:
    """An occurrence with the words for what is sold of it."""

    slot: Slot
    definition: Definition
    product: Product | None

    def pieces(self, quantities: Mapping[str, int], kind: str) -> tuple[Piece, ...]:
        """Tickets (`ticket`) or extras (`extra`) by the labels of the occurrence, else of the product, else by key."""
        return tuple(Piece(key=key, label=self._label(kind, key), quantity=n) for key, n in quantities.items())

    def _label(self, kind: str, key: str) -> str:
        own = self.definition.ticket_types if kind == "ticket" else self.definition.extras
        if key in own and own[key].label:
            return own[key].label
        if self.product is None:
            return key
        sold = self.product.ticket_types if kind == "ticket" else self.product.extras
        return next((item.label for item in sold if item.key == key and item.label), key)


def told_from(row: tuple[Any, ...]) -> Told:
    """From `COLUMNS`."""
    occurrence_id, definition, version, changed_at, product = row
    known = definition_from(definition)
    sold = None if product is None else PRODUCT.decode(product)
    slot = Slot(
        occurrence_id=occurrence_id,
        product_id=known.product_id,
        title=(sold.label if sold is not None else "") or known.product_id,
        starts_at=known.starts_at,
        ends_at=known.ends_at,
        timezone=known.timezone,
        version=version,
        changed_at=changed_at,
        status=known.status,
    )
    return Told(slot, known, sold)


class SlotBook:
    """What calendar feeds are made of. Not thread-safe; raises `DatabaseUnavailable` and `DatabaseError`."""

    def __init__(self, url: str) -> None:
        self._session = Session(url, name="calendar")

    def of_product(
        self,
        product_id: str,
        use: Callable[[ProductSlots], T],
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        past: timedelta | None = None,
    ) -> T | None:
        """What `use` makes of the product's occurrences that start in the window, cancelled ones too.

        Without `since` the window begins with the day, in UTC, that was `past` ago; without that there is no bound.
        They are read while they are used, all from one moment. None if there is neither an occurrence nor a product of
        this id.
        """

        def work(connection: Connection[tuple[Any, ...]]) -> T | None:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            begin = since
            if begin is None and past is not None:
                row = connection.execute(_DAY, [past]).fetchone()
                begin = None if row is None else row[0]
            wanted = {"product": product_id, "since": begin, "until": until}
            label = connection.execute(_LABEL, wanted).fetchone()
            spans = connection.execute(_SPANS, wanted).fetchall()
            left_out = connection.execute(_LEFT_OUT, wanted).fetchone()
            assert left_out is not None
            if label is None and not spans and not left_out[0]:
                return None
            title = (label[0] if label else None) or product_id
            changes = [row[4] for row in spans] + ([label[1]] if label else [])
            with ServerCursor(connection, "feed") as cursor:
                cursor.itersize = PAGE_ROWS
                return use(
                    ProductSlots(
                        product_id=product_id,
                        title=title,
                        slots=(told_from(row).slot for row in cursor.execute(_FEED, wanted)),
                        number=sum(row[1] for row in spans),
                        spans={row[0]: (row[2], row[3]) for row in spans},
                        digest=" ".join([title, str(left_out[0]), *(f"{row[0]} {row[5]}" for row in spans)]),
                        changed_at=max(changes, default=None),
                        since=begin,
                        until=until,
                        left_out=left_out[0],
                    )
                )

        return self._session.run(work)

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._session.close()
