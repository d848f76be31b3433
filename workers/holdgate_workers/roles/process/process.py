"""A process: one or several workers, from start to the last flushed reply."""

from __future__ import annotations

import faulthandler
import gc
import signal
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from holdgate_workers.adapters.postgres.maintenance.durability import durability_problems
from holdgate_workers.config.notifications import told
from holdgate_workers.roles.metrics.metrics import Metrics
from holdgate_workers.wiring.site import Site

from .health import Check, HealthServer, Page
from .readiness import NEEDS, Readiness

log = structlog.get_logger("holdgate.process")

WATCH_SECONDS = 0.5

COLLECT_AFTER_OBJECTS = 50_000
"""Nothing that a request makes refers back to itself, so reference counts free it all, and the collector finds nothing
however often it looks. By default it looks every 700 objects, which cost a sixth of the gate's time."""


class Worker(Protocol):
    """What a role is to its process."""

    name: str
    role: str
    metrics: Metrics

    @property
    def failure(self) -> BaseException | None:
        """What ended it, if something did."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """Drain and end. Idempotent."""

    def alive(self) -> dict[str, Check]:
        """Whether the loops turn."""

    def ready(self) -> dict[str, Check]:
        """Whether work can be done now."""


class Process:
    """Runs workers until a signal comes, one of them fails, or `stop` is called."""

    def __init__(self, site: Site, workers: Sequence[Worker]) -> None:
        self._site = site
        self.workers = list(workers)
        self._stop = threading.Event()
        self._durability = durability_problems(site.database_url)
        self._readiness = {
            worker.role: Readiness(site, worker.role) for worker in self.workers if worker.role in NEEDS
        }
        self.health: HealthServer | None = None

    def ready(self) -> dict[str, Check]:
        """What must be well for every worker to be able to do its work now."""
        checks: dict[str, Check] = {"durability": lambda: "; ".join(self._durability) or None}
        for worker in self.workers:
            kind = type(worker).__name__
            checks |= {f"{kind}.{key}": check for key, check in worker.ready().items()}
            if worker.role in self._readiness:
                checks[f"{kind}.tried"] = self._readiness[worker.role].problem
        return checks

    def run(self, *, started: Callable[[], None] = lambda: None) -> int:
        """Returns the exit code: 0 after a clean stop, 70 if a worker failed."""
        if not faulthandler.is_enabled():
            faulthandler.enable()  # or a crash below Python leaves nothing but the number of its signal
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, lambda *_: self._stop.set())
        for problem in self._durability:
            log.error("not_durable", problem=problem)
        self._serve_health()
        gc.freeze()
        gc.set_threshold(COLLECT_AFTER_OBJECTS, 20, 100)
        for readiness in self._readiness.values():
            readiness.start()
        for worker in self.workers:
            worker.start()
        started()
        while not self._stop.wait(WATCH_SECONDS):
            if any(worker.failure for worker in self.workers):
                break
        failed = any(worker.failure for worker in self.workers)
        for worker in self.workers:
            worker.stop()
        for readiness in self._readiness.values():
            readiness.stop()
        if self.health is not None:
            self.health.stop()
        return 70 if failed else 0

    def stop(self) -> None:
        """End as after a signal."""
        self._stop.set()

    def _serve_health(self) -> None:
        config = self._site.config
        if config.metrics_port is None:
            return
        alive: dict[str, Check] = {}
        for worker in self.workers:
            role = type(worker).__name__
            alive |= {f"{role}.{key}": check for key, check in worker.alive().items()}
        self.health = HealthServer(
            [worker.metrics.registry for worker in self.workers],
            host=config.metrics_host,
            port=config.metrics_port,
            alive=alive,
            ready=self.ready(),
            page=_page(self._site),
        )
        log.info("health_served", host=config.metrics_host, port=self.health.port)


def _page(site: Site) -> Page:
    """The calendar feeds, if somebody may ask for them."""
    token = told(site.config.calendar_token)
    if not token:
        return lambda _: None
    from holdgate_workers.roles.web.calendar_page import CalendarPage  # calendars are slow to import

    return CalendarPage(site.database_url, token=token, domain=site.config.calendar_domain)
