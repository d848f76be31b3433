"""The dead-letter queue on RabbitMQ, for operators: a connection for each look, nothing kept open."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from hashlib import blake2b
from time import monotonic
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from pika import exceptions

from holdgate_schema.ids import RequestId
from holdgate_schema.topology import DEAD_EXCHANGE, DEAD_QUEUE
from holdgate_workers.app.dead_letters.replay import (
    DETAIL_HEADER,
    DIED_AT_HEADER,
    PARTITION_HEADER,
    REASON_HEADER,
    REPLAYS_HEADER,
    ROUTING_KEY_HEADER,
    oversized_of,
)
from holdgate_workers.app.ports import DeadLetter, Outgoing, TransportError

from .amqp.properties import WRITE_MAX, from_wire, plain_headers, to_wire
from .amqp.wire import oversized_of as oversized_on_the_wire
from .connection import explain
from .topology import connected

CONNECTION_NAME = "holdgate-dead-letters"
UNROUTABLE = "unroutable"
ID_BYTES = 12
PREFETCH_MAX = 65_535
"""With more letters than this a look may change their order."""
PATIENCE_SECONDS = 2.0
GIVE_BACK_POLL_SECONDS = 0.01
HEARTBEAT_SECONDS = 300
"""Long, because nobody answers heartbeats while `choose` thinks, or asks a human."""

_PARTITION = re.compile(r"holdgate\.requests\.(\d{2})\Z")


class _Request(Struct):
    request_id: RequestId


_decoder = msgspec.json.Decoder(_Request)


class RabbitDeadLetters:
    """`app.ports.DeadLetters` on RabbitMQ. Each call raises `TransportError`.

    While one looks, the letters looked at are out of sight for others; they come back, in order, when the look is
    over. A letter's id is its request id, else its message id, else made from what it says, so two letters of one
    request have the same.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def list(self, limit: int) -> Sequence[DeadLetter]:
        """The oldest ones first."""
        with connected(self._url, CONNECTION_NAME, HEARTBEAT_SECONDS) as connection:
            look = _Look(connection)
            letters = [letter for _tag, letter in look.letters(limit)]
            look.give_back()
        return letters

    def count(self) -> int:
        """How many there are, without those that somebody is looking at right now."""
        with connected(self._url, CONNECTION_NAME, HEARTBEAT_SECONDS) as connection:
            return _count(connection.channel())

    def replay(self, choose: Callable[[DeadLetter], Outgoing | None], limit: int) -> Sequence[DeadLetter]:
        """Send again what `choose` gives a message for, among the `limit` oldest.

        What no queue takes, or the broker refuses, stays where it is and is not among those returned.
        """
        replayed: list[DeadLetter] = []
        try:
            with connected(self._url, CONNECTION_NAME, HEARTBEAT_SECONDS) as connection:
                look, outbound = _Look(connection), connection.channel()
                outbound.confirm_delivery()
                for tag, letter in look.letters(limit):
                    message = choose(letter)
                    if message is not None and _publish(outbound, message):
                        look.remove(tag)
                        replayed.append(letter)
                look.give_back()
        except TransportError as exc:
            if replayed:
                raise TransportError(f"{exc} ({len(replayed)} letters were replayed before that)") from exc
            raise
        return replayed


