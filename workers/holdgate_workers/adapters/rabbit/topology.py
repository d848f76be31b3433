"""Makes the broker's exchanges, queues and bindings what the language says, and looks whether they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pika
from pika import exceptions
from pika.adapters.utils.connection_workflow import AMQPConnectorException

from holdgate_schema import topology
from holdgate_schema.routing import SLOTS, partition_of, slot_key
from holdgate_workers.app.installation import Installation
from holdgate_workers.app.ports import TransportError

from .amqp.wire import WireConnection
from .connection import connection_parameters, explain, vhost_of
from .stamp import Stamp

NOT_FOUND = 404
NOT_PERMITTED = 403
PRECONDITION_FAILED = 406

HEARTBEAT_SECONDS = 30


class TopologyError(TransportError):
    """The broker will not have it so. `name` is the exchange or queue, `way_out` what a human can do."""

    def __init__(self, name: str, problem: str, way_out: str) -> None:
        super().__init__(f"{name}: {problem}. {way_out}")
        self.name = name
        self.way_out = way_out


class DifferentArguments(TopologyError):
    """It exists with other arguments, and those of a queue cannot be changed."""


class PermissionMissing(TopologyError):
    """The login may not do this."""


@dataclass(slots=True, frozen=True)
class Found:
    """What there is of one exchange or queue. The counts are of queues; `messages` are those ready to be taken."""

    kind: str
    name: str
    exists: bool
    messages: int = 0
    consumers: int = 0
    detail: str = ""


@contextmanager
def connected(url: str, name: str, heartbeat_seconds: int = HEARTBEAT_SECONDS) -> Iterator[Any]:
    """A blocking connection for a few commands. What pika raises inside comes out as `TransportError`."""
    parameters = connection_parameters(url, name=name, heartbeat_seconds=heartbeat_seconds)
    connection = None
    try:
        connection = pika.BlockingConnection(parameters, _impl_class=WireConnection)
        yield connection
    except (exceptions.AMQPError, AMQPConnectorException) as exc:
        raise TransportError(f"the broker: {explain(exc)}") from exc
    except OSError as exc:
        raise TransportError(f"the broker cannot be reached: {exc}") from exc
    finally:
        if connection is not None and connection.is_open:
            connection.close()


def declare(url: str, partitions: int, installation: Installation | None = None) -> None:
    """Make the exchanges, the queues of a house with so many partitions, and their bindings.

    Safe to run again and by several at once. With another number of partitions than last time, slots are bound to
    their new queue first and unbound from the old one after that: for a moment a request may arrive in both, none
    goes astray. Queues that are no longer bound stay, with their messages. The virtual host is stamped with the
    installation first.

    Raises `NotOurs`, and then changes nothing, if the virtual host belongs to another installation. Raises
    `TopologyError` if something exists with other arguments or the login may not, `TransportError` if the broker
    cannot be reached, and ValueError for a number of partitions that is not 1 to 64.
    """
    if not 1 <= partitions <= topology.PARTITIONS_MAX:
        raise ValueError(f"partitions must be 1 to {topology.PARTITIONS_MAX}, not {partitions}")
    with connected(url, "holdgate-declare") as connection:
        if installation is not None:
            with _explained(topology.INSTALLATION_EXCHANGE):
                Stamp(connection, vhost_of(url)).claim(installation)
        maker = _Maker(connection)
        fresh = not maker.look("queue", topology.partition_queue(0)).exists
        for exchange in topology.EXCHANGES:
            maker.exchange(exchange.name, exchange.kind, dict(exchange.arguments))
        for queue in topology.queues(partitions):
            maker.queue(queue)
        for queue in topology.task_queues():
            maker.queue(queue)
        for binding in topology.bindings(partitions):
            maker.bind(binding)
        if not maker.look("exchange", _marker(partitions)).exists:
            for other in range(1, topology.PARTITIONS_MAX + 1):
                maker.delete_exchange(_marker(other))
            if not fresh:
                _unbind_others(maker, partitions)
            maker.exchange(_marker(partitions), "fanout", {})


def verify(url: str, installation: Installation) -> None:
    """Raises `NotOurs` or `NotSetUp` unless the virtual host is this installation's; else `TransportError`."""
    with connected(url, "holdgate-verify") as connection:
        Stamp(connection, vhost_of(url)).check(installation)


def owner(url: str) -> Installation | None:
    """Whose the virtual host is; None if it is nobody's. Raises `TransportError`."""
    with connected(url, "holdgate-verify") as connection:
        return Stamp(connection, vhost_of(url)).owner()


