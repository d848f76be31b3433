"""A process: it may be killed, stopped for a while, started again, and told to end, at any effect of its protocol.

A protocol of the product is a generator; `drive` runs it. A new role (a saga, a replay) joins by a subclass that
performs its effects, and by a line in `run.ROLES`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from holdgate_workers.app.seals import Seals

from .broker import Broker, Channel
from .database import Database
from .members import Members
from .oracle import Oracle
from .shop import Shop
from .swarm import Options
from .task_tables import TaskTables
from .world import MS, SECOND, Violation, World

Answer = Callable[[Any], None]


@dataclass(slots=True)
class Site:
    """Everything that processes share."""

    world: World
    options: Options
    broker: Broker
    database: Database
    members: Members
    oracle: Oracle
    tasks: TaskTables
    shop: Shop
    seals: Seals
    clock_accepted: int = 0
    """Counts how often somebody said that the database's clock is right after a jump."""
    ids: int = 0

    def new_id(self) -> str:
        """A request id for what the service sends on its own."""
        self.ids += 1
        return f"5e1f0000-0000-4000-8000-{self.ids:012x}"


@dataclass(slots=True)
class _Work:
    """A protocol that is being driven."""

    protocol: Generator[Any, Any, Any]
    ended: Answer
    effects: list[str] = field(default_factory=list)


class Process:
    """One role's process, life after life."""

    role = ""
    restarts = True
    risky: tuple[type, ...] = ()
    """Effects during which it is ten times as likely to be killed."""
    risky_event = "killed while a commit was in flight"

    def __init__(self, site: Site, number: int) -> None:
        self.site = site
        self.world = site.world
        self.number = number
        self.life = 0
        self.up = False
        self.stopping = False
        self._resumes_at = 0
        self._wire_at = 0
        self._rate = site.world.choice((0.99, 1.0, 1.01)) if site.options.skewed_rates else 1.0
        self._work: _Work | None = None

    @property
    def name(self) -> str:
        """The name of this life."""
        return f"{self.role}-{self.number}.{self.life}"

    def monotonic(self) -> float:
        """Its own clock: seconds since who knows when, at its own pace."""
        return 1000.0 * self.number + self.world.now / SECOND * self._rate

    # --- life and death -----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin a new life, knowing nothing of the one before."""
        if self.up or not self.restarts:
            return
        self.life += 1
        self.up = True
        self.stopping = False
        self._resumes_at = 0
        self._work = None
        self.world.note("starts", self.name)
        self.boot()

    def boot(self) -> None:
        """What a new life does first."""
        raise NotImplementedError

    def kill(self) -> None:
        """SIGKILL. The servers notice a little later."""
        if not self.up:
            return
        self.world.note("killed", self.name)
        self.up = False
        for channel in self.site.broker.channels(self):
            self.world.after(self.world.between(0, 200 * MS), self.site.broker.close, channel, 0)
        self.world.after(self.world.between(0, 100 * MS), self.site.database.cut_off, self.name)
        self.world.after(self.world.between(10 * MS, 600 * MS), self.start)

    def pause(self, time: int) -> None:
        """SIGSTOP, and SIGCONT later. A long one costs it its connections."""
        if not self.up:
            return
        self.world.note("stopped", self.name, time)
        self._resumes_at = max(self._resumes_at, self.world.now + time)
        if time > 200 * MS:
            for channel in self.site.broker.channels(self):
                self.world.after(self.world.between(100 * MS, time), self.site.broker.close, channel, 0)

    def exit(self) -> None:
        """End in good order; somebody starts it again."""
        if not self.up:
            return
        self.world.note("ended", self.name)
        self.up = False
        self.site.broker.drop(self, 0)
        self.site.database.cut_off(self.name)
        self.world.after(self.world.between(10 * MS, 300 * MS), self.start)

    def stop(self) -> None:
        """SIGTERM."""
        self.stopping = True

    # --- what happens to it -------------------------------------------------------------------------------------

    def later(self, delay: int, action: Callable[..., None], *arguments: Any) -> None:
        """Do something later, if this life lasts; what falls into a pause happens after it, in order."""
        self.world.after(delay, self.reach, self.life, action, arguments)

    def reach(self, life: int, action: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        """Something reaches the life it was meant for."""
        if life != self.life or not self.up:
            return
        if self._resumes_at > self.world.now:
            self.world.after(self._resumes_at - self.world.now, self.reach, life, action, arguments)
            return
        action(*arguments)

    def arrive(self, channel: Channel, deliveries: Any) -> None:
        """Messages, for roles that consume."""

    def cut(self, channel: Channel) -> None:
        """A channel is gone, for roles that consume."""

    # --- protocols ----------------------------------------------------------------------------------------------

    def drive(self, protocol: Generator[Any, Any, Any], ended: Answer) -> None:
        """Run a protocol to its end."""
        self._work = _Work(protocol, ended)
        self.advance(None)

    def advance(self, result: Any) -> None:
        """Give the protocol what it asked for; on to its next effect."""
        work = self._work
        assert work is not None
        try:
            effect = work.protocol.send(result)
        except StopIteration as done:
            self._work = None
            work.ended(done.value)
            return
        except Exception as exc:
            raise Violation(f"{self.name} died of {type(exc).__name__}: {exc}") from exc
        self._meet(effect)

    def _meet(self, effect: Any) -> None:
        """An effect is about to be performed: the moment at which processes die and are stopped."""
        world, options = self.world, self.site.options
        if world.fault(options.p_pause):
            self.pause(world.between(10 * MS, 1500 * MS))
            self.later(0, self.perform, effect)
            return
        if isinstance(effect, self.risky):
            if world.fault(min(0.5, options.p_kill * 10)):
                world.sometimes(self.risky_event)
                world.after(world.between(0, 4 * options.latency), self._kill_life, self.life)
        elif world.fault(options.p_kill):
            self.kill()
            return
        self.perform(effect)

    def _kill_life(self, life: int) -> None:
        if life == self.life:
            self.kill()

    def perform(self, effect: Any) -> None:
        """Do it, and `advance` with what comes of it."""
        raise NotImplementedError

    # --- the network --------------------------------------------------------------------------------------------

    def delay(self) -> int:
        """How long something takes to get there."""
        return self.world.between(100, self.site.options.latency)

    def ask(self, action: Callable[..., None], *arguments: Any) -> None:
        """Have a server do something whose last argument is where its answer goes: to the protocol."""
        life = self.life

        def answer(result: Any) -> None:
            self.world.after(self.delay(), self.reach, life, self.advance, (result,))

        self.world.after(self.delay(), action, *arguments, answer)

    def send(self, action: Callable[..., None], *arguments: Any) -> None:
        """Have the broker do something; what was sent first arrives first."""
        self._wire_at = max(self._wire_at, self.world.now + self.delay())
        self.world.after(self._wire_at - self.world.now, action, *arguments)
