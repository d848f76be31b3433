"""What is due, and whether the counters agree with the rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from holdgate_workers.adapters.postgres.connection import DatabaseError, DatabaseUnavailable
from holdgate_workers.adapters.postgres.reports.money import CONVERSIONS_OVERDUE, Sums, sums
from holdgate_workers.adapters.postgres.session import Session
from holdgate_workers.app.expiry.sweep import Due, ReadDue, ReadWorked
from holdgate_workers.app.gate.effects import Unavailable

# By when the statement began, which an index can be searched for; and no more than can be swept before the next look.
_DUE = """
SELECT occurrence_id, count(*), min(expires_at) FROM (
  SELECT occurrence_id, expires_at FROM holds WHERE state = 'active' AND expires_at <= statement_timestamp()
  ORDER BY expires_at LIMIT %s) AS due
GROUP BY occurrence_id ORDER BY min(expires_at)"""

# One after the other for each command, the second only where the first finds nothing.
_WORKED = """
SELECT a.request_id::text FROM unnest(%s::uuid[], %s::text[]) AS a (request_id, occurrence_id)
WHERE coalesce(
  (SELECT true FROM journal j WHERE j.request_id = a.request_id),
  (SELECT false FROM holds h WHERE h.occurrence_id = a.occurrence_id
     AND h.state = 'active' AND h.expires_at <= statement_timestamp() LIMIT 1),
  true)"""

# `sellable` is what may be sold or, where that is less than what is taken, what is taken. At random, so that lines that
# cannot be served for another reason do not stand in front of those that can.
_LINES = """
SELECT line.occurrence_id FROM (
  SELECT w.occurrence_id, min(w.seats) AS seats FROM waitlist w WHERE w.state = 'waiting' GROUP BY w.occurrence_id) line
JOIN occurrences o ON o.id = line.occurrence_id AND o.status = 'active' AND o.starts_at > clock_timestamp()
JOIN pools p ON p.occurrence_id = line.occurrence_id AND p.key = 'total'
  AND p.sellable - p.held - p.sold >= line.seats
ORDER BY random() LIMIT %s"""

_DIFFERENCES = """
WITH live AS (
  SELECT h.occurrence_id, d.key,
    sum(d.value::integer) FILTER (WHERE h.state IN ('active', 'converting')) AS held,
    sum(d.value::integer) FILTER (WHERE h.state = 'confirmed') AS sold
  FROM holds h CROSS JOIN LATERAL jsonb_each_text(h.basket -> 'draws') AS d
  WHERE h.state IN ('active', 'converting', 'confirmed')
  GROUP BY h.occurrence_id, d.key)
SELECT coalesce(p.occurrence_id, l.occurrence_id), coalesce(p.key, l.key),
  coalesce(p.held, 0), coalesce(l.held, 0), coalesce(p.sold, 0), coalesce(l.sold, 0),
  coalesce(p.held + p.sold > p.sellable, false)
FROM pools p FULL JOIN live l ON l.occurrence_id = p.occurrence_id AND l.key = p.key
WHERE coalesce(p.held, 0) <> coalesce(l.held, 0) OR coalesce(p.sold, 0) <> coalesce(l.sold, 0)
  OR p.held + p.sold > p.sellable
ORDER BY 1, 2 LIMIT %s"""

_LIMIT_DIFFERENCES = """
WITH live AS (
  SELECT session_id AS key, count(*) AS used FROM holds WHERE state IN ('active', 'converting')
  GROUP BY session_id)
