"""The servers that all cases share, and what belongs to one case: a database, a virtual host, its processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from secrets import token_hex
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

import psycopg
from psycopg import sql
from tests.crash.wire import Wire
from tests.support.private_servers import private_postgres
from tests.support.processes import WorkerProcess
from tests.support.rabbit import AMQP_PORT, admin_url, fresh_vhost
from tests.support.recorded import RecordedRun
from tests.support.site import PARTITIONS, TestSite

from holdgate_workers.adapters.postgres.maintenance import migrations

SWEEP_SECONDS = "0.2"


class Ground:
    """A PostgreSQL of our own and the RabbitMQ that there is, each behind a wire."""

    def __init__(self, postgres_url: str, database: Wire, broker: Wire) -> None:
        self.database, self.broker = database, broker
        self._postgres_url = postgres_url
        self._template = "template_of_cases"
        self._administer("CREATE DATABASE {}", self._template)
        migrations.migrate(self._url_of(self._template))

    @contextmanager
    def stage(self, folder: Path) -> Iterator[Stage]:
        """Everything that one case needs; recorded from here on."""
        with self.site(folder) as site:
            assert site.amqp_url is not None
            record = folder / "record"
            with RecordedRun(record, site.database_url, site.amqp_url, partitions=PARTITIONS) as run:
                yield Stage(self, site, run)

    @contextmanager
    def site(self, folder: Path) -> Iterator[TestSite]:
        """A database and a virtual host of one's own."""
        name = f"case_{token_hex(6)}"
        self._administer("CREATE DATABASE {} TEMPLATE {}", name, self._template)
        try:
            with fresh_vhost() as amqp_url, closing(TestSite(self._url_of(name), amqp_url, folder)) as site:
                yield site
        finally:
            self._administer("DROP DATABASE {} WITH (FORCE)", name)

    def through_the_wires(self, site: TestSite, worker: str) -> Mapping[str, str]:
        """What a worker is told, so that its connections can be told apart: all of them say its name."""
        assert site.amqp_url is not None
        broker = urlsplit(site.amqp_url)
        login = broker.netloc.rpartition("@")[0]
        database = urlsplit(site.database_url)
        says_name = quote(f"-c test.process={worker}.")
        return {
            "HOLDGATE_AMQP_URL": urlunsplit(broker._replace(netloc=f"{login}@127.0.0.1:{self.broker.port}")),
            "HOLDGATE_DATABASE_URL": f"postgresql://{database.username}@127.0.0.1:{self.database.port}{database.path}"
            f"?sslmode=disable&gssencmode=disable&options={says_name}",
        }

    def _url_of(self, database: str) -> str:
        return urlunsplit(urlsplit(self._postgres_url)._replace(path=f"/{database}"))

    def _administer(self, statement: str, *names: str) -> None:
        with psycopg.connect(self._postgres_url, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


class Stage:
    """One case's own."""

    def __init__(self, ground: Ground, site: TestSite, run: RecordedRun) -> None:
        self.ground, self.site, self.run = ground, site, run

    def start(self, *roles: str, name: str, failpoint: str | None = None, ready: bool = True) -> WorkerProcess:
        """Start a process behind the wires, which may be told at once where to fail."""
        told = {
            "HOLDGATE_SWEEP_INTERVAL_SECONDS": SWEEP_SECONDS,
            "HOLDGATE_TEST_AHEAD_MESSAGES": "1",  # a few buyers are no backlog
            **self.ground.through_the_wires(self.site, name),
        }
        worker = self.site.start(*roles, name=name, ready=False, **told)
        if failpoint is not None:
            worker.arm(failpoint)
        return worker.wait_ready() if ready else worker

    @property
    def somebody_waits_for_a_lock(self) -> bool:
        """Whether a gate's commit waits for another transaction."""
        waiting = "wait_event_type = 'Lock' AND application_name LIKE 'holdgate %%.gate'"
        return bool(
            self.run.value(
                f"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND {waiting}"
            )
        )


@contextmanager
def open_ground(folder: Path) -> Iterator[Ground]:
    """The servers for all cases of a session."""
    with private_postgres(folder / f"postgres-{token_hex(4)}") as postgres:
        query = parse_qs(urlsplit(postgres.url).query)
        socket = Path(query["host"][0]) / f".s.PGSQL.{query['port'][0]}"
        broker = urlsplit(admin_url())
        with (
            Wire(socket, speaks_postgres=True) as database,
            Wire((broker.hostname or "127.0.0.1", broker.port or AMQP_PORT)) as wire,
        ):
            yield Ground(postgres.url, database, wire)
