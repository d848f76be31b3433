"""A worker process for tests: `python -m tests.support.worker_main gate expiry relay`.

It is configured by the same variables as the real one, and by some of its own:

- `HOLDGATE_TEST_NAME`: what the workers call themselves, followed by their role.
- `HOLDGATE_TEST_PORT_FILE`: where it writes the port of /metrics, /livez and /readyz.
- `HOLDGATE_TEST_FAILPOINT_FILE`: once this file exists: `<before|after>:<step>:<n>:<kill|pause>`. At the n-th such step
  from then on the process kills (SIGKILL) or stops (SIGSTOP) itself. A step is an effect of gate, relay or expiry by
  the name of its type (`Commit`, `Announce`, `SendSweeps`, …), or one of the consumer's: `Subscribe`, `Leave`, `Close`.
  When it strikes, the file is renamed to `<name>.struck`.
- `HOLDGATE_TEST_MUTANT`: the name of a bug to plant, see tests/mutants/planted.py.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from holdgate_workers.app.ports import Consumer, Sink
from holdgate_workers.bootstrap import Site, open_site
from holdgate_workers.config import read_config
from holdgate_workers.entrypoints.engine import Engine
from holdgate_workers.entrypoints.expiry_worker import ExpiryWorker
from holdgate_workers.entrypoints.gate_worker import GateWorker
from holdgate_workers.entrypoints.logs import configure_logs
from holdgate_workers.entrypoints.process import Process, Worker
from holdgate_workers.entrypoints.relay_worker import RelayWorker

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

    def around(self, step: str, work: Callable[[], T]) -> T:
        """Do it, unless it is not lived to see."""
        self._meet("before", step)
        result = work()
        self._meet("after", step)
        return result

    def _meet(self, when: str, step: str) -> None:
        if self._failpoint is None and self._file is not None and self._file.exists():
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


def _workers(site: Site, roles: list[str]) -> list[Worker]:
    name = os.environ.get("HOLDGATE_TEST_NAME", f"test-{os.getpid()}")
    failing = replace(site, transport=FailingTransport(site.transport))
    makers: dict[str, Callable[[], Worker]] = {
        "gate": lambda: GateWorker(failing, name=f"{name}.gate", engine_class=FailingEngine),
        "expiry": lambda: FailingExpiry(site, name=f"{name}.expiry"),
        "relay": lambda: FailingRelay(site, name=f"{name}.relay"),
    }
    return [makers[role]() for role in roles]


def main() -> int:
    mutant = os.environ.get("HOLDGATE_TEST_MUTANT")
    if mutant:
        from tests.mutants.planted import MUTANTS

        MUTANTS[mutant](setattr)
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
