"""Exchanges, queues and bindings as data, valid on RabbitMQ 3.10 and on 4.x alike.

Only arguments that mean the same on both are used: a delivery limit must be positive (3.10 does not know -1),
at-least-once dead lettering needs `reject-publish`, and whatever operations may want to change later belongs
into a policy, because a queue's arguments cannot change.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from .slots import SLOTS, partition_of, slot_key

REQUESTS_EXCHANGE = "holdgate.requests"
UNROUTABLE_EXCHANGE = "holdgate.unroutable"
DEAD_EXCHANGE = "holdgate.dead"
EVENTS_EXCHANGE = "holdgate.events"
DEAD_QUEUE = "holdgate.dead"
REPLY_QUEUE_PREFIX = "holdgate.reply."

PARTITIONS_DEFAULT = 16
PARTITIONS_MAX = 64
DELIVERY_LIMIT = 100
"""Every restart costs each prefetched message one delivery; poison is isolated by the consumer long before."""
DEAD_DELIVERY_LIMIT = 1_000_000
"""Looking at a dead letter counts as a delivery; RabbitMQ 4 would drop it after 20 looks."""

_REPLY_TO = re.compile(r"(?:amq\.rabbitmq\.reply-to\.[!-~]{1,200}|holdgate\.reply\.[A-Za-z0-9_.-]{1,100})\Z")

Argument = str | int | bool


@dataclass(frozen=True)
class Exchange:
    """An exchange to declare durable."""

    name: str
    kind: str
    arguments: dict[str, Argument] = field(default_factory=dict)


@dataclass(frozen=True)
class Queue:
    """A queue to declare durable."""

    name: str
    arguments: dict[str, Argument]


@dataclass(frozen=True)
class Binding:
    """A binding to make."""

    queue: str
    exchange: str
    routing_key: str


EXCHANGES: tuple[Exchange, ...] = (
    Exchange(DEAD_EXCHANGE, "fanout"),
    Exchange(UNROUTABLE_EXCHANGE, "fanout"),
    Exchange(REQUESTS_EXCHANGE, "direct", {"alternate-exchange": UNROUTABLE_EXCHANGE}),
    Exchange(EVENTS_EXCHANGE, "topic"),
)


def partition_queue(partition: int) -> str:
    """The name of a partition's queue."""
    return f"holdgate.requests.{partition:02d}"


def queues(partitions: int) -> Iterator[Queue]:
    """The queues of a house with so many partitions."""
    yield Queue(DEAD_QUEUE, {"x-queue-type": "quorum", "x-delivery-limit": DEAD_DELIVERY_LIMIT})
    for partition in range(partitions):
        yield Queue(
            partition_queue(partition),
            {
                "x-queue-type": "quorum",
                "x-single-active-consumer": True,
                "x-delivery-limit": DELIVERY_LIMIT,
                "x-dead-letter-exchange": DEAD_EXCHANGE,
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",
            },
        )


def bindings(partitions: int) -> Iterator[Binding]:
    """Every slot to its partition's queue; what is unroutable or dead to the dead-letter queue."""
    yield Binding(DEAD_QUEUE, DEAD_EXCHANGE, "")
    yield Binding(DEAD_QUEUE, UNROUTABLE_EXCHANGE, "")
    for slot in range(SLOTS):
        yield Binding(partition_queue(partition_of(slot, partitions)), REQUESTS_EXCHANGE, slot_key(slot))


@lru_cache(maxsize=4096)
def may_reply_to(address: str) -> bool:
    """Whether a client may name this reply address.

    Replies are published through the default exchange, so a free address would let a client write into any
    queue: only direct reply-to and queues under `holdgate.reply.` are allowed.
    """
    return _REPLY_TO.match(address) is not None
