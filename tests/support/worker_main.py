"""A worker process for tests: `python -m tests.support.worker_main gate expiry relay`.

It is configured by the same variables as the real one, and by some of its own:

- `HOLDGATE_TEST_NAME`: what the workers call themselves, followed by their role.
- `HOLDGATE_TEST_PORT_FILE`: where it writes the port of /metrics, /livez and /readyz.
- `HOLDGATE_TEST_FAILPOINT_FILE`: once this file exists: `<before|after>:<effect>:<n>:<kill|pause>`. At the n-th such
  effect of gate or relay from then on the process kills (SIGKILL) or stops (SIGSTOP) itself.
- `HOLDGATE_TEST_MUTANT`: the name of a bug to plant, see tests/mutants/planted.py.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdgate_workers.app.effects import Effect
from holdgate_workers.app.relay import RelayEffect
from holdgate_workers.bootstrap import Site, open_site
from holdgate_workers.config import read_config
from holdgate_workers.entrypoints.engine import Engine
from holdgate_workers.entrypoints.expiry_worker import ExpiryWorker
from holdgate_workers.entrypoints.gate_worker import GateWorker
from holdgate_workers.entrypoints.logs import configure_logs
from holdgate_workers.entrypoints.process import Process, Worker
from holdgate_workers.entrypoints.relay_worker import RelayWorker

_SIGNALS = {"kill": signal.SIGKILL, "pause": signal.SIGSTOP}


@dataclass(slots=True)
class Failpoint:
    """Strikes once."""

    when: str
    effect: str
    countdown: int
    signum: signal.Signals

    @classmethod
    def parse(cls, text: str) -> Failpoint:
        when, effect, number, action = text.split(":")
        return cls(when, effect, int(number), _SIGNALS[action])

    def meet(self, when: str, effect: object) -> None:
        if (when, type(effect).__name__) == (self.when, self.effect):
            self.countdown -= 1
            if self.countdown == 0:
                # To this thread, so that the process stops here and not a few statements later.
                signal.pthread_kill(threading.get_ident(), self.signum)


class _Failpoints:
    """The one failpoint of this process, once it was told."""

    _file = os.environ.get("HOLDGATE_TEST_FAILPOINT_FILE")
    _failpoint: Failpoint | None = None

    def meet(self, when: str, effect: object) -> None:
        if self._failpoint is None and self._file is not None and Path(self._file).exists():
            self._failpoint = Failpoint.parse(Path(self._file).read_text(encoding="utf-8"))
        if self._failpoint is not None:
            self._failpoint.meet(when, effect)


_failpoints = _Failpoints()


class FailingEngine(Engine):
    """Does what the gate asks for, and dies or stops where it was told to."""

    def perform(self, effect: Effect) -> Any:
        _failpoints.meet("before", effect)
        result = super().perform(effect)
        _failpoints.meet("after", effect)
        return result


class FailingRelay(RelayWorker):
    """The same for the relay."""

    def perform(self, effect: RelayEffect) -> Any:
        _failpoints.meet("before", effect)
        result = super().perform(effect)
        _failpoints.meet("after", effect)
        return result


def _workers(site: Site, roles: list[str]) -> list[Worker]:
    name = os.environ.get("HOLDGATE_TEST_NAME", f"test-{os.getpid()}")
    makers: dict[str, Callable[[], Worker]] = {
        "gate": lambda: GateWorker(site, name=f"{name}.gate", engine_class=FailingEngine),
        "expiry": lambda: ExpiryWorker(site, name=f"{name}.expiry"),
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
