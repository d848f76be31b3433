"""Occurrences as people are told of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection

from holdgate_schema.products import PRODUCT, Product
from holdgate_workers.app.notices.facts import Piece, Slot
from holdgate_workers.domain.occurrence import Definition

from .rows import definition_from
from .session import Session

SLOTS_MAX = 2000
"""Occurrences in a feed, the latest that begin."""

COLUMNS = """o.id, o.definition::text, coalesce(s.version, 0), coalesce(s.decided_at, o.created_at),
  p.definition::text"""
WORDS = """
LEFT JOIN LATERAL (
  SELECT definition FROM products WHERE id = o.product_id ORDER BY version DESC LIMIT 1) p ON true
LEFT JOIN LATERAL (
  SELECT j.version, j.decided_at FROM journal j
  WHERE j.occurrence_id = o.id AND j.kind IN ('occurrence.put.v1', 'occurrence.close.v1')
    AND j.outcome = 'occurrence_stored'
  ORDER BY j.version DESC LIMIT 1) s ON true"""
"""An occurrence's own version counts every hold; what people are told changes with the catalogue alone."""

_FEED = f"""
SELECT {COLUMNS} FROM occurrences o {WORDS}
WHERE o.product_id = %(product)s ORDER BY o.starts_at DESC, o.id LIMIT %(limit)s"""
_LABEL = "SELECT definition ->> 'label' FROM products WHERE id = %s ORDER BY version DESC LIMIT 1"


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


@dataclass(slots=True, frozen=True)
class ProductSlots:
    """A product and its occurrences, the earliest first."""

    title: str
    slots: tuple[Slot, ...]

    @property
    def changed_at(self) -> datetime | None:
        """When one of them last changed."""
        return max((slot.changed_at for slot in self.slots), default=None)


class SlotBook:
    """What calendar feeds are made of. Not thread-safe; raises `DatabaseUnavailable` and `DatabaseError`."""

    def __init__(self, url: str) -> None:
        self._session = Session(url, name="calendar")

    def of_product(self, product_id: str, limit: int = SLOTS_MAX) -> ProductSlots | None:
        """Its occurrences, cancelled ones too; None if there is neither an occurrence nor a product of this id."""

        def work(connection: Connection[tuple[Any, ...]]) -> ProductSlots | None:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            label = connection.execute(_LABEL, [product_id]).fetchone()
            rows = connection.execute(_FEED, {"product": product_id, "limit": limit}).fetchall()
            if label is None and not rows:
                return None
            title = (label[0] if label else None) or product_id
            return ProductSlots(title, tuple(told_from(row).slot for row in reversed(rows)))

        return self._session.run(work)

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._session.close()
