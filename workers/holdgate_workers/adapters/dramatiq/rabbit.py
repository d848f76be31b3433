"""Wake-ups over RabbitMQ.

There are three queues for each role: `holdgate.tasks.<role>`, and with `.DQ` (delayed, unused: what is due
later waits in the table) and `.XQ` (rejected: only messages that cannot be read, kept for seven days). All three are
durable, and of the vhost's default type. See docs/tasks.md.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import dramatiq
import pika
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.common import dq_name, xq_name
from dramatiq.errors import BrokerConnectionError
from dramatiq.worker import ConsumerThread
from prometheus_client import CollectorRegistry

from holdgate_schema.topology import installation_mark
from holdgate_workers.app.installation import Installation
from holdgate_workers.app.ports import TransportError
from holdgate_workers.app.tasks.ports import DeskMaker
from holdgate_workers.app.tasks.tasks import TASK_ROLES, Wakeup

from .metrics import DramatiqMetrics
from .worker import DramatiqWorker, queue_name, wakeup

HEARTBEAT_SECONDS = 30
BLOCKED_TIMEOUT_SECONDS = 1.0
SOCKET_TIMEOUT_SECONDS = 3.0
STACK_TIMEOUT_SECONDS = 5.0
"""dramatiq tries six times to send a message: all that must fail well before the feeder is taken for stuck."""

_UNREACHABLE = (BrokerConnectionError, pika.exceptions.AMQPError, OSError)


_CONNECTION: Any = RabbitmqBroker.connection
"""A property, which a subclass cannot get at by `super` for deleting."""


class _Broker(RabbitmqBroker):
    """Keeps no connection that nobody listens on: the server would miss its heartbeats.

    Works only where the virtual host bears the installation's stamp, if one is given: every connection asks. The
    queues are made by `holdgate migrate`; here they are only looked for, so that a worker needs no right to make any.
    """

    mark: str | None = None

    @property
    def connection(self) -> Any:
        """The connection of this thread, to a virtual host that is ours."""
        fresh = getattr(self.state, "connection", None) is None
        connection = _CONNECTION.fget(self)
        if fresh and self.mark is not None:
            try:
                connection.channel().exchange_declare(self.mark, passive=True)
            except pika.exceptions.AMQPError:
                _CONNECTION.fdel(self)
                raise
        return connection

    @connection.deleter
    def connection(self) -> None:
        _CONNECTION.fdel(self)

    def _declare_queue(self, queue_name: str) -> Any:
        return self.channel.queue_declare(queue=queue_name, passive=True)

    def _declare_dq_queue(self, queue_name: str) -> Any:
        return self.channel.queue_declare(queue=dq_name(queue_name), passive=True)

    def _declare_xq_queue(self, queue_name: str) -> Any:
        return self.channel.queue_declare(queue=xq_name(queue_name), passive=True)

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> dramatiq.Consumer:
        """A consumer of the queue, which is declared before on a connection that is closed again."""
        try:
            return super().consume(queue_name, prefetch, timeout)
        finally:
            del self.connection


class RabbitWakeups:
    """`app.tasks.ports.WakeupLine` on RabbitMQ. Sending is for one thread; it connects at its first message."""

    def __init__(self, url: str, installation: Installation | None = None) -> None:
        self._url = url
        self._mark = None if installation is None else installation_mark(installation.id)
        self._sender: RabbitmqBroker | None = None

    def reachable(self) -> Collection[str]:
        """All roles: their queues are there whether anybody listens or not."""
        return TASK_ROLES

    def waiting(self, role: str) -> int:
        """How many wake-ups wait to be taken."""
        try:
            return int(self._broker().get_queue_message_counts(queue_name(role))[0])
        except _UNREACHABLE as exc:
            raise self._unreachable(exc) from exc

    def wake(self, wakeups: Sequence[Wakeup]) -> None:
        """Send them, each confirmed by the broker."""
        broker = self._broker()
        try:
            for item in wakeups:
                broker.enqueue(wakeup(item.role, item.task_id))
        except _UNREACHABLE as exc:
            raise self._unreachable(exc) from exc

    def worker(
        self, role: str, desks: DeskMaker, *, threads: int, name: str, registry: CollectorRegistry
    ) -> DramatiqWorker:
        """Threads that take this role's wake-ups, on connections of their own."""
        broker = _broker(self._url, name, registry, self._mark)
        return DramatiqWorker(
            broker, role, desks, threads=threads, is_connected=_is_connected, on_stopped=broker.close
        )

    def close(self) -> None:
        """Close the sending side. Idempotent."""
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.close()

    def _broker(self) -> RabbitmqBroker:
        if self._sender is None:
            self._sender = _broker(self._url, "wakeups", None, self._mark)
        return self._sender

    def _unreachable(self, exc: Exception) -> TransportError:
        if self._sender is not None:
            del self._sender.connection  # the next try makes a new one
        return TransportError(f"wake-ups cannot be sent: {type(exc).__name__}: {exc}".rstrip(": "))


def _broker(url: str, name: str, registry: CollectorRegistry | None, mark: str | None) -> RabbitmqBroker:
    middleware: list[dramatiq.Middleware] = [] if registry is None else [DramatiqMetrics(registry)]
    try:
        broker = _Broker(url=url, confirm_delivery=True, middleware=middleware)
    except (ValueError, TypeError):
        raise TransportError("the broker's URL cannot be used") from None  # it may hold a password
    broker.mark = mark
    parameters: pika.ConnectionParameters = broker.parameters
    parameters.heartbeat = HEARTBEAT_SECONDS
    parameters.blocked_connection_timeout = BLOCKED_TIMEOUT_SECONDS
    parameters.socket_timeout = SOCKET_TIMEOUT_SECONDS
    parameters.stack_timeout = STACK_TIMEOUT_SECONDS
    parameters.client_properties = {"connection_name": name, "product": "holdgate"}
    return broker


def _is_connected(thread: ConsumerThread | None) -> bool:
    consumer: Any = None if thread is None else thread.consumer
    return consumer is not None and consumer.connection.is_open and consumer.channel.is_open
