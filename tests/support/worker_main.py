"""A worker process for tests: `python -m tests.support.worker_main gate expiry relay`.

It is configured by the same variables as the real one, and by some of its own:

- `HOLDGATE_TEST_NAME`: what the workers call themselves, followed by their role.
- `HOLDGATE_TEST_PORT_FILE`: where it writes the port of /metrics, /livez and /readyz.
- `HOLDGATE_TEST_FAILPOINT_FILE`: once this file exists: `<before|after>:<step>:<n>:<kill|pause>`. At the n-th such step
  from then on the process kills (SIGKILL) or stops (SIGSTOP) itself. A step is an effect of gate, relay or expiry by
  the name of its type (`Commit`, `Announce`, `SendSweeps`, …), or one of the consumer's: `Subscribe`, `Leave`, `Close`.
  The effects of carts count by themselves and with the kind of the command: `Send`, and `Send cart.release.v1`.
  Those of tasks: `Claim` and `Settle` of every role, `Look`, `Keep` and `Publish` of pricing, `Plan`, `Advance` and
  `Wake` of the feeder. When it strikes, the file is renamed to `<name>.struck`; then another one may be given.
- `HOLDGATE_TEST_LEASE_SECONDS`, `HOLDGATE_TEST_RESEND_SECONDS`: of tasks, where not the usual ones.
- `HOLDGATE_TEST_CALL_SECONDS`: how long a call to the local shop may be at work, where not the usual time.
- `HOLDGATE_TEST_BREAKER_SECONDS`: how long the shop's circuit breaker stays open for the first time.
- `HOLDGATE_TEST_MUTANT`: the name of a bug to plant, see tests/mutants/planted.py.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from holdgate_workers import bootstrap_bookings, bootstrap_orders
from holdgate_workers.app import order_handler
from holdgate_workers.app.breaker import BackOff, CircuitBreaker
from holdgate_workers.app.cart_saga import CartHandler, Send
from holdgate_workers.app.converting import AskShop
from holdgate_workers.app.desk import HandlerDesk
from holdgate_workers.app.order_handler import OrderHandler
from holdgate_workers.app.ports import Consumer, Publisher, Sink
from holdgate_workers.app.pricing_tasks import PricingHandler
from holdgate_workers.app.task_ports import Desk
from holdgate_workers.app.tasks import CancelTask, DecidedRow, Handler, NewTask, Planner, Wakeup
from holdgate_workers.bootstrap import Site, open_site
from holdgate_workers.bootstrap_carts import cart_handlers
from holdgate_workers.bootstrap_pricing import pricing_handlers
from holdgate_workers.bootstrap_tasks import RETRIES, planners
from holdgate_workers.config import read_config
from holdgate_workers.entrypoints.engine import Engine
from holdgate_workers.entrypoints.expiry_worker import ExpiryWorker
from holdgate_workers.entrypoints.feeder_worker import FeederWorker
from holdgate_workers.entrypoints.gate_worker import GateWorker
from holdgate_workers.entrypoints.logs import configure_logs
from holdgate_workers.entrypoints.orders_worker import OrdersRole
from holdgate_workers.entrypoints.process import Process, Worker
from holdgate_workers.entrypoints.projection_worker import ProjectionWorker
from holdgate_workers.entrypoints.relay_worker import RelayWorker
from holdgate_workers.entrypoints.task_worker import TaskRole

T = TypeVar("T")

STRUCK = ".struck"
_SIGNALS = {"kill": signal.SIGKILL, "pause": signal.SIGSTOP}


@dataclass(slots=True)
class Failpoint:
    """Strikes once."""

    file: Path
    when: str
    step: str
    countdown: int
    signum: signal.Signals

    @classmethod
    def read(cls, file: Path) -> Failpoint:
        when, step, number, action = file.read_text(encoding="utf-8").split(":")
        return cls(file, when, step, int(number), _SIGNALS[action])

    def meet(self, when: str, step: str) -> None:
        if (when, step) == (self.when, self.step):
            self.countdown -= 1
            if self.countdown == 0:
                self.file.rename(self.file.with_suffix(STRUCK))
                # To this thread, so that the process stops here and not a few statements later.
                signal.pthread_kill(threading.get_ident(), self.signum)


class _Failpoints:
    """The one failpoint of this process, once it was told."""

    def __init__(self) -> None:
        file = os.environ.get("HOLDGATE_TEST_FAILPOINT_FILE")
        self._file = None if file is None else Path(file)
        self._failpoint: Failpoint | None = None
        self._lock = threading.Lock()

    def around(self, step: str, work: Callable[[], T]) -> T:
        """Do it, unless it is not lived to see."""
        self._meet("before", step)
        result = work()
        self._meet("after", step)
        return result

    def _meet(self, when: str, step: str) -> None:
        with self._lock:
            spent = self._failpoint is None or self._failpoint.countdown <= 0
            if spent and self._file is not None and self._file.exists():
                self._failpoint = Failpoint.read(self._file)
            if self._failpoint is not None:
                self._failpoint.meet(when, step)


_failpoints = _Failpoints()


class FailingEngine(Engine):
    """Does what the gate asks for, and dies or stops where it was told to."""

    def perform(self, effect: Any) -> Any:
        return _failpoints.around(type(effect).__name__, partial(super().perform, effect))


class FailingRelay(RelayWorker):
    """The same for the relay."""

    def perform(self, effect: Any) -> Any:
        return _failpoints.around(type(effect).__name__, partial(super().perform, effect))


class FailingExpiry(ExpiryWorker):
    """The same for the expiry worker."""

    def perform(self, effect: Any) -> Any:
        return _failpoints.around(type(effect).__name__, partial(super().perform, effect))


class FailingProjection(ProjectionWorker):
    """The same for the projection."""

    def perform(self, effect: Any) -> Any:
        return _failpoints.around(type(effect).__name__, partial(super().perform, effect))


class FailingCarts(CartHandler):
    """The same for carts, where it also counts what is sent."""

    def perform(self, effect: Any) -> Any:
        work = partial(super().perform, effect)
        name = type(effect).__name__
        if isinstance(effect, Send):
            work = partial(_failpoints.around, f"{name} {effect.messages[0].properties.type}", work)
        return _failpoints.around(name, work)


class FailingOrders(OrderHandler):
    """The same for orders, where it also counts what the shop is asked."""

    def perform(self, effect: Any) -> Any:
        work = partial(super().perform, effect)
        name = type(effect).__name__
        if isinstance(effect, AskShop):
            work = partial(_failpoints.around, f"{name} {type(effect.call).__name__}", work)
        return _failpoints.around(name, work)


class _Failing:
    """Stands before something, and fails at some of its calls: `claim="Claim"`."""

    def __init__(self, there: Any, **steps: str) -> None:
        self._there, self._steps = there, steps

    def __getattr__(self, name: str) -> Any:
        found, step = getattr(self._there, name), self._steps.get(name)
        return found if step is None else lambda *args: _failpoints.around(step, partial(found, *args))


def _failing(there: Any, **steps: str) -> Any:
    return _Failing(there, **steps)


class FailingFeeder(FeederWorker):
    """The same for the feeder: within a transaction in which there is something to plan, and where it wakes others."""

    def __init__(self, site: Site, **fields: Any) -> None:
        self._planned: list[NewTask | CancelTask] = []
        super().__init__(site, [self._failing(planner) for planner in planners(site)], **fields)
        cursor: Any = _FailingCursor(self._feed._cursor, self._planned)
        self._feed._cursor = cursor

    def _failing(self, planner: Planner) -> Planner:
        def plan(row: DecidedRow) -> Sequence[NewTask | CancelTask]:
            wanted = list(planner(row))
            if wanted:
                _failpoints.around("Plan", partial(self._planned.extend, wanted))
            return wanted

        return plan

    def _wake(self, wakeups: Sequence[Wakeup], why: str) -> None:
        work = partial(super()._wake, wakeups, why)
        if wakeups:
            _failpoints.around("Wake", work)
        else:
            work()


class _FailingCursor(_Failing):
    def __init__(self, there: Any, planned: list[NewTask | CancelTask]) -> None:
        super().__init__(there)
        self._planned = planned

    def advance(self, *args: Any) -> Any:
        work = partial(self._there.advance, *args)
        done = _failpoints.around("Advance", work) if self._planned else work()
        self._planned.clear()
        return done


class FailingTasks(TaskRole):
    """The same for a role of tasks: where one is claimed and settled."""

    def _desk(self) -> Desk:
        desk = super()._desk()
        assert isinstance(desk, HandlerDesk)
        desk._source = _failing(desk._source, claim="Claim", settle="Settle")
        return desk


class FailingOrdersRole(FailingTasks, OrdersRole):
    """The same for the role `orders`."""


def failing_pricing(site: Site) -> Callable[[], Mapping[str, Handler]]:
    """Handlers of prices that fail at what they ask of others."""
    make = pricing_handlers(site)

    def made() -> Mapping[str, Handler]:
        handlers = make()
        for handler in handlers.values():
            assert isinstance(handler, PricingHandler)
            handler._rows = _failing(handler._rows, look="Look", keep="Keep")
            handler._publisher = _failing(handler._publisher, publish="Publish")
        return handlers

    return made


class FailingConsumer:
    """The same where a worker stands in a line or leaves it."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self.ack = consumer.ack

    def subscribe(self, partition: int) -> None:
        _failpoints.around("Subscribe", partial(self._consumer.subscribe, partition))

    def leave(self, partition: int) -> None:
        _failpoints.around("Leave", partial(self._consumer.leave, partition))

    def close(self) -> None:
        _failpoints.around("Close", self._consumer.close)


