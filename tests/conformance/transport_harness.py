"""What a transport must offer the conformance suite, and how the suite looks at what it does.

To plug in another transport, write a `TransportHarness` for it and add a context manager that gives one to
`HARNESSES` in the conftest beside this file.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from holdgate_schema.envelope import Properties
from holdgate_schema.routing import SLOTS, partition_of, slot_key, slot_of
from holdgate_schema.topology import REQUESTS_EXCHANGE
from holdgate_workers.app.ports import ChannelId, Consumer, DeadLetters, Delivery, Outgoing, Publisher, Sink

PARTITIONS = 2
PATIENCE_SECONDS = 60.0


class ReplyQueue(Protocol):
    """A queue as a client has it for its answers."""

    address: str

    def read(self) -> tuple[bytes, Properties]:
        """The next message; fails if none comes in time."""

    def vanish(self) -> None:
        """Be gone, as when the client is."""


class TransportHarness(Protocol):
    """One transport with the topology of `PARTITIONS` partitions declared."""

    def consumer(self, sink: Sink, prefetch: int = 1000) -> Consumer:
        """A new consumer, as another process would have it."""

    def crash(self, consumer: Consumer) -> None:
        """End it as if its process had been killed: nothing flushed, nothing said. It does not come back."""

    def served(self) -> frozenset[int]:
        """The partitions whose queue serves a consumer."""

    def publisher(self) -> Publisher:
        """A new publisher."""

    def dead_letters(self) -> DeadLetters:
        """The dead-letter queue."""

    def reply_queue(self) -> ReplyQueue:
        """A new reply queue."""

    def reset(self) -> None:
        """Close what was made, and empty all queues."""


class RecordingSink:
    """Keeps all that a consumer tells. Safe to look at from the test's thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.subscriptions: list[tuple[int, ChannelId]] = []
        self.deliveries: list[Delivery] = []
        self.losses: list[tuple[int, ChannelId]] = []

    def subscribed(self, partition: int, channel: ChannelId) -> None:
        self._add(self.subscriptions, (partition, channel))

    def delivered(self, delivery: Delivery) -> None:
        self._add(self.deliveries, delivery)

    def lost(self, partition: int, channel: ChannelId) -> None:
        self._add(self.losses, (partition, channel))

    def _add(self, where: list, what: object) -> None:  # type: ignore[type-arg]
        with self._changed:
            where.append(what)
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[], object], what: str = "", timeout: float = PATIENCE_SECONDS) -> None:
        """Wait until it is true after something was told; fails the test otherwise."""
        with self._changed:
            came = self._changed.wait_for(lambda: bool(condition()), timeout)
        assert came, (
            f"{what or 'it'} did not come: {len(self.subscriptions)} subscriptions, "
            f"{len(self.deliveries)} deliveries, {len(self.losses)} losses"
        )

    def wait_for_deliveries(self, number: int) -> list[Delivery]:
        self.wait_for(lambda: len(self.deliveries) >= number, f"delivery {number}")
        return self.deliveries

    def wait_for_subscription(self, number: int = 1) -> ChannelId:
        self.wait_for(lambda: len(self.subscriptions) >= number, f"subscription {number}")
        return self.subscriptions[number - 1][1]

    def wait_for_loss(self, number: int = 1) -> None:
        self.wait_for(lambda: len(self.losses) >= number, f"loss {number}")

    @property
    def bodies(self) -> list[bytes]:
        return [delivery.body for delivery in self.deliveries]


SLOT_OF_PARTITION = {partition_of(slot, PARTITIONS): slot for slot in reversed(range(SLOTS))}


def request(body: bytes, partition: int = 0, **properties: object) -> Outgoing:
    """A message for the partition's queue."""
    return Outgoing(
        exchange=REQUESTS_EXCHANGE,
        routing_key=slot_key(SLOT_OF_PARTITION[partition]),
        body=body,
        properties=Properties(**properties),  # type: ignore[arg-type]
        mandatory=True,
    )


def numbered(first: int, last: int, partition: int = 0) -> list[Outgoing]:
    """Messages that say their number."""
    return [request(b"%d" % number, partition) for number in range(first, last + 1)]


def occurrence_of_partition(partition: int) -> str:
    """An occurrence whose requests go to that partition."""
    return next(
        name
        for name in (f"occ-{number}" for number in range(10_000))
        if partition_of(slot_of(name), PARTITIONS) == partition
    )
