"""The roles `pricing`, `orders` and `notifications`: do what follows from decisions."""

from __future__ import annotations

import random
from collections.abc import Mapping

import structlog

from holdgate_workers.adapters.postgres.connection import DatabaseError, DatabaseUnavailable
from holdgate_workers.adapters.postgres.tasks.table import RESEND_SECONDS, TaskBook
from holdgate_workers.app.tasks.ports import Desk
from holdgate_workers.app.tasks.task_runner import HandlerDesk
from holdgate_workers.app.tasks.tasks import Retries
from holdgate_workers.wiring.faults import told
from holdgate_workers.wiring.site import Site
from holdgate_workers.wiring.tasks import HandlerMaker

from .metrics.tasks import WorkMetrics
from .process.health import Check
from .process.loops import LoopWorker

log = structlog.get_logger("holdgate.tasks")

LEASE_SECONDS = 60.0
"""A handler must end well within it: afterwards the task is anybody's."""
HUNG_LEASES = 2.0
DRAIN_SECONDS = 4.0
LOOK_SECONDS = 0.5
OVERDUE_MAX = 200


class TaskRole(LoopWorker):
    """Threads that are woken up and work. Any number of them are safe, in any number of processes.

    The loop only looks after them. Without RabbitMQ it also wakes them, for what another process has put into the
    table.
    """

    def __init__(
        self,
        site: Site,
        role: str,
        handlers: HandlerMaker,
        *,
        retries: Mapping[str, Retries] | None = None,
        name: str | None = None,
        threads: int | None = None,
        lease_seconds: float = LEASE_SECONDS,
        resend_seconds: float = RESEND_SECONDS,
    ) -> None:
        self.role = role
        super().__init__(name)
        self._url = site.database_url
        self._handlers = handlers
        self._handlers_problem: str | None = None
        self._retries = retries or {}
        self._lease_seconds = lease_seconds
        self._looks = site.is_embedded
        self._wakeups = site.wakeups
        self._book = TaskBook(site.database_url, resend_seconds=resend_seconds)
        self._work = WorkMetrics(self.metrics.registry)
        self._worker = site.wakeups.worker(
            role,
            self._desk,
            threads=threads or site.config.task_threads,
            name=self.name,
            registry=self.metrics.registry,
        )

    def start(self) -> None:
        """Begin."""
        self._worker.start()
        super().start()

    def stop(self) -> None:
        """Finish the tasks in hand if they end in time; the others are taken over after their lease. Idempotent."""
        self._worker.stop(DRAIN_SECONDS)
        super().stop()

    def alive(self) -> dict[str, Check]:
        """Whether the loop turns and no handler hangs."""
        return self._named({**super().alive(), "handlers": self._hung})

    def ready(self) -> dict[str, Check]:
        """Whether wake-ups come in and the table can be reached."""
        return self._named(super().ready())

    def round(self) -> float:
        """One look."""
        problem = self._handlers_problem or self._worker.problem()
        try:
            if self._looks:
                self._wakeups.wake(self._book.overdue(self.role, OVERDUE_MAX))
            else:
                self._book.ping()
        except (DatabaseUnavailable, DatabaseError) as exc:
            problem = f"the table of tasks cannot be read: {told(exc)}"
        self.problem = problem
        return LOOK_SECONDS

    def close(self) -> None:
        """Close the connection."""
        self._book.close()

    def _desk(self) -> Desk:
        try:
            handlers = self._handlers()
        except Exception as exc:
            self._handlers_problem = f"the handlers cannot be made: {type(exc).__name__}: {exc}"
            log.exception("handlers_not_made", role=self.role)
            raise
        self._handlers_problem = None
        return HandlerDesk(
            TaskBook(self._url),
            handlers,
            worker=self.name,
            lease_seconds=self._lease_seconds,
            jitter=random.random,
            observer=self._work,
            retries=self._retries,
        )

    def _named(self, checks: dict[str, Check]) -> dict[str, Check]:
        """Several of these roles may share a process."""
        return {f"{self.role}.{name}": check for name, check in checks.items()}

    def _hung(self) -> str | None:
        longest = self._work.longest()
        if longest is None or longest[1] < HUNG_LEASES * self._lease_seconds:
            return None
        return f"a handler has been at task {longest[0].id} ({longest[0].kind}) for {longest[1]:.0f} s"