def take_over(url: str, installation: Installation) -> Installation | None:
    """Stamp the virtual host anew: whose it was. Raises `StillServed` while consumers work there, `TransportError`."""
    with connected(url, "holdgate-take-over") as connection, _explained(topology.INSTALLATION_EXCHANGE):
        return Stamp(connection, vhost_of(url)).take_over(installation, topology.PARTITIONS_MAX)


def inspect(url: str, partitions: int) -> list[Found]:
    """Which exchanges and queues there are. Changes nothing. Raises `TransportError`."""
    with connected(url, "holdgate-doctor") as connection:
        maker = _Maker(connection)
        exchanges = [*(exchange.name for exchange in topology.EXCHANGES), _marker(partitions)]
        found = [maker.look("exchange", name) for name in exchanges]
        found.extend(maker.look("queue", queue.name) for queue in topology.queues(partitions))
        found.extend(maker.look("queue", queue.name) for queue in topology.task_queues())
    return found


def served(url: str, partitions: int) -> frozenset[int]:
    """The partitions whose queue has an active consumer. Takes no right but to connect. Raises `TransportError`.

    Of a queue with a single active consumer the broker counts only that one (tried on 3.10): who waits behind it is not
    seen in the protocol.
    """
    with connected(url, "holdgate-partitions") as connection:
        maker = _Maker(connection)
        found = {
            partition: maker.look("queue", topology.partition_queue(partition)) for partition in range(partitions)
        }
    return frozenset(partition for partition, queue in found.items() if queue.consumers)


def look(connection: Any, queue: str) -> Found:
    """What there is of a queue. Takes no right but to connect."""
    return _Maker(connection).look("queue", queue)


_marker = topology.partitions_mark
"""AMQP cannot list bindings, and trying out which of them are left over takes thousands of commands."""


def _unbind_others(maker: _Maker, partitions: int) -> None:
    """Remove the bindings that another number of partitions left behind. Cut short, it is done again.

    Queues were made from 00 upwards, so those beyond ours end at the first that is not there.
    """
    for partition in range(topology.PARTITIONS_MAX):
        queue = topology.partition_queue(partition)
        if partition >= partitions and not maker.look("queue", queue).exists:
            return
        for slot in range(SLOTS):
            if partition_of(slot, partitions) != partition:
                maker.unbind(topology.Binding(queue, topology.REQUESTS_EXCHANGE, slot_key(slot)))


class _Maker:
    """Commands on a channel that is opened again whenever the broker closed it over one of them."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._channel: Any = None

    @property
    def channel(self) -> Any:
        if self._channel is None or not self._channel.is_open:
            self._channel = self._connection.channel()
        return self._channel

    def exchange(self, name: str, kind: str, arguments: dict[str, Any]) -> None:
        with _explained(name):
            self.channel.exchange_declare(name, kind, durable=True, arguments=arguments)

    def queue(self, queue: topology.Queue) -> None:
        with _explained(queue.name):
            self.channel.queue_declare(queue.name, durable=True, arguments=dict(queue.arguments))

    def bind(self, binding: topology.Binding) -> None:
        with _explained(binding.queue):
            self.channel.queue_bind(binding.queue, binding.exchange, binding.routing_key)

    def unbind(self, binding: topology.Binding) -> None:
        with _explained(binding.queue):
            self.channel.queue_unbind(binding.queue, binding.exchange, binding.routing_key)

    def delete_exchange(self, name: str) -> None:
        with _explained(name):
            self.channel.exchange_delete(name)

    def look(self, kind: str, name: str) -> Found:
        try:
            if kind == "exchange":
                self.channel.exchange_declare(name, passive=True)
                return Found(kind, name, True)
            method = self.channel.queue_declare(name, passive=True).method
        except exceptions.ChannelClosedByBroker as exc:
            return Found(kind, name, exc.reply_code != NOT_FOUND, detail=explain(exc))
        return Found(kind, name, True, method.message_count, method.consumer_count)


@contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except exceptions.ChannelClosedByBroker as exc:
        if exc.reply_code == PRECONDITION_FAILED:
            raise DifferentArguments(
                name,
                f"exists with other arguments ({exc.reply_text})",
                "Stop the workers, let it run empty or move its messages away, delete it, and declare again",
            ) from exc
        if exc.reply_code == NOT_PERMITTED:
            raise PermissionMissing(
                name,
                f"the login may not ({exc.reply_text})",
                "Give it the rights: rabbitmqctl set_permissions -p <vhost> <user> "
                "'^holdgate\\.' '^(holdgate\\.|amq\\.default)' '^holdgate\\.'",
            ) from exc
        raise


__all__ = [
    "DifferentArguments",
    "Found",
    "PermissionMissing",
    "TopologyError",
    "connected",
    "declare",
    "inspect",
    "look",
    "served",
]
