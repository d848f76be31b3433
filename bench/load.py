"""The load: requests, a backlog of them published beforehand, and a reader that notes when each answer arrived."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pika

from holdgate_schema.codec import encode
from holdgate_schema.commands.holds import Command, PlaceHold, PoolDefinition, PutOccurrence, TicketType, type_name
from holdgate_schema.routing import routing_key
from holdgate_schema.topology import REPLY_QUEUE_PREFIX, REQUESTS_EXCHANGE

from .amqp import Received, consumer, encoded, publisher

REPLY_QUEUE = f"{REPLY_QUEUE_PREFIX}bench"
CHUNK = 500
UNCONFIRMED_MAX = 5_000
CONFIRM_SECONDS = 30.0
FIRST_MILLISECOND = 1_900_000_000_000
CATALOGUE = 1 << 32
"""Request ids from here on are those of the catalogue's own commands."""


def request_id(number: int) -> str:
    """The n-th request id, as our clients make them: a millisecond (here each has 64 requests), then as good as
    random."""
    spread = number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**74
    milliseconds = FIRST_MILLISECOND + number // 64
    return str(UUID(int=milliseconds << 80 | 0x7 << 76 | spread >> 62 << 64 | 0x2 << 62 | spread % 2**62))


def an_occurrence(occurrence_id: str, capacity: int, *, number: int = 0) -> PutOccurrence:
    """Three ticket types, two of which share a cap."""
    start = datetime(2031, 6, 1, 18, tzinfo=UTC) + timedelta(minutes=number)
    return PutOccurrence(
        request_id=request_id(CATALOGUE + number),
        occurrence_id=occurrence_id,
        product_id="bench",
        starts_at=start,
        ends_at=start + timedelta(hours=2),
        timezone="Europe/Rome",
        capacity=capacity,
        pools=[PoolDefinition(key="reduced", capacity=capacity // 2)],
        ticket_types=[
            TicketType(key="adult"),
            TicketType(key="child", pools=["reduced"]),
            TicketType(key="senior", pools=["reduced"]),
        ],
    )


def a_place(number: int, occurrence_id: str, items: dict[str, int] | None = None) -> PlaceHold:
    """A basket of one or two tickets, each from a session of its own."""
    if items is None:
        items = ({"adult": 1}, {"adult": 1, "child": 1}, {"senior": 1})[number % 3]
    return PlaceHold(
        request_id=request_id(number), occurrence_id=occurrence_id, items=items, session_id=f"session-{number}"
    )


def places(count: int, occurrence_ids: Sequence[str], *, first: int = 0) -> list[PlaceHold]:
    """So many requests, dealt to the occurrences at random, the same ones each time."""
    dealt = random.Random(first)
    return [a_place(first + number, dealt.choice(occurrence_ids)) for number in range(count)]


def message(command: Command, *, reply_to: str = REPLY_QUEUE) -> bytes:
    """The command as an upstream service publishes it: persistent, with an address for the answer."""
    properties = pika.BasicProperties(
        content_type="application/json",
        delivery_mode=2,
        message_id=command.request_id,
        correlation_id=command.request_id,
        reply_to=reply_to,
        type=type_name(command),
        app_id="bench",
    )
    return encoded(REQUESTS_EXCHANGE, routing_key(command.occurrence_id), properties, encode(command))


def publish_backlog(url: str, commands: Iterable[Command]) -> None:
    """Put the commands into their queues; returns once the broker has them all."""
    publish_messages(url, [message(command) for command in commands])


def publish_messages(url: str, messages: Sequence[bytes]) -> None:
    """Publish in this order; returns once the broker has confirmed them all. Raises `TimeoutError`."""
    wire = publisher(url)
    try:
        for start in range(0, len(messages), CHUNK):
            chunk = messages[start : start + CHUNK]
            wire.publish(b"".join(chunk), len(chunk))
            while wire.published - wire.confirmed > UNCONFIRMED_MAX:
                _confirmed_further(wire.read(CONFIRM_SECONDS))
        while wire.confirmed < wire.published:
            _confirmed_further(wire.read(CONFIRM_SECONDS))
    finally:
        wire.close()


def _confirmed_further(something_came: bool) -> None:
    if not something_came:
        raise TimeoutError(f"the broker confirmed nothing for {CONFIRM_SECONDS:g} s")


class Replies:
    """Reads the reply queue and notes arrivals on the monotonic clock."""

    def __init__(self, url: str, queue: str = REPLY_QUEUE) -> None:
        self.wire = consumer(url, queue, exclusive=True)

    @property
    def received(self) -> list[Received]:
        """The answers, in the order in which they came."""
        return self.wire.received

    def wait_for(self, count: int, quiet_seconds: float) -> None:
        """Until so many have arrived. Raises `TimeoutError` if none comes for so long."""
        while len(self.received) < count:
            if not self.wire.read(quiet_seconds):
                raise TimeoutError(f"{len(self.received)} of {count} replies, then none for {quiet_seconds:g} s")

    def decoded(self) -> Iterator[tuple[float, pika.BasicProperties]]:
        """When each came, and what was written on it."""
        return ((received.at, received.properties) for received in self.received)

    def close(self) -> None:
        """Hang up."""
        self.wire.close()
