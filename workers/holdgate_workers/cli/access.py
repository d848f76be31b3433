"""How a command gets at the configuration, the database and the queue. Slow imports happen on use."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

if TYPE_CHECKING:
    from holdgate_producer.client.client import BookingClient
    from holdgate_workers.app.ports import DeadLetters
    from holdgate_workers.config.environment import ServiceConfig

APP_ID = "holdgate-cli"
CONNECT_SECONDS = 5.0


class Closable(Protocol):
    """What `opened` closes."""

    def close(self) -> None:
        """Close it."""


C = TypeVar("C", bound=Closable)


class Access:
    """The way to the installation, as the environment and the global options say."""

    def __init__(self, data_dir: Path | None = None) -> None:
        self.data_dir = data_dir

    def config(self, **overrides: object) -> ServiceConfig:
        """The configuration; raises `ConfigError`."""
        from holdgate_workers.config.environment import read_config

        return read_config(data_dir=self.data_dir, **overrides)

    def database_url(self) -> str:
        """Where the database is; raises `NotRunning` if it should be embedded and is not there."""
        from holdgate_workers.wiring.site import database_url

        return database_url(self.config())

    @contextmanager
    def opened(self, reader: Callable[[str], C]) -> Iterator[C]:
        """A reader or the house, on the database, closed afterwards."""
        found = reader(self.database_url())
        try:
            yield found
        finally:
            found.close()

    @contextmanager
    def client(self, timeout_seconds: float, *, cached: bool = False) -> Iterator[BookingClient]:
        """A connected client; raises `ConnectionLost` if there is nothing to connect to."""
        from holdgate_workers.wiring.site import booking_client

        config = self.config()
        # The broker alone is enough for requests: no database is needed where the queue is on RabbitMQ.
        url = self.database_url() if config.is_embedded else ""
        _quiet()
        client = booking_client(config, url, app_id=APP_ID, timeout_seconds=timeout_seconds, cached=cached)
        try:
            client.wait_connected(min(CONNECT_SECONDS, timeout_seconds))
            yield client
        finally:
            client.close()

    def dead_letters(self) -> DeadLetters:
        """The dead-letter queue."""
        from holdgate_workers.wiring.site import EmbeddedTransport, RabbitTransport

        config = self.config()
        _quiet()
        if config.amqp_url is not None:
            return RabbitTransport(config.amqp_url).dead_letters()
        return EmbeddedTransport(self.database_url(), config.partitions).dead_letters()


def _quiet() -> None:
    """What the libraries would log comes to the person as the error of the command."""
    for name in ("holdgate_producer", "holdgate_workers", "pika"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


pass_access = click.make_pass_decorator(Access, ensure=True)


def timeout_option(command: Any) -> Any:
    """`--timeout`: how long to wait for an answer."""
    return click.option(
        "--timeout",
        "timeout_seconds",
        type=click.FloatRange(0.1, 3600),
        default=10.0,
        show_default=True,
        metavar="SECONDS",
        help="How long to wait for the answer.",
    )(command)
