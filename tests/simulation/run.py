"""One seed: a world is made, things go wrong in it, it is healed, it must come to rest, and then it is judged."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field

from holdgate_schema.routing import slot_of
from holdgate_workers.app.ports import Outgoing
from holdgate_workers.app.seals import Seals

from .background import ExpiryWorker, RelayWorker
from .broker import Broker, Publisher
from .clients import Client
from .database import Database
from .desks import FeederWorker, OrdersWorker
from .gate_worker import GateWorker
from .lines import amiss
from .members import Members
from .nemesis import Nemesis
from .oracle import Oracle
from .pricing_desk import PricingWorker
from .process import Process, Site
from .requests import SECRET, occurrence_name
from .shop import Shop
from .staff import StaffWorker
from .swarm import PROFILES, Options, draw, profile_of
from .task_tables import TaskTables
from .world import MS, SECOND, Violation, World

REST_WITHIN = 60 * SECOND
"""Virtual time after which a healed world must have come to rest."""
BACKGROUND: tuple[type[Process], ...] = (ExpiryWorker, ExpiryWorker, RelayWorker, RelayWorker)
"""The roles besides the gate. A later one joins here."""
BEHIND: tuple[type[Process], ...] = (
    FeederWorker,
    FeederWorker,
    OrdersWorker,
    OrdersWorker,
    PricingWorker,
    StaffWorker,
)
"""Those of a world in which something is sold."""


@dataclass(slots=True)
class Outcome:
    """What became of one seed."""

    seed: int
    what: str = ""
    """The promise that was broken; empty if none was."""
    detail: str = ""
    steps: int = 0
    seen: dict[str, int] = field(default_factory=dict)
    digest: str = ""


class Run:
    """One seed's world and everybody in it."""

    def __init__(self, seed: int, *, profile: str | None = None, trace: bool = False) -> None:
        self.seed = seed
        self.profile = profile or profile_of(seed)
        self.world = world = World(seed, trace=trace)
        self.options: Options = PROFILES[self.profile](draw(world.random))
        world.note("options", self.options)
        self.broker = Broker(world, self.options)
        self.database = Database(world, self.options)
        oracle = Oracle(world, self.database, self.broker)
        self.seals = Seals(SECRET)
        self.tasks = TaskTables(world, self.database)
        self.shop = Shop(world, self.options, self.database, Publisher(self.broker, SECOND), self.seals)
        oracle.look_behind(self.tasks, self.shop)
        members = Members(self.database, self.options.partitions)
        self.site = Site(
            world, self.options, self.broker, self.database, members, oracle, self.tasks, self.shop, self.seals
        )
        self.gates = [GateWorker(self.site, number) for number in range(self.options.workers)]
        roles = (*BACKGROUND, *BEHIND) if self.options.sells else BACKGROUND
        self.background = [make(self.site, number) for number, make in enumerate(roles)]
        share = self.options.requests // self.options.clients
        self.clients = [Client(self.site, number, share) for number in range(self.options.clients)]
        self.nemesis = Nemesis(self.site, self.gates, self.background)
        self.broker.on_reply = self._answer

    def go(self, *, digest: bool = False) -> Outcome:
        """Live through it."""
        outcome = Outcome(self.seed)
        try:
            self._begin()
            self.world.run(self.options.safety)
            self._heal()
            self._rest()
            self.site.oracle.finish()
        except Violation as violation:
            outcome.what = str(violation)
            outcome.detail = traceback.format_exc()
        outcome.steps = self.world.steps
        outcome.seen = self.world.seen
        if digest:
            outcome.digest = self.world.digest()
        return outcome

    def _begin(self) -> None:
        for number in range(self.options.occurrences):
            occurrence_id = occurrence_name(number)
            self.broker.bind(occurrence_id, slot_of(occurrence_id))
        for process in (*self.gates, *self.background):
            self.world.after(self.world.between(0, 50 * MS), process.start)
        for client in self.clients:
            client.begin()
        self.nemesis.begin()

    def _answer(self, to: str, message: Outgoing) -> None:
        if not self.world.fault(self.options.p_lost_reply):
            self.world.after(self.world.between(100, self.options.latency), self.clients[int(to)].hear, message)

    def _heal(self) -> None:
        """No more faults; a random core goes on, the rest may be dead for good."""
        world = self.world
        world.note("HEALED")
        world.faulty = False
        self.broker.alarm_until = world.now
        self.database.stalled_until = world.now
        for server in (self.broker, self.database):
            server.down = False
        self.nemesis.accept_clock()
        self._retire(self.gates)
        self._retire([process for process in self.background if isinstance(process, ExpiryWorker)])
        self._retire([process for process in self.background if isinstance(process, RelayWorker)])
        for behind in (FeederWorker, OrdersWorker) if self.options.sells else ():
            self._retire([process for process in self.background if isinstance(process, behind)])

    def _retire(self, processes: Sequence[Process]) -> None:
        core = self.world.choice(processes)
        for process in processes:
            if process is not core and self.world.chance(0.4):
                process.kill()
                process.restarts = False

    def _rest(self) -> None:
        deadline = self.world.now + REST_WITHIN
        asking_until = self.world.now + SECOND
        while self.world.now < deadline:
            self.world.run(self.world.now + 250 * MS)
            if self.world.now > asking_until:
                for client in self.clients:
                    client.hush()
            if self._is_at_rest():
                return
        raise Violation(f"NO REST after {REST_WITHIN // SECOND} s: {self._unrest()}")

    def _is_at_rest(self) -> bool:
        return (
            all(client.is_content for client in self.clients)
            and self.broker.is_empty
            and self.database.cursor_is_at_the_end
            and self.site.oracle.nothing_is_overdue
            and not self._amiss()
            and (not self.options.sells or (self.tasks.is_at_rest(self._has_order) and self.shop.untold == 0))
        )

    def _has_order(self, booking_id: str) -> bool:
        return bool(self.shop.under(f"hg-{booking_id}"))

    def _unrest(self) -> str:
        waiting = [
            request.correlation
            for client in self.clients
            for request in client.requests
            if not request.is_answered
        ]
        queued = [len(queue) for queue in self.broker.queues]
        return (
            f"{len(waiting)} unanswered {waiting[:2]}, queued {queued}, down to {self.database.cursor}; "
            f"{self._amiss() or 'the lines are right'}"
        )

    def _amiss(self) -> str:
        return amiss(self.broker, [gate for gate in self.gates if gate.up])
