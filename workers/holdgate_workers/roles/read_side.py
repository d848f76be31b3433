"""The read side as people handle it: filled from nothing, and compared with the rows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from holdgate_workers.adapters.postgres.connection import DatabaseUnavailable
from holdgate_workers.adapters.postgres.projection.rows import ProjectionRows
from holdgate_workers.adapters.redis.projection import CacheError, ProjectionCache
from holdgate_workers.app.gate.effects import Unavailable
from holdgate_workers.app.projection.audit import Difference, differences
from holdgate_workers.app.projection.effects import (
    BeginGeneration,
    CacheUnavailable,
    MarkFresh,
    ReadLag,
    ReadPage,
    ReadRows,
    Superseded,
    WriteEntries,
)
from holdgate_workers.app.projection.entries import Kind, Rows, entries_of
from holdgate_workers.app.projection.projector import Filling, rebuild
from holdgate_workers.ids import new_request_id

PAGE_ROWS = 200
LOOKS = 20
"""So often is what differs looked at again: a projection that works may just be about to write it."""
PAUSE_SECONDS = 0.25
KINDS: tuple[Kind, ...] = ("availability", "product")

T = TypeVar("T")


class ReadSide:
    """The rows and the cache of one house. Not thread-safe; raises `DatabaseUnavailable` and `CacheError`."""

    def __init__(self, database_url: str, redis_url: str, name: str, *, installation_name: str = "") -> None:
        self._rows = ProjectionRows(database_url)
        self._cache = ProjectionCache(redis_url, name, installation_name=installation_name)
        self._pause = threading.Event()

    def rebuild(self, told: Callable[[int], None] | None = None) -> Filling:
        """Throw everything away and fill it from the rows; `told` hears how many entries there are so far."""
        protocol = rebuild(self._rows.house(), new_request_id(), time.monotonic, rows_max=PAGE_ROWS)
        written = 0
        try:
            effect = next(protocol)
            while True:
                result = self._perform(effect)
                if isinstance(effect, WriteEntries) and not isinstance(result, CacheUnavailable | Superseded):
                    written += result.written
                    if told is not None:
                        told(written)
                effect = protocol.send(result)
        except StopIteration as done:
            filled: Filling = _sound(done.value)
            return filled

    def check(self, *, looks: int = LOOKS) -> tuple[int, list[Difference]]:
        """How many entries there should be, and those that are otherwise and stay so."""
        total, found = 0, list[Difference]()
        for kind in KINDS:
            known: set[str] = set()
            after: str | None = ""
            while after is not None:
                after = self._page(kind, after, known, found, looks)
            total += len(known)
            for page in self._cache.ids(kind):
                found += self._left_over(kind, set(page) - known)
        return total, found

    def age_seconds(self) -> float | None:
        """How long ago the cache was as the rows were; None if it was never filled."""
        return self._cache.age_seconds()

    def close(self) -> None:
        """Close the connections."""
        self._cache.close()
        self._rows.close()

    # --- inside -------------------------------------------------------------------------------------------------

    def _perform(self, effect: object) -> Any:
        match effect:
            case ReadLag():
                return self._rows.lag(effect)
            case ReadPage():
                return self._rows.page(effect)
            case BeginGeneration():
                return self._cache.begin(effect)
            case WriteEntries():
                return self._cache.write(effect)
            case MarkFresh():
                return self._cache.mark(effect)
        raise AssertionError(f"a rebuild does not need {type(effect).__name__}")

    def _page(self, kind: Kind, after: str, known: set[str], found: list[Difference], looks: int) -> str | None:
        rows = _sound(self._rows.page(ReadPage(kind, after, PAGE_ROWS)))
        known.update(entry.id for entry in entries_of(rows))
        wrong = self._compared(kind, rows)
        for _ in range(looks):
            if not wrong:
                break
            self._pause.wait(PAUSE_SECONDS)
            wrong = self._compared(kind, self._again(kind, {item.id for item in wrong}))
        found += wrong
        return rows.last

    def _again(self, kind: Kind, ids: Collection[str]) -> Rows:
        wanted = ReadRows(products=sorted(ids)) if kind == "product" else ReadRows(occurrences=sorted(ids))
        return _sound(self._rows.rows(wanted))

    def _compared(self, kind: Kind, rows: Rows) -> list[Difference]:
        entries = [entry for entry in entries_of(rows) if entry.kind == kind and entry.kept_until > rows.now]
        return list(differences(entries, self._cache.stored(kind, [entry.id for entry in entries])))

    def _left_over(self, kind: Kind, ids: Collection[str]) -> list[Difference]:
        """Of these entries, those of the present generation that no row stands behind. Long past occurrences have
        rows, and go by themselves."""
        if not ids:
            return []
        there = {entry.id for entry in entries_of(self._again(kind, ids)) if entry.kind == kind}
        stored = self._cache.stored(kind, sorted(set(ids) - there))
        return [Difference(kind, name, "left over", item.version) for name, item in stored.items()]


def _sound(result: T | Unavailable | CacheUnavailable | Superseded) -> T:
    """The result, or the exception that it stands for."""
    match result:
        case Unavailable():
            raise DatabaseUnavailable(result.detail)
        case CacheUnavailable():
            raise CacheError(result.detail)
        case Superseded():
            raise CacheError("somebody else has begun to fill it at the same time; run it again")
    return result
