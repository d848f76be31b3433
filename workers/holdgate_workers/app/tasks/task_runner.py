"""Doing one task: claim it, have it handled, write down what became of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from .ports import TaskSource
from .tasks import USUAL, Again, Dead, Handler, Retries, Task, TaskOutcome, ruled

UNKNOWN_KIND_SECONDS = 30.0


class DeskObserver(Protocol):
    """What wants to know what happens at a desk. Must not raise."""

    def claimed(self, task: Task) -> None:
        """The task is in hand."""

    def settled(self, task: Task, outcome: TaskOutcome, *, written: bool) -> None:
        """It is out of hand; `written` is False if another claim had overtaken this one."""

    def failed(self, task_id: int, problem: Exception) -> None:
        """The table could not be reached: the task stays as it was, or claimed until its lease is over."""


class HandlerDesk:
    """`app.tasks.ports.Desk`: one thread's handlers."""

    def __init__(
        self,
        source: TaskSource,
        handlers: Mapping[str, Handler],
        *,
        worker: str,
        lease_seconds: float,
        jitter: Callable[[], float],
        observer: DeskObserver,
        retries: Mapping[str, Retries] | None = None,
    ) -> None:
        self._source = source
        self._handlers = handlers
        self._worker = worker
        self._lease_seconds = lease_seconds
        self._jitter = jitter
        self._observer = observer
        self._retries = retries or {}

    def work(self, task_id: int) -> None:
        """Do this task, if it is to be done."""
        try:
            task = self._source.claim(task_id, self._worker, self._lease_seconds)
            if task is None:
                return
            self._observer.claimed(task)
            outcome = self._ruled(task)
            written = self._source.settle(task, outcome)
        except Exception as exc:  # noqa: BLE001 - the task is in the table, and will be found there
            self._observer.failed(task_id, exc)
            return
        self._observer.settled(task, outcome, written=written)

    def close(self) -> None:
        """Close the handlers and the table."""
        for handler in self._handlers.values():
            handler.close()
        self._source.close()

    def _ruled(self, task: Task) -> TaskOutcome:
        retries = self._retries.get(task.kind, USUAL)
        if task.attempts > retries.attempts_max:
            # Its workers died or hung in it: what kills them must not do so for ever.
            said = f", at last: {task.last_error}" if task.last_error else ""
            return Dead(f"no worker lived to finish it in {retries.attempts_max} attempts{said}")
        return ruled(retries, task.attempts, self._handled(task), self._jitter())

    def _handled(self, task: Task) -> TaskOutcome:
        handler = self._handlers.get(task.kind)
        if handler is None:
            # While versions change, the worker that knows the kind may be another.
            return Again(UNKNOWN_KIND_SECONDS, f"no handler for {task.kind}")
        try:
            return handler.handle(task)
        except Exception as exc:  # noqa: BLE001 - whatever a handler raises, the task must not be lost
            return Again(None, f"{type(exc).__name__}: {exc}")
