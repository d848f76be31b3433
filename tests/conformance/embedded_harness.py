"""The queue inside PostgreSQL for the conformance suite. Each consumer has a proxy of its own, to be cut off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from threading import Event
from time import monotonic

import psycopg
from tests.conformance.transport_harness import PARTITIONS, PATIENCE_SECONDS
from tests.support.postgres import fresh_database
from tests.support.tcp_proxy import TcpProxy, proxied

from holdgate_schema.envelope import Properties
from holdgate_schema.topology import REPLY_QUEUE_PREFIX
from holdgate_workers.adapters.embedded.queue.consumer import EmbeddedConsumer
from holdgate_workers.adapters.embedded.queue.dead_letters import EmbeddedDeadLetters
from holdgate_workers.adapters.embedded.queue.health_checks import served
from holdgate_workers.adapters.embedded.queue.publisher import EmbeddedPublisher
from holdgate_workers.adapters.embedded.queue.routes import unpack
from holdgate_workers.adapters.embedded.queue.tables import declare, declare_queue, remove_queue
from holdgate_workers.app.ports import Consumer, Sink

POSTGRES_PORT = 5432


@contextmanager
def embedded_transport() -> Iterator[EmbeddedTransport]:
    with fresh_database() as url:
        declare(url, PARTITIONS)
        harness = EmbeddedTransport(url)
        try:
            yield harness
        finally:
            harness.reset()


class EmbeddedTransport:
    def __init__(self, url: str) -> None:
        self.url = url
        self._numbers = count(1)
        self._open = ExitStack()
        self._proxies: dict[int, TcpProxy] = {}

    def consumer(self, sink: Sink, prefetch: int = 1000) -> EmbeddedConsumer:
        proxy, url = self._open.enter_context(proxied(self.url, POSTGRES_PORT))
        consumer = EmbeddedConsumer(url, sink, name=f"worker-{next(self._numbers)}", prefetch=prefetch)
        self._open.callback(consumer.close)
        self._proxies[id(consumer)] = proxy
        return consumer

    def crash(self, consumer: Consumer) -> None:
        self._proxies[id(consumer)].cut()

    def served(self) -> frozenset[int]:
        return served(self.url, PARTITIONS)

    def publisher(self) -> EmbeddedPublisher:
        publisher = EmbeddedPublisher(self.url, name=f"worker-{next(self._numbers)}")
        self._open.callback(publisher.close, 5.0)
        return publisher

    def dead_letters(self) -> EmbeddedDeadLetters:
        return EmbeddedDeadLetters(self.url)

    def reply_queue(self) -> EmbeddedReplyQueue:
        queue = EmbeddedReplyQueue(self.url, f"{REPLY_QUEUE_PREFIX}test-{next(self._numbers)}")
        self._open.callback(queue.vanish)
        return queue

    def reset(self) -> None:
        self._open.close()
        self._proxies.clear()
        with psycopg.connect(self.url) as connection:
            connection.execute("DELETE FROM holdgate_queue.messages")


class EmbeddedReplyQueue:
    def __init__(self, url: str, address: str) -> None:
        self.address = address
        self._url = url
        declare_queue(url, address)

    def read(self) -> tuple[bytes, Properties]:
        pause = Event()
        deadline = monotonic() + PATIENCE_SECONDS
        with psycopg.connect(self._url, autocommit=True) as connection:
            while (found := self._take(connection)) is None:
                assert monotonic() < deadline, f"no message in {self.address}"
                pause.wait(0.01)
        return found

    def _take(self, connection: psycopg.Connection) -> tuple[bytes, Properties] | None:
        row = connection.execute(
            "DELETE FROM holdgate_queue.messages WHERE id = (SELECT min(m.id) FROM holdgate_queue.messages m"
            " JOIN holdgate_queue.queues q ON q.id = m.queue WHERE q.name = %s) RETURNING body, properties",
            (self.address,),
        ).fetchone()
        return None if row is None else (row[0], unpack(row[1]))

    def vanish(self) -> None:
        remove_queue(self._url, self.address)
