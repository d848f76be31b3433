"""The read side's protocol: what the journal touched is read from the rows and written to the cache.

It decides nothing and may lag, stop or be thrown away: the rows are the truth. Every write names the generation it
belongs to and the version it was read at, and the cache refuses what is older than what it has. So pages may come
twice, and two projections at once do no harm. A cache that has lost its generation (it was flushed, or never filled)
or its last writes (a replica took over that did not have them) gets a new generation, and is filled from the rows,
page by page, while the journal goes on. A process that begins to work fills it too: it cannot know what was lost.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Literal

from holdgate_workers.app.gate.effects import Unavailable
from holdgate_workers.app.relay.relay import Advance

from .effects import (
    BeginGeneration,
    CacheState,
    CacheUnavailable,
    Lag,
    LookAtCache,
    MarkFresh,
    ProjectionEffect,
    ReadLag,
    ReadPage,
    ReadRows,
    ReadTouched,
    Superseded,
    Touched,
    WriteEntries,
    Written,
)
from .entries import Kind, Rows, entries_of

Failure = Literal["database", "cache", "foreign", "superseded"]


Steps = Generator[ProjectionEffect, Any, Any]


@dataclass(slots=True)
class Projected:
    """What one round did. `standby` says that another process has the right to the cursor."""

    rows: int = 0
    written: int = 0
    stale: int = 0
    lag_seconds: float | None = None
    standby: bool = False
    filling: bool = False
    failure: Failure | None = None
    detail: str = ""
    full: bool = field(default=False, repr=False)

    @property
    def busy(self) -> bool:
        """Whether to go on at once."""
        return self.failure is None and (self.filling or self.full)


class _Failed(Exception):
    """Ends a round; never leaves this module."""

    def __init__(self, failure: Failure, detail: str = "") -> None:
        super().__init__(detail)
        self.failure = failure
        self.detail = detail


class Filling:
    """Fills one generation of the cache from all rows: first the occurrences, then the products."""

    def __init__(self, generation: str, rules: str, monotonic: Callable[[], float], *, rows_max: int) -> None:
        self.generation = generation
        self.rules = rules
        self.written = 0
        self.stale = 0
        self.number = 0
        self.done = False
        self._monotonic = monotonic
        self._rows_max = rows_max
        self._kind: Kind = "availability"
        self._after = ""

    def step(self) -> Steps:
        """One page. Answers `Unavailable`, `CacheUnavailable` or `Superseded` if it could not; None if it could."""
        began = self._monotonic()
        rows = yield ReadPage(self._kind, self._after, self._rows_max)
        if isinstance(rows, Unavailable):
            return rows
        entries = entries_of(rows)
        if rows.last is not None:
            age = self._monotonic() - began
            written = yield WriteEntries(self.generation, entries, rows.now, age)
            if not isinstance(written, Written):
                return written
            self.written += written.written
            self.stale += written.stale
            self.number = written.number
            self._after = rows.last
        elif self._kind == "availability":
            self._kind, self._after = "product", ""
        else:
            self.done = True
        return None


class Projector:
    """Keeps the cache as the rows are. `house` names the database: one that another house writes is left alone."""

    def __init__(
        self,
        house: str,
        monotonic: Callable[[], float],
        new_generation: Callable[[], str],
        *,
        rows_max: int = 500,
        due_max: int = 200,
        filling_rows_max: int = 200,
    ) -> None:
        self._house = house
        self._monotonic = monotonic
        self._new_generation = new_generation
        self._rows_max = rows_max
        self._due_max = due_max
        self._filling_rows_max = filling_rows_max
        self._filling: Filling | None = None
        self._filled: tuple[str, str] | None = None
        """The generation, and the rules by which this process has filled it to the end."""
        self._writes = 0
        """The last write to the generation that is being kept."""
        self._kept: str | None = None

    def round(self) -> Generator[ProjectionEffect, Any, Projected]:
        """One page of the journal, what time alone has changed, and one page of filling if that is needed.

        The cursor moves only after the cache has taken the page.
        """
        told = Projected()
        try:
            yield from self._round(told)
        except _Failed as failed:
            told.failure, told.detail = failed.failure, failed.detail
        return told

    def _round(self, told: Projected) -> Steps:
        page: Touched = _checked((yield ReadTouched(self._rows_max)))
        if not page.mine:
            told.standby = True
            # What becomes of the cache meanwhile is seen by another process, which may die with what it saw.
            self._filled = None
            return
        told.full = len(page.occurrence_ids) >= self._rows_max
        state: CacheState = _checked((yield LookAtCache(self._due_max)))
        generation = yield from self._generation(state)
        touched = sorted({*page.occurrence_ids, *state.due})
        if touched:
            yield from self._write(generation, ReadRows(touched), told)
        if page.occurrence_ids:
            moved: bool = yield Advance(page.start, page.end)
            if not moved:
                raise _Failed("database", "the cursor is not where it was")
            told.rows = len(page.occurrence_ids)
        began = self._monotonic()
        lag: Lag = _checked((yield ReadLag()))
        told.lag_seconds = lag.seconds
        if self._filled != (generation, lag.rules):
            told.filling = not (yield from self._fill(generation, lag.rules, told))
        if not told.filling:
            age = self._monotonic() - began + lag.seconds
            _checked((yield MarkFresh(generation, age, self._writes)))

    def _generation(self, state: CacheState) -> Steps:
        if state.house not in (None, self._house):
            raise _Failed("foreign", "another house writes under this name; give each its own HOLDGATE_HOUSE")
        lost = state.generation == self._kept and state.writes < self._writes
        if state.generation is None or lost:
            generation = self._new_generation()
            _checked((yield BeginGeneration(generation, self._house, replace=lost)))
        else:
            generation = state.generation
        if generation != self._kept:
            self._kept, self._writes = generation, 0
        return generation

    def _write(self, generation: str, wanted: ReadRows, told: Projected) -> Steps:
        began = self._monotonic()
        rows: Rows = _checked((yield wanted))
        gone: list[tuple[Kind, str]] = [
            ("availability", key) for key in wanted.occurrences if key not in rows.occurrences
        ]
        gone += [("product", key) for key in wanted.products if key not in rows.products]
        age = self._monotonic() - began
        written: Written = _checked((yield WriteEntries(generation, entries_of(rows), rows.now, age, gone)))
        self._writes = max(self._writes, written.number)
        told.written += written.written
        told.stale += written.stale
        if written.left and wanted.occurrences:
            yield from self._write(generation, ReadRows(products=written.left), told)

    def _fill(self, generation: str, rules: str, told: Projected) -> Steps:
        """One page; answers whether that was all."""
        filling = self._filling
        if filling is None or (filling.generation, filling.rules) != (generation, rules):
            filling = self._filling = Filling(generation, rules, self._monotonic, rows_max=self._filling_rows_max)
        before = filling.written, filling.stale
        _checked((yield from filling.step()))
        told.written += filling.written - before[0]
        told.stale += filling.stale - before[1]
        self._writes = max(self._writes, filling.number)
        if filling.done:
            self._filling, self._filled = None, (generation, rules)
        return filling.done


def rebuild(
    house: str, generation: str, monotonic: Callable[[], float], *, rows_max: int = 200
) -> Generator[ProjectionEffect, Any, Filling | Unavailable | CacheUnavailable | Superseded]:
    """Begin a new generation and fill it to the end, whatever is there. Safe while projections run.

    A projection that runs fills it as well, and only then says that it is fresh.
    """
    lag = yield ReadLag()
    if isinstance(lag, Unavailable):
        return lag
    began = yield BeginGeneration(generation, house, replace=True)
    if began is not True:
        assert isinstance(began, CacheUnavailable)
        return began
    filling = Filling(generation, lag.rules, monotonic, rows_max=rows_max)
    while not filling.done:
        problem = yield from filling.step()
        if problem is not None:
            assert isinstance(problem, Unavailable | CacheUnavailable | Superseded)
            return problem
    return filling


def _checked(result: Any) -> Any:
    """The result, unless it is a failure: that ends the round."""
    match result:
        case Unavailable():
            raise _Failed("database", result.detail)
        case CacheUnavailable():
            raise _Failed("cache", result.detail)
        case Superseded():
            raise _Failed("superseded", "the cache has got another generation")
        case _:
            return result
