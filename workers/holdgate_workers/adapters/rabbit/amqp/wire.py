"""The little that we need of pika beyond its documented ways: all of it is here, each with its reason."""

from __future__ import annotations

import logging
import random
import struct
import threading
from collections.abc import Callable
from typing import Any

import pika
from pika import exceptions, frame, spec
from pika.adapters.select_connection import IOLoop

from holdgate_workers.app.ports import Oversized

from .frames import (
    BODY,
    CONFIRM,
    DELIVER,
    FRAME_EXTRA_BYTES,
    METHOD,
    UNREADABLE_HEADER,
    Content,
    Received,
    read_confirm,
    read_delivery,
    read_head,
    starts_content,
)

_log = logging.getLogger(__name__)

Receive = Callable[[Received, "Oversized | None"], None]
Confirmed = Callable[[int, bool], None]
"""Tag, and whether it stands for all up to it."""

RECEIVE_BYTES = 64 * 1024
JOIN_TIMEOUT_SECONDS = 5.0
_HEADER_BYTES = 7
_EMPTY_TABLE = b"\0\0\0\0"

jitter: Callable[[], float] = random.SystemRandom().random


class WireConnection(pika.SelectConnection):  # type: ignore[misc]  # pika ships no types
    """A connection that is quick with messages, and that one strange message cannot kill.

    pika 1.4 decodes header tables while it reads. A date beyond the year 9999, a float infinity or an unknown
    field type make it raise, which ends the connection; the message is delivered again and ends the next one,
    until the delivery limit has taken everything that was prefetched with it.

    Nor do large ones fill the memory: the prefetch counts messages, not bytes, so of a body over `BODY_BYTES_MAX` only
    the beginning is kept, whoever consumes. Consumers that pika serves find what it was with `oversized`.
    """

    _frame_buffer: bytes
    _contents: dict[int, Content] | None = None
    """The bodies that are being read, by their channel."""
    _receive: Receive | None = None
    _confirmed: Confirmed | None = None
    _quick_channel = 0

    def receive_with(self, channel: int, receive: Receive) -> None:
        """Have the deliveries on this channel handed over directly, past pika's dispatcher."""
        self._receive, self._quick_channel = receive, channel

    def confirm_with(self, channel: int, confirmed: Confirmed) -> None:
        """Have the broker's acks of what was published on this channel handed over directly. Its nacks still come
        to pika's callback."""
        self._confirmed, self._quick_channel = confirmed, channel

    def write(self, data: bytes) -> None:
        """Send frames that are already encoded."""
        self._output_marshaled_frames([data])

    @property
    def body_bytes_max(self) -> int:
        """How much of a body fits into one frame."""
        return int(self._body_max_length)

    def _proto_connection_made(self, transport: Any) -> None:
        # Each read gives up the interpreter's lock, and with 4 KB that happens every few messages.
        transport._MAX_RECV_BYTES = RECEIVE_BYTES
        super()._proto_connection_made(transport)

    def _on_data_available(self, data_in: bytes) -> None:
        buffer = self._frame_buffer + data_in if self._frame_buffer else data_in
        done = self._read_all(buffer)
        self._frame_buffer = buffer[done:]
        self.bytes_received += done

    def _read_all(self, buffer: bytes) -> int:
        """Work off the complete frames. Says where the first incomplete one starts."""
        receive, confirmed, contents = self._receive, self._confirmed, self._contents
        if contents is None:
            self._contents = contents = {}
        at, end, channel, body_max = 0, len(buffer), self._quick_channel, self._body_max_length
        while end - at >= FRAME_EXTRA_BYTES:
            kind, number, size = read_head(buffer, at)
            following = at + size + FRAME_EXTRA_BYTES
            if following > end:
                break
            method = buffer[at + 7 : at + 11] if kind == METHOD else b""
            if method == CONFIRM and confirmed is not None and number == channel:
                confirmed(*read_confirm(buffer, at))
                at = following
                continue
            if contents and number in contents:
                if kind == BODY:
                    if contents[number].add(buffer[at + 7 : following - 1]):
                        self._finish(number, contents.pop(number))
                    at = following
                    continue
                del contents[number]  # the channel was closed in the middle of it
            if method == DELIVER:
                quick = receive is not None and number == channel
                try:
                    received = read_delivery(buffer, at, following, body_max) if quick else None
                    content = starts_content(buffer, at, following) if received is None else None
                except EOFError:
                    break
                except (IndexError, struct.error):
                    # Properties that end beyond their frame.
                    received, content = None, starts_content(buffer, at, following)
                if received is not None and receive is not None:
                    at = received[-1]
                    receive(received, None)
                    continue
                if content is not None:
                    contents[number] = content
                    at = following + len(content.header)
                    continue
            self._process_frame(_decode(buffer[at:following])[1])
            at = following
        return at

    def _finish(self, channel: int, content: Content) -> None:
        """The last frame of a body has come."""
        if self._receive is not None and channel == self._quick_channel:
            self._receive(content.received(), content.oversized)
            return
        header = _decode(content.header)[1]
        body = content.body
        header.body_size = len(body)
        header.properties.oversized = content.oversized
        self._process_frame(_decode(content.method)[1])
        self._process_frame(header)
        self._process_frame(frame.Body(channel, body))

    def _read_frame(self) -> tuple[int, Any]:
        return _decode(self._frame_buffer)