class _Look:
    """Takes the letters at the front, and gives back what was not removed."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._channel = connection.channel()
        self._there = _count(self._channel)

    def letters(self, limit: int) -> Iterator[tuple[int, DeadLetter]]:
        """The first ones, at most as many as there are now: a letter that dies again at once is not met twice.

        It takes all that there are, and shows the first. What a quorum queue gets back it puts behind everything
        that came back earlier, so a look at a few would turn the order round. By a consumer and not by
        `basic.get` for the same reason: each get counts as a consumer of its own, and they are given back in the
        order of their names, 1, 10, 11, 2.
        """
        number = min(self._there, PREFETCH_MAX)
        if number <= 0 or limit <= 0:
            return
        self._channel.basic_qos(prefetch_count=number)
        stream = self._channel.consume(DEAD_QUEUE, inactivity_timeout=PATIENCE_SECONDS)
        for taken, (method, properties, body) in enumerate(stream, start=1):
            if method is None:
                return  # somebody else took them in the meantime
            if taken <= limit:
                yield method.delivery_tag, read_letter(method.exchange, method.routing_key, properties, body)
            if taken == number:
                return

    def remove(self, tag: int) -> None:
        """This one is done with."""
        self._channel.basic_ack(tag)
        self._there -= 1

    def give_back(self) -> None:
        """Not only said but seen: the queue takes them back a moment after the channel is closed."""
        self._channel.close()
        channel = self._connection.channel()
        deadline = monotonic() + PATIENCE_SECONDS
        while _count(channel) < self._there and monotonic() < deadline:
            self._connection.process_data_events(GIVE_BACK_POLL_SECONDS)


def _count(channel: Any) -> int:
    return int(channel.queue_declare(DEAD_QUEUE, passive=True).method.message_count)


def _publish(channel: Any, message: Outgoing) -> bool:
    properties = to_wire(message.properties, persistent=message.persistent)
    try:
        channel.basic_publish(message.exchange, message.routing_key, message.body, properties, mandatory=True)
    except (exceptions.UnroutableError, exceptions.NackError):
        return False
    except exceptions.ChannelClosedByBroker as exc:
        raise TransportError(f"the broker refuses the replay: {explain(exc)}") from exc
    return True


def read_letter(exchange: object, routing_key: object, found: Any, body: bytes) -> DeadLetter:
    """A dead letter as it is in the queue.

    Senders may set any header, so the way it came decides who is believed. What came through the exchange for
    dead letters was sent by a gate, which says why, or by the broker, which says so in `x-death`: a gate removes
    that header. What came any other way was unroutable, whatever it says about itself.
    """
    raw = found.headers or {}
    headers = plain_headers(raw, WRITE_MAX)
    properties = replace(from_wire(found), headers=headers)
    through_dying = exchange == DEAD_EXCHANGE
    died = _broker_death(raw) if through_dying else {}
    ours = headers if through_dying and not died else {}
    replays = headers.get(REPLAYS_HEADER)
    return DeadLetter(
        id=_id(body, properties.message_id, raw),
        reason=str(ours.get(REASON_HEADER) or died.get("reason") or UNROUTABLE),
        detail=str(ours.get(DETAIL_HEADER) or _broker_detail(died)),
        died_at=str(ours.get(DIED_AT_HEADER) or _time(died.get("time"))),
        partition=_partition(ours.get(PARTITION_HEADER), died.get("queue")),
        routing_key=str(ours.get(ROUTING_KEY_HEADER) or _broker_key(died) or routing_key),
        body=body,
        properties=properties,
        oversized=oversized_on_the_wire(found) or oversized_of(ours),
        replays=replays if isinstance(replays, int) else 0,
        headers=headers,
    )


def _id(body: bytes, message_id: str | None, headers: dict[Any, Any]) -> str:
    try:
        return _decoder.decode(body).request_id
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        text = str(headers.get("x-death", "")).encode("utf-8", "replace")
        return message_id or blake2b(body + text, digest_size=ID_BYTES).hexdigest()


def _broker_death(headers: dict[Any, Any]) -> dict[str, Any]:
    """The latest entry of `x-death`, if there is one; else what the headers about the first death say."""
    deaths = headers.get("x-death")
    if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict):
        return deaths[0]
    reason = headers.get("x-first-death-reason")
    return {"reason": reason, "queue": headers.get("x-first-death-queue")} if reason else {}


def _broker_detail(died: dict[str, Any]) -> str:
    queue, times = died.get("queue"), died.get("count")
    if not queue:
        return ""
    return f"from {queue}" + (f", {times} times" if isinstance(times, int) and times > 1 else "")


def _broker_key(died: dict[str, Any]) -> str:
    keys = died.get("routing-keys")
    return str(keys[0]) if isinstance(keys, list) and keys else ""


def _time(found: Any) -> str:
    return found.isoformat() if isinstance(found, datetime) else ""


def _partition(said: object, queue: object) -> int | None:
    if isinstance(said, int):
        return said
    match = _PARTITION.match(queue) if isinstance(queue, str) else None
    return int(match[1]) if match else None
