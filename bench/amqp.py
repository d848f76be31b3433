"""AMQP 0-9-1 as thin as it gets, for the load and for whoever reads the answers.

In this role pika costs some 20 µs a message, and on a small machine that is taken from whoever is being measured.
Here a message is encoded before the clock starts, and what comes back is only cut into frames; it is decoded when
the clock has stopped. Everybody who is measured gets his load from here.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct

import pika
from pika import frame, spec
from pika.amqp_object import Method

CHANNEL = 1
RECEIVE_BYTES = 1 << 18
METHOD, HEADER, BODY = 1, 2, 3

_HEAD = Struct(">BHL")
_CONFIRM = Struct(">LQB")
_ACK = 60 << 16 | 80


@dataclass(slots=True, frozen=True)
class Received:
    """A message as it came, and when, on the monotonic clock."""

    at: float
    header: bytes
    body: bytes

    @property
    def properties(self) -> pika.BasicProperties:
        """Decoded on demand."""
        return pika.BasicProperties().decode(self.header[12:])


class Wire:
    """One connection with one channel. No heartbeats, no reconnects; raises `ConnectionError` when it is cut."""

    def __init__(self, url: str) -> None:
        parameters = pika.URLParameters(url)
        self._socket = socket.create_connection((parameters.host, parameters.port), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""
        self._header = b""
        self._early: set[int] = set()
        self.received: list[Received] = []
        self.published = 0
        self.confirmed = 0
        login = parameters.credentials
        self._socket.sendall(frame.ProtocolHeader().marshal())
        self._expect(spec.Connection.Start)
        response = f"\0{login.username}\0{login.password}"
        self._send(0, spec.Connection.StartOk({}, "PLAIN", response, "en_US"))
        tune = self._expect(spec.Connection.Tune)
        self._send(0, spec.Connection.TuneOk(tune.channel_max, tune.frame_max, 0))
        self.call(spec.Connection.Open(parameters.virtual_host), spec.Connection.OpenOk, channel=0)
        self.call(spec.Channel.Open(), spec.Channel.OpenOk)

    def call(self, method: Method, answer: type[Method], *, channel: int = CHANNEL) -> Method:
        """Say something and wait for its answer. Only before the first message is on its way here."""
        self._send(channel, method)
        return self._expect(answer)

    def publish(self, encoded: bytes, count: int = 1) -> None:
        """Send so many messages that were `encoded` before."""
        self._socket.sendall(encoded)
        self.published += count

    def publish_some(self, encoded: memoryview) -> int:
        """Send as many bytes as the broker takes at once; how many that were. Counts no messages."""
        try:
            return self._socket.send(encoded, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0

    def read(self, timeout_seconds: float) -> bool:
        """Take in what is there, waiting so long for it; False if nothing came.

        What was published and could not be routed comes back as a message received.
        """
        if not wait_readable([self], timeout_seconds):
            return False
        chunk = self._socket.recv(RECEIVE_BYTES)
        if not chunk:
            raise ConnectionError("the broker hung up")
        self._rest += chunk
        self._cut(time.monotonic())
        return True

    def fileno(self) -> int:
        """For `select`."""
        return self._socket.fileno()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _cut(self, now: float) -> None:
        """The frames that are complete: messages are kept, confirms counted, the rest is none of our business."""
        data, at, end = self._rest, 0, len(self._rest)
        while end - at >= 8:
            kind, _, size = _HEAD.unpack_from(data, at)
            following = at + size + 8
            if following > end:
                break
            payload = data[at + 7 : following - 1]
            if kind == BODY:
                self.received.append(Received(now, self._header, payload))
            elif kind == HEADER:
                self._header = payload
            elif kind == METHOD:
                self._confirm(payload)
            at = following
        self._rest = data[at:]

    def _confirm(self, payload: bytes) -> None:
        if len(payload) != _CONFIRM.size:
            return
        kind, tag, multiple = _CONFIRM.unpack(payload)
        if kind != _ACK:
            return
        if multiple:
            self.confirmed = max(self.confirmed, tag)
        else:
            self._early.add(tag)
        while self.confirmed + 1 in self._early:
            self.confirmed += 1
            self._early.remove(self.confirmed)

    def _send(self, channel: int, method: Method) -> None:
        self._socket.sendall(frame.Method(channel, method).marshal())

    def _expect(self, kind: type[Method]) -> Method:
        while True:
            consumed, found = frame.decode_frame(self._rest)
            if found is None:
                chunk = self._socket.recv(RECEIVE_BYTES)
                if not chunk:
                    raise ConnectionError(f"the broker hung up instead of {kind.NAME}")
                self._rest += chunk
                continue
            self._rest = self._rest[consumed:]
            if not isinstance(found.method, kind):
                raise ConnectionError(f"the broker said {found.method!r} instead of {kind.NAME}")
            return found.method


def wait_readable(wires: Sequence[Wire], timeout_seconds: float) -> list[Wire]:
    """Which of them have something. `select` because it counts in microseconds where `epoll` rounds up to 1 ms."""
    return select.select(wires, [], [], max(0.0, timeout_seconds))[0]


def encoded(exchange: str, routing_key: str, properties: pika.BasicProperties, body: bytes) -> bytes:
    """A message as it goes over the wire. Its body has to fit into one frame."""
    publish = frame.Method(CHANNEL, spec.Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=True))
    header = frame.Header(CHANNEL, len(body), properties)
    return b"".join((publish.marshal(), header.marshal(), frame.Body(CHANNEL, body).marshal()))


def consumer(url: str, queue: str, *, exclusive: bool) -> Wire:
    """A connection that consumes a queue of its own without acknowledging."""
    wire = Wire(url)
    declare = spec.Queue.Declare(queue=queue, exclusive=exclusive, auto_delete=True)
    wire.call(declare, spec.Queue.DeclareOk)
    wire.call(spec.Basic.Consume(queue=queue, no_ack=True), spec.Basic.ConsumeOk)
    return wire


def publisher(url: str) -> Wire:
    """A connection with publisher confirms."""
    wire = Wire(url)
    wire.call(spec.Confirm.Select(), spec.Confirm.SelectOk)
    return wire
