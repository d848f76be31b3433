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
- `HOLDGATE_TEST_AHEAD_MESSAGES`: with so many waiting, the next batch is decided while one is being committed.
- `HOLDGATE_TEST_MUTANT`: the name of a bug to plant, see tests/mutants/planted.py.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tests.support.failing_tasks import (
    FailingFeeder,
    FailingOrdersRole,
    FailingTasks,
    NamedTransport,
    failing_pricing,
)
from tests.support.failpoints import failpoints

from holdgate_workers.app.carts.protocol import CartHandler, Send
from holdgate_workers.app.circuit_breaker import BackOff, CircuitBreaker
from holdgate_workers.app.ordering import handler as order_handler
from holdgate_workers.app.ordering import results as saga_results
from holdgate_workers.app.ordering.handler import OrderHandler
from holdgate_workers.app.ordering.protocol import AskShop
from holdgate_workers.app.ports import ChannelId, Consumer, Sink
from holdgate_workers.config.environment import read_config
from holdgate_workers.roles.expiry import ExpiryWorker
from holdgate_workers.roles.gate import engine
from holdgate_workers.roles.gate.engine import Engine
from holdgate_workers.roles.gate.worker import GateWorker
from holdgate_workers.roles.process.logs import configure_logs
from holdgate_workers.roles.process.process import Process, Worker
from holdgate_workers.roles.projection import ProjectionWorker
from holdgate_workers.roles.relay import RelayWorker
from holdgate_workers.wiring import bookings as bootstrap_bookings
from holdgate_workers.wiring import shops as bootstrap_orders
from holdgate_workers.wiring.carts import cart_handlers
from holdgate_workers.wiring.site import Site, open_site
from holdgate_workers.wiring.tasks import RETRIES


class FailingEngine(Engine):
    """Does what the gate asks for, and dies or stops where it was told to."""

    def perform(self, effect: Any) -> Any:
        return failpoints.around(type(effect).__name__, partial(super().perform, effect))


class FailingRelay(RelayWorker):
    """The same for the relay."""

    def perform(self, effect: Any) -> Any:
        return failpoints.around(type(effect).__name__, partial(super().perform, effect))


class FailingExpiry(ExpiryWorker):
    """The same for the expiry worker."""

    def perform(self, effect: Any) -> Any:
        return failpoints.around(type(effect).__name__, partial(super().perform, effect))


class FailingProjection(ProjectionWorker):
    """The same for the projection."""

    def perform(self, effect: Any) -> Any:
        return failpoints.around(type(effect).__name__, partial(super().perform, effect))


class FailingCarts(CartHandler):
    """The same for carts, where it also counts what is sent."""

    def perform(self, effect: Any) -> Any:
        work = partial(super().perform, effect)
        name = type(effect).__name__
        if isinstance(effect, Send):
            work = partial(failpoints.around, f"{name} {effect.messages[0].properties.type}", work)
        return failpoints.around(name, work)


class FailingOrders(OrderHandler):
    """The same for orders, where it also counts what the shop is asked."""

    def perform(self, effect: Any) -> Any:
        work = partial(super().perform, effect)
        name = type(effect).__name__
        if isinstance(effect, AskShop):
            work = partial(failpoints.around, f"{name} {type(effect.call).__name__}", work)
        return failpoints.around(name, work)


class FailingConsumer:
    """The same where a worker stands in a line or leaves it."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self.ack, self.reject = consumer.ack, consumer.reject
        self.standing = consumer.standing

    def subscribe(self, partition: int) -> None:
        failpoints.around("Subscribe", partial(self._consumer.subscribe, partition))

    def leave(self, channel: ChannelId) -> None:
        failpoints.around("Leave", partial(self._consumer.leave, channel))

    def close(self) -> None:
        failpoints.around("Close", self._consumer.close)


class FailingTransport:
    """A transport with such consumers."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def consumer(self, sink: Sink, *, name: str, prefetch: int) -> Consumer:
        return FailingConsumer(self._transport.consumer(sink, name=name, prefetch=prefetch))

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
        # The single booking, too, believes a shop that asks for ten minutes for no longer than this.
        saga_results.AGAIN = BackOff(first_seconds=1.0, max_seconds=max(2.0, 16 * float(given)))


def main() -> int:
    mutant = os.environ.get("HOLDGATE_TEST_MUTANT")
    if mutant:
        from tests.mutants.planted import MUTANTS

        MUTANTS[mutant](setattr)
    call_seconds = os.environ.get("HOLDGATE_TEST_CALL_SECONDS")
    if call_seconds is not None:
        bootstrap_bookings.LOCAL_SECONDS = float(call_seconds)
        order_handler.LATE_SECONDS = float(call_seconds) / 2
    ahead = os.environ.get("HOLDGATE_TEST_AHEAD_MESSAGES")
    if ahead is not None:
        engine.AHEAD_MESSAGES_MIN = int(ahead)
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
