"""What happened: the journal by request, thing, session or occurrence, and the holds themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from psycopg import Connection

from holdgate_workers.adapters.postgres.gate.rows import HOLD_COLUMNS, hold_from
from holdgate_workers.domain.occurrences.occurrence import Hold

from .reading import Reader

Values = Sequence[object] | Mapping[str, object]

_documents = msgspec.json.Decoder()

_COLUMNS = (
    "j.decided_at, j.request_id::text, j.occurrence_id, j.version, j.kind, j.outcome, j.reason, j.session_id, "
    "j.hold_id::text, j.app_id, j.reply::text, j.events::text"
)

_BY_OCCURRENCE = f"""
SELECT {_COLUMNS} FROM journal j WHERE j.occurrence_id = %s ORDER BY j.version DESC, j.id DESC LIMIT %s"""

_BY_REQUEST = f"SELECT {_COLUMNS} FROM journal j WHERE j.request_id = ANY(%s::uuid[]) ORDER BY j.xid, j.id"

_BY_REQUEST_WITH_SECOND = f"""
SELECT {_COLUMNS} FROM journal j
WHERE j.request_id = %(id)s::uuid
  OR j.request_id = (SELECT answered_by FROM follow_ups WHERE request_id = %(id)s::uuid)
ORDER BY j.xid, j.id"""

# Much happens to a thing in somebody else's request: a sweep, a basket that needed its seats, an order that changed.
# The events of those name it. A booking has the id of its hold, a cart and an entry that of their request.
_ABOUT = f"""
WITH places AS (
  SELECT occurrence_id FROM holds WHERE id = %(id)s::uuid
  UNION SELECT occurrence_id FROM bookings WHERE id = %(id)s::uuid
  UNION SELECT occurrence_id FROM waitlist WHERE id = %(id)s::uuid
  UNION SELECT occurrence_id FROM journal WHERE request_id = %(id)s::uuid
  UNION SELECT leg.value ->> 'occurrence_id' FROM journal CROSS JOIN json_array_elements(events) AS e
    CROSS JOIN json_array_elements(e.value -> 'legs') AS leg WHERE request_id = %(id)s::uuid)
SELECT {_COLUMNS} FROM journal j
WHERE j.occurrence_id IN (SELECT occurrence_id FROM places)
  AND (j.hold_id = %(id)s::uuid OR j.request_id = %(id)s::uuid
    OR (j.events IS NOT NULL AND position(%(id)s::uuid::text IN j.events::text) > 0))
ORDER BY j.decided_at DESC, j.id DESC LIMIT %(limit)s"""

_BY_SESSION = f"""
WITH mine AS (
  SELECT id, occurrence_id FROM holds WHERE session_id = %(session)s
  UNION SELECT id, occurrence_id FROM bookings WHERE session_id = %(session)s
  UNION SELECT id, occurrence_id FROM waitlist WHERE session_id = %(session)s
  UNION SELECT id, document ->> 'occurrence_id' FROM carts WHERE session_id = %(session)s
  UNION SELECT request_id, occurrence_id FROM journal WHERE session_id = %(session)s AND outcome = 'cart_started')
SELECT {_COLUMNS} FROM journal j
WHERE j.session_id = %(session)s
  OR (j.session_id IS DISTINCT FROM %(session)s AND j.occurrence_id IN (SELECT occurrence_id FROM mine)
    AND EXISTS (SELECT FROM json_array_elements(j.events) e
      WHERE coalesce(e.value -> 'hold' ->> 'hold_id', e.value -> 'booking' ->> 'booking_id',
        e.value ->> 'entry_id', e.value ->> 'cart_id')::uuid IN (SELECT id FROM mine)))
