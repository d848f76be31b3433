"""Named cursors on the journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from psycopg import Connection

from holdgate_workers.app.gate.effects import Unavailable
from holdgate_workers.app.relay.relay import Advance, JournalPage, Position, ReadJournal

from .connection import DatabaseUnavailable
from .session import Session

_LOCK_SPACE = 0x72656C61
"""First key of the advisory locks of cursors ("rela")."""

_ROWS = """
SELECT j.xid::text, j.id, extract(epoch FROM clock_timestamp() - j.decided_at), {columns}
FROM journal j
WHERE (j.xid, j.id) > (%s::text::xid8, %s) AND j.xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY j.xid, j.id LIMIT %s"""
"""A bare `ORDER BY xid` would mean the text that is selected, in which 10 comes before 9."""

_WAITING = """
SELECT extract(epoch FROM clock_timestamp() - j.decided_at) FROM journal j
WHERE (j.xid, j.id) > (%s::text::xid8, %s) ORDER BY j.xid, j.id LIMIT 1"""


@dataclass(slots=True, frozen=True)
class JournalRows:
    """Rows after a cursor: the columns that were asked for, where the page ends, how old the first row after it is.

    That one may have to wait, and then there are none yet.
    """

    start: Position
    end: Position
    rows: Sequence[tuple[Any, ...]]
    lag_seconds: float


class Cursor:
    """A named place in the journal, on a connection that the caller brings. Not thread-safe.

    At most one process at a time has the right to it; the others see nothing to do. Rows come in the order (writing
    transaction, id) and only from below the oldest transaction still running, so a late commit is never skipped. That
    transaction may be anybody's on the server: PostgreSQL counts them for all its databases together.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._mine = False

    @property
    def is_mine(self) -> bool:
        """Whether this process had the right to it when it last read."""
        return self._mine

    def rows(self, connection: Connection[tuple[Any, ...]], columns: str, rows_max: int) -> JournalRows:
        """The next rows; none if another process has the right to it."""
        if not self._take(connection):
            return JournalRows(Position(), Position(), (), 0.0)
        start = self._position(connection)
        found = connection.execute(_ROWS.format(columns=columns), [str(start.xid), start.id, rows_max]).fetchall()
        if not found:
            waiting = connection.execute(_WAITING, [str(start.xid), start.id]).fetchone()
            return JournalRows(start, start, (), _age(waiting[0]) if waiting else 0.0)
        end = Position(int(found[-1][0]), found[-1][1])
        return JournalRows(start, end, [row[3:] for row in found], _age(found[0][2]))

    def advance(self, connection: Connection[tuple[Any, ...]], step: Advance) -> bool:
        """Move it if it is still where it was read."""
        moved = connection.execute(
            "UPDATE relay_cursors SET xid = %s::text::xid8, id = %s, moved_at = clock_timestamp() "
            "WHERE name = %s AND xid = %s::text::xid8 AND id = %s",
            [str(step.end.xid), step.end.id, self.name, str(step.start.xid), step.start.id],
        )
        return moved.rowcount == 1

    def forget(self) -> None:
        """The connection is gone, and with it the right to the cursor."""
        self._mine = False

    def _take(self, connection: Connection[tuple[Any, ...]]) -> bool:
        """The lock belongs to the connection: it is lost with it, and a dead process frees it at once."""
        if not self._mine:
            keys = [_LOCK_SPACE, crc32(self.name.encode()) - 2**31]
            row = connection.execute("SELECT pg_try_advisory_lock(%s, %s)", keys).fetchone()
            self._mine = bool(row and row[0])
        return self._mine

    def _position(self, connection: Connection[tuple[Any, ...]]) -> Position:
        connection.execute(
            "INSERT INTO relay_cursors (name, xid, id) VALUES (%s, '0'::xid8, 0) ON CONFLICT DO NOTHING",
            [self.name],
        )
        row = connection.execute("SELECT xid::text, id FROM relay_cursors WHERE name = %s", [self.name]).fetchone()
        assert row is not None
        return Position(int(row[0]), row[1])


def _age(seconds: Any) -> float:
    return max(0.0, float(seconds))


class JournalCursor:
    """What the relay reads: the events after a cursor. Not thread-safe."""

    def __init__(self, url: str, *, name: str) -> None:
        self._cursor = Cursor(name)
        self._session = Session(url, name=f"cursor {name}")

    def read(self, wanted: ReadJournal) -> JournalPage | Unavailable:
        """The rows after the cursor; none if another process has the right to it."""
        try:
            return self._session.run_outside(lambda connection: self._read(connection, wanted.rows_max))
        except DatabaseUnavailable as exc:
            self._cursor.forget()
            return Unavailable(str(exc))

    def advance(self, step: Advance) -> bool:
        """Move the cursor if it is still where it was read."""
        try:
            return self._session.run_outside(lambda connection: self._cursor.advance(connection, step))
        except DatabaseUnavailable:
            self._cursor.forget()
            return False

    def close(self) -> None:
        """Give up the right to the cursor. Idempotent."""
        self._cursor.forget()
        self._session.close()

    def _read(self, connection: Connection[tuple[Any, ...]], rows_max: int) -> JournalPage:
        page = self._cursor.rows(connection, "j.events::text", rows_max)
        return JournalPage(page.start, page.end, tuple(row[0] for row in page.rows), page.lag_seconds)
