"""Drives the gate: one thread that takes batches and does what the protocol asks for."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import structlog

from holdgate_schema.slots import partition_of, slot_of
from holdgate_workers.app.effects import (
    Ack,
    Bury,
    Commit,
    CommitResult,
    Effect,
    Load,
    Loaded,
    Pause,
    Reply,
    Unavailable,
)
from holdgate_workers.app.gate import Gate
from holdgate_workers.app.incoming import Incoming
from holdgate_workers.app.ports import Consumer, Publisher

from .intake import Intake
from .metrics import Metrics

log = structlog.get_logger("holdgate.gate")

IDLE_SECONDS = 0.5
BURY_SECONDS = 5.0
PAUSE_FIRST_SECONDS = 0.05
PAUSE_MAX_SECONDS = 2.0


class Store(Protocol):
    """The database as the engine uses it."""

    def load(self, wanted: Load) -> Loaded | Unavailable:
        """Read what a batch needs."""

    def commit(self, plan: Commit) -> CommitResult:
        """Make a batch durable."""

    def close(self) -> None:
        """Close the connection."""


class Engine:
    """Works batches until it is stopped. `ticked_at` moves at least every few seconds while it is alive."""

    def __init__(
        self,
        gate: Gate,
        store: Store,
        intake: Intake,
        consumer: Consumer,
        publisher: Publisher,
        metrics: Metrics,
        *,
        batch_messages_max: int,
        partitions: int,
    ) -> None:
        self._gate = gate
        self._store = store
        self._intake = intake
        self._consumer = consumer
        self._publisher = publisher
        self._metrics = metrics
        self._batch_messages_max = batch_messages_max
        self._partitions = partitions
        self._stopping = threading.Event()
        self._to_leave: deque[int] = deque()
        self._lost: deque[int] = deque()
        self._thread = threading.Thread(target=self._run, name="gate-engine", daemon=True)
        self.ticked_at = time.monotonic()
        self.failure: BaseException | None = None
        self._actions: dict[type[Effect], Callable[[Any], Any]] = {
            Load: self._store.load,
            Commit: self._commit,
            Reply: self._reply,
            Bury: self._bury,
            Ack: self._ack,
            Pause: self._pause,
        }

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout_seconds: float) -> bool:
        """Finish the batch at hand and end; False if it did not end in time. Idempotent."""
        self._stopping.set()
        self._intake.wake()
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def leave(self, partition: int) -> None:
        """Hand the partition over between two batches."""
        self._to_leave.append(partition)
        self._intake.wake()

    def lost(self, partition: int) -> None:
        """Forget what belongs to a partition that is no longer ours, between two batches."""
        self._lost.append(partition)

    def perform(self, effect: Effect) -> Any:
        """Do one thing that the protocol asks for. The seam for failure injection."""
        return self._actions[type(effect)](effect)

    @property
    def occurrences_remembered(self) -> int:
        """How many occurrences are in memory."""
        return self._gate.occurrences_remembered

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self.ticked_at = time.monotonic()
                self._between_batches()
                batch = self._intake.take(self._batch_messages_max, IDLE_SECONDS)
                if batch:
                    self._work(batch)
        except BaseException as exc:
            # A broken invariant outside any one message: die loudly, the messages are delivered elsewhere.
            self.failure = exc
            log.exception("engine_failed")
            raise
        finally:
            self._store.close()

    def _between_batches(self) -> None:
        while self._to_leave:
            partition = self._to_leave.popleft()
            self._intake.drop(partition)
            self._consumer.leave(partition)
            self._lost.append(partition)
        gone = {self._lost.popleft() for _ in range(len(self._lost))}
        if gone:
            self._gate.forget_where(lambda occurrence_id: self._partition(occurrence_id) in gone)

    def _partition(self, occurrence_id: str) -> int:
        return partition_of(slot_of(occurrence_id), self._partitions)

    def _work(self, batch: Sequence[Incoming]) -> None:
        self._metrics.batch_messages.observe(len(batch))
        protocol = self._gate.work(batch)
        try:
            effect = next(protocol)
            while True:
                effect = protocol.send(self.perform(effect))
        except StopIteration:
            return

    def _commit(self, plan: Commit) -> CommitResult:
        started = time.monotonic()
        result = self._store.commit(plan)
        self._metrics.commit_seconds.observe(time.monotonic() - started)
        return result

    def _reply(self, effect: Reply) -> None:
        self._publisher.publish(effect.messages)

    def _bury(self, effect: Bury) -> bool:
        problems = self._publisher.publish(effect.messages).wait(BURY_SECONDS)
        for problem in problems:
            log.warning("dead_letter_not_confirmed", kind=problem.kind, detail=problem.detail)
        return not problems

    def _ack(self, effect: Ack) -> None:
        for channel, tag in effect.tags.items():
            self._consumer.ack(channel, tag)

    def _pause(self, effect: Pause) -> bool:
        log.warning("batch_waits", attempt=effect.attempt, why=effect.why)
        self.ticked_at = time.monotonic()
        ceiling = min(PAUSE_MAX_SECONDS, PAUSE_FIRST_SECONDS * 2 ** min(effect.attempt - 1, 10))
        return not self._stopping.wait(random.uniform(0.5, 1.0) * ceiling)  # noqa: S311 - jitter
