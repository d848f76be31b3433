"""The second look: does a worker stand in the lines in which its membership believes that it stands?

Membership and consumer tell each other everything, so this should never find anything. It is there for the mistake
that nobody has thought of: it asks the consumer itself, and puts right what it finds. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from holdgate_workers.app.ports import ChannelId, Place

from .membership import Standing

Kind = Literal["not_asked_for", "gone", "not_noted", "not_left"]
"""What differs: a partition is wanted and the consumer does not know; a channel is believed in that is none any more;
the consumer has one that nobody noted; it stands where the worker wanted to leave, and no leave is on its way."""


@dataclass(slots=True, frozen=True)
class Difference:
    """One partition where the two disagree; `channel` is the one that it is about, if there is one."""

    kind: Kind
    partition: int
    channel: ChannelId | None = None


class LineWatch:
    """Compares at every look. What is on its way differs for a moment; what differs in the same way at two looks that
    are seconds apart is a mistake."""

    def __init__(self) -> None:
        self._before: frozenset[Difference] = frozenset()

    def look(
        self, standing: Standing, held: Mapping[int, ChannelId | None], to_leave: Collection[Place]
    ) -> tuple[Difference, ...]:
        """What is wrong, by partition. `held` is the consumer's own word, `to_leave` what waits for a batch to end."""
        now = frozenset(_differences(standing, held, to_leave))
        wrong, self._before = now & self._before, now
        return tuple(sorted(wrong, key=lambda difference: (difference.partition, difference.kind)))


def correct(standing: Standing, differences: Collection[Difference]) -> tuple[int, ...]:
    """Put the worker's beliefs right, that the next heartbeat tells and judges them; returns what the consumer has to
    be asked for once more."""
    for found in differences:
        if found.kind == "not_left":
            standing.wanted.add(found.partition)
        elif found.channel is not None:
            standing.note("lost" if found.kind == "gone" else "joined", Place(found.partition, found.channel))
    return tuple(found.partition for found in differences if found.kind == "not_asked_for")


def _differences(
    standing: Standing, held: Mapping[int, ChannelId | None], to_leave: Collection[Place]
) -> set[Difference]:
    found = {Difference("not_asked_for", partition) for partition in standing.wanted if partition not in held}
    for partition, channel in standing.in_line.items():
        if held.get(partition) != channel:
            found.add(Difference("gone", partition, channel))
    for partition, held_channel in held.items():
        if held_channel is None:
            continue
        if standing.in_line.get(partition) != held_channel:
            found.add(Difference("not_noted", partition, held_channel))
        elif partition not in standing.wanted and Place(partition, held_channel) not in to_leave:
            found.add(Difference("not_left", partition, held_channel))
    return found
