"""RabbitMQ for the conformance suite. Each consumer goes through a proxy of its own, so that it can be cut off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count

import pika
from tests.conformance.transport_harness import PARTITIONS
from tests.support.rabbit import AMQP_PORT, channel, eventually, fresh_vhost
from tests.support.tcp_proxy import TcpProxy, proxied

from holdgate_schema.envelope import Properties
from holdgate_schema.topology import DEAD_QUEUE, REPLY_QUEUE_PREFIX, partition_queue
from holdgate_workers.adapters.rabbit.amqp.properties import from_wire
from holdgate_workers.adapters.rabbit.consumer import RabbitConsumer
from holdgate_workers.adapters.rabbit.dead_letters import RabbitDeadLetters
from holdgate_workers.adapters.rabbit.publishing.answering import AnsweringPublisher
from holdgate_workers.adapters.rabbit.topology import declare, served
from holdgate_workers.app.ports import Consumer, Sink


@contextmanager
def rabbit_transport() -> Iterator[RabbitTransport]:
    with fresh_vhost() as url:
        declare(url, PARTITIONS)
        harness = RabbitTransport(url)
        try:
            yield harness
        finally:
            harness.reset()


class RabbitTransport:
    def __init__(self, url: str) -> None:
        self.url = url
        self._numbers = count(1)
        self._open = ExitStack()
        self._proxies: dict[int, TcpProxy] = {}

    def consumer(self, sink: Sink, prefetch: int = 1000) -> RabbitConsumer:
        proxy, url = self._open.enter_context(proxied(self.url, AMQP_PORT))
        consumer = RabbitConsumer(url, sink, name=f"worker-{next(self._numbers)}", prefetch=prefetch)
        self._open.callback(consumer.close)
        self._proxies[id(consumer)] = proxy
        return consumer

    def crash(self, consumer: Consumer) -> None:
        self._proxies[id(consumer)].cut()

    def served(self) -> frozenset[int]:
        return served(self.url, PARTITIONS)

    def publisher(self) -> AnsweringPublisher:
        publisher = AnsweringPublisher(self.url, name=f"worker-{next(self._numbers)}")
        self._open.callback(publisher.close, 5.0)
        return publisher

    def dead_letters(self) -> RabbitDeadLetters:
        return RabbitDeadLetters(self.url)

    def reply_queue(self) -> RabbitReplyQueue:
        queue = RabbitReplyQueue(self.url, f"{REPLY_QUEUE_PREFIX}test-{next(self._numbers)}")
        self._open.callback(queue.close)
        return queue

    def reset(self) -> None:
        self._open.close()
        self._proxies.clear()
        with channel(self.url) as raw:
            for name in [DEAD_QUEUE, *map(partition_queue, range(PARTITIONS))]:
                # What a consumer held comes back a moment after its connection is gone.
                eventually(lambda name=name: _consumers(raw, name) == 0, f"no consumer on {name}")
                raw.queue_purge(name)


def _consumers(raw: pika.adapters.blocking_connection.BlockingChannel, name: str) -> int:
    return raw.queue_declare(name, passive=True).method.consumer_count


class RabbitReplyQueue:
    def __init__(self, url: str, address: str) -> None:
        self.address = address
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self._channel = self._connection.channel()
        self._channel.queue_declare(address, exclusive=True)

    def read(self) -> tuple[bytes, Properties]:
        _method, properties, body = eventually(self._get, f"a message in {self.address}")
        return body, from_wire(properties)

    def _get(self):  # type: ignore[no-untyped-def]
        found = self._channel.basic_get(self.address, auto_ack=True)
        return None if found[0] is None else found

    def vanish(self) -> None:
        self.close()

    def close(self) -> None:
        if self._connection.is_open:
            self._connection.close()
