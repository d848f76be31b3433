"""Whether every partition queue has a consumer and a second one behind it, and every slot a queue: told by a role that
is none of them."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from time import monotonic

import structlog

from holdgate_schema.routing import slot_key
from holdgate_workers.adapters.postgres.connection import DatabaseError, DatabaseUnavailable
from holdgate_workers.adapters.postgres.partitions.gaps import PartitionGaps
from holdgate_workers.app.ports import TransportError
from holdgate_workers.roles.metrics.metrics import Metrics
from holdgate_workers.wiring.faults import told

log = structlog.get_logger("holdgate.partitions")

LOOK_SECONDS = 5.0
SLOTS_SECONDS = 60.0
"""So often every slot is tried, with a request of its own; the first time after as long."""
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
        unbound: Callable[[int], frozenset[int]] = lambda _: frozenset(),
        interval_seconds: float = LOOK_SECONDS,
        slots_seconds: float = SLOTS_SECONDS,
    ) -> None:
        self._served = served
        self._gaps = gaps
        self._metrics = metrics
        self._partitions = partitions
        self._interval_seconds = interval_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="partition-watch", daemon=True)
        self._without: frozenset[int] = frozenset()
        self._unbound = unbound
        self._unbound_before: frozenset[int] = frozenset()
        self._slots_seconds = slots_seconds
        self._slots_at = monotonic() + slots_seconds

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
                if monotonic() >= self._slots_at:
                    self._slots_at = monotonic() + self._slots_seconds
                    self._look_at_slots()
                self._stopping.wait(self._interval_seconds)
        finally:
            self._gaps.close()

    def _look(self) -> None:
        try:
            gaps = self._gaps.note(self._served(self._partitions), self._partitions)
        except (TransportError, DatabaseUnavailable, DatabaseError) as exc:
            log.warning("partitions_not_seen", detail=told(exc))
            self._tell(math.nan, math.nan)
            return
        without = frozenset(gap.partition for gap in gaps if gap.missing == "consumer")
        self._tell(len(without), sum(gap.missing == "standby" for gap in gaps))
        # At the second look in a row: between two consumers there is a moment with none.
        for gap in gaps:
            if gap.missing == "consumer" and gap.partition in self._without:
                log.error("partition_without_consumer", partition=gap.partition, seconds=round(gap.seconds, 1))
        self._without = without

    def _look_at_slots(self) -> None:
        """What cannot be asked is shown as it was: whoever cannot ask says so with the other two numbers."""
        try:
            unbound = self._unbound(self._partitions)
        except TransportError as exc:
            log.warning("slots_not_seen", detail=str(exc))
            return
        for slot in self._unbound_before - unbound:
            self._metrics.slot_without_queue.remove(slot_key(slot))
        for slot in unbound:
            self._metrics.slot_without_queue.labels(slot_key(slot)).set(1)
        if unbound:
            names = ", ".join(slot_key(slot) for slot in sorted(unbound))
            log.error("slots_without_queue", slots=names, mend="holdgate migrate")
        self._unbound_before = unbound

    def _tell(self, without_consumer: float, without_standby: float) -> None:
        self._metrics.without_consumer.set(without_consumer)
        self._metrics.without_standby.set(without_standby)
