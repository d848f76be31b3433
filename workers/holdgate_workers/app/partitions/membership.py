"""Who stands in line at which partition queue.

Every partition queue serves the first consumer in its line and keeps the others waiting. Rendezvous hashing
gives each partition a first and a second choice among the live workers: the first works it, the second already
waits behind, so that a crash costs no more than the broker's own switch. A hand-over is a matter of the line's
order alone: the head leaves when the right one is next.

The queue's own order cannot be asked for. What the workers know is the order in which they told that they had joined,
and two that join at the same moment may tell it the other way round. Then the wrong one is served, which it notices at
its first message: who stands before it in the record does not stand there in the queue.

Nothing here can oversell, whoever is wrong about what: that is the version fence's business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Literal, Protocol

from holdgate_workers.app.ports import ChannelId, Place

Change = Literal["joined", "served", "lost"]
"""What became of a channel: it stands in line, it got its first message, it is out of the line."""


@dataclass(slots=True, frozen=True)
class Steps:
    """What a worker should do now, partition by partition."""

    join: tuple[int, ...] = ()
    leave: tuple[int, ...] = ()


@dataclass(slots=True, frozen=True)
class Moves:
    """What a worker should do now: partitions to ask for, and stays to end. A leave means the stay that it names and
    no later one: by the time somebody can act on it, the channel may be gone and another one in its place."""

    join: tuple[int, ...] = ()
    leave: tuple[Place, ...] = ()


@dataclass(slots=True, frozen=True)
class News:
    """What a worker has to tell about its partitions. Applied in this order: `left`, `joined`, `served`.

    A partition in both of the first two was lost and joined again, at the end of its line. Of the line of one in
    `served`, everybody who is recorded before the teller is struck out.
    """

    joined: tuple[int, ...] = ()
    left: tuple[int, ...] = ()
    served: tuple[int, ...] = ()


class View(Protocol):
    """Who else is there."""

    @property
    def alive(self) -> tuple[str, ...]:
        """The live workers."""

    @property
    def lines(self) -> Mapping[int, tuple[str, ...]]:
        """Those of them that stand in line per partition, the head first."""


class Standing:
    """One worker's places in the lines, and what of them the others know. Not thread-safe."""

    def __init__(self, me: str, partitions: int) -> None:
        self._me = me
        self._partitions = partitions
        self.wanted: set[int] = set()
        """Asked for, whether or not it stands in line yet."""
        self.in_line: dict[int, ChannelId] = {}
        """Partition -> the channel that stands in its line."""
        self._told: set[int] = set()
        self._left: set[int] = set()
        self._served: set[int] = set()

    def note(self, change: Change, place: Place) -> None:
        """What the queues say, in the order in which it happened."""
        partition, channel = place
        if change == "joined":
            self.in_line[partition] = channel
            # Perhaps it was to be left, and the leave came too late for the channel that it meant: judged anew.
            self.wanted.add(partition)
        elif self.in_line.get(partition) != channel:
            return  # of a stay that is over
        elif change == "served":
            self._served.add(partition)
        else:
            del self.in_line[partition]
            self._told.discard(partition)
            self._served.discard(partition)
            self._left.add(partition)

    def news(self) -> News:
        """What the others do not know yet."""
        joined, left, served = self.in_line.keys() - self._told, self._left, self._served
        return News(tuple(sorted(joined)), tuple(sorted(left)), tuple(sorted(served)))

    def told(self, news: News) -> None:
        """They know this now. Nothing was noted since it was made."""
        self._told.update(news.joined)
        self._left.difference_update(news.left)
        self._served.difference_update(news.served)

    def follow(self, view: View) -> Moves:
        """What to join and to leave, as the others stand. Taken as asked for."""
        is_seen = self._me in view.alive
        workers = view.alive if is_seen else (*view.alive, self._me)
        todo = steps(self._me, workers, view.lines, self._partitions, standing_in=frozenset(self.wanted))
        # Struck out by whoever was served. The place that it has is anywhere; a new one is at the end.
        told = self.wanted & self._told if is_seen else ()
        struck = [partition for partition in told if self._me not in view.lines.get(partition, ())]
        # A leave may wait for a batch to end: until the channel is gone there is no place at the end to ask for.
        join = [partition for partition in todo.join if partition not in self.in_line]
        leave = [partition for partition in sorted({*todo.leave, *struck}) if partition in self.in_line]
        self.wanted.update(join)
        self.wanted.difference_update(leave)
        return Moves(tuple(join), tuple(Place(partition, self.in_line[partition]) for partition in leave))


def ranked(partition: int, workers: Sequence[str]) -> tuple[str, ...]:
    """The workers in the order in which they should have the partition (highest random weight)."""
    return _ranked(partition, tuple(workers))


@lru_cache(maxsize=4_096)
def _ranked(partition: int, workers: tuple[str, ...]) -> tuple[str, ...]:
    """Asked at every heartbeat, and seldom about others than the last time."""
    return tuple(sorted(workers, key=lambda worker: (_weight(partition, worker), worker), reverse=True))


def steps(
    me: str,
    workers: Sequence[str],
    lines: Mapping[int, Sequence[str]],
    partitions: int,
    *,
    standing_in: frozenset[int],
) -> Steps:
    """What to join and what to leave.

    `workers` are the live ones, me included; `lines` has, per partition, those of them that stand in line, the
    head first; `standing_in` are the partitions that I have asked for, whether or not I am in the line yet.
    """
    join, leave = [], []
    for partition in range(partitions):
        line = list(lines.get(partition, ()))
        choice = ranked(partition, workers)[:2]
        if partition in standing_in:
            if me in line and _should_leave(me, line, choice):
                leave.append(partition)
        elif me not in line and _should_join(me, line, choice):
            # Still in a line that I am leaving: to ask for it now would be undone by the leave that is on its way.
            join.append(partition)
    return Steps(tuple(join), tuple(leave))


def _should_join(me: str, line: Sequence[str], choice: Sequence[str]) -> bool:
    """The first choice always; the second once the first is there, or if nobody else is."""
    if me == choice[0]:
        return True
    return me in choice and (not line or choice[0] in line)


def _should_leave(me: str, line: Sequence[str], choice: Sequence[str]) -> bool:
    first = choice[0]
    if me == first:
        return False
    if line[0] == me:
        # The head serves. It leaves only when the right one comes next, so that nobody else is woken in between.
        return len(line) > 1 and line[1] == first
    if me not in choice:
        return True
    # The second choice must not stand before the first; having left, it joins again at the end.
    return first in line and line.index(me) < line.index(first)


def _weight(partition: int, worker: str) -> int:
    digest = blake2b(f"{partition}/{worker}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")
