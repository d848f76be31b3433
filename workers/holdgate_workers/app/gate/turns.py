"""What the engine does next: take a batch, wait for the one that is on its way, or see to its partitions in between.

The membership and the queues speak to the engine while it may be stuck behind a batch for as long as the database does
not answer. What they asked for is done between two batches, and by then the world may have moved on: each command
names the stay in a line that it means, and one whose stay is over is void. Pure: whoever drives it performs the steps,
in production and in the simulation.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from holdgate_workers.app.ports import Place


@dataclass(slots=True, frozen=True)
class Settle:
    """Wait for the commit that is under way, and finish its batch."""


@dataclass(slots=True, frozen=True)
class Leave:
    """Hand the partition over: acknowledge what was settled, drop what was not begun, leave the line. Void if the
    channel is gone."""

    place: Place


@dataclass(slots=True, frozen=True)
class Forget:
    """Drop from memory what belongs to these partitions: others may decide on it now.

    By partition, not by stay: to forget too much costs reading it again, to forget too little costs a conflict.
    """

    partitions: frozenset[int]


@dataclass(slots=True, frozen=True)
class Take:
    """Take the next batch, if there is one, and work it."""


@dataclass(slots=True, frozen=True)
class End:
    """All is settled; stop."""


Step = Settle | Leave | Forget | Take | End


class Turns:
    """The order of things between batches. `leave` and `lost` may be called from other threads than `next`."""

    def __init__(self, *, ahead_messages_min: int) -> None:
        self._ahead_messages_min = ahead_messages_min
        self._to_leave: deque[Place] = deque()
        self._lost: deque[Place] = deque()

    def leave(self, place: Place) -> None:
        """End this stay in a line, between two batches."""
        self._to_leave.append(place)

    def lost(self, place: Place) -> None:
        """This stay is over, by our wish or not."""
        self._lost.append(place)

    def to_leave(self) -> tuple[Place, ...]:
        """What waits to be left. From any thread."""
        return tuple(self._to_leave.copy())

    def next(self, *, is_committing: bool, messages_waiting: int, is_stopping: bool = False) -> Step:
        """The next step. Taken as done."""
        if is_committing and (
            is_stopping or self._to_leave or self._lost or messages_waiting < self._ahead_messages_min
        ):
            # With few waiting it is waited for first: more may come for the next batch.
            return Settle()
        if is_stopping:
            return End()
        if self._to_leave:
            place = self._to_leave.popleft()
            self._lost.append(place)
            return Leave(place)
        if self._lost:
            return Forget(frozenset(self._lost.popleft().partition for _ in range(len(self._lost))))
        return Take()