ORDER BY j.decided_at DESC, j.id DESC LIMIT %(limit)s"""

_HOLD = f"SELECT {HOLD_COLUMNS} FROM holds WHERE id = %s::uuid"
_HOLDS_LIKE = "SELECT id::text FROM holds WHERE id BETWEEN %s::uuid AND %s::uuid ORDER BY id LIMIT 3"
_ENTRIES_LIKE = "SELECT id::text FROM waitlist WHERE id BETWEEN %s::uuid AND %s::uuid ORDER BY id LIMIT 3"
_REQUESTS_LIKE = """
SELECT request_id::text FROM journal WHERE request_id BETWEEN %s::uuid AND %s::uuid ORDER BY request_id LIMIT 3"""

UUID_LENGTH = 36
_ZERO = "00000000-0000-0000-0000-000000000000"
_LAST = "ffffffff-ffff-ffff-ffff-ffffffffffff"


@dataclass(slots=True, frozen=True)
class JournalEntry:
    """One decided request, with its answer and its events as they were sent."""

    decided_at: datetime
    request_id: str
    occurrence_id: str
    version: int
    kind: str
    outcome: str
    reason: str | None
    session_id: str | None
    hold_id: str | None
    app_id: str | None
    reply: dict[str, Any]
    events: list[dict[str, Any]] = field(default_factory=list)


class History(Reader):
    """The journal and the holds, for looking. The newest `limit` entries are returned, the oldest first."""

    def of_occurrence(self, occurrence_id: str, limit: int) -> list[JournalEntry]:
        """What was decided on an occurrence."""
        return self._newest(_BY_OCCURRENCE, [occurrence_id, limit])

    def of_request(self, request_id: str) -> list[JournalEntry]:
        """The entry of a request, and the one of its second answer if there was one; or none."""
        return self._entries(_BY_REQUEST_WITH_SECOND, {"id": request_id})

    def of_requests(self, request_ids: Sequence[str]) -> list[JournalEntry]:
        """The entries of these requests, in the order of their commits."""
        return self._entries(_BY_REQUEST, [list(request_ids)])

    def about(self, thing_id: str, limit: int) -> list[JournalEntry]:
        """Everything that touched a hold, a booking, a cart or an entry in a waiting list, by its whole id.

        Also what somebody else's request did to it.
        """
        return self._newest(_ABOUT, {"id": thing_id, "limit": limit})

    def of_session(self, session_id: str, limit: int) -> list[JournalEntry]:
        """What a session asked for, and what became of its holds, bookings, carts and places in line."""
        return self._newest(_BY_SESSION, {"session": session_id, "limit": limit})

    def hold(self, hold_id: str) -> tuple[Hold, datetime] | None:
        """A hold as its row has it, and the database's time; None if there is none."""

        def work(connection: Connection[tuple[Any, ...]]) -> tuple[Hold, datetime] | None:
            row = connection.execute(_HOLD, [hold_id]).fetchone()
            clock = connection.execute("SELECT clock_timestamp()").fetchone()
            return None if row is None or clock is None else (hold_from(row), clock[0])

        return self._read(work)

    def holds_like(self, prefix: str) -> list[str]:
        """Up to three ids of holds that begin so. `prefix` must be the beginning of a UUID in lower case."""
        return self._like(_HOLDS_LIKE, prefix)

    def entries_like(self, prefix: str) -> list[str]:
        """Up to three ids of entries in waiting lists that begin so."""
        return self._like(_ENTRIES_LIKE, prefix)

    def requests_like(self, prefix: str) -> list[str]:
        """Up to three ids of decided requests that begin so."""
        return self._like(_REQUESTS_LIKE, prefix)

    def _like(self, statement: str, prefix: str) -> list[str]:
        bounds = [prefix + _ZERO[len(prefix) :], prefix + _LAST[len(prefix) :]]
        return self._read(lambda connection: [row[0] for row in connection.execute(statement, bounds).fetchall()])

    def _newest(self, statement: str, values: Values) -> list[JournalEntry]:
        return self._entries(statement, values)[::-1]

    def _entries(self, statement: str, values: Values) -> list[JournalEntry]:
        rows = self._read(lambda connection: connection.execute(statement, values).fetchall())
        return [
            JournalEntry(*(*row[:10], _documents.decode(row[10]), _documents.decode(row[11] or "[]")))
            for row in rows
        ]
