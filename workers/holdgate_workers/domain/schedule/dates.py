"""Dates as they are stored, as somebody wants them, and what was found about each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from holdgate_schema.commands.holds import CloseOccurrence, PutOccurrence
from holdgate_workers.domain.occurrences.occurrence import Definition, Pool

Verdict = Literal[
    "created", "moved", "changed", "unchanged", "cancelled", "closed", "skipped", "clashing", "refused"
]
"""What becomes of a date: `skipped` says why nothing need be done, the last two keep the whole list from being done."""

CHANGES: tuple[Verdict, ...] = ("created", "moved", "changed", "cancelled", "closed")
PROBLEMS: tuple[Verdict, ...] = ("clashing", "refused")


@dataclass(slots=True, frozen=True, kw_only=True)
class StoredDate:
    """An occurrence as the catalogue has it. `buyers` is how many confirmed bookings have a customer to write to."""

    occurrence_id: str
    definition: Definition
    pools: Mapping[str, Pool]
    buyers: int = 0

    @property
    def is_final(self) -> bool:
        """Whether nothing can be changed any more."""
        return self.definition.status in ("cancelled", "completed")


@dataclass(slots=True, frozen=True, kw_only=True)
class WantedDate:
    """What a list wants of one date: the whole of it as a `put`, or that it is cancelled. `line` says where."""

    line: int
    occurrence_id: str
    product_id: str | None
    put: PutOccurrence | None = None
    is_cancelled: bool = False


@dataclass(slots=True, frozen=True, kw_only=True)
class Judged:
    """One date and what becomes of it. `line` 0: the list does not name it. `why` says what the verdict alone does not.

    `before` is what is stored now. `buyers` are told by mail: their date moves or is cancelled.
    """

    line: int
    occurrence_id: str
    product_id: str | None
    verdict: Verdict
    why: str = ""
    put: PutOccurrence | None = None
    before: StoredDate | None = None

    @property
    def buyers(self) -> int:
        """How many customers are written to."""
        return self.before.buyers if self.before is not None and self.verdict in ("moved", "cancelled") else 0

    @property
    def starts_at(self) -> datetime | None:
        """The start that it is to have, else the one that it has."""
        if self.put is not None:
            return self.put.starts_at
        return None if self.before is None else self.before.definition.starts_at

    @property
    def timezone(self) -> str:
        """The zone of its times."""
        if self.put is not None:
            return self.put.timezone
        return "UTC" if self.before is None else self.before.definition.timezone


@dataclass(slots=True, frozen=True)
class Step:
    """One request that can be sent once those before it have been done. Its request id is made when it is sent.

    `yields`: it changes nothing yet but lets another date have the start.
    """

    occurrence_id: str
    command: PutOccurrence | CloseOccurrence
    yields: bool = False


@dataclass(slots=True)
class Plan:
    """What becomes of every date. With problems nothing may be done of it.

    `steps` come in rounds: the requests of one round do not depend on one another, and `after` names the date that a
    step waits for, whose step must have succeeded.
    """

    dates: list[Judged]
    missing: list[StoredDate]
    """Upcoming dates of the same products that the list does not name and that are on sale."""
    rounds: list[list[Step]] = field(default_factory=list)
    after: dict[str, str] = field(default_factory=dict)

    @property
    def problems(self) -> list[Judged]:
        """The dates that keep the list from being done."""
        return [date for date in self.dates if date.verdict in PROBLEMS]

    @property
    def buyers(self) -> int:
        """How many customers are written to."""
        return sum(date.buyers for date in self.dates)

    def count(self, verdict: Verdict) -> int:
        """How many dates have the verdict."""
        return sum(date.verdict == verdict for date in self.dates)