def oversized_of(properties: Any) -> Oversized | None:
    """What pika's properties say about a body of which only the beginning was kept."""
    found: Oversized | None = getattr(properties, "oversized", None)
    return found


def _decode(buffer: bytes) -> tuple[int, Any]:
    try:
        decoded: tuple[int, Any] = frame.decode_frame(buffer)
    except exceptions.InvalidFrameError:
        raise
    except Exception as exc:  # whatever pika trips over
        header = _header_without_table(buffer, exc)
        if header is None:
            raise
        return header
    return decoded


def _header_without_table(buffer: bytes, reason: Exception) -> tuple[int, Any] | None:
    """The content header at the start of the buffer, with all its properties but the table of headers."""
    kind, channel, size = struct.unpack_from(">BHL", buffer)
    if kind != spec.FRAME_HEADER:
        return None
    body_size = struct.unpack_from(">Q", buffer, _HEADER_BYTES + 4)[0]
    encoded = buffer[_HEADER_BYTES + 12 : _HEADER_BYTES + size]
    properties = spec.BasicProperties()
    try:
        properties.decode(_without_table(encoded))
    except (struct.error, IndexError, ValueError):
        properties = spec.BasicProperties()
    properties.headers = {UNREADABLE_HEADER: f"{type(reason).__name__}: {reason}"}
    return _HEADER_BYTES + size + 1, frame.Header(channel, body_size, properties)


def _without_table(encoded: bytes) -> bytes:
    """The encoded properties with an empty table: flags, content type, content encoding, table, the rest."""
    flags = struct.unpack_from(">H", encoded)[0]
    offset = 2
    for flag in (spec.BasicProperties.FLAG_CONTENT_TYPE, spec.BasicProperties.FLAG_CONTENT_ENCODING):
        if flags & flag:
            offset += 1 + encoded[offset]
    if not flags & spec.BasicProperties.FLAG_HEADERS:
        return encoded
    table_bytes = struct.unpack_from(">I", encoded, offset)[0]
    return encoded[:offset] + _EMPTY_TABLE + encoded[offset + 4 + table_bytes :]


def drop(connection: WireConnection, reason: str) -> None:
    """End the connection by closing its socket, without a word to the broker; its close callback follows.

    The polite way cannot be used by a consumer that holds unacknowledged messages: `Channel.close` and
    `Connection.close` first send `basic.cancel` for every consumer, and then a quorum queue serves the next
    consumer before the unacknowledged messages are back. With the socket gone the broker does both in one step.
    `_terminate_stream` is what pika's own heartbeat does with a dead peer; there is no public way to it.
    """
    if connection.is_open:
        connection._terminate_stream(exceptions.ConnectionClosedByClient(0, reason))
    elif not (connection.is_closed or connection.is_closing):
        connection.close()  # still opening: pika itself skips the polite part then


class IoThread:
    """One thread with one of pika's loops. Everything about its connections happens on it."""

    def __init__(self, name: str) -> None:
        self._loop = IOLoop()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def loop(self) -> Any:
        """For `custom_ioloop`."""
        return self._loop

    def call(self, callback: Callable[[], None]) -> None:
        """Have it called on the thread, in the order given. From any thread; costs a system call."""
        self._loop.add_callback_threadsafe(callback)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Any:
        """A timer; only from the thread itself."""
        return self._loop.call_later(seconds, callback)

    def forget(self, timer: Any) -> None:
        """Cancel a timer; only from the thread itself."""
        self._loop.remove_timeout(timer)

    def stop(self) -> None:
        """End the thread and wait for it. Idempotent; not from the thread itself."""
        self._stopping = True
        self.call(self._loop.stop)
        self._thread.join(JOIN_TIMEOUT_SECONDS)

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._loop.start()
            except Exception:  # noqa: BLE001
                # One connection's accident must not take the other partitions with it.
                _log.exception("an error reached the I/O loop; going on")
        self._loop.close()


__all__ = ["IoThread", "WireConnection", "drop", "jitter", "oversized_of"]
