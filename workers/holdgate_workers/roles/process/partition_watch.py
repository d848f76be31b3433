"""Whether every partition queue has a consumer and a second one behind it: told by a role that is neither of them."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

import structlog

from holdgate_workers.adapters.postgres.connection import DatabaseError, DatabaseUnavailable
from holdgate_workers.adapters.postgres.partitions.gaps import PartitionGaps
from holdgate_workers.app.ports import TransportError
from holdgate_workers.roles.metrics.metrics import Metrics

log = structlog.get_logger("holdgate.partitions")

LOOK_SECONDS = 5.0
STOP_SECONDS = 1.0


class PartitionWatch:
    """Asks the queues and the record every few seconds, on a thread of its own: a broker that does not answer must
    hold nobody up. What cannot be asked is shown as NaN, not as well."""

    def __init__(
        self,
        served: Callable[[int], frozenset[int]],
        gaps: PartitionGaps,
        metrics: Metrics,
        *,
        partitions: int,
        interval_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._served = served
        self._gaps = gaps
        self._metrics = metrics
        self._partitions = partitions
        self._interval_seconds = interval_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="partition-watch", daemon=True)
        self._without: frozenset[int] = frozenset()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; the connection is closed by the thread. Idempotent."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._look()
                self._stopping.wait(self._interval_seconds)
        finally:
            self._gaps.close()

    def _look(self) -> None:
        try:
            gaps = self._gaps.note(self._served(self._partitions), self._partitions)
        except (TransportError, DatabaseUnavailable, DatabaseError) as exc:
            log.warning("partitions_not_seen", detail=str(exc))
            self._tell(math.nan, math.nan)
            return
        without = frozenset(gap.partition for gap in gaps if gap.missing == "consumer")
        self._tell(len(without), sum(gap.missing == "standby" for gap in gaps))
        # At the second look in a row: between two consumers there is a moment with none.
        for gap in gaps:
            if gap.missing == "consumer" and gap.partition in self._without:
                log.error("partition_without_consumer", partition=gap.partition, seconds=round(gap.seconds, 1))
        self._without = without

    def _tell(self, without_consumer: float, without_standby: float) -> None:
        self._metrics.without_consumer.set(without_consumer)
        self._metrics.without_standby.set(without_standby)
