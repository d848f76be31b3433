"""The table of tasks: claimed, settled, found again, looked at and mended by people."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from psycopg import Connection

from holdgate_workers.adapters.postgres.session import Session
from holdgate_workers.app.tasks.tasks import Again, Dead, Done, Task, TaskOutcome, TaskRow, Wakeup

T = TypeVar("T")

_payloads = msgspec.json.Decoder()

RESEND_SECONDS = 30.0
"""How long a task that was told of and is still in nobody's hands waits until it is told of again."""

_COLUMNS = """id, role, kind, key, payload::text, reply_to, correlation_id, created_at, due_at, last_error, attempts,
  claimed_by, claimed_until"""

_CLAIM = f"""
UPDATE tasks SET claimed_by = %(worker)s, claimed_until = clock_timestamp() + make_interval(secs => %(lease)s),
  wake_at = clock_timestamp() + make_interval(secs => %(lease)s), attempts = attempts + 1
WHERE id = %(id)s AND state = 'open' AND due_at <= clock_timestamp()
  AND (claimed_until IS NULL OR claimed_until <= clock_timestamp())
RETURNING {_COLUMNS}"""

_MINE = """
WHERE id = %(id)s AND state = 'open' AND claimed_by = %(claimed_by)s AND attempts = %(attempts)s
  AND claimed_until = %(claimed_until)s"""
"""Somebody retried the task in between and its attempts are counted anew: then the end of the lease is another."""

_END = f"""
UPDATE tasks SET state = %(state)s, ended_at = clock_timestamp(), last_error = coalesce(%(error)s, last_error),
  claimed_by = NULL, claimed_until = NULL {_MINE}"""
_AGAIN = f"""
UPDATE tasks SET due_at = clock_timestamp() + make_interval(secs => %(after)s),
  wake_at = clock_timestamp() + make_interval(secs => %(after)s), last_error = %(error)s,
  claimed_by = NULL, claimed_until = NULL {_MINE}"""

# The time of the statement, which the index can be searched for; clock_timestamp() would be asked for every row.
_OVERDUE = """
WITH found AS (
  SELECT id FROM tasks WHERE state = 'open' AND role = %(role)s AND wake_at <= statement_timestamp()
  ORDER BY wake_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
UPDATE tasks t SET wake_at = statement_timestamp() + make_interval(secs => %(resend)s)
FROM found WHERE t.id = found.id RETURNING t.id"""

_COUNTS = """
SELECT role, kind, count(*), 0::bigint,
  count(*) FILTER (WHERE due AND (claimed_until IS NULL OR claimed_until <= now)),
  coalesce(extract(epoch FROM max(now - due_at) FILTER (WHERE due)), 0)::float8
FROM (SELECT *, statement_timestamp() AS now, due_at <= statement_timestamp() AS due FROM tasks) t
WHERE state = 'open' GROUP BY role, kind
UNION ALL
SELECT role, kind, 0::bigint, count(*), 0::bigint, 0::float8 FROM tasks WHERE state = 'dead' GROUP BY role, kind"""

_LIST = """
SELECT id, role, kind, key, state, attempts, created_at, due_at, claimed_by, claimed_until, ended_at, last_error,
  reply_to, correlation_id, payload::text
FROM tasks """
_CHOSEN = """
WHERE state = ANY(%(states)s) AND (%(role)s::text IS NULL OR role = %(role)s)
  AND (%(kind)s::text IS NULL OR kind = %(kind)s)
ORDER BY state = 'dead' DESC, due_at, id LIMIT %(limit)s"""

_RETRY = """
UPDATE tasks SET state = 'open', ended_at = NULL, attempts = 0, due_at = clock_timestamp(),
  wake_at = clock_timestamp(), claimed_by = NULL, claimed_until = NULL,
  payload = payload || jsonb_build_object('asked_again_at', clock_timestamp()::text)
WHERE id = %(id)s AND (state IN ('dead', 'cancelled')
  OR state = 'open' AND (claimed_until IS NULL OR claimed_until <= clock_timestamp()))"""
_DROP = """
UPDATE tasks SET state = 'cancelled', ended_at = clock_timestamp(), claimed_by = NULL, claimed_until = NULL
WHERE id = %(id)s AND (state = 'dead'
  OR state = 'open' AND (claimed_until IS NULL OR claimed_until <= clock_timestamp()))"""

_TIDY = """
DELETE FROM tasks WHERE id IN (
  SELECT id FROM tasks WHERE state IN ('done', 'cancelled')
    AND ended_at < statement_timestamp() - make_interval(days => %(days)s)
  ORDER BY ended_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)"""


@dataclass(slots=True, frozen=True)
class TaskCount:
    """How many tasks of a kind there are. `overdue`: due and in nobody's hands."""

    role: str
    kind: str
    open: int
    dead: int
    overdue: int
    oldest_seconds: float
    """How long the first one that is due has been due, in somebody's hands or not."""


