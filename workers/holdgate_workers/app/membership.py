"""Who stands in line at which partition queue.

Every partition queue serves the first consumer in its line and keeps the others waiting. Rendezvous hashing
gives each partition a first and a second choice among the live workers: the first works it, the second already
waits behind, so that a crash costs no more than the broker's own switch. A hand-over is a matter of the line's
order alone: the head leaves when the right one is next.

Nothing here can oversell, whoever is wrong about what: that is the version fence's business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b


@dataclass(slots=True, frozen=True)
class Steps:
    """What a worker should do now, partition by partition."""

    join: tuple[int, ...] = ()
    leave: tuple[int, ...] = ()


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
