"""A house of the benchmark's own, thrown away afterwards, from where the tests get their databases and vhosts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from tests.support.postgres import migrated_database
from tests.support.rabbit import fresh_vhost

from holdgate_producer.client.client import BookingClient
from holdgate_schema.answers.holds import Refused
from holdgate_schema.commands.holds import Command
from holdgate_workers.config.environment import read_config
from holdgate_workers.wiring.site import Site, booking_client, open_site

from .processes import Child, children

CLIENT_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class Place:
    """Where one run happens."""

    database_url: str
    amqp_url: str
    site: Site

    def gate(self, **settings: object) -> Child:
        """A gate worker, not begun. `settings` are those of the environment, without prefix, in lower case."""
        return Child("bench.gate", environment=self.environment(**settings))

    def expiry(self) -> Child:
        """An expiry worker, as production runs it."""
        return Child("holdgate_workers", "worker", "expiry", environment=self.environment(log_level="WARNING"))

    def environment(self, **settings: object) -> dict[str, str]:
        """What a process of this house is told."""
        told = {"database_url": self.database_url, "amqp_url": self.amqp_url, **settings}
        return {f"HOLDGATE_{key.upper()}": str(value) for key, value in told.items()}

    def client(self) -> BookingClient:
        """A client of this house."""
        return booking_client(
            self.site.config, self.database_url, app_id="bench", timeout_seconds=CLIENT_TIMEOUT_SECONDS
        )

    def prepare(self, commands: list[Command]) -> None:
        """Have a short-lived worker do the commands. Raises `ValueError` if one is refused."""
        with children() as started, self.client() as client:
            started.append(self.gate().begin())
            for future in client.send_many(commands):
                answer = future.result(CLIENT_TIMEOUT_SECONDS)
                if isinstance(answer, Refused):
                    raise ValueError(f"{answer.occurrence_id}: {answer.reason.value} {answer.errors}")

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of the house's database."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def fresh_place(partitions: int = 4) -> Iterator[Place]:
    """A new house with everything declared."""
    with migrated_database() as database_url, fresh_vhost() as amqp_url:
        config = read_config(database_url=database_url, amqp_url=amqp_url, partitions=partitions)
        yield Place(database_url, amqp_url, open_site(config, database_url, migrate=True))
