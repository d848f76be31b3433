"""Which installation a process belongs to, and what it says in a place that belongs to another one.

An installation is one database with everything that works for it. Broker, embedded queue and Redis are stamped with
its id: two databases behind the same queues would sell the same seats twice.
"""

from __future__ import annotations

from dataclasses import dataclass

from .ports import TransportError


@dataclass(slots=True, frozen=True)
class Installation:
    """`id` was made with the database and is copied with it; `name` is where that database is, for people."""

    id: str
    name: str

    def __str__(self) -> str:
        if not self.id:
            return "an installation whose id this login may not read"
        return f"{self.id} ({self.name})" if self.name else self.id


class NotOurs(TransportError):
    """The place belongs to another installation; a process must not work there."""

    def __init__(self, place: str, ours: Installation, theirs: Installation, way_out: str) -> None:
        super().__init__(
            f"{place} belongs to another installation, {theirs}. This process is of {ours}, and both would sell the "
            f"same seats. {way_out}"
        )
        self.place = place
        self.ours = ours
        self.theirs = theirs
        self.way_out = way_out


class NotSetUp(TransportError):
    """The place bears no stamp: `holdgate migrate` was not run since it was made."""

    def __init__(self, place: str, ours: Installation) -> None:
        super().__init__(
            f"{place} is not set up for this installation, {ours}. Run `holdgate migrate`; if it was set up before, "
            "find out first where its queues and messages went."
        )
        self.place = place
        self.ours = ours


class StillServed(TransportError):
    """The place cannot be taken over: processes of the other installation work there now."""

    def __init__(self, place: str, number: int) -> None:
        super().__init__(
            f"{place} cannot be taken over: {number} consumers work its queues now. Stop the workers of the other "
            "installation first; nothing was changed."
        )
