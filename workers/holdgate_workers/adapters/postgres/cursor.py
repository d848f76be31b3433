"""A named cursor on the journal."""

from __future__ import annotations

from typing import Any
from zlib import crc32

from psycopg import Connection

from holdgate_workers.app.effects import Unavailable
from holdgate_workers.app.relay import Advance, JournalPage, Position, ReadJournal

from .connection import DatabaseUnavailable
from .session import Session

_LOCK_SPACE = 0x72656C61
"""First key of the advisory locks of cursors ("rela")."""

_READ = """
SELECT j.xid::text, j.id, j.events::text, extract(epoch FROM clock_timestamp() - j.decided_at)
FROM journal j
WHERE (j.xid, j.id) > (%s::text::xid8, %s) AND j.xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY j.xid, j.id LIMIT %s"""
"""A bare `ORDER BY xid` would mean the text that is selected, in which 10 comes before 9."""


class JournalCursor:
    """Reads the journal from where this cursor stands. At most one process at a time has the right to; the others
    see nothing to do. Not thread-safe."""

    def __init__(self, url: str, *, name: str) -> None:
        self._name = name
        self._session = Session(url, name=f"cursor {name}")
        self._mine = False

    def read(self, wanted: ReadJournal) -> JournalPage | Unavailable:
        """The rows after the cursor; none if another process has the right to it."""
        try:
            return self._session.run_outside(lambda connection: self._read(connection, wanted.rows_max))
        except DatabaseUnavailable as exc:
            self._mine = False
            return Unavailable(str(exc))

    def advance(self, step: Advance) -> bool:
        """Move the cursor if it is still where it was read."""
        try:
            return self._session.run_outside(lambda connection: self._advance(connection, step))
        except DatabaseUnavailable:
            self._mine = False
            return False

    def close(self) -> None:
        """Give up the right to the cursor. Idempotent."""
        self._mine = False
        self._session.close()

    def _read(self, connection: Connection[tuple[Any, ...]], rows_max: int) -> JournalPage:
        if not self._take(connection):
            return JournalPage(Position(), Position(), (), 0.0)
        start = self._position(connection)
        rows = connection.execute(_READ, [str(start.xid), start.id, rows_max]).fetchall()
        if not rows:
            return JournalPage(start, start, (), 0.0)
        end = Position(int(rows[-1][0]), rows[-1][1])
        return JournalPage(start, end, [row[2] for row in rows], max(0.0, float(rows[0][3])))

    def _take(self, connection: Connection[tuple[Any, ...]]) -> bool:
        """The lock belongs to the connection: it is lost with it, and a dead process frees it at once."""
        if not self._mine:
            keys = [_LOCK_SPACE, crc32(self._name.encode()) - 2**31]
            row = connection.execute("SELECT pg_try_advisory_lock(%s, %s)", keys).fetchone()
            self._mine = bool(row and row[0])
        return self._mine

    def _position(self, connection: Connection[tuple[Any, ...]]) -> Position:
        connection.execute(
            "INSERT INTO relay_cursors (name, xid, id) VALUES (%s, '0'::xid8, 0) ON CONFLICT DO NOTHING",
            [self._name],
        )
        row = connection.execute(
            "SELECT xid::text, id FROM relay_cursors WHERE name = %s", [self._name]
        ).fetchone()
        assert row is not None
        return Position(int(row[0]), row[1])

    def _advance(self, connection: Connection[tuple[Any, ...]], step: Advance) -> bool:
        moved = connection.execute(
            "UPDATE relay_cursors SET xid = %s::text::xid8, id = %s, moved_at = clock_timestamp() "
            "WHERE name = %s AND xid = %s::text::xid8 AND id = %s",
            [str(step.end.xid), step.end.id, self._name, str(step.start.xid), step.start.id],
        )
        return moved.rowcount == 1
