"""Drives the gate: one thread that takes batches and does what the protocol asks for."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Any
from typing import Protocol as Face

import structlog

from holdgate_schema.routing import partition_of, slot_of
from holdgate_workers.app.gate.effects import (
    Ack,
    AwaitCommit,
    Bury,
    Commit,
    CommitResult,
    Effect,
    Load,
    Loaded,
    Pause,
    Prepare,
    Reply,
    Unavailable,
)
from holdgate_workers.app.gate.gate import Gate, Protocol
from holdgate_workers.app.gate.turns import Forget, Leave, Settle, Take, Turns
from holdgate_workers.app.ports import ChannelId, Consumer, Outgoing, Place, Publisher
from holdgate_workers.roles.metrics.metrics import Metrics

from .acknowledging import Acknowledger
from .delivery_buffer import Intake

log = structlog.get_logger("holdgate.gate")

IDLE_SECONDS = 0.5
BURY_SECONDS = 5.0
ANSWERS_FLUSH_SECONDS = 0.5
PAUSE_FIRST_SECONDS = 0.05
PAUSE_MAX_SECONDS = 2.0
AHEAD_MESSAGES_MIN = 100
"""With fewer waiting, the commit that is under way is waited for first: more may come for the next batch."""


class Store(Face):
    """The database as the engine uses it."""

    def load(self, wanted: Load) -> Loaded | Unavailable:
        """Read what a batch needs."""

    def prepare(self, plan: Commit) -> None:
        """Have a batch ready to be sent."""

    def commit(self, plan: Commit) -> None:
        """Send a batch to be made durable."""

    def outcome(self) -> CommitResult:
        """Wait for what became of it."""

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
        self._acknowledger = Acknowledger(consumer, publisher)
        self._metrics = metrics
        self._batch_messages_max = batch_messages_max
        self._partitions = partitions
        self._stopping = threading.Event()
        self._turns = Turns(ahead_messages_min=AHEAD_MESSAGES_MIN)
        self._thread = threading.Thread(target=self._run, name="gate-engine", daemon=True)
        self._committing_since = 0.0
        self.ticked_at = time.monotonic()
        self.failure: BaseException | None = None
        self._actions: dict[type[Effect], Callable[[Any], Any]] = {
            Load: self._store.load,
            Prepare: self._prepare,
            Commit: self._commit,
            AwaitCommit: self._await_commit,
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

    def leave(self, place: Place) -> None:
        """Hand the partition over between two batches, if that stay in its line is not over by then."""
        self._turns.leave(place)
        self._intake.wake()

    def to_leave(self) -> tuple[Place, ...]:
        """What is still to be handed over. From any thread."""
        return self._turns.to_leave()

    def lost(self, place: Place) -> None:
        """Forget what belongs to a partition that is no longer ours, between two batches."""
        self._turns.lost(place)

    def perform(self, effect: Effect) -> Any:
        """Do one thing that the protocol asks for. The seam for failure injection."""
        return self._actions[type(effect)](effect)

    @property
    def occurrences_remembered(self) -> int:
        """How many occurrences are in memory."""
        return self._gate.occurrences_remembered

    def _run(self) -> None:
        try:
            while self._turn():
                self.ticked_at = time.monotonic()
            self._acknowledger.flush(ANSWERS_FLUSH_SECONDS)
        except BaseException as exc:
            # A broken invariant outside any one message: die loudly, the messages are delivered elsewhere.
            self.failure = exc
            log.exception("engine_failed")
            raise
        finally:
            self._store.close()

    def _turn(self) -> bool:
        """One step; whether there is another."""
        self._acknowledger.turn()
        step = self._turns.next(
            is_committing=self._gate.is_committing,
            messages_waiting=len(self._intake),
            is_stopping=self._stopping.is_set(),
        )
        match step:
            case Settle():
                self._drive(self._gate.settle())
            case Leave(place):
                self._leave(place)
            case Forget(partitions):
                self._gate.forget_where(lambda occurrence_id: self._partition(occurrence_id) in partitions)
            case Take():
                self._take()
            case _:
                return False
        return True

    def _take(self) -> None:
        batch = self._intake.take(self._batch_messages_max, IDLE_SECONDS)
        if batch:
            self._metrics.batch_messages.observe(len(batch))
            self._drive(self._gate.work(batch))

    def _leave(self, place: Place) -> None:
        self._acknowledger.flush(ANSWERS_FLUSH_SECONDS)
        if self._intake.drop(place.channel):
            self._consumer.leave(place.channel)

    def _partition(self, occurrence_id: str) -> int:
        return partition_of(slot_of(occurrence_id), self._partitions)

    def _drive(self, protocol: Protocol) -> None:
        try:
            effect = next(protocol)
            while True:
                effect = protocol.send(self.perform(effect))
        except StopIteration:
            return

    def _prepare(self, effect: Prepare) -> None:
        self._store.prepare(effect.commit)

    def _commit(self, plan: Commit) -> None:
        self._committing_since = time.monotonic()
        self._store.commit(plan)

    def _await_commit(self, _: AwaitCommit) -> CommitResult:
        result = self._store.outcome()
        self._metrics.commit_seconds.observe(time.monotonic() - self._committing_since)
        return result

    def _reply(self, effect: Reply) -> None:
        self._acknowledger.replied(self._publisher.publish(effect.messages))

    def _bury(self, effect: Bury) -> bool:
        problems = self._publisher.publish(effect.messages).wait(BURY_SECONDS)
        for problem in problems:
            log.warning("dead_letter_not_confirmed", kind=problem.kind, detail=problem.detail)
        if any(problem.kind == "lost" for problem in problems) and not self._publisher.blocked:
            return False  # it may have arrived
        origins = dict(zip(map(id, effect.messages), effect.deliveries, strict=False))
        if not all(id(problem.message) in origins for problem in problems):
            return not problems
        for problem in problems:
            self._leave_to_its_queue(problem.message, origins[id(problem.message)])
        return True

    def _leave_to_its_queue(self, letter: Outgoing, origin: tuple[ChannelId, int] | None) -> None:
        """The dead letters are full. One message must not stop all others: its queue keeps it until they have room."""
        if origin is not None:
            self._consumer.reject(*origin)
            return
        digest = sha256(letter.body).hexdigest()
        log.error("dead_letter_dropped", message_id=letter.properties.message_id, body_sha256=digest)

    def _ack(self, effect: Ack) -> None:
        self._acknowledger.ack(effect.tags)

    def _pause(self, effect: Pause) -> bool:
        log.warning("batch_waits", attempt=effect.attempt, why=effect.why)
        self.ticked_at = time.monotonic()
        ceiling = min(PAUSE_MAX_SECONDS, PAUSE_FIRST_SECONDS * 2 ** min(effect.attempt - 1, 10))
        return not self._stopping.wait(random.uniform(0.5, 1.0) * ceiling)  # noqa: S311 - jitter
