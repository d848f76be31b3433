"""The role `feeder`: puts into the table what follows from decisions, and wakes up those who do it."""

from __future__ import annotations

import time
from collections.abc import Sequence

import structlog

from holdgate_workers.adapters.postgres.connection import DatabaseError, DatabaseUnavailable
from holdgate_workers.adapters.postgres.tasks.feed import TaskFeed
from holdgate_workers.adapters.postgres.tasks.table import RESEND_SECONDS, TaskBook
from holdgate_workers.app.ports import TransportError
from holdgate_workers.app.tasks.tasks import Planner, Unplannable, Wakeup
from holdgate_workers.wiring.faults import told
from holdgate_workers.wiring.site import Site

from .metrics.tasks import FeedMetrics
from .process.loops import LoopWorker

log = structlog.get_logger("holdgate.feeder")

CURSOR = "tasks"
ROWS_MAX = 500
IDLE_SECONDS = 0.1
FAILED_SECONDS = 1.0
RECONCILE_SECONDS = 0.5
UNREACHABLE_SECONDS = 5.0
"""How long nothing is sent after it could not be: feeding must not wait for the broker."""
COUNT_SECONDS = 5.0
TIDY_SECONDS = 60.0
TIDY_MAX = 1000
RETENTION_DAYS = 30
OVERDUE_MAX = 500
WAITING_MAX = 5000
"""With so many wake-ups waiting in a role's queue no more are sent: the tasks wait in the table."""


class FeederWorker(LoopWorker):
    """Any number of them are safe: one has the right to the journal's cursor, all look for what is overdue."""

    role = "feeder"

    def __init__(
        self,
        site: Site,
        planners: Sequence[Planner],
        *,
        name: str | None = None,
        resend_seconds: float = RESEND_SECONDS,
    ) -> None:
        super().__init__(name)
        self._database_url = site.database_url
        self._feed = TaskFeed(site.database_url, planners, name=CURSOR, resend_seconds=resend_seconds)
        self._book = TaskBook(site.database_url, resend_seconds=resend_seconds)
        self._wakeups = site.wakeups
        self._tasks = FeedMetrics(self.metrics.registry)
        self._told: tuple[str, ...] = ()
        self._reconcile_at = self._count_at = self._tidy_at = 0.0

    def round(self) -> float:
        """One page of the journal, and whatever else is due."""
        problems: list[str] = []
        busy = False
        for step in (self._feed_some, self._reconcile, self._count, self._tidy):
            try:
                busy = step() or busy
            except (DatabaseUnavailable, DatabaseError, TransportError, Unplannable) as exc:
                problems.append(told(exc, self._database_url))
        self._tell(problems)
        return 0.0 if busy else FAILED_SECONDS if problems else IDLE_SECONDS

    def close(self) -> None:
        """Close the connections."""
        self._feed.close()
        self._book.close()
        self._wakeups.close()

    def _feed_some(self) -> bool:
        fed = self._feed.feed(ROWS_MAX, self._told)
        self.metrics.journal_lag.labels(CURSOR).set(fed.lag_seconds)
        self._tasks.fed(fed.tasks)
        self._wake(fed.wakeups, "new")
        return fed.rows == ROWS_MAX

    def _reconcile(self) -> bool:
        if time.monotonic() < self._reconcile_at:
            return False
        self._reconcile_at = time.monotonic() + RECONCILE_SECONDS
        self._told = ()  # until it is known that they can be reached
        rooms = {role: WAITING_MAX - self._wakeups.waiting(role) for role in self._wakeups.reachable()}
        self._told = tuple(role for role, room in rooms.items() if room > 0)
        for role in self._told:
            self._wake(self._book.overdue(role, min(rooms[role], OVERDUE_MAX)), "overdue")
        return False

    def _wake(self, wakeups: Sequence[Wakeup], why: str) -> None:
        try:
            self._wakeups.wake(wakeups)
        except TransportError:
            self._told = ()
            self._reconcile_at = time.monotonic() + UNREACHABLE_SECONDS
            raise
        for role in {wakeup.role for wakeup in wakeups}:
            self._tasks.sent(role, why, sum(wakeup.role == role for wakeup in wakeups))

    def _count(self) -> bool:
        if time.monotonic() >= self._count_at:
            self._count_at = time.monotonic() + COUNT_SECONDS
            self._tasks.counted(self._book.open_counts())
        return False

    def _tidy(self) -> bool:
        if time.monotonic() < self._tidy_at:
            return False
        self._tidy_at = time.monotonic() + TIDY_SECONDS
        deleted = self._book.tidy(RETENTION_DAYS, TIDY_MAX)
        self._tasks.tidied(deleted)
        if deleted == TIDY_MAX:
            self._tidy_at = 0.0  # there may be more
        return False

    def _tell(self, problems: list[str]) -> None:
        problem = "; ".join(dict.fromkeys(problems)) or None
        if problem is not None and problem != self.problem:
            log.error("feeder_problem", problem=problem)
        self.problem = problem
