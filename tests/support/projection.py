"""The read side for a test: decisions on a real database, projections that are driven round by round."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.domain import a_put
from tests.support.drive import Station
from tests.support.rabbit import eventually

from holdgate_producer.core.ids import new_request_id
from holdgate_schema.commands.holds import (
    ChangeHold,
    CloseOccurrence,
    Command,
    ExtendHold,
    GetAvailability,
    PlaceHold,
    PoolDefinition,
    PutOccurrence,
    ReleaseHold,
    SetCapacity,
    SweepHolds,
    TicketType,
)
from holdgate_workers.app.projection.audit import Difference
from holdgate_workers.app.projection.effects import ProjectionEffect
from holdgate_workers.app.projection.projector import Projected
from holdgate_workers.config.environment import read_config
from holdgate_workers.roles.projection import ProjectionWorker
from holdgate_workers.roles.read_side import ReadSide
from holdgate_workers.wiring.site import open_site

SOON = datetime(2032, 5, 1, 18, tzinfo=UTC)


def new_id() -> str:
    return new_request_id()


def put(occurrence_id: str, **fields: Any) -> PutOccurrence:
    """An occurrence far ahead, with a cap for children."""
    defaults: dict[str, Any] = {
        "request_id": new_id(),
        "starts_at": SOON,
        "ticket_types": [TicketType(key="adult"), TicketType(key="child", pools=["young"])],
        "pools": [PoolDefinition(key="young", capacity=6)],
        "capacity": 20,
    }
    return a_put(occurrence_id, **(defaults | fields))


def get(occurrence_id: str) -> GetAvailability:
    return GetAvailability(request_id=new_id(), occurrence_id=occurrence_id)


def place(occurrence_id: str, seats: int = 1, **fields: Any) -> PlaceHold:
    return PlaceHold(request_id=new_id(), occurrence_id=occurrence_id, items={"adult": seats}, **fields)


class Projection(ProjectionWorker):
    """A projection whose rounds a test does itself, and looks into."""

    told = Projected()
    before: Callable[[ProjectionEffect], None] | None = None
    """Called with each effect before it is done."""

    def perform(self, effect: ProjectionEffect) -> Any:
        if self.before is not None:
            self.before(effect)
        return super().perform(effect)

    def once(self) -> Projected:
        """One round."""
        self.round()
        return self.told

    def settle(self) -> None:
        """Rounds until everything committed so far is written."""
        eventually(self._settled, "the projection has caught up")

    def protocol(self) -> Generator[ProjectionEffect, Any, Projected]:
        """A round that the test drives itself."""
        return self._projector.round()

    def _settled(self) -> bool:
        told = self.once()
        return not (told.failure or told.standby or told.busy or told.lag_seconds)

    def _tell(self, told: Projected) -> None:
        self.told = told
        super()._tell(told)


class ReadSideStage:
    """A database with a gate, and the read side of it in a Redis."""

    def __init__(self, database_url: str, redis_url: str, house: str = "test") -> None:
        self.station = Station(database_url)
        self.gate = self.station.worker("gate")
        self.redis_url = redis_url
        self.house = house
        self._projections: list[Projection] = []

    def work(self, *commands: Command) -> list[dict[str, Any]]:
        """Have the gate decide these; its answers."""
        return self.station.work(*commands, by=self.gate)

    def projection(self, redis_url: str | None = None, house: str | None = None) -> Projection:
        """One more."""
        config = read_config(
            database_url=self.station.url, redis_url=redis_url or self.redis_url, house=house or self.house
        )
        made = Projection(open_site(config, self.station.url, migrate=True))
        self._projections.append(made)
        return made

    def side(self) -> ReadSide:
        """What the command line uses."""
        return ReadSide(self.station.url, self.redis_url, self.house)

    def differences(self, looks: int = 5) -> list[Difference]:
        """What is otherwise than the rows, and stays so.

        What is past its own time is left out: a hold ends in it while the test goes on, and who reads it asks the gate.
        """
        side = self.side()
        try:
            return [found for found in side.check(looks=looks)[1] if found.why != "due"]
        finally:
            side.close()

    def close(self) -> None:
        for projection in self._projections:
            projection.close()
        self.station.close()


class History:
    """Random decisions on some occurrences, the same for the same seed."""

    def __init__(self, stage: ReadSideStage, seed: int, occurrences: int = 4) -> None:
        self._stage = stage
        self._random = random.Random(seed)
        self.ids = [f"occ-{number}" for number in range(occurrences)]
        self._held: list[tuple[str, str, str]] = []
        for number, name in enumerate(self.ids):
            at = SOON + number * timedelta(days=1)
            stage.work(put(name, product_id=f"product-{number % 2}", starts_at=at))

    def go_on(self, steps: int) -> None:
        """Decide so many more, in batches of a few."""
        while steps > 0:
            batch = [self._command() for _ in range(min(steps, self._random.randint(1, 5)))]
            steps -= len(batch)
            for answer in self._stage.work(*batch):
                if answer["outcome"] == "held":
                    hold = answer["hold"]
                    self._held.append((answer["occurrence_id"], hold["session_id"], hold["hold_id"]))

    def _command(self) -> Command:
        name = self._random.choice(self.ids)
        ids: dict[str, Any] = {"request_id": new_id(), "occurrence_id": name}
        kind = self._random.choice("ppppprrcexxs" if self._held else "p")
        if kind == "p":
            items = {"adult": self._random.randint(1, 3)}
            if self._random.random() < 0.4:
                items["child"] = self._random.randint(1, 2)
            ttl = self._random.choice([None, None, 1, 600])
            return PlaceHold(**ids, items=items, ttl_seconds=ttl)
        if kind == "x":
            if self._random.random() < 0.2:
                return CloseOccurrence(**ids)
            pool = self._random.choice(["total", "young"])
            return SetCapacity(**ids, capacity=self._random.randint(0, 30), pool=pool)
        if kind == "s":
            return SweepHolds(**ids)
        occurrence_id, session_id, hold_id = self._random.choice(self._held)
        mine = ids | {"occurrence_id": occurrence_id, "session_id": session_id, "hold_id": hold_id}
        if kind == "r":
            return ReleaseHold(**mine)
        if kind == "e":
            return ExtendHold(**mine)
        return ChangeHold(**mine, items={"adult": self._random.randint(1, 4)})
