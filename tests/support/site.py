"""A whole gate for a test: a database and a queue of its own, worker processes, clients.

`rabbit` is a fresh virtual host, `embedded` the queue in the same fresh database.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from tests.support.postgres import migrated_database
from tests.support.processes import WorkerProcess
from tests.support.rabbit import eventually, fresh_vhost, rabbitmqctl, vhost_of

from holdgate_producer.amqp.link import AmqpLink
from holdgate_producer.client.client import BookingClient
from holdgate_producer.client.config import ClientConfig
from holdgate_producer.core.link import Link
from holdgate_schema.ids import TOTAL_POOL
from holdgate_schema.routing import partition_of, slot_of
from holdgate_workers.adapters.embedded.queue.link import EmbeddedLink
from holdgate_workers.app.partitions.membership import ranked
from holdgate_workers.app.ports import DeadLetter
from holdgate_workers.config.environment import read_config
from holdgate_workers.wiring import site as bootstrap

PARTITIONS = 4
KINDS = ("rabbit", "embedded")
CLIENT_SECONDS = 30.0
_CURSORS = int.from_bytes(b"rela", "big")
_RIGHT_TO_CURSOR = f"""
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = {_CURSORS} AND granted
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
_UNREAD = """
SELECT count(*) FROM journal j JOIN relay_cursors c ON c.name = %s AND (j.xid, j.id) > (c.xid, c.id)"""


class TestSite:
    """A gate of one's own. Everything that was started is gone after `close`."""

    __test__ = False

    def __init__(self, database_url: str, amqp_url: str | None, folder: Path) -> None:
        self.database_url = database_url
        self.amqp_url = amqp_url
        self.folder = folder
        self.workers: list[WorkerProcess] = []
        self._clients: list[BookingClient] = []
        self._numbers = itertools.count(1)
        self.config = read_config(database_url=database_url, amqp_url=amqp_url, partitions=PARTITIONS)
        self.site = bootstrap.open_site(self.config, database_url, migrate=True)
        self.rabbitmqctl: Callable[..., str] = rabbitmqctl

    @property
    def kind(self) -> str:
        return "embedded" if self.amqp_url is None else "rabbit"

    # --- workers ------------------------------------------------------------------------------------------------

    def start(
        self,
        *roles: str,
        name: str | None = None,
        ready: bool = True,
        **environment: str,
    ) -> WorkerProcess:
        """Start a process with these roles (all three by default) and wait until it is ready."""
        roles = roles or ("gate", "expiry", "relay")
        settings = {
            "HOLDGATE_DATABASE_URL": self.database_url,
            "HOLDGATE_PARTITIONS": str(PARTITIONS),
            "HOLDGATE_METRICS_PORT": "0",
            "HOLDGATE_MIGRATE": "false",
            "HOLDGATE_LOG_FORMAT": "json",
            # Each thread has connections of its own, and other tests use the same server with its hundred.
            "HOLDGATE_TASK_THREADS": "2",
            **({} if self.amqp_url is None else {"HOLDGATE_AMQP_URL": self.amqp_url}),
            **environment,
        }
        name = name or f"{'-'.join(roles)}-{next(self._numbers)}"
        worker = WorkerProcess(name, roles, settings, self.folder)
        self.workers.append(worker)
        return worker.wait_ready() if ready else worker

    def wait_lines(self, *workers: WorkerProcess) -> None:
        """Wait until each partition is worked by its first choice among these (all gates by default), the second
        behind it, and all have stopped moving. A gate that was starved of the machine for a while is taken for
        silent and has its lines back afterwards, so whoever asks for lines later waits again."""
        names = {f"{worker.name}.gate" for worker in workers or self.workers if "gate" in worker.roles}
        wanted = min(2, len(names))

        def settled() -> bool:
            rows = self.rows("SELECT partition, worker_id FROM partition_lines ORDER BY partition, place")
            lines: dict[int, list[str]] = {}
            for partition, worker in rows:
                lines.setdefault(partition, []).append(worker)
            return len(lines) == PARTITIONS and all(
                len(line) == wanted and set(line) <= names and line[0] == ranked(partition, sorted(names))[0]
                for partition, line in lines.items()
            )

        eventually(settled, "every partition has its workers in line")

    def line_of(self, occurrence_id: str) -> list[WorkerProcess]:
        """Who stands in line for an occurrence's requests, the one who works them first."""
        partition = partition_of(slot_of(occurrence_id), PARTITIONS)
        rows = self.rows("SELECT worker_id FROM partition_lines WHERE partition = %s ORDER BY place", partition)
        by_name = {f"{worker.name}.gate": worker for worker in self.workers}
        return [by_name[name] for (name,) in rows]

    def take_queue_away(self, worker: WorkerProcess) -> None:
        """End a gate's connections to the queue on the far side, as a broker does that takes it for dead."""
        if self.amqp_url is None:
            self.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND application_name LIKE %s",
                f"{worker.name}.gate.%",
            )
            return
        listed = self.rabbitmqctl("list_connections", "pid", "vhost", "client_properties")
        for line in listed.splitlines():
            pid, _, rest = line.partition("\t")
            vhost, _, properties = rest.partition("\t")
            if vhost == vhost_of(self.amqp_url) and f'"{worker.name}.gate.' in properties:
                self.rabbitmqctl("close_connection", pid, "taken away by a test")

    def wait_cursor(self) -> None:
        """Wait until one worker has the right to move a cursor; the next one stands behind it."""
        eventually(lambda: self.value(_RIGHT_TO_CURSOR) == 1, "somebody has the cursor")

    def unread(self, cursor: str) -> int:
        """How many rows of the journal lie before a cursor."""
        return int(self.value(_UNREAD, cursor))

    # --- clients ------------------------------------------------------------------------------------------------

    def link(self, app_id: str) -> Link:
        """The wire to this site."""
        return open_link(self.database_url, self.amqp_url, app_id)

    def client(
        self, app_id: str = "test", *, timeout_seconds: float = CLIENT_SECONDS, link: Link | None = None
    ) -> BookingClient:
        """A client, hung up when the site closes."""
        client = open_client(link or self.link(app_id), app_id, timeout_seconds)
        self._clients.append(client)
        return client

    # --- looking ------------------------------------------------------------------------------------------------

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """What the database says, past our own code."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def value(self, statement: str, *values: Any) -> Any:
        """The one value that the database says."""
        return self.rows(statement, *values)[0][0]

    def held(self, occurrence_id: str, pool: str = TOTAL_POOL) -> int:
        """What a pool's counter says is held."""
        held: int = self.value("SELECT held FROM pools WHERE occurrence_id = %s AND key = %s", occurrence_id, pool)
        return held

    def dead_letters(self) -> Sequence[DeadLetter]:
        """What could not be worked."""
        return self.site.transport.dead_letters().list(1000)

    def clear(self) -> None:
        """Hang up, end every process, and have those who were killed forgotten."""
        self.close()
        self.rows("DELETE FROM workers")

    def close(self) -> None:
        """Hang up, and end every process."""
        while self._clients:
            self._clients.pop().close()
        while self.workers:
            self.workers.pop().dispose()