SELECT coalesce(s.key, l.key), coalesce(s.used, 0), coalesce(l.used, 0)
FROM (SELECT key, used FROM shared_limits WHERE scope = 'session') s FULL JOIN live l ON l.key = s.key
WHERE coalesce(s.used, 0) <> coalesce(l.used, 0) LIMIT %s"""

_OPEN_BOOKINGS = """
SELECT s.state, count(b.id) FROM unnest(%s::text[]) AS s (state)
LEFT JOIN bookings b ON b.state = s.state AND b.state IN ('converting', 'parked', 'refund_required')
GROUP BY s.state"""
_WAITING = "SELECT count(*) FROM waitlist WHERE state = 'waiting'"
OPEN_STATES = ("converting", "parked", "refund_required")


@dataclass(slots=True, frozen=True)
class Difference:
    """A pool whose counters do not agree with its holds, or that is oversold."""

    occurrence_id: str
    pool: str
    held_counted: int
    held_in_holds: int
    sold_counted: int
    sold_in_holds: int
    oversold: bool


@dataclass(slots=True, frozen=True)
class SessionDifference:
    """A session whose count of active holds does not agree with its holds."""

    session_id: str
    counted: int
    in_holds: int


@dataclass(slots=True, frozen=True)
class OpenWork:
    """Bookings by state, as far as they are not over, how many stand in a waiting list, and what money is open."""

    bookings: dict[str, int]
    waiting: int
    conversions_overdue: int
    """Still `converting` after their time: they were paid, or nobody works on them."""
    money: Sums
    """How much money is open."""


class DueHolds:
    """Reads for the expiry worker. Not thread-safe."""

    def __init__(self, url: str) -> None:
        self._session = Session(url, name="expiry")

    def read(self, wanted: ReadDue) -> Due | Unavailable:
        """Which occurrences have due holds."""

        def work(connection: Connection[tuple[Any, ...]]) -> Due:
            rows = connection.execute(_DUE, [wanted.holds_max]).fetchall()
            lines = connection.execute(_LINES, [wanted.holds_max]).fetchall() if wanted.lines_too else []
            clock = connection.execute("SELECT clock_timestamp()").fetchone()
            assert clock is not None
            due, oldest = {row[0]: row[1] for row in rows}, {row[0]: row[2] for row in rows}
            return Due(clock[0], due, oldest, [row[0] for row in lines])

        try:
            return self._session.run_outside(work)
        except (DatabaseUnavailable, DatabaseError) as exc:
            return Unavailable(str(exc))

    def read_worked(self, wanted: ReadWorked) -> set[str] | Unavailable:
        """Which of the commands were worked."""

        def work(connection: Connection[tuple[Any, ...]]) -> set[str]:
            asked = [list(wanted.commands), list(wanted.commands.values())]
            return {row[0] for row in connection.execute(_WORKED, asked).fetchall()}

        try:
            return self._session.run_outside(work)
        except (DatabaseUnavailable, DatabaseError) as exc:
            return Unavailable(str(exc))

    def differences(self, most: int = 100) -> list[Difference]:
        """Pools whose counters disagree with their holds, in one snapshot: there must be none."""
        return self._session.run_outside(
            lambda connection: [Difference(*row) for row in connection.execute(_DIFFERENCES, [most]).fetchall()]
        )

    def session_differences(self, most: int = 100) -> list[SessionDifference]:
        """Sessions whose counts disagree with their holds: there must be none."""
        return self._session.run_outside(
            lambda connection: [
                SessionDifference(*row) for row in connection.execute(_LIMIT_DIFFERENCES, [most]).fetchall()
            ]
        )

    def open_work(self) -> OpenWork:
        """What waits for somebody. Indexes have just these rows, so that it costs what is open and no more."""

        def work(connection: Connection[tuple[Any, ...]]) -> OpenWork:
            bookings = connection.execute(_OPEN_BOOKINGS, [list(OPEN_STATES)]).fetchall()
            waiting = connection.execute(_WAITING).fetchone()
            overdue = connection.execute(CONVERSIONS_OVERDUE).fetchone()
            assert waiting is not None
            assert overdue is not None
            return OpenWork(dict(bookings), waiting[0], overdue[0], sums(connection))

        return self._session.run_outside(work)

    def erase_addresses(self, older_than_days: int) -> int:
        """Forget client addresses that have been kept long enough; returns how many."""
        return self._session.run_outside(
            lambda connection: (
                connection.execute(
                    "UPDATE holds SET client_address = NULL WHERE client_address IS NOT NULL "
                    "AND created_at < clock_timestamp() - make_interval(days => %s)",
                    [older_than_days],
                ).rowcount
            )
        )

    def forget_answers(self, older_than_days: int, rows_max: int = 5_000) -> int:
        """Remove answers that need not be remembered any longer, the oldest first; returns how many.

        Bounded, so that it never holds the journal up; call it again while it returns the bound.
        """
        return self._session.run_outside(
            lambda connection: (
                connection.execute(
                    "DELETE FROM journal WHERE request_id IN (SELECT request_id FROM "
                    "(SELECT request_id, decided_at FROM journal ORDER BY xid, id LIMIT %s) AS oldest "
                    "WHERE decided_at < clock_timestamp() - make_interval(days => %s))",
                    [rows_max, older_than_days],
                ).rowcount
            )
        )

    def forget_idle_limits(self) -> int:
        """Remove limits that nobody uses; returns how many."""
        return self._session.run_outside(
            lambda connection: (
                connection.execute("DELETE FROM shared_limits WHERE scope = 'session' AND used = 0").rowcount
            )
        )

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._session.close()
