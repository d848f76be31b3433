"""Consuming partitions: one I/O thread, one connection per partition, acknowledgements gathered.

A connection of its own for each partition is the price for leaving one of them in order: see `wire.drop`.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import count
from time import monotonic
from typing import Any

import pika
from pika import exceptions

from holdgate_schema.topology import partition_queue
from holdgate_workers.app.installation import Installation
from holdgate_workers.app.ports import ChannelId, Delivery, Oversized, Sink

from .amqp.frames import Received
from .amqp.properties import from_wire
from .amqp.wire import IoThread, WireConnection, drop, jitter, oversized_of
from .connection import (
    CONSUMER_HEARTBEAT_SECONDS,
    STEADY_SECONDS,
    backoff_seconds,
    connection_parameters,
    explain,
)
from .diagnosis import fault_of
from .stamp import mark_of

_log = logging.getLogger(__name__)

PREFETCH_DEFAULT = 1000
"""The same for all workers of a house. A successor with a smaller one takes only the first part of what came back
to a quorum queue; when he leaves too, that part goes behind the rest, and the order is gone."""
FLUSH_TIMEOUT_SECONDS = 1.0
CLOSE_TIMEOUT_SECONDS = 5.0


class RabbitConsumer:
    """`app.ports.Consumer` on RabbitMQ.

    Consumes only where the virtual host bears the installation's stamp, if one is given; otherwise it tries again.
    The sink is called on the I/O thread. `Sink.lost` comes exactly once for each channel that `Sink.subscribed`
    announced, and for no other. Raises `TransportError` for a URL that is none; after that nothing raises.
    """

    def __init__(
        self,
        url: str,
        sink: Sink,
        *,
        name: str,
        prefetch: int = PREFETCH_DEFAULT,
        heartbeat_seconds: int = CONSUMER_HEARTBEAT_SECONDS,
        installation: Installation | None = None,
    ) -> None:
        self._url = url
        self._mark = None if installation is None else mark_of(installation)
        self._sink = sink
        self._name = name
        self._prefetch = prefetch
        self._heartbeat_seconds = heartbeat_seconds
        self._parameters(0)  # a bad URL should be known here, not on the I/O thread
        self._channel_ids = count(1)
        self._lines: dict[int, _Line] = {}
        self._lives: dict[ChannelId, _Life] = {}
        self._acks: deque[tuple[ChannelId, int, bool]] = deque()
        self._ack_wake = False
        self._closing = False
        self._emptied = threading.Event()
        self._io = IoThread(f"{name}-consume")

    # --- the port, from any thread -----------------------------------------------------------------------------

    def subscribe(self, partition: int) -> None:
        """Want this partition. Returns at once; idempotent."""
        self._io.call(partial(self._want, partition))

    def leave(self, channel: ChannelId) -> None:
        """Stop wanting its partition: what was acknowledged before is settled, then the connection is dropped."""
        self._io.call(partial(self._depart, channel))

    def ack(self, channel: ChannelId, tag: int) -> None:
        """Acknowledge up to and including the tag. Many calls cost one wake-up and one frame per channel."""
        self._settle(channel, tag, rejected=False)

    def reject(self, channel: ChannelId, tag: int) -> None:
        """Have the broker put it with the dead letters: it keeps it in the partition's queue until they have room."""
        self._settle(channel, tag, rejected=True)

    def _settle(self, channel: ChannelId, tag: int, *, rejected: bool) -> None:
        self._acks.append((channel, tag, rejected))
        # Set and cleared in this order on both sides, so that nothing stays behind in the deque.
        if not self._ack_wake:
            self._ack_wake = True
            self._io.call(self._flush_acks)

    def standing(self) -> dict[int, ChannelId | None]:
        """The wanted partitions, each with the channel that stands in line."""
        return {line.partition: line.standing for line in self._lines.copy().values() if line.wanted}

    def close(self) -> None:
        """Leave everything and stop the thread. Waits, a few seconds at most; idempotent."""
        if self._closing:
            return
        self._closing = True
        self._io.call(self._leave_all)
        self._emptied.wait(CLOSE_TIMEOUT_SECONDS)
        self._io.stop()

    # --- on the I/O thread -------------------------------------------------------------------------------------

    def _want(self, partition: int) -> None:
        if self._closing:
            return
        line = self._lines.get(partition)
        if line is None:
            self._lines[partition] = line = _Line(partition)
            self._start(line)
        line.wanted = True

    def _depart(self, channel: ChannelId) -> None:
        life = self._lives.get(channel)
        if life is not None and not life.is_leaving:  # else that stay in the line is over
            self._unwant(self._lines[life.partition])

    def _unwant(self, line: _Line) -> None:
        line.wanted = False
        if line.life is None:
            self._remove(line)
        else:
            self._flush_acks()
            line.life.leave()

    def _leave_all(self) -> None:
        for line in list(self._lines.values()):
            self._unwant(line)
        self._check_emptied()

    def _remove(self, line: _Line) -> None:
        if line.timer is not None:
            self._io.forget(line.timer)
        self._lines.pop(line.partition, None)
        self._check_emptied()

    def _check_emptied(self) -> None:
        if self._closing and not self._lines:
            self._emptied.set()

    def _parameters(self, partition: int) -> pika.ConnectionParameters:
        return connection_parameters(
            self._url,
            name=f"{self._name}.p{partition:02d}",
            heartbeat_seconds=self._heartbeat_seconds,
            # It never publishes, so an alarm does not touch it.
            blocked_timeout_seconds=None,
        )

    def _start(self, line: _Line) -> None:
        line.timer = None
        number = next(self._channel_ids)
        life = _Life(self._io, self._sink, line.partition, number, self._prefetch, self._ended, self._mark)
        line.life = life
        self._lives[life.channel_id] = life
        life.dial(self._parameters(line.partition))

    def _ended(self, life: _Life, error: BaseException | None) -> None:
        del self._lives[life.channel_id]
        line = self._lines[life.partition]
        line.life = None
        if life.subscribed_at is not None:
            if monotonic() - life.subscribed_at >= STEADY_SECONDS:
                line.attempts = 0
            self._sink.lost(life.partition, life.channel_id)
        if not line.wanted or self._closing:
            self._remove(line)
            return
        seconds = backoff_seconds(line.attempts, jitter())
        line.attempts += 1
        line.timer = self._io.call_later(seconds, partial(self._start, line))
        _log.warning(
            "partition %02d has no broker connection: %s (%s); next try in %.2f s",
            life.partition,
            fault_of(life.reason or error),
            explain(life.reason or error),
            seconds,
        )

    def _flush_acks(self) -> None:
        self._ack_wake = False
        highest: dict[ChannelId, int] = {}
        acks = self._acks
        while acks:
            channel, tag, rejected = acks.popleft()
            if rejected:
                # At once, and so before an acknowledgement that covers it.
                if channel in self._lives:
                    self._lives[channel].reject(tag)
            elif tag > highest.get(channel, 0):
                highest[channel] = tag
        for channel, tag in highest.items():
            life = self._lives.get(channel)
            if life is not None:
                life.ack(tag)


