"""The processes behind the gate: who plans what follows from the journal, who prices, who deals with the shop."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from holdgate_schema.events.holds import HoldChanged, HoldCreated
from holdgate_workers.app.carts import protocol as cart_saga
from holdgate_workers.app.carts.protocol import Advanced, advance
from holdgate_workers.app.gate.effects import Unavailable as Away
from holdgate_workers.app.ordering import protocol as converting
from holdgate_workers.app.ordering.facts import CHANGING, Terms
from holdgate_workers.app.ordering.orders import Unavailable
from holdgate_workers.app.ordering.protocol import Looked, errand_of, look_after
from holdgate_workers.app.ports import Outgoing
from holdgate_workers.app.pricing.tasks import pricing_tasks
from holdgate_workers.app.tasks.tasks import ORDERS, Again, Dead, DecidedRow, Done, NewTask, Task, TaskOutcome

from .background import Loop
from .broker import Publisher
from .shop import CALL_SECONDS, SETTLE_SECONDS
from .task_tables import PLANNERS
from .world import MS, SECOND

TERMS = Terms(gateway="shop", call_seconds=CALL_SECONDS, settle_seconds=SETTLE_SECONDS, is_watched=False)
LATE_SECONDS = 0.2
"""As `order_handler.LATE_SECONDS`, for a shop as quick as this one."""
PATIENCE_SECONDS = 2.0
"""No pause is longer: a world does not last for minutes. Whoever looks too often does no harm."""


def asked_for(row: DecidedRow) -> Sequence[NewTask]:
    """Prices only for who asked: the others' are not looked at by anybody here."""
    asked = [task for task in pricing_tasks(row) if isinstance(task, NewTask)]
    return [task for task in asked if task.payload["wanted"].is_asked or _has_stood_in_line(row)]


def _has_stood_in_line(row: DecidedRow) -> bool:
    holds = [event.hold for event in row.events if isinstance(event, HoldCreated | HoldChanged)]
    return any(hold.hold_id != row.hold_id for hold in holds)


@dataclass(slots=True, frozen=True)
class Feed:
    """Plan the next rows."""

    rows_max: int


@dataclass(slots=True, frozen=True)
class Claim:
    """Take a task in hand."""

    role: str


@dataclass(slots=True, frozen=True)
class Tell:
    """Publish and wait for the confirms."""

    messages: Sequence[Outgoing]


class FeederWorker(Loop):
    """Reads the journal and writes tasks."""

    role = "feeder"

    def boot(self) -> None:
        """Begin."""
        self.later(self.delay(), self.round)

    def round(self) -> None:
        """One page."""
        self.drive(self._feed(), self._fed)

    def _feed(self) -> Generator[Any, Any, Any]:
        rows: int | Away = yield Feed(20)
        return rows

    def _fed(self, rows: int | Away) -> None:
        if isinstance(rows, Away):
            self.later(self.world.between(50 * MS, 200 * MS), self.round)
        else:
            self.later(MS if rows == 20 else self.world.between(40 * MS, 200 * MS), self.round)

    def perform(self, effect: Feed) -> None:
        """One transaction."""
        self.ask(self.site.tasks.feed, (*PLANNERS, asked_for), effect.rows_max)


