"""The load: a backlog published beforehand, and a reader that notes when each reply arrived."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pika

from holdgate_schema.codec import encode
from holdgate_schema.messages import Command, PlaceHold, PoolDefinition, PutOccurrence, TicketType, type_name
from holdgate_schema.slots import routing_key
from holdgate_schema.topology import REPLY_QUEUE_PREFIX, REQUESTS_EXCHANGE

REPLY_QUEUE = f"{REPLY_QUEUE_PREFIX}bench"


def request_id(number: int) -> str:
    """The n-th request id, spread like random ones."""
    return str(UUID(int=(number * 0x9E3779B97F4A7C15F39CC0605CEDC835) % 2**128, version=4))


def an_occurrence(occurrence_id: str, capacity: int, *, number: int = 0) -> PutOccurrence:
    """Three ticket types, two of which share a cap."""
    start = datetime(2031, 6, 1, 18, tzinfo=UTC) + timedelta(minutes=number)
    return PutOccurrence(
        request_id=request_id(10_000_000 + number),
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


def a_place(number: int, occurrence_id: str) -> PlaceHold:
    """A basket of one or two tickets, each from a session of its own."""
    items = ({"adult": 1}, {"adult": 1, "child": 1}, {"senior": 1})[number % 3]
    return PlaceHold(
        request_id=request_id(number), occurrence_id=occurrence_id, items=items, session_id=f"session-{number}"
    )


def publish_backlog(url: str, commands: Sequence[Command]) -> None:
    """Put the commands into their queues, persistent; returns once the broker has them all."""
    connection = pika.SelectConnection(
        pika.URLParameters(url),
        on_open_callback=lambda connection: connection.channel(on_open_callback=opened),
        on_close_callback=lambda connection, _: connection.ioloop.stop(),
    )
    confirmed = 0

    def opened(channel: pika.channel.Channel) -> None:
        channel.confirm_delivery(on_confirm)
        for command in commands:
            channel.basic_publish(
                REQUESTS_EXCHANGE,
                routing_key(command.occurrence_id),
                encode(command),
                pika.BasicProperties(
                    content_type="application/json",
                    delivery_mode=2,
                    message_id=command.request_id,
                    correlation_id=command.request_id,
                    reply_to=REPLY_QUEUE,
                    type=type_name(command),
                    app_id="bench",
                ),
            )

    def on_confirm(frame: pika.frame.Method) -> None:
        nonlocal confirmed
        confirmed = frame.method.delivery_tag
        if confirmed >= len(commands):
            connection.close()

    connection.ioloop.start()


class Replies:
    """Reads the reply queue and notes arrivals on the monotonic clock."""

    def __init__(self, url: str) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self._channel = self._connection.channel()
        self._channel.queue_declare(REPLY_QUEUE, exclusive=True, auto_delete=True)
        self.arrived: list[float] = []
        self._channel.basic_consume(REPLY_QUEUE, self._on_reply, auto_ack=True)

    def _on_reply(self, *_: object) -> None:
        self.arrived.append(time.monotonic())

    def wait_for(self, count: int, timeout_seconds: float) -> None:
        """Until so many have arrived."""
        end = time.monotonic() + timeout_seconds
        while len(self.arrived) < count:
            if time.monotonic() > end:
                raise TimeoutError(f"{len(self.arrived)} of {count} replies within {timeout_seconds:g} s")
            self._connection.process_data_events(time_limit=1)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()