class TaskBook:
    """`app.tasks.ports.TaskSource`, and what operators need. Not thread-safe.

    Every call raises `DatabaseUnavailable` or `DatabaseError`.
    """

    def __init__(self, url: str, *, resend_seconds: float = RESEND_SECONDS) -> None:
        self._session = Session(url, name="tasks")
        self._resend_seconds = resend_seconds

    # --- for workers --------------------------------------------------------------------------------------------

    def claim(self, task_id: int, worker: str, lease_seconds: float) -> Task | None:
        """Take the task in hand for so long; None if it is not due, has ended, or is in somebody's hands."""
        row = self._one(_CLAIM, {"id": task_id, "worker": worker, "lease": lease_seconds})
        return None if row is None else _task(row)

    def settle(self, task: Task, outcome: TaskOutcome) -> bool:
        """Write down what became of it; False, and nothing is written, if this claim is not the one in force."""
        values: dict[str, object] = {
            "id": task.id,
            "claimed_by": task.claimed_by,
            "claimed_until": task.claimed_until,
            "attempts": task.attempts,
        }
        match outcome:
            case Done():
                return self._changed(_END, {**values, "state": "done", "error": None})
            case Dead(error=error):
                return self._changed(_END, {**values, "state": "dead", "error": error})
            case Again(after_seconds=after_seconds, error=error):
                assert after_seconds is not None, "the pause is decided before"
                return self._changed(_AGAIN, {**values, "after": after_seconds, "error": error})

    def overdue(self, role: str, limit: int) -> Sequence[Wakeup]:
        """What is due, in nobody's hands, and was not told of lately; taken to be told of now."""
        rows = self._all(_OVERDUE, {"role": role, "limit": limit, "resend": self._resend_seconds})
        return [Wakeup(role, row[0]) for row in rows]

    # --- for whoever looks ----------------------------------------------------------------------------------------

    def open_counts(self) -> list[TaskCount]:
        """How many there are, per kind."""
        counts: dict[tuple[str, str], TaskCount] = {}
        for role, kind, opened, dead, overdue, oldest in self._all(_COUNTS, {}):
            known = counts.get((role, kind), TaskCount(role, kind, 0, 0, 0, 0.0))
            counts[role, kind] = TaskCount(
                role,
                kind,
                known.open + opened,
                known.dead + dead,
                known.overdue + overdue,
                max(known.oldest_seconds, oldest),
            )
        return [counts[key] for key in sorted(counts)]

    def find(
        self, states: Collection[str], limit: int, *, role: str | None = None, kind: str | None = None
    ) -> list[TaskRow]:
        """Tasks in these states, the dead ones first, then by the time they are due."""
        values = {"states": sorted(states), "limit": limit, "role": role, "kind": kind}
        return [_row(row) for row in self._all(_LIST + _CHOSEN, values)]

    def get(self, task_id: int) -> TaskRow | None:
        """One task; None if there is none (any more)."""
        row = self._one(_LIST + "WHERE id = %(id)s", {"id": task_id})
        return None if row is None else _row(row)

    def retry(self, task_id: int) -> bool:
        """Have it done at once, with all its attempts; False if it is done, in somebody's hands, or not there."""
        return self._changed(_RETRY, {"id": task_id})

    def drop(self, task_id: int) -> bool:
        """Have it done no more; False if it has ended otherwise, is in somebody's hands, or is not there."""
        return self._changed(_DROP, {"id": task_id})

    def ping(self) -> None:
        """Whether the database can be asked."""
        self._run(lambda connection: connection.execute("SELECT 1"))

    def tidy(self, retention_days: int, limit: int) -> int:
        """Delete some that ended long ago; dead ones stay until somebody drops them. Returns how many."""
        values = {"days": retention_days, "limit": limit}
        return self._session.run(lambda connection: connection.execute(_TIDY, values).rowcount)

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._session.close()

    def _one(self, statement: str, values: dict[str, Any]) -> tuple[Any, ...] | None:
        return self._run(lambda connection: connection.execute(statement, values).fetchone())

    def _all(self, statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        return self._run(lambda connection: connection.execute(statement, values).fetchall())

    def _changed(self, statement: str, values: dict[str, Any]) -> bool:
        return self._run(lambda connection: connection.execute(statement, values).rowcount) == 1

    def _run(self, work: Callable[[Connection[tuple[Any, ...]]], T]) -> T:
        """Each is one statement, and as such a transaction."""
        return self._session.run_outside(work)


def _task(row: tuple[Any, ...]) -> Task:
    return Task(
        id=row[0],
        role=row[1],
        kind=row[2],
        key=row[3],
        payload=_payloads.decode(row[4]),
        reply_to=row[5],
        correlation_id=row[6],
        created_at=row[7],
        due_at=row[8],
        last_error=row[9],
        attempts=row[10],
        claimed_by=row[11],
        claimed_until=row[12],
    )


def _row(row: tuple[Any, ...]) -> TaskRow:
    return TaskRow(
        id=row[0],
        role=row[1],
        kind=row[2],
        key=row[3],
        state=row[4],
        attempts=row[5],
        created_at=row[6],
        due_at=row[7],
        claimed_by=row[8],
        claimed_until=row[9],
        ended_at=row[10],
        last_error=row[11],
        reply_to=row[12],
        correlation_id=row[13],
        payload=_payloads.decode(row[14]),
    )
