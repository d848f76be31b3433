"""Whether the counters agree with the rows, looked at piece by piece, so that nobody has to wait for the look."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from holdgate_workers.adapters.postgres.session import Session

STEP_SECONDS = 0.01
"""What a step should take: a hundredth of the time, if there is one every second."""
ROWS_FIRST, ROWS_MAX = 100, 10_000

# One snapshot, so counters and holds are of the same moment.
_POOLS = """
WITH slice AS MATERIALIZED (SELECT id FROM occurrences WHERE id > %(after)s ORDER BY id LIMIT %(rows)s),
taken AS (
  SELECT h.occurrence_id, h.basket, false AS sold FROM slice s
    JOIN holds h ON h.occurrence_id = s.id AND h.state IN ('active', 'converting')
  UNION ALL
  SELECT h.occurrence_id, h.basket, true FROM slice s
    JOIN holds h ON h.occurrence_id = s.id AND h.state = 'confirmed'),
live AS (
  SELECT t.occurrence_id, d.key, sum(d.value::integer) FILTER (WHERE NOT sold) AS held,
    sum(d.value::integer) FILTER (WHERE sold) AS sold
  FROM taken t CROSS JOIN LATERAL jsonb_each_text(t.basket -> 'draws') AS d GROUP BY t.occurrence_id, d.key),
counted AS (SELECT p.* FROM slice s JOIN pools p ON p.occurrence_id = s.id),
wrong AS (
  SELECT coalesce(p.occurrence_id, l.occurrence_id) || '/' || coalesce(p.key, l.key) AS name
  FROM counted p FULL JOIN live l ON l.occurrence_id = p.occurrence_id AND l.key = p.key
  WHERE coalesce(p.held, 0) <> coalesce(l.held, 0) OR coalesce(p.sold, 0) <> coalesce(l.sold, 0)
    OR p.held + p.sold > p.sellable)
SELECT (SELECT count(*) FROM slice), (SELECT max(id) FROM slice), (SELECT array_agg(name) FROM wrong)"""

# Up to and including the last session of the piece, so that those between two that hold something and are not
# counted are found, too; in the last piece there is no end.
_SESSIONS = """
WITH slice AS MATERIALIZED (
  SELECT key, used FROM shared_limits WHERE scope = 'session' AND key > %(after)s ORDER BY key LIMIT %(rows)s),
live AS (
  SELECT session_id AS key, count(*) AS used FROM holds WHERE state IN ('active', 'converting')
    AND session_id > %(after)s
    AND session_id <= (SELECT CASE WHEN count(*) < %(rows)s THEN (SELECT max(session_id) FROM holds) ELSE max(key) END
      FROM slice)
  GROUP BY session_id),
wrong AS (
  SELECT coalesce(s.key, l.key) AS name FROM slice s FULL JOIN live l ON l.key = s.key
  WHERE coalesce(s.used, 0) <> coalesce(l.used, 0))
SELECT (SELECT count(*) FROM slice), (SELECT max(key) FROM slice), (SELECT array_agg(name) FROM wrong)"""


@dataclass(slots=True)
class _Walk:
    """Through one table, in the order of its keys, again and again."""

    statement: str
    after: str = ""
    rows: int = ROWS_FIRST
    found: int = 0
    found_last: int = 0

    def step(self, connection: Connection[tuple[Any, ...]], monotonic: Callable[[], float]) -> list[str]:
        """Look at the next piece; what disagrees in it."""
        began = monotonic()
        row = connection.execute(self.statement, {"after": self.after, "rows": self.rows}).fetchone()
        took = monotonic() - began
        assert row is not None
        number, last, wrong = row[0], row[1], row[2] or []
        self.found += len(wrong)
        if number < self.rows:
            self.after, self.found, self.found_last = "", 0, self.found
        else:
            self.after = last
        if took > 2 * STEP_SECONDS:
            self.rows = max(1, self.rows // 2)
        elif took < STEP_SECONDS / 2:
            self.rows = min(ROWS_MAX, self.rows * 2)
        return wrong


class Recount:
    """Goes through all occurrences and all sessions, a small step at a time. Not thread-safe."""

    def __init__(self, url: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._session = Session(url, name="recount")
        self._monotonic = monotonic
        self._pools, self._sessions = _Walk(_POOLS), _Walk(_SESSIONS)

    def step(self) -> list[str]:
        """Look a little further; which pools disagree there, as `occurrence/pool`. Sessions are only counted: what
        they are called is nobody's business.

        Raises `DatabaseUnavailable` or `DatabaseError`.
        """

        def work(connection: Connection[tuple[Any, ...]]) -> list[str]:
            self._sessions.step(connection, self._monotonic)
            return self._pools.step(connection, self._monotonic)

        return self._session.run_outside(work)

    @property
    def differences(self) -> int:
        """How many disagreed when each was last looked at. It must be 0."""
        return sum(max(walk.found, walk.found_last) for walk in (self._pools, self._sessions))

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._session.close()