class Desk(Loop):
    """Claims tasks of its role, one after another."""

    serves = ""
    risky_event = "a worker was killed at its desk"

    def boot(self) -> None:
        """Begin."""
        self.publisher = Publisher(self.site.broker, SECOND)
        self._begun_at = 0.0
        self._task: Task | None = None
        self.later(self.delay(), self.round)

    def round(self) -> None:
        """Look for something to do."""
        self._task = None
        self.drive(self._claim(), self._claimed)

    def protocol(self, task: Task) -> Generator[Any, Any, TaskOutcome]:
        """How the task is done."""
        raise NotImplementedError

    def do(self, effect: Any) -> None:
        """One effect of a task's protocol."""
        raise NotImplementedError

    def perform(self, effect: Any) -> None:
        """Do what is asked for."""
        match effect:
            case Claim(role):
                self.ask(self.site.tasks.claim, role, self.name)
            case Tell(messages) | converting.Send(messages) | cart_saga.Send(messages):
                self.publisher.publish(messages, partial(self.told, self.life))
            case _:
                self.do(effect)

    def told(self, life: int, result: Any) -> None:
        """None if all was confirmed."""
        self.reach(life, self.advance, (None if result else "unconfirmed",))

    def row(self, action: Callable[..., Any], *arguments: Any) -> None:
        """Have the database do one statement; if it is away, the task is left as it is until its lease is over."""
        life = self.life

        def arrived() -> None:
            down = self.site.database.down
            result = None if down else action(*arguments)
            self.world.after(self.delay(), self.reach, life, self._left if down else self.advance, (result,))

        self.world.after(self.delay(), arrived)

    def _left(self, _: Any) -> None:
        self._work = None
        self.later(self.world.between(50 * MS, 200 * MS), self.round)

    def _claim(self) -> Generator[Any, Any, Any]:
        found: Task | Away | None = yield Claim(self.serves)
        return found

    def _claimed(self, found: Task | Away | None) -> None:
        if found is None or isinstance(found, Away):
            self.later(self.world.between(40 * MS, 250 * MS), self.round)
        else:
            self._task = found
            self.drive(self.protocol(found), self._done)

    def _done(self, outcome: TaskOutcome) -> None:
        assert self._task is not None
        if isinstance(outcome, Again) and outcome.after_seconds is not None:
            outcome = Again(min(outcome.after_seconds, PATIENCE_SECONDS), outcome.error)
        self.world.after(self.delay(), self.site.tasks.settle, self._task, outcome)
        self.later(3 * self.delay(), self.round)


class OrdersWorker(Desk):
    """Does what the sagas of conversions and carts ask for."""

    role = serves = ORDERS
    risky = (converting.AskShop, converting.Send, cart_saga.Send)

    def protocol(self, task: Task) -> Generator[Any, Any, TaskOutcome]:
        """As the handlers of both."""
        if task.kind in (cart_saga.ADVANCE, cart_saga.RECONCILE):
            advanced: Advanced = yield from advance(task.payload["cart_id"], self.site.seals)
            if advanced.problem is not None:
                return Again(None, advanced.problem)
            if task.kind == cart_saga.RECONCILE and not advanced.is_settled:
                return Again(0.5, advanced.waits_for)
            return Done()
        looked: Looked = yield from look_after(errand_of(task), TERMS, self.site.seals, self.world.random.random())
        if looked.stuck:
            self.world.sometimes("a person was asked to look")
            return Dead(looked.stuck)
        if looked.again_seconds is not None:
            return Again(looked.again_seconds, looked.why)
        return Done()

    def do(self, effect: Any) -> None:
        """Rows, and the shop."""
        tables = self.site.tasks
        match effect:
            case converting.LookAt(booking_id):
                self.row(tables.look, booking_id)
            case converting.Begin():
                self._begun_at = self.monotonic()
                self.row(tables.begin, effect)
            case converting.Record():
                self.row(tables.record, effect)
            case converting.AskShop(call):
                if isinstance(call, CHANGING) and self.monotonic() - self._begun_at > LATE_SECONDS:
                    self.world.sometimes("a worker stood still before it asked the shop")
                    self.advance(Unavailable("this process stood still for too long"))
                else:
                    self.ask(self.site.shop.call, call)
            case cart_saga.LookAt(cart_id):
                self.row(tables.look_at_cart, cart_id)
            case cart_saga.WriteVerdict(cart, verdict):
                self.row(tables.write_verdict, cart, verdict)
            case cart_saga.Show(cart, state):
                self.row(tables.show, cart, state)
