"""Plans of mails: the tasks that send them, and what customers were told with them, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from psycopg import Connection

from holdgate_workers.adapters.postgres.session import Session
from holdgate_workers.app.notifications.planning import SEND_MAIL
from holdgate_workers.app.notifications.telling import Telling, Told, tell, wanted
from holdgate_workers.app.tasks.tasks import NOTIFICATIONS

from .facts import booking_now

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('told ' || %s, 0))"
"""Plans of one booking come one after another, also before there is a row to lock."""
_TOLD = "SELECT starts_at, ends_at, timezone, is_cancelled, round FROM told_slots WHERE booking_id = %s"
_TELL = """
INSERT INTO told_slots (booking_id, occurrence_id, starts_at, ends_at, timezone, is_cancelled, round, planned)
VALUES (%(booking)s, %(occurrence)s, %(starts_at)s, %(ends_at)s, %(timezone)s, %(is_cancelled)s, %(round)s, %(keys)s)
ON CONFLICT (booking_id) DO UPDATE SET starts_at = excluded.starts_at, ends_at = excluded.ends_at,
  timezone = excluded.timezone, is_cancelled = excluded.is_cancelled, round = excluded.round,
  planned = (SELECT array_agg(DISTINCT key) FROM unnest(told_slots.planned || excluded.planned) AS key),
  changed_at = clock_timestamp()"""
_WITHDRAW = """
UPDATE tasks t SET state = 'cancelled', ended_at = clock_timestamp(), claimed_by = NULL, claimed_until = NULL
FROM told_slots s
WHERE s.booking_id = %s AND t.kind = %s AND t.key = ANY(s.planned) AND t.state = 'open'"""
_PLAN = """
INSERT INTO tasks (role, kind, key, payload, state, due_at, wake_at)
SELECT %(role)s, %(kind)s, n.key, n.payload::jsonb, 'open', n.due_at, n.due_at
FROM unnest(%(keys)s::text[], %(payloads)s::text[], %(due)s::timestamptz[]) AS n (key, payload, due_at)
ON CONFLICT (kind, key) DO NOTHING"""
_MOVED = """
SELECT t.booking_id::text FROM told_slots t
JOIN occurrences o ON o.id = t.occurrence_id
JOIN bookings b ON b.id = t.booking_id AND b.state = 'confirmed'
WHERE t.occurrence_id = %s AND NOT t.is_cancelled
  AND (o.status = 'cancelled' OR t.starts_at <> o.starts_at OR t.ends_at <> o.ends_at
    OR t.timezone <> o.definition ->> 'timezone')
ORDER BY t.booking_id LIMIT %s"""


class MailPlanBook:
    """The port `MailPlans`, on a session that it shares. Raises `DatabaseUnavailable` and `DatabaseError`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def plan(self, event: str, booking_id: str, version: int) -> None:
        """Record what follows from the event. Whatever was recorded before stays as it is."""

        def work(connection: Connection[tuple[Any, ...]]) -> None:
            connection.execute(_LOCK, [booking_id])
            found = booking_now(connection, booking_id, version)
            if found is None:
                return
            telling = tell(event, found.booking, _told(connection, booking_id), found.now)
            if telling is not None:
                _record(connection, booking_id, found.booking.slot.occurrence_id, version, telling)

        self._session.run(work)

    def moved(self, occurrence_id: str, limit: int) -> Sequence[str]:
        """Those whose customers are to be told."""
        rows = self._session.run(lambda connection: connection.execute(_MOVED, [occurrence_id, limit]).fetchall())
        return [row[0] for row in rows]


def _told(connection: Connection[tuple[Any, ...]], booking_id: str) -> Told | None:
    row = connection.execute(_TOLD, [booking_id]).fetchone()
    if row is None:
        return None
    starts_at, ends_at, timezone, is_cancelled, number = row
    return Told(starts_at=starts_at, ends_at=ends_at, timezone=timezone, is_cancelled=is_cancelled, round=number)


def _record(
    connection: Connection[tuple[Any, ...]], booking_id: str, occurrence_id: str, version: int, telling: Telling
) -> None:
    plan, told = telling.plan, telling.told
    if plan.withdraw_others:
        connection.execute(_WITHDRAW, [booking_id, SEND_MAIL])
    keys = [notice.key for notice in plan.send]
    values = {
        "booking": booking_id,
        "occurrence": occurrence_id,
        "starts_at": told.starts_at,
        "ends_at": told.ends_at,
        "timezone": told.timezone,
        "is_cancelled": told.is_cancelled,
        "round": told.round,
        "keys": keys,
    }
    connection.execute(_TELL, values)
    tasks = {
        "role": NOTIFICATIONS,
        "kind": SEND_MAIL,
        "keys": keys,
        "payloads": [msgspec.json.encode(wanted(notice, version)).decode() for notice in plan.send],
        "due": [notice.due_at for notice in plan.send],
    }
    connection.execute(_PLAN, tasks)
