"""From the journal to the table of tasks, exactly once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from psycopg import Connection

from holdgate_schema.events.holds import Event
from holdgate_workers.adapters.postgres.connection import DatabaseUnavailable
from holdgate_workers.adapters.postgres.cursor import Cursor
from holdgate_workers.adapters.postgres.session import Session
from holdgate_workers.app.relay.relay import Advance
from holdgate_workers.app.tasks.tasks import DecidedRow, Fed, NewTask, Planner, Unplannable, Wakeup, plan

from .table import RESEND_SECONDS

_COLUMNS = """j.request_id::text, j.kind, j.outcome, j.occurrence_id, j.version, j.session_id, j.hold_id::text,
  j.events::text, j.decided_at,
  (SELECT f.reply_to FROM follow_ups f WHERE f.request_id = j.request_id),
  (SELECT f.correlation_id FROM follow_ups f WHERE f.request_id = j.request_id),
  (SELECT f.wish::text FROM follow_ups f WHERE f.request_id = j.request_id)"""

_CANCEL = """
UPDATE tasks t SET state = 'cancelled', ended_at = clock_timestamp(), claimed_by = NULL, claimed_until = NULL
FROM (SELECT unnest(%s::text[]) AS kind, unnest(%s::text[]) AS key) c
WHERE t.kind = c.kind AND t.key = c.key AND t.state = 'open'"""

_INSERT = """
INSERT INTO tasks (role, kind, key, payload, reply_to, correlation_id, state, due_at, wake_at, ended_at)
SELECT n.role, n.kind, n.key, n.payload::jsonb, n.reply_to, n.correlation_id, n.state, n.due_at,
  CASE WHEN n.due_at <= n.now AND n.role = ANY(%(told)s) THEN n.now + make_interval(secs => %(resend)s)
       ELSE n.due_at END,
  CASE WHEN n.state = 'open' THEN NULL ELSE n.now END
FROM (
  SELECT role, kind, key, payload, reply_to, correlation_id, state,
    coalesce(due_at, statement_timestamp()) AS due_at, statement_timestamp() AS now
  FROM unnest(%(role)s::text[], %(kind)s::text[], %(key)s::text[], %(payload)s::text[], %(reply_to)s::text[],
    %(correlation_id)s::text[], %(state)s::text[], %(due_at)s::timestamptz[])
  AS t (role, kind, key, payload, reply_to, correlation_id, state, due_at)) n
ON CONFLICT (kind, key) DO NOTHING
RETURNING id, role, kind, wake_at > due_at AND state = 'open'"""

_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
"""The one character that jsonb does not take; what a client wrote must not stop the feeding."""

_events = msgspec.json.Decoder(list[Event])


class _Overtaken(Exception):
    """Somebody else has moved the cursor: what was done on top of it is rolled back."""


class TaskFeed:
    """Plans the journal's rows, puts the tasks into the table and moves the cursor, in one transaction.

    Any number may run, one of them has the right to the cursor. Not thread-safe. Raises `DatabaseUnavailable`,
    `DatabaseError` and `Unplannable`; nothing was changed then.
    """

    def __init__(
        self, url: str, planners: Sequence[Planner], *, name: str = "tasks", resend_seconds: float = RESEND_SECONDS
    ) -> None:
        self._planners = tuple(planners)
        self._cursor = Cursor(name)
        self._session = Session(url, name=f"feed {name}")
        self._resend_seconds = resend_seconds

    def feed(self, rows_max: int, told: Collection[str] = ()) -> Fed:
        """The next rows of the journal. `told`: roles whose workers the caller is going to wake up for what is due
        at once; the others' tasks wait to be found by `TaskBook.overdue`."""
        try:
            return self._session.run(lambda connection: self._feed(connection, rows_max, told))
        except _Overtaken:
            return Fed()
        except DatabaseUnavailable:
            self._cursor.forget()
            raise

    def add(self, tasks: Sequence[NewTask], told: Collection[str] = ()) -> Sequence[Wakeup]:
        """Put tasks into the table that no decision asked for. Returns what is due at once and the caller's to tell."""
        found = self._session.run(lambda connection: self._insert(connection, tasks, (), told))
        return [Wakeup(row[1], row[0]) for row in found if row[3]]

    def close(self) -> None:
        """Give up the right to the cursor. Idempotent."""
        self._cursor.forget()
        self._session.close()

    def _feed(self, connection: Connection[tuple[Any, ...]], rows_max: int, told: Collection[str]) -> Fed:
        page = self._cursor.rows(connection, _COLUMNS, rows_max)
        if not page.rows:
            return Fed()
        planned = plan(self._planners, map(_decided, page.rows))
        if planned.cancelled:
            names = [name.kind for name in planned.cancelled], [name.key for name in planned.cancelled]
            connection.execute(_CANCEL, names)
        new = self._insert(connection, planned.open, planned.stillborn, told)
        if not self._cursor.advance(connection, Advance(page.start, page.end)):
            raise _Overtaken
        return Fed(
            rows=len(page.rows),
            tasks=sorted(Counter(row[2] for row in new).items()),
            wakeups=[Wakeup(row[1], row[0]) for row in new if row[3]],
            lag_seconds=page.lag_seconds,
        )

    def _insert(
        self,
        connection: Connection[tuple[Any, ...]],
        tasks: Sequence[NewTask],
        stillborn: Sequence[NewTask],
        told: Collection[str],
    ) -> list[tuple[Any, ...]]:
        every = [*tasks, *stillborn]
        if not every:
            return []
        values = {name: [getattr(task, name) for task in every] for name in _ATTRIBUTES}
        values["payload"] = [_json(task.payload) for task in every]
        values["state"] = ["open"] * len(tasks) + ["cancelled"] * len(stillborn)
        values["told"] = sorted(told)
        return connection.execute(_INSERT, {**values, "resend": self._resend_seconds}).fetchall()


_ATTRIBUTES = ("role", "kind", "key", "reply_to", "correlation_id", "due_at")


def _json(payload: dict[str, Any]) -> str:
    return _NUL.sub(rb"\1\\ufffd", msgspec.json.encode(payload)).decode()


def _decided(row: tuple[Any, ...]) -> DecidedRow:
    try:
        events = () if row[7] is None else tuple(_events.decode(row[7]))
    except msgspec.DecodeError as exc:
        raise Unplannable(f"request {row[0]} ({row[1]}): its events are of a newer version: {exc}") from exc
    return DecidedRow(
        request_id=row[0],
        kind=row[1],
        outcome=row[2],
        occurrence_id=row[3],
        version=row[4],
        session_id=row[5],
        hold_id=row[6],
        events=events,
        decided_at=row[8],
        reply_to=row[9],
        correlation_id=row[10],
        wish=None if row[11] is None else row[11].encode(),
    )
