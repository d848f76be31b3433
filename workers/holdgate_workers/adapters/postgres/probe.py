"""Whether a login can read and write what a role needs, tried without leaving anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import Connection
from psycopg.sql import SQL, Identifier

from holdgate_workers.app.faults import Fault

from .connection import DatabaseError, DatabaseUnavailable
from .diagnosis import explain, try_commit
from .session import Session

_COLUMN = """
SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
AND attidentity = '' ORDER BY attnum LIMIT 1"""
_ROW = "INSERT INTO relay_cursors (name, xid, id) VALUES (%s, '0'::xid8, 0)"
_QUEUE = "UPDATE holdgate_queue.messages SET body = body WHERE false"


class _TakeBack(Exception):
    """Ends a transaction that was only a try."""


class TryDatabase:
    """Tries on a connection of its own. Not thread-safe."""

    def __init__(self, url: str, tables: Sequence[str], *, name: str) -> None:
        self._url = url
        self._tables = tables
        self._name = name
        self._session = Session(url, name=name)

    def fault(self) -> Fault | None:
        """None if a row was written (and taken back), each table may be read and changed, and a commit ends."""

        def work(connection: Connection[tuple[Any, ...]]) -> None:
            connection.execute(_ROW, [f"{self._name} {connection.info.backend_pid}"])
            for table in self._tables:
                row = connection.execute(_COLUMN, [table]).fetchone()
                assert row is not None, table
                update = SQL("UPDATE {} SET {} = {} WHERE false")
                column = Identifier(row[0])
                connection.execute(update.format(Identifier(table), column, column))
            raise _TakeBack

        return self._tried(work) or self._tried_commit()

    def fault_of_queue(self) -> Fault | None:
        """The same for the queue in the database."""

        def work(connection: Connection[tuple[Any, ...]]) -> None:
            connection.execute(_QUEUE)
            raise _TakeBack

        return self._tried(work)

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._session.close()

    def _tried_commit(self) -> Fault | None:
        try:
            return self._session.run_outside(try_commit)
        except (DatabaseUnavailable, DatabaseError) as exc:
            return explain(exc, self._url)

    def _tried(self, work: Any) -> Fault | None:
        try:
            self._session.run(work)
        except _TakeBack:
            return None
        except (DatabaseUnavailable, DatabaseError) as exc:
            return explain(exc, self._url)
        return None