class _Line:
    """Our wish for one partition, and what there is of it."""

    __slots__ = ("attempts", "life", "partition", "timer", "wanted")

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.wanted = True
        self.life: _Life | None = None
        self.timer: Any = None
        self.attempts = 0

    @property
    def standing(self) -> ChannelId | None:
        """The channel that stands in the queue's line; from any thread."""
        life = self.life
        return life.channel_id if life is not None and life.is_standing else None


class _Life:
    """One connection with one channel and one consumer on it, from dialling to its end."""

    def __init__(
        self,
        io: IoThread,
        sink: Sink,
        partition: int,
        channel_id: ChannelId,
        prefetch: int,
        ended: Callable[[_Life, BaseException | None], None],
        mark: str | None,
    ) -> None:
        self.partition = partition
        self.channel_id = channel_id
        self.subscribed_at: float | None = None
        self.reason: BaseException | None = None
        self._io = io
        self._sink = sink
        self._prefetch = prefetch
        self._ended = ended
        self._mark = mark
        self._over = False
        self._leaving = False
        self._delivered = 0
        self._acked = 0
        self._rejected: set[int] = set()
        self._connection: Any = None
        self._channel: Any = None

    def dial(self, parameters: pika.ConnectionParameters) -> None:
        """Begin. `ended` will be called once, whatever happens."""
        try:
            self._connection = WireConnection(
                parameters,
                on_open_callback=self._on_open,
                on_open_error_callback=self._on_end,
                on_close_callback=self._on_end,
                custom_ioloop=self._io.loop,
            )
        except (exceptions.AMQPError, OSError, RuntimeError, ValueError) as exc:
            _log.exception("partition %02d: the connection could not even be begun", self.partition)
            self._io.call(partial(self._on_end, None, exc))
            return
        self._tag = parameters.client_properties["connection_name"]

    @property
    def is_leaving(self) -> bool:
        """Whether its end is on its way, for whatever reason."""
        return self._leaving

    @property
    def is_standing(self) -> bool:
        """Whether the broker has confirmed the consumer and nothing has ended it since."""
        return self.subscribed_at is not None and not self._leaving and bool(self._channel.is_open)

    def ack(self, tag: int) -> None:
        """Tags that were never given or are already acknowledged would make the broker close the channel."""
        if self._acked < tag <= self._delivered and self._channel.is_open:
            before, self._acked = self._acked, tag
            # One that was rejected is unknown to the broker, which closes the channel over it.
            while tag in self._rejected:
                tag -= 1
            self._rejected = {each for each in self._rejected if each > self._acked}
            if tag > before:
                self._channel.basic_ack(tag, multiple=True)

    def reject(self, tag: int) -> None:
        """To the dead letters, by the broker itself. Not twice, and not what is acknowledged."""
        if self._acked < tag <= self._delivered and tag not in self._rejected and self._channel.is_open:
            self._rejected.add(tag)
            self._channel.basic_reject(tag, requeue=False)

    def leave(self) -> None:
        """Have the broker settle the acknowledgements sent so far, then drop the connection.

        A closed socket may throw away what the broker has not read yet. An answer to any synchronous method means
        that all before it was done, so the prefetch is set once more to what it is.
        """
        if self._leaving:
            return
        self._leaving = True
        if self._acked and self._channel.is_open:
            self._channel.basic_qos(prefetch_count=self._prefetch, callback=self._on_settled)
            self._io.call_later(FLUSH_TIMEOUT_SECONDS, self._on_settled)
        else:
            self._on_settled()

    def _on_settled(self, _frame: Any = None) -> None:
        if not self._over and self._connection is not None:
            drop(self._connection, "left")

    def _fail(self, reason: BaseException) -> None:
        self._leaving = True
        self.reason = reason
        drop(self._connection, explain(reason))

    # --- what pika tells ---------------------------------------------------------------------------------------

    def _on_open(self, connection: Any) -> None:
        if self._leaving:
            drop(connection, "left")
        else:
            connection.channel(on_open_callback=self._on_channel)

    def _on_channel(self, channel: Any) -> None:
        self._channel = channel
        channel.add_on_close_callback(self._on_channel_closed)
        channel.add_on_cancel_callback(self._on_cancel)
        self._connection.receive_with(channel.channel_number, self._on_received)
        if self._mark is not None:
            # Where it is not there the broker closes the channel, whatever follows: the virtual host is not ours.
            channel.exchange_declare(self._mark, passive=True)
        channel.basic_qos(prefetch_count=self._prefetch, callback=self._on_bounded)

    def _on_bounded(self, _frame: Any) -> None:
        if not self._leaving:
            queue = partition_queue(self.partition)
            self._channel.basic_consume(
                queue, self._on_message, consumer_tag=self._tag, callback=self._on_consuming
            )

    def _on_consuming(self, _frame: Any) -> None:
        if not self._leaving:
            self.subscribed_at = monotonic()
            self._sink.subscribed(self.partition, self.channel_id)

    def _on_received(self, received: Received, oversized: Oversized | None) -> None:
        if self._leaving:
            return
        tag, redelivered, routing_key, properties, body, _following = received
        self._delivered = tag
        self._sink.delivered(
            Delivery(self.partition, self.channel_id, tag, body, properties, redelivered, routing_key, oversized)
        )

    def _on_message(self, _channel: Any, method: Any, properties: Any, body: bytes) -> None:
        """One without a body whose properties are strange; the others come by the quicker way."""
        self._on_received(
            (method.delivery_tag, method.redelivered, str(method.routing_key), from_wire(properties), body, 0),
            oversized_of(properties),
        )

    def _on_cancel(self, frame: Any) -> None:
        """The broker cancelled us. It waits for an answer that pika never gives, so the connection has to go."""
        self._fail(ConnectionError(f"the broker cancelled the consumer {frame.method.consumer_tag}"))

    def _on_channel_closed(self, _channel: Any, reason: BaseException) -> None:
        if not self._connection.is_closed:
            self._fail(reason)

    def _on_end(self, _connection: Any, error: BaseException | None) -> None:
        if not self._over:
            self._over = True
            self._leaving = True
            self._ended(self, error)
