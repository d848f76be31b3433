"""Acknowledging a batch once its answers are with the queue."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass

from holdgate_workers.app.ports import ChannelId, Consumer, Publisher, Receipt

WAIT_SECONDS = 0.25
"""Answers may be slow, and a broker that has blocked us takes none at all: its queues must drain all the same."""


@dataclass(slots=True)
class _Settled:
    """A batch that was committed and answered."""

    receipt: Receipt | None
    tags: dict[ChannelId, int]
    since: float


class Acknowledger:
    """Acknowledges batches in their order, each once its answers were confirmed or have had time enough.

    It is never wrong to do it earlier: the outcome is durable. But a worker that is killed in between takes its
    answers along, and its clients would wait until their time is over; unacknowledged, the requests come to the next
    worker, which answers them from the journal.
    """

    def __init__(self, consumer: Consumer, publisher: Publisher) -> None:
        self._consumer = consumer
        self._publisher = publisher
        self._lock = threading.Lock()
        self._line: deque[_Settled] = deque()
        self._receipt: Receipt | None = None

    def replied(self, receipt: Receipt) -> None:
        """The answers of the batch that is about to be acknowledged are being published."""
        self._receipt = receipt

    def ack(self, tags: dict[ChannelId, int]) -> None:
        """Acknowledge the batch in its turn."""
        receipt, self._receipt = self._receipt, None
        with self._lock:
            self._line.append(_Settled(receipt, tags, time.monotonic()))
        if receipt is None:
            self.turn()
        else:
            receipt.on_settled(self.turn)

    def turn(self) -> None:
        """Acknowledge what can be. From any thread; the engine comes by at least twice a second."""
        with self._lock:
            late = time.monotonic() - WAIT_SECONDS
            while self._line and self._may_go(self._line[0], late):
                for channel, tag in self._line.popleft().tags.items():
                    self._consumer.ack(channel, tag)

    def flush(self, timeout_seconds: float) -> None:
        """Wait for the answers that are still on their way, then acknowledge all."""
        with self._lock:
            last = next((settled.receipt for settled in reversed(self._line) if settled.receipt is not None), None)
        if last is not None and not self._publisher.blocked:
            last.wait(timeout_seconds)
        with self._lock:
            while self._line:
                for channel, tag in self._line.popleft().tags.items():
                    self._consumer.ack(channel, tag)

    def _may_go(self, settled: _Settled, late: float) -> bool:
        receipt = settled.receipt
        return receipt is None or receipt.is_settled or settled.since < late or self._publisher.blocked
