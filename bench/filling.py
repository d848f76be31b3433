"""Tables full of what has happened before: made by the database itself, in the shape that the gate writes."""

from __future__ import annotations

import psycopg

from .load import an_occurrence
from .place import Place

PATTERN = "bench-pattern"
CAPACITY = 10_000
OCCURRENCES = """
INSERT INTO occurrences (id, product_id, starts_at, ends_at, status, definition, version)
SELECT 'bench-' || n, 'bench-' || n, starts_at, ends_at, status,
  jsonb_set(definition, '{product_id}', to_jsonb('bench-' || n)), version
FROM occurrences, generate_series(0, %(count)s - 1) AS n WHERE id = %(pattern)s"""
POOLS = """
INSERT INTO pools (occurrence_id, key, capacity, overbooking_percent, buffer, sellable, held, sold)
SELECT 'bench-' || n, key, capacity, overbooking_percent, buffer, sellable, held, sold
FROM pools, generate_series(0, %(count)s - 1) AS n WHERE occurrence_id = %(pattern)s"""
# A hold that ended long ago, and the row of the journal that began it.
OLD_HOLDS = """
INSERT INTO holds (id, occurrence_id, session_id, state, basket, seats, ttl_seconds, created_at, expires_at,
  extensions_used, ended_at)
SELECT md5('old' || n)::uuid, 'bench-' || n %% %(occurrences)s, 'old-' || n, 'expired',
  '{"items": {"adult": 1}, "draws": {"total": 1}}', 1, 900, past, past + interval '15 min', 0,
  past + interval '15 min'
FROM generate_series(1, %(count)s) AS n, LATERAL (SELECT now() - interval '30 days' - n * interval '1 s') AS t (past)"""
OLD_JOURNAL = """
INSERT INTO journal (request_id, fingerprint, occurrence_id, version, kind, outcome, session_id, hold_id, app_id,
  reply, decided_at)
SELECT id, uuid_send(id), occurrence_id, 1, 'hold.place.v1', 'held', session_id, id, 'bench',
  json_build_object('outcome', 'held', 'request_id', id, 'occurrence_id', occurrence_id, 'filling', repeat('x', 280)),
  created_at
FROM holds WHERE state = 'expired'"""
INDEXES = """
SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename = ANY (%s)
AND indexname NOT IN (SELECT conname FROM pg_constraint)"""
LIVE_HOLDS = """
INSERT INTO holds (id, occurrence_id, session_id, state, basket, seats, ttl_seconds, created_at, expires_at,
  extensions_used)
SELECT md5('live' || n)::uuid, 'bench-' || n %% %(occurrences)s, 'live-' || n, 'active',
  '{"items": {"adult": 1}, "draws": {"total": 1}}', 1, 900, now(),
  now() + %(due_in)s * interval '1 s', 0
FROM generate_series(0, %(count)s - 1) AS n"""
COUNTED = """
UPDATE pools SET held = n FROM (SELECT occurrence_id AS id, count(*) AS n FROM holds WHERE state = 'active' GROUP BY 1)
AS h WHERE occurrence_id = h.id AND key = 'total'"""
LIMITS = """
INSERT INTO shared_limits (scope, key, used, cap)
SELECT 'session', session_id, 1, 10 FROM holds WHERE state = 'active'"""


def fill_occurrences(place: Place, count: int) -> None:
    """Occurrences `bench-0` and so on, with their pools."""
    place.prepare([an_occurrence(PATTERN, CAPACITY)])
    with psycopg.connect(place.database_url) as connection:
        for statement in (OCCURRENCES, POOLS):
            connection.execute(statement, {"count": count, "pattern": PATTERN})
    _settle(place)


def fill_old_holds(place: Place, count: int, occurrences: int) -> None:
    """Holds that have expired, dealt evenly, each with its row in the journal. Indexes are built afterwards."""
    with psycopg.connect(place.database_url) as connection:
        connection.execute("SET maintenance_work_mem = '512MB'")
        indexes = connection.execute(INDEXES, [["holds", "journal"]]).fetchall()
        for name, _ in indexes:
            connection.execute(f'DROP INDEX "{name}"')
        connection.execute(OLD_HOLDS, {"count": count, "occurrences": occurrences})
        connection.execute(OLD_JOURNAL)
        for _, definition in indexes:
            connection.execute(definition)
    _settle(place)


def fill_live_holds(place: Place, count: int, occurrences: int, *, due_in_seconds: float) -> None:
    """Holds that all become due at the same moment, with their counters and their sessions' limits."""
    with psycopg.connect(place.database_url) as connection:
        values = {"count": count, "occurrences": occurrences, "due_in": due_in_seconds}
        connection.execute(LIVE_HOLDS, values)
        connection.execute(COUNTED)
        connection.execute(LIMITS)
    _settle(place)


def _settle(place: Place) -> None:
    """What is left to do after so much writing is done now, not while somebody is measured."""
    place.query("VACUUM (ANALYZE)")
    place.query("CHECKPOINT")
