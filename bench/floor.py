"""The floor: a consumer that only replies and acknowledges. What no booking engine behind this queue can beat.

Plain pika, as its documentation has it: one connection to consume, one to publish, acknowledgements for many at
a time. Prefetch, reply size and properties are those of the gate.
"""

from __future__ import annotations

import sys
import threading

import pika

ACK_EVERY = 100
PREFETCH = 1000
REPLY = b"x" * 420


class Floor:
    """Consumes until it is killed."""

    def __init__(self, url: str, queue: str) -> None:
        self._queue = queue
        self._unacked = 0
        self._loop = pika.adapters.select_connection.IOLoop()
        self._out: pika.channel.Channel | None = None
        parameters = pika.URLParameters(url)
        pika.SelectConnection(parameters, custom_ioloop=self._loop, on_open_callback=self._open_out)
        pika.SelectConnection(parameters, custom_ioloop=self._loop, on_open_callback=self._open_in)
        self._ready = threading.Event()

    def run(self) -> None:
        """Until the process ends."""
        self._loop.start()

    def _open_out(self, connection: pika.SelectConnection) -> None:
        connection.channel(on_open_callback=self._out_opened)

    def _out_opened(self, channel: pika.channel.Channel) -> None:
        self._out = channel

    def _open_in(self, connection: pika.SelectConnection) -> None:
        connection.channel(on_open_callback=self._in_opened)

    def _in_opened(self, channel: pika.channel.Channel) -> None:
        if self._out is None:
            self._loop.call_later(0.01, lambda: self._in_opened(channel))
            return
        channel.basic_qos(prefetch_count=PREFETCH, callback=lambda _: self._consume(channel))

    def _consume(self, channel: pika.channel.Channel) -> None:
        channel.basic_consume(self._queue, self._on_message)
        self._flush_later(channel)

    def _on_message(self, channel: pika.channel.Channel, method: object, properties: object, body: bytes) -> None:
        del body
        assert self._out is not None
        self._out.basic_publish(
            "",
            properties.reply_to,
            REPLY,
            pika.BasicProperties(
                content_type="application/json",
                correlation_id=properties.correlation_id,
                type="answer.held.v1",
                app_id="floor",
                delivery_mode=1,
            ),
        )
        self._tag = method.delivery_tag
        self._unacked += 1
        if self._unacked >= ACK_EVERY:
            self._flush(channel)

    def _flush(self, channel: pika.channel.Channel) -> None:
        if self._unacked:
            self._unacked = 0
            channel.basic_ack(self._tag, multiple=True)

    def _flush_later(self, channel: pika.channel.Channel) -> None:
        self._flush(channel)
        self._loop.call_later(0.02, lambda: self._flush_later(channel))


if __name__ == "__main__":
    Floor(sys.argv[1], sys.argv[2]).run()
