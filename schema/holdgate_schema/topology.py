"""Exchanges, queues and bindings as data, valid on RabbitMQ 3.10 and on 4.x alike.

Only arguments that mean the same on both are used: a delivery limit must be positive (3.10 does not know -1), and
at-least-once dead lettering needs `reject-publish`. The lengths are ceilings: of an argument and a policy the broker
takes the lower one, so operations lower them by policy at any time; a queue's arguments cannot change.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from .routing import SLOTS, partition_of, slot_key

REQUESTS_EXCHANGE = "holdgate.requests"
DEAD_EXCHANGE = "holdgate.dead"
EVENTS_EXCHANGE = "holdgate.events"
DEAD_QUEUE = "holdgate.dead"
INSTALLATION_EXCHANGE = "holdgate.installation"
"""Says whose virtual host this is, by its alternate exchange. Nothing is ever sent to it or to the two below."""
HOME_EXCHANGE = "holdgate.home"
"""Says where that installation's database is, for people, in the same way."""
REPLY_QUEUE_PREFIX = "holdgate.reply."

TASK_ROLES = ("pricing", "orders", "notifications")
"""The roles that are woken up through a queue of their own."""
REJECTED_KEPT_MS = 7 * 24 * 3600 * 1000
"""How long dramatiq keeps what is no message of ours."""

PARTITIONS_DEFAULT = 16
PARTITIONS_MAX = 64
DELIVERY_LIMIT = 100
"""Every restart costs each prefetched message one delivery; poison is isolated by the consumer long before."""
DEAD_DELIVERY_LIMIT = 1_000_000
"""Looking at a dead letter counts as a delivery; RabbitMQ 4 would drop it after 20 looks."""

PARTITION_MESSAGES_MAX = 1_000_000
PARTITION_BYTES_MAX = 512 * 1024 * 1024
DEAD_MESSAGES_MAX = 1_000_000
DEAD_BYTES_MAX = 1024 * 1024 * 1024
"""Beyond these the broker refuses what is published (`basic.nack`), and keeps what it has."""

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
    # No alternate exchange: it would take what no queue takes, and then nothing is returned to whoever sent it.
    Exchange(REQUESTS_EXCHANGE, "direct"),
    Exchange(EVENTS_EXCHANGE, "topic"),
)


def installation_mark(installation_id: str) -> str:
    """The exchange that is there if, and only if, the virtual host belongs to this installation."""
    return f"{INSTALLATION_EXCHANGE}.{installation_id}"


def partitions_mark(partitions: int) -> str:
    """The exchange that says to how many partition queues the slots are bound."""
    return f"holdgate.partitions.{partitions:02d}"


def partition_queue(partition: int) -> str:
    """The name of a partition's queue."""
    return f"holdgate.requests.{partition:02d}"


def queues(partitions: int) -> Iterator[Queue]:
    """The queues of a house with so many partitions."""
    yield Queue(
        DEAD_QUEUE,
        {
            "x-queue-type": "quorum",
            "x-delivery-limit": DEAD_DELIVERY_LIMIT,
            "x-overflow": "reject-publish",
            "x-max-length": DEAD_MESSAGES_MAX,
            "x-max-length-bytes": DEAD_BYTES_MAX,
        },
    )
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
                "x-max-length": PARTITION_MESSAGES_MAX,
                "x-max-length-bytes": PARTITION_BYTES_MAX,
            },
        )


def tasks_queue(role: str) -> str:
    """The queue of a role's wake-ups."""
    return f"holdgate.tasks.{role}"


def task_queues() -> Iterator[Queue]:
    """The queues of wake-ups, with the arguments that dramatiq gives them, of the virtual host's default type."""
    for role in TASK_ROLES:
        name = tasks_queue(role)
        rejected = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"{name}.XQ"}
        yield Queue(name, dict(rejected))
        yield Queue(f"{name}.DQ", dict(rejected))
        yield Queue(f"{name}.XQ", {"x-message-ttl": REJECTED_KEPT_MS})


def bindings(partitions: int) -> Iterator[Binding]:
    """Every slot to its partition's queue; what is dead to the dead-letter queue."""
    yield Binding(DEAD_QUEUE, DEAD_EXCHANGE, "")
    for slot in range(SLOTS):
        yield Binding(partition_queue(partition_of(slot, partitions)), REQUESTS_EXCHANGE, slot_key(slot))


@lru_cache(maxsize=4096)
def may_reply_to(address: str) -> bool:
    """Whether a client may name this reply address.

    Replies are published through the default exchange, so a free address would let a client write into any
    queue: only direct reply-to and queues under `holdgate.reply.` are allowed.
    """
    return _REPLY_TO.match(address) is not None
