"""What the gate tells, turned into metrics and log lines."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

import structlog

from holdgate_schema.answers.holds import Refused
from holdgate_workers.app.gate.batch import Settled
from holdgate_workers.app.gate.gate import Observer
from holdgate_workers.app.gate.incoming import Incoming
from holdgate_workers.roles.metrics.metrics import Metrics

log = structlog.get_logger("holdgate.gate")


class MetricsObserver(Observer):
    """Counts in groups: one increment per kind of outcome and batch, not one per message."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def batch_settled(self, incoming: Sequence[Incoming], settled: Settled) -> None:
        """Count the outcomes and the time that each message took."""
        now = time.monotonic()
        counts: Counter[tuple[str, str, str]] = Counter()
        for item, decision in settled.outcomes:
            answer = decision.answer
            reason = answer.reason.value if isinstance(answer, Refused) else ""
            counts[(item.kind, str(answer.__struct_config__.tag), reason)] += 1
        for (kind, outcome, reason), count in counts.items():
            self._metrics.requests.labels(kind, outcome, reason).inc(count)
        if settled.repeated:
            self._metrics.repeated.inc(settled.repeated)
        self._metrics.answer_seconds.observe(now - item.received_at for item in incoming)
        redelivered = sum(item.delivery.redelivered for item in incoming)
        if redelivered:
            self._metrics.redelivered.inc(redelivered)

    def conflicted(self, kind: str) -> None:
        """Count a rolled-back commit."""
        self._metrics.conflicts.labels(kind).inc()
        log.info("batch_decided_again", kind=kind)

    def buried(self, item: Incoming, reason: str, detail: str) -> None:
        """Count and log a dead letter, by its ids alone."""
        self._metrics.dead.labels(reason).inc()
        log.warning(
            "dead_letter",
            reason=reason,
            detail=detail[:200],
            request_id=item.request_id,
            occurrence_id=item.occurrence_id,
            partition=item.delivery.partition,
        )
