"""What the projection asks the world to do, and what the world says back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from holdgate_workers.app.relay.relay import Advance, Position

from .entries import Entry, Kind


@dataclass(slots=True, frozen=True)
class ReadTouched:
    """Read which occurrences the next rows of the journal are about. Answered by `Touched` or `Unavailable`."""

    rows_max: int


@dataclass(slots=True, frozen=True)
class Touched:
    """A page of the journal: the occurrence of each row, and where the page begins and ends. `mine` is false where
    another process has the right to the cursor."""

    start: Position
    end: Position
    occurrence_ids: Sequence[str] = ()
    mine: bool = True


@dataclass(slots=True, frozen=True)
class CacheUnavailable:
    """The cache did not answer in time; what was asked of it may or may not have been done."""

    detail: str


@dataclass(slots=True, frozen=True)
class Superseded:
    """The cache has another generation than the one that was named; nothing was written."""


@dataclass(slots=True, frozen=True)
class LookAtCache:
    """Ask for the marker and for what is due. Answered by `CacheState` or `CacheUnavailable`."""

    due_max: int


@dataclass(slots=True, frozen=True)
class CacheState:
    """The cache's marker: its generation (None: it has lost everything), whose it is, how many writes it has taken,
    and the occurrences whose entries have become wrong by time alone."""

    generation: str | None = None
    house: str | None = None
    writes: int = 0
    due: Sequence[str] = ()


@dataclass(slots=True, frozen=True)
class BeginGeneration:
    """Give the cache a generation, if it has none or `replace` is set: what is there counts no more. Answered by
    True, or `CacheUnavailable`."""

    generation: str
    house: str
    replace: bool = False


@dataclass(slots=True, frozen=True)
class ReadRows:
    """Read these occurrences, their products' sums, and those of further products, in one snapshot. Answered by
    `Rows` or `Unavailable`."""

    occurrences: Sequence[str] = ()
    products: Sequence[str] = ()


@dataclass(slots=True, frozen=True)
class ReadPage:
    """Read the next occurrences (or products) after an id. Answered by `Rows` or `Unavailable`."""

    kind: Kind
    after: str
    rows_max: int


@dataclass(slots=True, frozen=True)
class WriteEntries:
    """Write what is not older than what is there, and remove what the rows no longer have. `read_at` is when they were
    read by the database's clock, `age_seconds` the time since that read began. Answered by `Written`, `Superseded`
    or `CacheUnavailable`."""

    generation: str
    entries: Sequence[Entry]
    read_at: datetime
    age_seconds: float
    gone: Sequence[tuple[Kind, str]] = ()


@dataclass(slots=True, frozen=True)
class Written:
    """How many entries were written, how many refused as stale, the products that occurrences have left, and the
    number of the write in its generation."""

    written: int
    stale: int
    left: Sequence[str] = ()
    number: int = 0


@dataclass(slots=True, frozen=True)
class ReadLag:
    """Ask for how long the oldest row behind the cursor has waited. Answered by `Lag` or `Unavailable`."""


@dataclass(slots=True, frozen=True)
class Lag:
    """The age of the oldest committed row that is not in the cache, 0 if all are, and the rules in force."""

    seconds: float
    rules: str


@dataclass(slots=True, frozen=True)
class MarkFresh:
    """Say that the cache is as the rows were so many seconds ago, if it still has the write of this number. Answered
    by True, `Superseded` or `CacheUnavailable`."""

    generation: str
    age_seconds: float
    writes: int


ProjectionEffect = (
    ReadTouched
    | LookAtCache
    | BeginGeneration
    | ReadRows
    | ReadPage
    | WriteEntries
    | Advance
    | ReadLag
    | MarkFresh
)
