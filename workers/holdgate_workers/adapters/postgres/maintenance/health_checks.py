"""What the doctor asks the database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection

from holdgate_workers.adapters.postgres.partitions.members import DEAD_AFTER_SECONDS
from holdgate_workers.adapters.postgres.reports.reading import Reader

_SERVER = """
SELECT current_setting('server_version_num')::integer, current_setting('server_version'),
  current_setting('transaction_isolation'), clock_timestamp(), current_setting('max_connections')::integer,
  current_setting('superuser_reserved_connections')::integer,
  (SELECT count(*)::integer FROM pg_stat_activity WHERE backend_type = 'client backend'), pg_is_in_recovery()"""

_WORKERS = """
SELECT id, role, host, pid, version, extract(epoch FROM clock_timestamp() - seen_at)::float8,
  ARRAY(SELECT partition FROM partition_lines l WHERE l.worker_id = w.id ORDER BY partition)
FROM workers w ORDER BY role, id"""

_CURSORS = """
SELECT c.name, coalesce(w.seconds, 0)::float8, coalesce(w.xid >= pg_snapshot_xmin(pg_current_snapshot()), false)
FROM relay_cursors c LEFT JOIN LATERAL (
  SELECT j.xid, extract(epoch FROM clock_timestamp() - j.decided_at) AS seconds FROM journal j
  WHERE (j.xid, j.id) > (c.xid, c.id) ORDER BY j.xid, j.id LIMIT 1) w ON true
ORDER BY c.name"""

# Whoever writes holds a lock on its own transaction's number; no right is needed to see that, unlike its age.
_OLDEST_WRITER = """
SELECT l.pid, a.datname, a.application_name, extract(epoch FROM clock_timestamp() - a.xact_start)::float8
FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock' AND l.granted
ORDER BY age(l.transactionid) DESC LIMIT 1"""

_OVERDUE = """
SELECT count(*), coalesce(max(extract(epoch FROM clock_timestamp() - expires_at)), 0)::float8 FROM holds
WHERE state = 'active' AND expires_at <= clock_timestamp()"""


@dataclass(slots=True, frozen=True)
class Server:
    """The database server, as our own sessions see it."""

    version_number: int
    version: str
    isolation: str
    clock: datetime
    connections_max: int
    connections_reserved: int
    connections_used: int
    is_standby: bool

    @property
    def connections_free(self) -> int:
        """How many more clients it takes."""
        return self.connections_max - self.connections_reserved - self.connections_used


@dataclass(slots=True, frozen=True)
class WorkerLine:
    """One worker's heartbeat and the partition queues at which it stands in line."""

    id: str
    role: str
    host: str
    pid: int
    version: str
    silent_seconds: float
    partitions: list[int]

    @property
    def is_alive(self) -> bool:
        """Whether it was heard of lately."""
        return self.silent_seconds <= DEAD_AFTER_SECONDS


@dataclass(slots=True, frozen=True)
class Writer:
    """Whose transaction is the oldest of the whole server that writes; None where we may not know."""

    pid: int | None
    """None if it is a prepared transaction."""
    database: str | None
    application: str | None
    seconds: float | None


@dataclass(slots=True, frozen=True)
class CursorLag:
    """How long the first row after a cursor of the journal has been waiting, and for whom if not for its reader."""

    name: str
    seconds: float
    waits_for: Writer | None = None


class Examination(Reader):
    """Reads for the doctor."""

    def server(self) -> Server:
        """Version, clock and connections."""

        def work(connection: Connection[tuple[Any, ...]]) -> Server:
            row = connection.execute(_SERVER).fetchone()
            assert row is not None
            return Server(*row)

        # Outside our own snapshot: the isolation is to be that of the workers' sessions.
        return self._session.run(work)

    def workers(self) -> list[WorkerLine]:
        """Everybody who beats, or did lately."""
        return self._read(lambda connection: [WorkerLine(*row) for row in connection.execute(_WORKERS).fetchall()])

    def cursor_lags(self) -> list[CursorLag]:
        """Each cursor of the journal; `seconds` is 0 where nothing waits."""

        def work(connection: Connection[tuple[Any, ...]]) -> list[CursorLag]:
            oldest = connection.execute(_OLDEST_WRITER).fetchone()
            writer = Writer(*oldest) if oldest else None
            rows = connection.execute(_CURSORS).fetchall()
            return [CursorLag(name, seconds, writer if waits else None) for name, seconds, waits in rows]

        return self._read(work)

    def overdue(self) -> tuple[int, float]:
        """How many active holds are past their time, and the longest by how many seconds."""

        def work(connection: Connection[tuple[Any, ...]]) -> tuple[int, float]:
            row = connection.execute(_OVERDUE).fetchone()
            assert row is not None
            return row[0], row[1]

        return self._read(work)

    def partitions(self) -> int | None:
        """How many partition queues the house agreed on; None if nobody has asked yet."""
        row = self._read(
            lambda connection: connection.execute("SELECT value FROM house WHERE name = 'partitions'").fetchone()
        )
        return None if row is None else int(row[0])
