"""The log of deliveries: what became of each mail, webhook and analytics event, per receiver."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection

from holdgate_workers.adapters.postgres.session import Session
from holdgate_workers.app.notifications.delivery.delivering import Step, Written
from holdgate_workers.app.notifications.delivery.retries import Delivery
from holdgate_workers.app.tasks.tasks import Task

_TAKE = """
INSERT INTO deliveries (task_id, receiver, status, attempts, due_at, detail)
VALUES (%(task)s, %(receiver)s, 'waiting', 0, clock_timestamp(), '')
ON CONFLICT (task_id) DO UPDATE SET receiver = excluded.receiver
RETURNING status, attempts, due_at, useless_after, detail, clock_timestamp()"""
"""An update that changes nothing, so that the row is locked and returned in one statement."""
_WRITE = """
UPDATE deliveries SET status = %(status)s, attempts = %(attempts)s, due_at = %(due_at)s,
  useless_after = %(useless_after)s, detail = %(detail)s, changed_at = clock_timestamp()
WHERE task_id = %(task)s"""

_SHOWN = """
SELECT d.task_id, d.receiver, t.kind, t.key, d.status, d.attempts, t.state, t.due_at, d.detail, d.created_at,
  d.changed_at
FROM deliveries d JOIN tasks t ON t.id = d.task_id """
_CHOSEN = """
WHERE (%(receiver)s::text IS NULL OR d.receiver = %(receiver)s)
  AND (%(statuses)s::text[] IS NULL OR d.status = ANY(%(statuses)s))
ORDER BY d.changed_at DESC, d.task_id DESC LIMIT %(limit)s"""
_COUNTS = """
SELECT receiver, status, count(*), max(changed_at) FROM deliveries
GROUP BY receiver, status ORDER BY receiver, status"""


@dataclass(slots=True, frozen=True, kw_only=True)
class DeliveryRow:
    """A delivery as people look at it. `due_at` is when its task is next looked at."""

    task_id: int
    receiver: str
    kind: str
    key: str
    status: str
    attempts: int
    task_state: str
    due_at: datetime
    detail: str
    created_at: datetime
    changed_at: datetime


@dataclass(slots=True, frozen=True)
class DeliveryCount:
    """How many deliveries to one receiver have this status, and when one last got it."""

    receiver: str
    status: str
    number: int
    changed_at: datetime


class DeliveryBook:
    """The port `DeliveryLog`, on a session that it shares. Raises `DatabaseUnavailable` and `DatabaseError`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def change(self, task: Task, receiver: str, step: Step) -> Written:
        """Take a step, and write it down if it changed something."""

        def work(connection: Connection[tuple[Any, ...]]) -> Written:
            row = connection.execute(_TAKE, {"task": task.id, "receiver": receiver}).fetchone()
            assert row is not None
            status, attempts, due_at, useless_after, detail, now = row
            before = Delivery(
                key=task.key,
                due_at=due_at,
                useless_after=useless_after,
                attempts=attempts,
                status=status,
                detail=detail,
            )
            after = step(before, now)
            if after != before:
                connection.execute(_WRITE, _values(task.id, after))
            return Written(before, after, now)

        return self._session.run(work)


class DeliveryReader:
    """For operators. Not thread-safe; raises `DatabaseUnavailable` and `DatabaseError`."""

    def __init__(self, url: str) -> None:
        self._session = Session(url, name="deliveries")

    def find(
        self, limit: int, *, receiver: str | None = None, statuses: Collection[str] = ()
    ) -> list[DeliveryRow]:
        """The latest."""
        values = {"receiver": receiver, "statuses": sorted(statuses) or None, "limit": limit}
        return self._rows(_CHOSEN, values)

    def get(self, task_id: int) -> DeliveryRow | None:
        """One; None if there is none, or none yet."""
        return next(iter(self._rows("WHERE d.task_id = %(id)s", {"id": task_id})), None)

    def counts(self) -> list[DeliveryCount]:
        """How many there are, per receiver and status."""
        rows = self._session.run(lambda connection: connection.execute(_COUNTS).fetchall())
        return [DeliveryCount(*row) for row in rows]

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._session.close()

    def _rows(self, chosen: str, values: dict[str, Any]) -> list[DeliveryRow]:
        rows = self._session.run(lambda connection: connection.execute(_SHOWN + chosen, values).fetchall())
        return [DeliveryRow(**dict(zip(DeliveryRow.__slots__, row, strict=True))) for row in rows]


def _values(task_id: int, delivery: Delivery) -> dict[str, Any]:
    return {
        "task": task_id,
        "status": delivery.status,
        "attempts": delivery.attempts,
        "due_at": delivery.due_at,
        "useless_after": delivery.useless_after,
        "detail": delivery.detail,
    }
