"""Direct reply-to addresses that nobody should have, and a client that sends them beside honest ones.

    python -m tests.support.forged_replies --seconds 20 --pairs 3 --rate 20

measures how long honest clients wait for their answers, in runs with and without the hostile one by turns. The
services are those of the tests (HOLDGATE_TEST_*_URL).
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import struct
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from time import monotonic
from typing import Any

import pika
from tests.support.rabbit import PATIENCE_SECONDS
from tests.support.requests import place_of, put
from tests.support.site import open_test_site

from holdgate_schema.codec import encode
from holdgate_schema.routing import routing_key
from holdgate_schema.topology import REQUESTS_EXCHANGE

PREFIX = "amq.rabbitmq.reply-to."
DIRECT = "amq.rabbitmq.reply-to"
NOBODY = "holdgate.nobody"


def true_address(url: str) -> str:
    """A direct reply-to address as the broker makes them: it writes it into a message that it gives back."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        channel = connection.channel()
        returned: list[str] = []
        channel.add_on_return_callback(
            lambda _ch, _method, properties, _body: returned.append(properties.reply_to)
        )
        channel.basic_consume(DIRECT, lambda *_: None, auto_ack=True)
        channel.basic_publish("", NOBODY, b"", pika.BasicProperties(reply_to=DIRECT), mandatory=True)
        deadline = monotonic() + PATIENCE_SECONDS
        while not returned:
            assert monotonic() < deadline, "the broker gives nothing back"
            connection.process_data_events(0.1)
        return returned[0]
    finally:
        connection.close()


def forged(true: str) -> list[str]:
    """Addresses that look like it. Which of them make the broker close the connection depends on its version."""
    pid, key = true.removeprefix(PREFIX).split(".")
    term = base64.b64decode(pid)
    length = struct.unpack(">H", term[3:5])[0] if term[2] in (100, 118) else term[3]
    node = term[5 : 5 + length] if term[2] in (100, 118) else term[4 : 4 + length]
    real_creation = term[-4:]

    def written(encoded: bytes) -> str:
        return f"{PREFIX}{base64.b64encode(encoded).decode()}.{key}"

    def process(name: bytes = node, *, number: int = 5, serial: int = 0, creation: bytes = real_creation) -> str:
        atom = b"\x76" + struct.pack(">H", len(name)) + name
        return written(b"\x83\x58" + atom + struct.pack(">LL", number, serial) + creation)

    return [
        f"{PREFIX}!!!!.AAAA",
        f"{PREFIX}garbage",
        f"{PREFIX}.{key}",
        f"{PREFIX}{pid}.",
        f"{PREFIX}{pid}.{key}.{key}",
        f"{PREFIX}{pid.rstrip('=')}.{key}",
        f"{PREFIX}{pid}.zzzz~~~",
        f"{PREFIX}{pid}.{base64.b64encode(os.urandom(16)).decode()}",
        written(b"hello"),
        written(term[:-3]),
        written(term + b"xxxx"),
        written(b"\x83a\x05"),
        written(b"\x83j"),
        written(b"\x83w\x05zzqqx"),
        written(b"\x83P\x7f\xff\xff\xffabc"),
        written(b"\x83Z\x00\x03w" + bytes([len(node)]) + node + bytes(16)),
        written(b"\x83fw" + bytes([len(node)]) + node + bytes(5)),
        process(),
        process(creation=bytes(4)),
        process(number=(1 << 15) - 1, serial=(1 << 13) - 1),
        process(number=(1 << 15)),
        process(number=(1 << 28) - 1, serial=(1 << 13) - 1),
        process(number=(1 << 32) - 1, serial=(1 << 32) - 1),
        process(b"reply@1"),
        process(b"reply@%d" % int.from_bytes(os.urandom(3), "big")),
        process(b"reply@-5"),
        process(b"reply@abc"),
        process(b"reply"),
        process(b""),
        process(b"nonode@nohost"),
        process(b"evil@192.0.2.1"),
        process(b"\xff\xfe@1"),
    ]


