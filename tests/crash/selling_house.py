"""A house that sells, shared by all cases of a scene: what is not under test runs on, two take turns at being broken.

Only those two are behind the wires. After a victim that died its heir is the next one.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from click.testing import CliRunner
from tests.crash.ground import Ground
from tests.crash.scenes import leads
from tests.crash.wire import Wire
from tests.support.processes import WorkerProcess
from tests.support.redis import PrivateRedis, private_redis
from tests.support.requests import occurrences_in, put
from tests.support.selling import sell
from tests.support.site import PARTITIONS

from holdgate_workers.cli.main import cli

READY_SECONDS = 90.0
SEATS = 100_000
PATIENT: Mapping[str, str] = {
    "HOLDGATE_TEST_LEASE_SECONDS": "2",
    "HOLDGATE_TEST_RESEND_SECONDS": "1",
    "HOLDGATE_TEST_CALL_SECONDS": "2",
}
"""So that what a dead worker had in hand is taken over soon."""

CAST: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "pricing": ("pricing", ("gate", "feeder")),
    "selling": ("orders", ("gate", "feeder", "pricing")),
    "carting": ("orders", ("gate", "feeder")),
    "feeding": ("feeder", ("gate", "pricing", "orders")),
    "noting": ("gate", ("feeder", "pricing", "orders")),
    "projecting": ("projection", ("gate",)),
}
"""Scene -> the role that is broken, the roles that run on."""
_WITH_CURSOR = ("feeder", "projection")


class SellingHouse:
    """Its own database, virtual host and, where it has a read side, Redis."""

    def __init__(self, ground: Ground, folder: Path, scene: str) -> None:
        folder.mkdir()
        self.ground, self.scene = ground, scene
        self.role, others = CAST[scene]
        self.roles = (self.role, *others)
        self._numbers = itertools.count(1)
        self._crew: list[WorkerProcess] = []
        self._open = ExitStack()
        with self._open as opening:
            self.site = opening.enter_context(ground.site(folder))
            self.redis: PrivateRedis | None = None
            if self.role == "projection":
                self.redis = opening.enter_context(private_redis(folder / "redis"))
                self.cache_wire = opening.enter_context(Wire(("127.0.0.1", self.redis.port)))
            house = self.site.start(*others, name="house", ready=False, **PATIENT)
            if self.role == "gate":
                self.crew()
            house.wait_ready(READY_SECONDS)
            self.client = self.site.client(timeout_seconds=READY_SECONDS)
            self.shows = [ids[0] for ids in occurrences_in(PARTITIONS, 1, "show").values()]
            if self.redis is None:
                for show in self.shows:
                    sell(self.site, self.client, show, capacity=SEATS)
            self._open = opening.pop_all()

    def close(self) -> None:
        """Everything is gone."""
        self._open.close()

    # --- who is broken ------------------------------------------------------------------------------------------

    def crew(self) -> tuple[WorkerProcess, WorkerProcess]:
        """The victim, which has the work where only one can have it, and its heir; both ready."""
        while len(self._crew) < 2:
            if self._crew and self.role in _WITH_CURSOR:
                self._crew[0].wait_ready(READY_SECONDS)
                self.site.wait_cursor()
            self._crew.append(self._engage())
        for worker in self._crew:
            worker.wait_ready(READY_SECONDS)
        if self.role == "gate":
            self.site.wait_lines(*self._crew)
        victim, heir = self._crew
        return victim, heir

    def curtain(self, victim: WorkerProcess) -> None:
        """The case is over. Who has survived plays again, but for one that may have lost its cursor to the other."""
        if victim.is_running and self.role not in _WITH_CURSOR:
            return
        victim.dispose()
        self._crew.remove(victim)
        self.site.workers.remove(victim)
        if self.role == "gate":
            self.site.rows("DELETE FROM workers WHERE id = %s", f"{victim.name}.gate")

    def _engage(self) -> WorkerProcess:
        name = self._next_name()
        told = {**PATIENT, **self.ground.through_the_wires(self.site, name)}
        if self.redis is not None:
            told["HOLDGATE_REDIS_URL"] = f"redis://127.0.0.1:{self.cache_wire.port}/0"
            told["HOLDGATE_HOUSE"] = self.scene
        return self.site.start(self.role, name=name, ready=False, **told)

    def _next_name(self) -> str:
        """One with which, of two gates, each has something to do."""
        while True:
            name = f"actor-{next(self._numbers)}"
            others = [worker.name for worker in self._crew]
            if not others or (leads(name, *others) and all(leads(other, name) for other in others)):
                return name

    # --- what there is to sell ----------------------------------------------------------------------------------

    def new_halls(self, capacity: int) -> list[str]:
        """Three occurrences that nobody has asked for yet."""
        number = next(self._numbers)
        halls = [f"{hall}-{number}" for hall in ("blue", "green", "red")]
        for hall in halls:
            put(self.client, hall, capacity)
        return halls

    def read_side_is_right(self) -> bool:
        """What `holdgate projection check` says."""
        assert self.redis is not None
        told = {
            "HOLDGATE_DATABASE_URL": self.site.database_url,
            "HOLDGATE_AMQP_URL": self.site.amqp_url,
            "HOLDGATE_REDIS_URL": self.redis.url,
            "HOLDGATE_HOUSE": self.scene,
        }
        return CliRunner().invoke(cli, ["projection", "check"], env=told).exit_code == 0