def open_link(database_url: str, amqp_url: str | None, app_id: str) -> Link:
    """The wire to a site."""
    if amqp_url is None:
        return EmbeddedLink(database_url, app_id=app_id)
    return AmqpLink(_client_config(amqp_url, app_id, CLIENT_SECONDS))


def open_client(link: Link, app_id: str, timeout_seconds: float) -> BookingClient:
    """A client on a wire."""
    return BookingClient(_client_config("amqp://unused", app_id, timeout_seconds), link=link)


def _client_config(url: str, app_id: str, timeout_seconds: float) -> ClientConfig:
    return ClientConfig(
        url=url,
        app_id=app_id,
        timeout_seconds=timeout_seconds,
        reconnect_min_seconds=0.05,
        reconnect_max_seconds=1,
    )


@contextmanager
def open_test_site(kind: str, folder: Path) -> Iterator[TestSite]:
    """A fresh site on the servers that the tests were given."""
    with migrated_database() as database_url:
        if kind == "embedded":
            with _closing(database_url, None, folder) as site:
                yield site
        else:
            with fresh_vhost() as amqp_url, _closing(database_url, amqp_url, folder) as site:
                yield site


@contextmanager
def _closing(database_url: str, amqp_url: str | None, folder: Path) -> Iterator[TestSite]:
    site = TestSite(database_url, amqp_url, folder)
    try:
        yield site
    finally:
        site.close()


def kinds() -> Sequence[str]:
    """The kinds to test; HOLDGATE_TEST_SITES=embedded leaves the broker out."""
    asked = os.environ.get("HOLDGATE_TEST_SITES")
    return KINDS if not asked else tuple(asked.split(","))
