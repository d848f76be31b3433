"""The zones of products that are stored, for dates whose file says none."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Self

from .site import Access

SEEN_MAX = 100


class StoredZones:
    """Asks the database only when a zone is wanted; without a database no zone is known."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._known: dict[str, str | None] = {}
        self._is_reachable = True
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def of_product(self, product_id: str) -> str | None:
        """The zone of the product's definition; without one that of its occurrences, if they all have the same."""
        if product_id not in self._known:
            self._known[product_id] = self._asked(product_id) if self._is_reachable else None
        return self._known[product_id]

    def _asked(self, product_id: str) -> str | None:
        from holdgate_workers.adapters.postgres.catalogue import Catalogue
        from holdgate_workers.adapters.postgres.connection import DatabaseError, DatabaseUnavailable
        from holdgate_workers.adapters.postgres.products import PriceBook
        from holdgate_workers.bootstrap import NotRunning

        try:
            with self._access.opened(PriceBook) as book:
                found = book.products.get(product_id)
            if found is not None:
                return found.definition.timezone
            with self._access.opened(Catalogue) as catalogue:
                listed = catalogue.list(product=product_id, limit=SEEN_MAX)
            zones = {line.timezone for line in listed}
            return zones.pop() if len(zones) == 1 else None
        except (NotRunning, DatabaseUnavailable, DatabaseError):
            self._is_reachable = False
            return None
