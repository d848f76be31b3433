"""The role `notifications`: tells the world, with metrics of its own per receiver."""

from __future__ import annotations

import random
import time
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge

from holdgate_workers.adapters.webhooks.receivers import Receivers
from holdgate_workers.app.circuit_breaker import BreakerState
from holdgate_workers.app.notifications.delivery.outcomes import Delivered, Outcome
from holdgate_workers.app.notifications.delivery.retries import RetryPolicy
from holdgate_workers.app.tasks.tasks import NOTIFICATIONS
from holdgate_workers.wiring.notifications import NOTICE_RETRIES, NOTICE_THREADS, notice_handlers
from holdgate_workers.wiring.site import Site

from .metrics.orders import CIRCUITS
from .tasks import TaskRole


class NoticeMetrics:
    """Attempts and circuits. Labels: receivers (`mail`, `ga4`, `webhook/<target>`) and results, never an id.

    Thread-safe.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._attempts = Counter(
            "holdgate_delivery_attempts",
            "Attempts to tell somebody: delivered, failed (comes again), refused (for good)",
            ["receiver", "result"],
            registry=registry,
        )
        self._circuit = Gauge(
            "holdgate_receiver_circuit",
            "A receiver's circuit breaker: 0 closed, 1 half open, 2 open",
            ["receiver"],
            registry=registry,
        )

    def tried(self, receiver: str, outcome: Outcome) -> None:
        """An attempt ended."""
        result = "delivered" if isinstance(outcome, Delivered) else "refused" if outcome.is_final else "failed"
        self._attempts.labels(receiver, result).inc()

    def looked(self, receiver: str, circuit: BreakerState) -> None:
        """How a circuit stands now."""
        self._circuit.labels(receiver).set(CIRCUITS[circuit])


class NoticesRole(TaskRole):
    """Threads that are woken up and tell whoever is configured. Any number of them are safe."""

    def __init__(
        self, site: Site, *, policy: RetryPolicy | None = None, threads: int = NOTICE_THREADS, **fields: Any
    ) -> None:
        self._receivers = Receivers(
            threads=threads, elapsed_seconds=time.monotonic, draw=random.random, tried=self._tried
        )
        handlers = notice_handlers(site.config, site.database_url, self._receivers, policy=policy)
        super().__init__(site, NOTIFICATIONS, handlers, retries=NOTICE_RETRIES, threads=threads, **fields)
        self._notices = NoticeMetrics(self.metrics.registry)

    def round(self) -> float:
        """One look."""
        for receiver, circuit in self._receivers.circuits().items():
            self._notices.looked(receiver, circuit)
        return super().round()

    def _tried(self, receiver: str, outcome: Outcome) -> None:
        self._notices.tried(receiver, outcome)
