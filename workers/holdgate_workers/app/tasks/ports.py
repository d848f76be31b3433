"""What tasks need of the outside world: their table, and a way to wake workers up."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Protocol

from .tasks import Task, TaskOutcome, Wakeup


class TaskSource(Protocol):
    """The table of tasks, as workers use it. Not thread-safe."""

    def claim(self, task_id: int, worker: str, lease_seconds: float) -> Task | None:
        """Take the task in hand for so long; None if it is not due, has ended, or is in somebody's hands."""

    def settle(self, task: Task, outcome: TaskOutcome) -> bool:
        """Write down what became of it; False, and nothing is written, if this claim is not the one in force."""

    def overdue(self, role: str, limit: int) -> Sequence[Wakeup]:
        """What is due, in nobody's hands, and was not told of lately; taken to be told of now."""

    def close(self) -> None:
        """Close the connection. Idempotent."""


class TaskWorker(Protocol):
    """Threads that are woken up and work."""

    def start(self) -> None:
        """Begin. Returns at once; connects, and connects again, by itself."""

    def stop(self, timeout_seconds: float) -> None:
        """Take nothing new, and wait so long for what is in hand. What is not finished then stays claimed until its
        lease is over. Idempotent."""

    def problem(self) -> str | None:
        """Why nothing comes in; None if all is well."""


class Desk(Protocol):
    """Where one thread works."""

    def work(self, task_id: int) -> None:
        """Do this task, if it is to be done. Must not raise."""

    def close(self) -> None:
        """Called once, on the same thread, after the last task."""


class DeskMaker(Protocol):
    """Called on each thread of a `TaskWorker`."""

    def __call__(self) -> Desk:
        """A desk for this thread."""


class WakeupLine(Protocol):
    """How workers are woken up. It may lose and repeat, but not invent."""

    def reachable(self) -> Collection[str]:
        """The roles whose workers can be woken from here."""

    def waiting(self, role: str) -> int:
        """How many wake-ups wait to be taken; raises `TransportError`."""

    def wake(self, wakeups: Sequence[Wakeup]) -> None:
        """Send them and wait until they are safe; raises `TransportError`, and some may then have been sent."""

    def worker(self, role: str, desks: DeskMaker, *, threads: int, name: str, registry: Any) -> TaskWorker:
        """Threads that take this role's wake-ups; they count them in the registry of metrics."""

    def close(self) -> None:
        """Close the sending side. Idempotent."""
