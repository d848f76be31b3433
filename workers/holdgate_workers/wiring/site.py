"""Puts the pieces together. The only place that knows which adapter stands behind a port."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version

import structlog

from holdgate_producer.client.client import BookingClient
from holdgate_producer.client.config import ClientConfig
from holdgate_workers.adapters.embedded.queue import tables as queue_tables
from holdgate_workers.adapters.embedded.queue.consumer import EmbeddedConsumer
from holdgate_workers.adapters.embedded.queue.dead_letters import EmbeddedDeadLetters
from holdgate_workers.adapters.embedded.queue.health_checks import served as served_embedded
from holdgate_workers.adapters.embedded.queue.health_checks import unbound as unbound_embedded
from holdgate_workers.adapters.embedded.queue.link import EmbeddedLink
from holdgate_workers.adapters.embedded.queue.publisher import EmbeddedPublisher
from holdgate_workers.adapters.embedded.server.server import EmbeddedServer, find_running
from holdgate_workers.adapters.postgres.maintenance import revision
from holdgate_workers.adapters.postgres.maintenance.installation import House
from holdgate_workers.adapters.rabbit import topology as rabbit_topology
from holdgate_workers.adapters.rabbit.consumer import RabbitConsumer
from holdgate_workers.adapters.rabbit.dead_letters import RabbitDeadLetters
from holdgate_workers.adapters.rabbit.publishing.answering import AnsweringPublisher
from holdgate_workers.adapters.rabbit.slots import try_slots
from holdgate_workers.adapters.rabbit.topology import served as served_rabbit
from holdgate_workers.app.clock import DatabaseTime
from holdgate_workers.app.installation import Installation, NotOurs, NotSetUp
from holdgate_workers.app.ports import Consumer, DeadLetters, Publisher, Sink, Transport, TransportError
from holdgate_workers.app.tasks.ports import WakeupLine
from holdgate_workers.config.environment import ServiceConfig
from holdgate_workers.ids import short_id

from .faults import told

log = structlog.get_logger("holdgate.bootstrap")

VERSION = version("holdgate")


class NotRunning(Exception):
    """No database URL is set and nothing runs embedded in the data folder."""


@dataclass(slots=True, frozen=True)
class RabbitTransport:
    """RabbitMQ. Without an installation nobody asks whose the virtual host is."""

    url: str
    installation: Installation | None = None

    def declare(self, partitions: int) -> None:
        """The stamp, exchanges, queues and bindings."""
        rabbit_topology.declare(self.url, partitions, self.installation)

    def verify(self) -> None:
        """Raises `NotOurs` or `NotSetUp` unless the virtual host is ours; `TransportError` if that cannot be told."""
        if self.installation is not None:
            rabbit_topology.verify(self.url, self.installation)

    def owner(self) -> Installation | None:
        """Whose it is."""
        return rabbit_topology.owner(self.url)

    def take_over(self) -> Installation | None:
        """Make it ours: whose it was. Raises `StillServed`."""
        assert self.installation is not None
        return rabbit_topology.take_over(self.url, self.installation)

    def consumer(self, sink: Sink, *, name: str, prefetch: int) -> Consumer:
        """One connection per partition."""
        return RabbitConsumer(self.url, sink, name=name, prefetch=prefetch, installation=self.installation)

    def served(self, partitions: int) -> frozenset[int]:
        """By passive declarations."""
        return served_rabbit(self.url, partitions)

    def unbound(self, partitions: int) -> frozenset[int]:
        """By a read through each slot that comes back."""
        return try_slots(self.url, partitions).unbound

    def publisher(self, *, name: str) -> Publisher:
        """Its own connection, with asynchronous confirms, and others for direct reply-to once they are needed."""
        return AnsweringPublisher(self.url, name=name, installation=self.installation)

    def dead_letters(self) -> DeadLetters:
        """The dead-letter queue."""
        return RabbitDeadLetters(self.url)


@dataclass(slots=True, frozen=True)
class EmbeddedTransport:
    """The queue inside the database."""

    url: str
    partitions: int
    installation: Installation | None = None

    def declare(self, partitions: int) -> None:
        """Tables and the stamp."""
        queue_tables.declare(self.url, partitions, self.installation)

    def verify(self) -> None:
        """Raises `NotOurs` or `NotSetUp` unless the queue is ours; `TransportError` if that cannot be told."""
        if self.installation is not None:
            queue_tables.verify(self.url, self.installation)

    def owner(self) -> Installation | None:
        """Whose it is."""
        return queue_tables.owner(self.url)

    def take_over(self) -> Installation | None:
        """Make it ours: whose it was. Raises `StillServed`."""
        assert self.installation is not None
        return queue_tables.take_over(self.url, self.installation)

    def consumer(self, sink: Sink, *, name: str, prefetch: int) -> Consumer:
        """One connection for all partitions."""
        return EmbeddedConsumer(self.url, sink, name=name, prefetch=prefetch, installation=self.installation)

    def served(self, partitions: int) -> frozenset[int]:
        """By the locks of the queues."""
        return served_embedded(self.url, partitions)

    def unbound(self, partitions: int) -> frozenset[int]:
        """By the table of bindings."""
        return unbound_embedded(self.url, partitions)

    def publisher(self, *, name: str) -> Publisher:
        """Inserts."""
        return EmbeddedPublisher(self.url, name=name, installation=self.installation)

    def dead_letters(self) -> DeadLetters:
        """The dead-letter table."""
        return EmbeddedDeadLetters(self.url)


@dataclass(frozen=True)
class Site:
    """A database and a queue that belong together, ready to be used."""

    config: ServiceConfig
    database_url: str
    partitions: int
    installation: Installation
    transport: Transport
    open_wakeups: Callable[[], WakeupLine]

    @cached_property
    def wakeups(self) -> WakeupLine:
        """How workers on tasks are told that there are some: one line for all roles of the process."""
        return self.open_wakeups()

    @property
    def is_embedded(self) -> bool:
        """Whether the queue lives in the database."""
        return self.config.is_embedded


def worker_name(role: str) -> str:
    """A name that no other process has, readable in lists."""
    return f"{role}-{socket.gethostname()[:20]}-{os.getpid()}-{short_id()}"


def database_url(config: ServiceConfig) -> str:
    """Where the database is; raises `NotRunning` if it should be embedded and is not there."""
    if config.database_url is not None:
        return config.database_url
    running = find_running(config.data_dir)
    if running is None:
        raise NotRunning(
            f"Nothing runs in {config.data_dir}. Start it with `holdgate up` in another terminal, "
            "or set HOLDGATE_DATABASE_URL and HOLDGATE_AMQP_URL."
        )
    return running


@contextmanager
def embedded_database(config: ServiceConfig) -> Iterator[str]:
    """The configured database, or the embedded one, started if need be and stopped afterwards."""
    if config.database_url is not None:
        yield config.database_url
        return
    with EmbeddedServer(config.data_dir) as server:
        yield server.url


def open_site(config: ServiceConfig, url: str, *, migrate: bool | None = None) -> Site:
    """The site at a database: schema and queues set up if the configuration says so, else only checked.

    A worker changes nothing at its start unless it is asked to (HOLDGATE_MIGRATE=true): `holdgate migrate` does that.

    A queue that cannot be reached now is reached later; one that is another installation's, or nobody's, is not ours
    to work at.

    Raises `SchemaMismatch`, `DatabaseUnavailable`, `NotOurs`, `NotSetUp`, `TransportError`.
    """
    setting_up = config.migrate if migrate is None else migrate
    if not setting_up:
        revision.check(url)
    elif not revision.is_current(url):
        from holdgate_workers.adapters.postgres.maintenance import migrations  # takes half a second

        migrations.migrate(url)
    house = House(url)
    try:
        partitions = house.partitions(config.partitions)
        installation = house.installation()
    finally:
        house.close()
    transport = transport_of(config, url, partitions, installation)
    if setting_up:
        transport.declare(partitions)
    else:
        _verify(transport)
    return Site(config, url, partitions, installation, transport, lambda: _wakeups(config, installation))


def transport_of(
    config: ServiceConfig, url: str, partitions: int, installation: Installation
) -> RabbitTransport | EmbeddedTransport:
    """The queue of a database, wherever it is."""
    if config.amqp_url is None:
        return EmbeddedTransport(url, partitions, installation)
    return RabbitTransport(config.amqp_url, installation)


def _verify(transport: RabbitTransport | EmbeddedTransport) -> None:
    try:
        transport.verify()
    except (NotOurs, NotSetUp):
        raise
    except TransportError as exc:
        # Every connection that is made later asks again, so a worker may wait for it.
        log.warning("queue_not_reached", problem=told(exc))


def _wakeups(config: ServiceConfig, installation: Installation) -> WakeupLine:
    # Imported late: a gate has no tasks, and needs nothing of this.
    if config.amqp_url is None:
        from holdgate_workers.adapters.dramatiq.in_process import InProcessWakeups

        return InProcessWakeups()
    from holdgate_workers.adapters.dramatiq.rabbit import RabbitWakeups

    return RabbitWakeups(config.amqp_url, installation)


def booking_client(
    config: ServiceConfig, url: str, *, app_id: str, timeout_seconds: float = 10.0, cached: bool = False
) -> BookingClient:
    """A client of the site, over RabbitMQ or over the embedded queue; with `cached` it knows the read side."""
    unused = "amqp://embedded"  # the configuration wants a URL, the link brings its own
    client_config = ClientConfig(
        url=config.amqp_url or unused,
        app_id=app_id,
        timeout_seconds=timeout_seconds,
        cache_url=config.redis_url if cached else None,
        cache_house=config.house,
    )
    link = EmbeddedLink(url, app_id=app_id) if config.amqp_url is None else None
    return BookingClient(client_config, link=link)


def database_time() -> DatabaseTime:
    """Database time, carried on by this process's monotonic clock."""
    return DatabaseTime(time.monotonic)
