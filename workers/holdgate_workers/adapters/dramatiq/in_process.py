"""Wake-ups inside one process: dramatiq's StubBroker. Workers in other processes look into the table themselves."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence

from dramatiq.brokers.stub import StubBroker
from prometheus_client import CollectorRegistry

from holdgate_workers.app.tasks.ports import DeskMaker
from holdgate_workers.app.tasks.tasks import Wakeup

from .metrics import DramatiqMetrics
from .worker import DramatiqWorker, queue_name, wakeup


class InProcessWakeups:
    """`app.tasks.ports.WakeupLine` between the threads of one process. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._brokers: dict[str, StubBroker] = {}

    def reachable(self) -> Collection[str]:
        """The roles that have a worker in this process."""
        with self._lock:
            return tuple(self._brokers)

    def waiting(self, role: str) -> int:
        """How many wake-ups wait to be taken."""
        broker = self._broker(role)
        return 0 if broker is None else broker.queues[queue_name(role)].qsize()

    def wake(self, wakeups: Sequence[Wakeup]) -> None:
        """Hand them over; those of roles that have no worker here are dropped."""
        for item in wakeups:
            broker = self._broker(item.role)
            if broker is not None:
                broker.enqueue(wakeup(item.role, item.task_id))

    def worker(
        self,
        role: str,
        desks: DeskMaker,
        *,
        threads: int,
        name: str,  # noqa: ARG002 - there is no connection to name
        registry: CollectorRegistry,
    ) -> DramatiqWorker:
        """Threads that take this role's wake-ups; one such worker per role."""
        broker = StubBroker(middleware=[DramatiqMetrics(registry)])
        worker = DramatiqWorker(
            broker,
            role,
            desks,
            threads=threads,
            is_connected=lambda thread: thread is not None,
            on_stopped=lambda: self._forget(role),
        )
        with self._lock:
            self._brokers[role] = broker
        return worker

    def close(self) -> None:
        """There is nothing to close."""

    def _broker(self, role: str) -> StubBroker | None:
        with self._lock:
            return self._brokers.get(role)

    def _forget(self, role: str) -> None:
        with self._lock:
            self._brokers.pop(role, None)
