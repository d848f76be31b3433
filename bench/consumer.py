"""The consumer that everybody but us uses: plain pika, as its documentation has it.

One connection to consume, one to publish, acknowledgements for many at a time. What differs between the floor and
the baselines is what happens between the request and the answer, and nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pika

from .processes import say_ready_and_wait

ACK_EVERY = 100
ACK_SECONDS = 0.02


class Consumer:
    """Answers what comes until it is killed. `answer` makes the type and the body of an answer from a body."""

    def __init__(
        self, url: str, queue: str, answer: Callable[[bytes], tuple[str, bytes]], *, prefetch: int
    ) -> None:
        self._queue = queue
        self._answer = answer
        self._prefetch = prefetch
        self._unacked = 0
        self._tag = 0
        self._loop = pika.adapters.select_connection.IOLoop()
        self._out: Any = None
        self._in: Any = None
        parameters = pika.URLParameters(url)
        pika.SelectConnection(parameters, custom_ioloop=self._loop, on_open_callback=self._open_out)
        pika.SelectConnection(parameters, custom_ioloop=self._loop, on_open_callback=self._open_in)

    def run(self) -> None:
        """Until the process ends."""
        self._loop.start()

    def _open_out(self, connection: Any) -> None:
        connection.channel(on_open_callback=self._out_opened)

    def _open_in(self, connection: Any) -> None:
        connection.channel(on_open_callback=self._in_opened)

    def _out_opened(self, channel: Any) -> None:
        self._out = channel
        self._both_opened()

    def _in_opened(self, channel: Any) -> None:
        def limited(_: Any) -> None:
            self._in = channel
            self._both_opened()

        channel.basic_qos(prefetch_count=self._prefetch, callback=limited)

    def _both_opened(self) -> None:
        if self._in is not None and self._out is not None:
            threading.Thread(target=self._wait_for_go, daemon=True).start()

    def _wait_for_go(self) -> None:
        say_ready_and_wait()
        self._loop.add_callback_threadsafe(self._consume)

    def _consume(self) -> None:
        self._in.basic_consume(self._queue, self._on_message)
        self._flush_later()

    def _on_message(self, _: Any, method: Any, properties: Any, body: bytes) -> None:
        kind, answer = self._answer(body)
        self._out.basic_publish("", properties.reply_to, answer, reply_properties(properties.correlation_id, kind))
        self._tag = method.delivery_tag
        self._unacked += 1
        if self._unacked >= ACK_EVERY:
            self._flush()

    def _flush(self) -> None:
        if self._unacked:
            self._unacked = 0
            self._in.basic_ack(self._tag, multiple=True)

    def _flush_later(self) -> None:
        self._flush()
        self._loop.call_later(ACK_SECONDS, self._flush_later)


def reply_properties(correlation_id: str, kind: str) -> pika.BasicProperties:
    """Those of our own answers."""
    return pika.BasicProperties(
        content_type="application/json", correlation_id=correlation_id, type=kind, app_id="bench", delivery_mode=1
    )
