"""What the commands that run workers share."""

from __future__ import annotations

import signal
import socket
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdgate_workers.config.environment import ServiceConfig
    from holdgate_workers.roles.process.process import Process

HEALTH_PORT = 9464
READY_SECONDS = 20.0


class Stopped(SystemExit):
    """A signal came while everything was still being started."""


def stop_in_order() -> None:
    """Until the process takes the signals over, SIGTERM is like Ctrl-C: what was started is stopped again."""

    def leave(_signum: int, _frame: FrameType | None) -> None:
        raise Stopped(0)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)


def with_health_port(config: ServiceConfig) -> ServiceConfig:
    """The configuration with a port for health and metrics: the usual one, or any that is free."""
    if config.metrics_port is not None:
        return config
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((config.metrics_host, HEALTH_PORT))
        except OSError:
            return config.model_copy(update={"metrics_port": 0})
    return config.model_copy(update={"metrics_port": HEALTH_PORT})


def logs(config: ServiceConfig, *, verbose: bool, quiet: bool) -> None:
    """Logs on stderr: as configured; for a person who said nothing about it, warnings only."""
    from holdgate_workers.roles.process.logs import configure_logs

    unsaid = "log_level" not in config.model_fields_set
    level = "INFO" if verbose else "WARNING" if quiet and unsaid else config.log_level
    configure_logs(level, config.log_format)


def problems(process: Process) -> dict[str, str]:
    """What stands between the workers and being ready."""
    return {name: problem for name, check in process.ready().items() if (problem := check()) is not None}


def run(process: Process, announce: Any) -> int:
    """Run until a signal comes or a worker fails; `announce` is called once, when the workers are ready or when
    waiting for that has taken too long. Returns the exit code."""
    import threading
    import time

    over = threading.Event()

    def watch() -> None:
        deadline = time.monotonic() + READY_SECONDS
        while problems(process) and time.monotonic() < deadline:
            if over.wait(0.05):
                return
        announce(problems(process))

    watcher = threading.Thread(target=watch, name="announce", daemon=True)
    try:
        return process.run(started=watcher.start)
    finally:
        over.set()


def roles_text(roles: Sequence[str]) -> str:
    """`gate, expiry and relay`."""
    return roles[0] if len(roles) == 1 else f"{', '.join(roles[:-1])} and {roles[-1]}"
