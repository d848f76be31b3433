"""The workers' heartbeats, and who stands in line at which partition queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from holdgate_workers.adapters.postgres.session import Session
from holdgate_workers.app.partitions.membership import News

DEAD_AFTER_SECONDS = 5
FORGOTTEN_AFTER_SECONDS = 120

_LEAVE = "DELETE FROM partition_lines WHERE worker_id = %(me)s AND partition = ANY(%(partitions)s::integer[])"
_JOIN = """
INSERT INTO partition_lines (partition, worker_id) SELECT unnest(%(partitions)s::integer[]), %(me)s
ON CONFLICT DO NOTHING"""
_STRIKE = """
DELETE FROM partition_lines before USING partition_lines mine
WHERE mine.worker_id = %(me)s AND mine.partition = ANY(%(partitions)s::integer[])
AND before.partition = mine.partition AND before.place < mine.place"""


@dataclass(slots=True, frozen=True)
class Member:
    """A process as it introduces itself."""

    id: str
    role: str
    host: str
    pid: int
    version: str


@dataclass(slots=True, frozen=True)
class Members:
    """The live workers of a role and the lines that they stand in, the head first."""

    alive: tuple[str, ...]
    lines: Mapping[int, tuple[str, ...]]


class Membership:
    """Tells that a process lives, and reads who else does. Not thread-safe; raises `DatabaseUnavailable`."""

    def __init__(self, url: str, me: Member) -> None:
        self._me = me
        self._session = Session(url, name=f"members {me.id}")

    def beat(self, news: News) -> Members:
        """One heartbeat: what happened since the last, and what the others did. May be told twice."""

        def work(connection: Connection[tuple[Any, ...]]) -> Members:
            self._introduce(connection)
            for statement, partitions in ((_LEAVE, news.left), (_JOIN, news.joined), (_STRIKE, news.served)):
                if partitions:
                    connection.execute(statement, {"me": self._me.id, "partitions": list(partitions)})
            return self._others(connection)

        return self._session.run(work)

    def goodbye(self) -> None:
        """Leave for good: the others need not wait for the heartbeat to stop."""
        self._session.run(
            lambda connection: connection.execute("DELETE FROM workers WHERE id = %s", [self._me.id])
        )

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._session.close()

    def _introduce(self, connection: Connection[tuple[Any, ...]]) -> None:
        me = self._me
        connection.execute(
            "INSERT INTO workers (id, role, host, pid, version) VALUES (%s, %s, %s, %s, %s) "
            "ON CONFLICT (id) DO UPDATE SET seen_at = clock_timestamp()",
            [me.id, me.role, me.host, me.pid, me.version],
        )
        connection.execute(
            "DELETE FROM workers WHERE id IN (SELECT id FROM workers "
            "WHERE seen_at < clock_timestamp() - make_interval(secs => %s) FOR UPDATE SKIP LOCKED)",
            [FORGOTTEN_AFTER_SECONDS],
        )

    def _others(self, connection: Connection[tuple[Any, ...]]) -> Members:
        alive = connection.execute(
            "SELECT id FROM workers WHERE role = %s AND seen_at > clock_timestamp() - make_interval(secs => %s) "
            "ORDER BY id",
            [self._me.role, DEAD_AFTER_SECONDS],
        ).fetchall()
        living = {row[0] for row in alive}
        lines: dict[int, tuple[str, ...]] = {}
        rows = connection.execute("SELECT partition, worker_id FROM partition_lines ORDER BY partition, place")
        for partition, worker_id in rows.fetchall():
            if worker_id in living:
                lines[partition] = (*lines.get(partition, ()), worker_id)
        return Members(tuple(row[0] for row in alive), lines)
