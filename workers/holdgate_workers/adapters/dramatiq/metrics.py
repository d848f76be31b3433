"""dramatiq's metrics, in our own registry.

The names and labels are those of dramatiq's own middleware, so that dashboards made for it work. That one forks a
server and keeps files for several processes, which one process with a registry of its own needs not.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import dramatiq
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_LABELS = ("queue_name", "actor_name")
_MILLISECONDS = (5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10_000, 30_000, 60_000)


class DramatiqMetrics(dramatiq.Middleware):
    """Counts what dramatiq does with messages. One task id, one message: how tasks end is counted elsewhere."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._started = threading.local()
        self._messages = Counter("dramatiq_messages", "Messages processed", _LABELS, registry=registry)
        self._errors = Counter("dramatiq_message_errors", "Messages that raised", _LABELS, registry=registry)
        self._rejects = Counter("dramatiq_message_rejects", "Messages rejected", _LABELS, registry=registry)
        self._in_progress = Gauge("dramatiq_messages_inprogress", "Messages in work", _LABELS, registry=registry)
        self._duration = Histogram(
            "dramatiq_message_duration_milliseconds",
            "Time spent on one message",
            _LABELS,
            buckets=_MILLISECONDS,
            registry=registry,
        )

    def after_nack(self, broker: dramatiq.Broker, message: dramatiq.MessageProxy) -> None:  # noqa: ARG002
        """Rejected: it goes to the queue of dead messages."""
        self._rejects.labels(*_of(message)).inc()

    def before_process_message(self, broker: dramatiq.Broker, message: dramatiq.MessageProxy) -> None:  # noqa: ARG002
        """Begun."""
        self._started.at = time.monotonic()
        self._in_progress.labels(*_of(message)).inc()

    def after_process_message(
        self,
        broker: dramatiq.Broker,  # noqa: ARG002
        message: dramatiq.MessageProxy,
        *,
        result: Any | None = None,  # noqa: ARG002
        exception: BaseException | None = None,
    ) -> None:
        """Ended."""
        labels = _of(message)
        self._in_progress.labels(*labels).dec()
        self._duration.labels(*labels).observe((time.monotonic() - self._started.at) * 1000)
        self._messages.labels(*labels).inc()
        if exception is not None:
            self._errors.labels(*labels).inc()


def _of(message: dramatiq.MessageProxy) -> tuple[str, str]:
    return message.queue_name, message.actor_name