class Honest:
    """A client of its own that asks one thing after the other, and keeps how long each answer took."""

    def __init__(self, url: str, occurrence: str, *, direct: bool) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self._channel = self._connection.channel()
        self._occurrence = occurrence
        self._answers: dict[str, bytes] = {}
        self.seconds: list[float] = []
        if direct:
            self._address = DIRECT
        else:
            queue = f"holdgate.reply.honest.{os.urandom(6).hex()}"
            self._address = self._channel.queue_declare(queue, exclusive=True, auto_delete=True).method.queue
        self._channel.basic_consume(self._address, self._on_answer, auto_ack=True)

    def ask(self, patience_seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """One request, and its answer. It is sent once: what is lost stays lost."""
        request = place_of(self._occurrence)
        began = monotonic()
        properties = pika.BasicProperties(reply_to=self._address, correlation_id=request.request_id)
        self._channel.basic_publish(REQUESTS_EXCHANGE, routing_key(self._occurrence), encode(request), properties)
        while request.request_id not in self._answers:
            assert monotonic() - began < patience_seconds, f"no answer at {self._address} for {request.request_id}"
            self._connection.process_data_events(0.2)
        self.seconds.append(monotonic() - began)
        answer: dict[str, Any] = json.loads(self._answers.pop(request.request_id))
        return answer

    def close(self) -> None:
        self._connection.close()

    def _on_answer(self, _channel: Any, _method: Any, properties: Any, body: bytes) -> None:
        self._answers[properties.correlation_id] = body


@contextmanager
def hostile(url: str, occurrence: str, addresses: list[str], per_second: float) -> Iterator[list[str]]:
    """Requests with these addresses, over and over, until the block ends. Gives the list of those that were sent."""
    sent: list[str] = []
    over = threading.Event()

    def run() -> None:
        connection = pika.BlockingConnection(pika.URLParameters(url))
        channel = connection.channel()
        for address in cycle(addresses):
            request = place_of(occurrence)
            properties = pika.BasicProperties(reply_to=address, correlation_id=request.request_id)
            channel.basic_publish(REQUESTS_EXCHANGE, routing_key(occurrence), encode(request), properties)
            sent.append(address)
            connection.process_data_events(0)
            if over.wait(1 / per_second):
                break
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield sent
    finally:
        over.set()
        thread.join()


def _measure(url: str, seconds: float, rate: float | None) -> dict[str, list[float]]:
    clients = {"direct": Honest(url, "honest", direct=True), "queue": Honest(url, "honest", direct=False)}
    lost = dict.fromkeys(clients, 0)

    def ask(name: str) -> None:
        until = monotonic() + seconds
        while monotonic() < until:
            try:
                clients[name].ask(2.0)
            except AssertionError:
                lost[name] += 1

    threads = [threading.Thread(target=ask, args=(name,)) for name in clients]

    def run() -> None:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    if rate is None:
        run()
    else:
        with hostile(url, "hostile", forged(true_address(url)), rate):
            run()
    for name, client in clients.items():
        waits = sorted(client.seconds)
        p50, p99 = (waits[int(len(waits) * part)] * 1000 for part in (0.5, 0.99))
        print(
            f"{'with' if rate else 'without':8} {name:7} {len(waits):6} answers, {lost[name]:3} lost, "
            f"p50 {p50:6.1f} ms, p99 {p99:6.1f} ms",
            flush=True,
        )
        client.close()
    return {name: client.seconds for name, client in clients.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each run is")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--rate", type=float, default=20.0, help="forged requests a second")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, open_test_site("rabbit", Path(folder)) as site:
        site.start("gate")
        for occurrence in ("honest", "hostile"):
            put(site.client(), occurrence, 1_000_000)
        assert site.amqp_url is not None
        _measure(site.amqp_url, 3.0, None)
        for _ in range(given.pairs):
            for rate in (None, given.rate):
                _measure(site.amqp_url, given.seconds, rate)


if __name__ == "__main__":
    main()
