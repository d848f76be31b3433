"""Where in a decision's events the line is served: holds that are over are ended, and what is free is offered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.checker.lines import serve
from tests.checker.rooms import TOLD
from tests.checker.shown import view_problems
from tests.checker.world import Occasion, World

Event = dict[str, Any]

EXPIRED, CREATED, OFFERED = "hold.expired.v1", "hold.created.v1", "waitlist.offered.v1"
WALK_INS = ("hold.place.v1", "cart.hold.v1")
"""They take what is left once the line was served, and leave less."""
AFTER_THE_LINE = (*WALK_INS, "hold.change.v1", "waitlist.join.v1")
"""They are decided once the line was served. With all others it is served by what the decision frees."""
UNSERVED = ("invalid", "forbidden")
"""Refused before anybody looks at the occurrence."""


@dataclass(slots=True)
class Turn:
    """Some holds are ended, then the line is gone through once: pairs of the hold's event and the offer's."""

    expired: list[Event] = field(default_factory=list)
    offers: list[tuple[Event, Event]] = field(default_factory=list)


@dataclass(slots=True)
class Parts:
    """A decision's events: what comes before the command is decided, its own, what follows, and of rooms."""

    before: list[Turn]
    own: list[Event]
    after: list[Turn]
    rooms: list[Event]

    @property
    def ended(self) -> int:
        """How many holds were found to be over."""
        return sum(len(turn.expired) for turn in self.before + self.after)


def parts_of(kind: str, events: list[Event], reply: Event, *, waited: bool) -> Parts:
    """`waited`: somebody stood in line before."""
    end = len(events)
    while end and events[end - 1]["type"] in TOLD:
        end -= 1
    rooms = events[end:]
    if not waited:
        expired = [event for event in events[:end] if event["type"] == EXPIRED]
        return Parts([Turn(expired)] if expired else [], events[len(expired) : end], [], rooms)
    before, start = _turns(events, 0, end)
    stop = start
    while stop < end and events[stop]["type"] != EXPIRED and not _is_offer(events, stop):
        stop += 1
    after, last = _turns(events, stop, end)
    own = events[start:stop] + events[last:end]
    at_least = [] if reply.get("reason") in UNSERVED else [Turn()]
    if kind in AFTER_THE_LINE:
        before = before or at_least
    elif not own:
        before, after = _own_first(before)
    return Parts(before, own, after or ([] if kind in WALK_INS else at_least), rooms)


def _turns(events: list[Event], place: int, end: int) -> tuple[list[Turn], int]:
    """The turns that begin here, and where they end."""
    turns: list[Turn] = []
    while place < end:
        if events[place]["type"] == EXPIRED:
            if not turns or turns[-1].offers:
                turns.append(Turn())
            turns[-1].expired.append(events[place])
            place += 1
        elif _is_offer(events, place):
            if not turns:
                turns.append(Turn())
            turns[-1].offers.append((events[place], events[place + 1]))
            place += 2
        else:
            break
    return turns, place


def _is_offer(events: list[Event], place: int) -> bool:
    following = events[place + 1]["type"] if place + 1 < len(events) else None
    return bool(events[place]["type"] == CREATED and following == OFFERED)


def _own_first(turns: list[Turn]) -> tuple[list[Turn], list[Turn]]:
    """A decision without events of its own: what it has ended itself, and what was ended for the line."""
    if not turns:
        return [], []
    first = turns[0]
    own = [event for event in first.expired if event.get("reason", "swept") != "seats_needed"]
    rest = Turn([event for event in first.expired if event not in own], first.offers)
    return [Turn(own)], [rest, *turns[1:]]


def offered(world: World, occasion: Occasion, turn: Turn, now: int) -> tuple[list[str], list[str]]:
    """Make the offers of a turn; whose turn it was not, and what was told otherwise than it is."""
    told = [str(event["entry_id"]) for _, event in turn.offers]
    offers, problems = serve(world, occasion, now, told)
    holds = {hold.id: hold for hold in offers}
    unlike = []
    for created, event in turn.offers:
        hold = holds.get(str(event["entry_id"]))
        if hold is not None:
            unlike += view_problems(hold, created["hold"]) + view_problems(hold, event["hold"])
    return problems, unlike
