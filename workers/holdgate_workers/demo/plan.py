"""What each client of an on-sale will do, from a seed. Pure: the same scenario gives the same scripts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, Literal
from uuid import NAMESPACE_OID, uuid5

from msgspec import Struct
from msgspec.structs import replace

from holdgate_schema.commands.holds import (
    ChangeHold,
    Command,
    ExtendHold,
    GetAvailability,
    PlaceHold,
    PutOccurrence,
    ReleaseHold,
    TicketType,
)

Why = Literal["place", "twin", "repeat", "conflict", "change", "extend", "release", "stranger", "look"]

SEATS_PER_KIND_MAX = 3
HOARDER_PLACES = 14
"""One buyer of each client asks for more holds than a session may have."""
SHORT_TTL_SECONDS = (1, 4)
BURST_SECONDS = 8.0
"""In a burst nobody waits for his time; it only gives the order."""

_FATES: tuple[tuple[str, float], ...] = (
    ("release", 0.18),
    ("change", 0.08),
    ("extend", 0.06),
    ("change and release", 0.03),
    ("repeat", 0.08),
    ("conflict", 0.03),
    ("stranger", 0.02),
)
_TWINS = 0.04
_SHORT_LIVED = 0.35
_LOOKS = 0.01
_SAME_BUYER = 0.12


@dataclass(slots=True, frozen=True, kw_only=True)
class Scenario:
    """How big an on-sale is. `seconds` spreads the requests over time; 0 sends them as fast as they go."""

    put: PutOccurrence
    clients: int
    places: int
    seed: int
    seconds: float = 0.0


class Step(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that a client does, `at_ms` after the start.

    `after` is the request whose answer it waits for; with `if_held` it is left out unless that answer is a grant.
    """

    at_ms: int
    why: Why
    command: Command
    after: str | None = None
    if_held: bool = False


Script = list[Step]


def plan(scenario: Scenario) -> list[Script]:
    """One script per client, each in the order of time."""
    scripts: list[Script] = [[] for _ in range(scenario.clients)]
    for client in range(scenario.clients):
        share = scenario.places // scenario.clients + (client < scenario.places % scenario.clients)
        writer = _Writer(scenario, client)
        for steps in writer.buyers(share):
            scripts[client] += steps
            if scenario.clients > 1 and writer.chance(_TWINS):
                scripts[(client + 1) % scenario.clients].append(replace(steps[0], why="twin"))
    return [sorted(script, key=lambda step: step.at_ms) for script in scripts]


class _Writer:
    """Writes one client's script."""

    def __init__(self, scenario: Scenario, client: int) -> None:
        self._put = scenario.put
        self._client = client
        self._seconds = scenario.seconds or BURST_SECONDS
        self._random = Random(f"{scenario.seed}/{client}")  # noqa: S311 - a rehearsal, not a secret
        self._ids = 0
        self._sessions = 0

    def chance(self, share: float) -> bool:
        """True in about this share of the calls."""
        return self._random.random() < share

    def buyers(self, places: int) -> Iterator[Script]:
        """The steps of each basket that is asked for, the place itself first."""
        hoarder, hoarded = self._session(), min(HOARDER_PLACES, places // 10)
        session = self._session()
        for number in range(places):
            if number < hoarded:
                yield [self._place(self._at(), hoarder, self._basket(kinds=1, seats=1), None)]
                continue
            session = session if self.chance(_SAME_BUYER) else self._session()
            short = self.chance(_SHORT_LIVED)
            ttl = self._random.randint(*SHORT_TTL_SECONDS) if short else None
            step = self._place(self._at(), session, self._basket(), ttl)
            yield [step, *self._fate(step), *self._look(step)]

    def _at(self) -> int:
        """Most come early."""
        return int(1000 * self._seconds * self._random.random() ** 1.5)

    def _later(self, step: Step, most_ms: int = 2500) -> int:
        return step.at_ms + self._random.randint(100, most_ms)

    def _place(self, at_ms: int, session: str, items: dict[str, int], ttl_seconds: int | None) -> Step:
        command = PlaceHold(
            request_id=self._id(),
            occurrence_id=self._put.occurrence_id,
            items=items,
            session_id=session,
            ttl_seconds=ttl_seconds,
        )
        return Step(at_ms=at_ms, why="place", command=command)

    def _fate(self, step: Step) -> Script:
        """What the buyer does next."""
        place = step.command
        assert isinstance(place, PlaceHold)
        assert place.session_id is not None
        hold: dict[str, Any] = {
            "occurrence_id": place.occurrence_id,
            "session_id": place.session_id,
            "hold_id": place.request_id,
        }
        at, fate = self._later(step), self._draw()
        if fate == "repeat":
            return [Step(at_ms=at, why="repeat", command=place, after=place.request_id)]
        if fate == "conflict":
            other = replace(place, items=self._other_basket(place.items))
            return [Step(at_ms=at, why="conflict", command=other, after=place.request_id)]
        if fate == "stranger":
            theirs = ReleaseHold(request_id=self._id(), **{**hold, "session_id": self._session()})
            return [Step(at_ms=at, why="stranger", command=theirs, after=place.request_id)]
        steps: Script = []
        if fate.startswith("change"):
            change = ChangeHold(request_id=self._id(), items=self._basket(), **hold)
            steps.append(self._on_hold("change", at, change))
        if fate == "extend":
            steps.append(self._on_hold("extend", at, ExtendHold(request_id=self._id(), **hold)))
        if fate.endswith("release"):
            steps.append(self._on_hold("release", at + 200, ReleaseHold(request_id=self._id(), **hold)))
        return steps

    def _on_hold(self, why: Why, at_ms: int, command: ChangeHold | ExtendHold | ReleaseHold) -> Step:
        return Step(at_ms=at_ms, why=why, command=command, after=command.hold_id, if_held=True)

    def _look(self, step: Step) -> Script:
        if not self.chance(_LOOKS):
            return []
        look = GetAvailability(request_id=self._id(), occurrence_id=self._put.occurrence_id)
        return [Step(at_ms=self._later(step), why="look", command=look)]

    def _draw(self) -> str:
        point = self._random.random()
        for name, share in _FATES:
            point -= share
            if point < 0:
                return name
        return ""

    def _basket(self, *, kinds: int | None = None, seats: int | None = None) -> dict[str, int]:
        if kinds is None:
            kinds = self._random.choices((1, 2, 3), (65, 28, 7))[0]
        tickets = self._random.sample(self._put.ticket_types, min(kinds, len(self._put.ticket_types)))
        return {ticket.key: self._quantity(ticket, seats) for ticket in tickets}

    def _quantity(self, ticket: TicketType, seats: int | None) -> int:
        wanted = seats or self._random.randint(1, SEATS_PER_KIND_MAX)
        return max(ticket.min_per_order, min(wanted, ticket.max_per_order))

    def _other_basket(self, items: dict[str, int]) -> dict[str, int]:
        first, *_ = items
        return {**items, first: items[first] + 1}

    def _session(self) -> str:
        self._sessions += 1
        return self._name("session", self._sessions)

    def _id(self) -> str:
        self._ids += 1
        return self._name("request", self._ids)

    def _name(self, kind: str, number: int) -> str:
        """Unique per occurrence, so that another run never meets the answers of an earlier one."""
        return str(uuid5(NAMESPACE_OID, f"{self._put.occurrence_id}/{self._client}/{kind}/{number}"))