class FailingTransport:
    """A transport with such consumers."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def consumer(self, sink: Sink, *, name: str, prefetch: int) -> Consumer:
        return FailingConsumer(self._transport.consumer(sink, name=name, prefetch=prefetch))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class NamedTransport:
    """A transport whose publishers say which process is theirs."""

    def __init__(self, transport: Any, process: str) -> None:
        self._transport, self._process = transport, process

    def publisher(self, *, name: str) -> Publisher:
        publisher: Publisher = self._transport.publisher(name=f"{self._process}.{name}")
        return publisher

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def _workers(site: Site, roles: list[str]) -> list[Worker]:
    name = os.environ.get("HOLDGATE_TEST_NAME", f"test-{os.getpid()}")
    failing = replace(site, transport=FailingTransport(site.transport))
    named = replace(site, transport=NamedTransport(site.transport, name))
    makers: dict[str, Callable[[], Worker]] = {
        "gate": lambda: GateWorker(failing, name=f"{name}.gate", engine_class=FailingEngine),
        "expiry": lambda: FailingExpiry(site, name=f"{name}.expiry"),
        "relay": lambda: FailingRelay(site, name=f"{name}.relay"),
        "projection": lambda: FailingProjection(site, name=f"{name}.projection"),
        "feeder": lambda: FailingFeeder(site, name=f"{name}.feeder", **_seconds("resend")),
        "pricing": lambda: FailingTasks(
            named,
            "pricing",
            failing_pricing(named),
            retries=RETRIES,
            name=f"{name}.pricing",
            **_seconds("resend", "lease"),
        ),
        "orders": lambda: FailingOrdersRole(
            named,
            cart_handlers(named, FailingCarts),
            handler_class=FailingOrders,
            retries=RETRIES,
            name=f"{name}.orders",
            **_seconds("resend", "lease"),
        ),
    }
    return [makers[role]() for role in roles]


def _seconds(*names: str) -> dict[str, Any]:
    """How patient tasks are, where a test has said so."""
    given = {name: os.environ.get(f"HOLDGATE_TEST_{name.upper()}_SECONDS") for name in names}
    return {f"{name}_seconds": float(value) for name, value in given.items() if value is not None}


def _calm_the_breaker() -> None:
    """A shop that fails every third time would be left alone for most of a test."""
    given = os.environ.get("HOLDGATE_TEST_BREAKER_SECONDS")
    if given is not None:
        pause = BackOff(first_seconds=float(given), max_seconds=4 * float(given))
        bootstrap_orders.CircuitBreaker = partial(CircuitBreaker, pause=pause)  # type: ignore[misc, assignment]


def main() -> int:
    mutant = os.environ.get("HOLDGATE_TEST_MUTANT")
    if mutant:
        from tests.mutants.planted import MUTANTS

        MUTANTS[mutant](setattr)
    call_seconds = os.environ.get("HOLDGATE_TEST_CALL_SECONDS")
    if call_seconds is not None:
        bootstrap_bookings.LOCAL_SECONDS = float(call_seconds)
        order_handler.LATE_SECONDS = float(call_seconds) / 2
    _calm_the_breaker()
    config = read_config()
    configure_logs(config.log_level, config.log_format)
    assert config.database_url is not None
    site = open_site(config, config.database_url)
    process = Process(site, _workers(site, sys.argv[1:]))
    return process.run(started=lambda: _tell_port(process))


def _tell_port(process: Process) -> None:
    port_file = os.environ.get("HOLDGATE_TEST_PORT_FILE")
    if port_file is not None and process.health is not None:
        made = Path(f"{port_file}.new")
        made.write_text(str(process.health.port), encoding="utf-8")
        made.rename(port_file)


if __name__ == "__main__":
    sys.exit(main())
