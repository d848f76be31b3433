"""The metrics of tasks, beside those of every role. Labels: roles, kinds and outcomes, never an id."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from holdgate_workers.adapters.postgres.tasks.table import TaskCount
from holdgate_workers.app.tasks.tasks import Again, Dead, Task, TaskOutcome

log = structlog.get_logger("holdgate.tasks")

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class WorkMetrics:
    """`app.tasks.task_runner.DeskObserver`: counts what one role does, and what its threads are at. Thread-safe."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._claimed = Counter("holdgate_tasks_claimed", "Tasks taken in hand", ["kind"], registry=registry)
        self._settled = Counter(
            "holdgate_tasks_settled",
            "Tasks out of hand: done, again, dead, or overtaken by another claim",
            ["kind", "outcome"],
            registry=registry,
        )
        self._seconds = Histogram(
            "holdgate_task_seconds", "One task in hand", ["kind"], buckets=_SECONDS, registry=registry
        )
        self._failed = Counter(
            "holdgate_task_table_failures", "Tasks left because the table could not be reached", registry=registry
        )
        self._lock = threading.Lock()
        self._in_hand: dict[int, tuple[Task, float]] = {}

    def claimed(self, task: Task) -> None:
        """The task is in hand."""
        with self._lock:
            self._in_hand[threading.get_ident()] = task, time.monotonic()
        self._claimed.labels(task.kind).inc()

    def settled(self, task: Task, outcome: TaskOutcome, *, written: bool) -> None:
        """It is out of hand."""
        seconds = self._let_go()
        self._seconds.labels(task.kind).observe(seconds)
        name = type(outcome).__name__.lower() if written else "overtaken"
        self._settled.labels(task.kind, name).inc()
        about = {"task_id": task.id, "kind": task.kind, "key": task.key, "attempts": task.attempts}
        if not written:
            log.warning("task_overtaken", seconds=seconds, **about)
        elif isinstance(outcome, Again):
            log.warning("task_again", error=outcome.error, after_seconds=outcome.after_seconds, **about)
        elif isinstance(outcome, Dead):
            log.error("task_dead", error=outcome.error, **about)

    def failed(self, task_id: int, problem: Exception) -> None:
        """The table could not be reached."""
        self._let_go()
        self._failed.inc()
        log.warning("task_left", task_id=task_id, detail=str(problem))

    def longest(self) -> tuple[Task, float] | None:
        """The task that has been in hand for longest, and for how many seconds."""
        with self._lock:
            oldest = min(self._in_hand.values(), key=lambda entry: entry[1], default=None)
        return None if oldest is None else (oldest[0], time.monotonic() - oldest[1])

    def _let_go(self) -> float:
        with self._lock:
            entry = self._in_hand.pop(threading.get_ident(), None)
        return 0.0 if entry is None else time.monotonic() - entry[1]


class FeedMetrics:
    """What a feeder knows."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._fed = Counter(
            "holdgate_tasks_fed", "Tasks that followed from decisions", ["kind"], registry=registry
        )
        self._wakeups = Counter(
            "holdgate_task_wakeups_sent",
            "Wake-ups sent, by reason",
            ["role", "why"],
            registry=registry,
        )
        self._tidied = Counter("holdgate_tasks_tidied", "Ended tasks that were deleted", registry=registry)
        self._open = _gauge(registry, "holdgate_tasks_open", "Tasks that have not ended")
        self._overdue = _gauge(registry, "holdgate_tasks_overdue", "Tasks that are due and in nobody's hands")
        self._dead = _gauge(registry, "holdgate_tasks_dead", "Tasks that a person has to look at")
        self._oldest = _gauge(
            registry, "holdgate_tasks_oldest_seconds", "How long the first due task has been due"
        )

    def fed(self, tasks: Iterable[tuple[str, int]]) -> None:
        """New tasks, per kind."""
        for kind, number in tasks:
            self._fed.labels(kind).inc(number)

    def sent(self, role: str, why: str, number: int) -> None:
        """Wake-ups, `why`: new or overdue."""
        self._wakeups.labels(role, why).inc(number)

    def tidied(self, number: int) -> None:
        """Deleted tasks."""
        self._tidied.inc(number)

    def counted(self, counts: Iterable[TaskCount]) -> None:
        """What is in the table now; what is not there any more goes to 0."""
        for gauge in (self._open, self._overdue, self._dead, self._oldest):
            gauge.clear()
        for count in counts:
            labels = count.role, count.kind
            self._open.labels(*labels).set(count.open)
            self._overdue.labels(*labels).set(count.overdue)
            self._dead.labels(*labels).set(count.dead)
            self._oldest.labels(*labels).set(count.oldest_seconds)


def _gauge(registry: CollectorRegistry, name: str, about: str) -> Gauge:
    return Gauge(name, about, ["role", "kind"], registry=registry)
