"""The fenced commit: everything a batch changes, in one transaction and one round trip.

All statements travel together, the COMMIT included, so no lock is held across our own thinking; one held by a
process that froze while sending is taken away by the store. That leaves no chance to look at a row count in between:
`holdgate_require` looks for us and rolls back.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from psycopg.pq.abc import PGconn

from holdgate_workers.adapters.postgres import arrays
from holdgate_workers.adapters.postgres.pipeline import Answer, Trip
from holdgate_workers.app.gate.effects import Commit, Committed, Fence
from holdgate_workers.domain.decision import Claim, LimitKey

from .rows import definition_text
from .saving_bookings import link_answers, save_bookings, save_refused_payments
from .saving_holds import save_changed_holds, save_new_holds
from .sqlstates import BROKEN_MOVE, EARLY, LIMIT, STALE
from .waitlist import save_line

_FENCE = f"""
WITH fence AS (SELECT * FROM unnest(%s::text[], %s::bigint[], %s::bigint[]) AS f (id, before, after)),
fenced AS (
  UPDATE occurrences o SET version = f.after FROM fence f
  WHERE o.id = f.id AND o.version = f.before RETURNING 1)
SELECT holdgate_require((SELECT count(*) FROM fenced) = %s, '{STALE}', 'somebody else wrote')"""

_UNCHANGED = f"""
SELECT holdgate_require(count(*) = %s, '{STALE}', 'somebody else wrote')
FROM occurrences o JOIN unnest(%s::text[], %s::bigint[]) AS f (id, version)
  ON o.id = f.id AND o.version = f.version"""

_NOT_EARLY = f"SELECT holdgate_require(%s::timestamptz <= clock_timestamp(), '{EARLY}', 'a hold is not due yet')"

_CREATE = """
INSERT INTO occurrences (id, product_id, starts_at, ends_at, status, definition, yields_start, version)
SELECT * FROM unnest(%s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::text[], %s::jsonb[],
  %s::boolean[], %s::bigint[])"""

_REDEFINE = """
UPDATE occurrences o SET product_id = d.product_id, starts_at = d.starts_at, ends_at = d.ends_at,
  status = d.status, definition = d.definition, yields_start = d.yields_start
FROM unnest(%s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::text[], %s::jsonb[], %s::boolean[])
  AS d (id, product_id, starts_at, ends_at, status, definition, yields_start)
WHERE o.id = d.id"""

_REMOVE_POOLS = f"""
WITH gone AS (
  DELETE FROM pools p USING unnest(%s::text[], %s::text[]) AS g (occurrence_id, key)
  WHERE p.occurrence_id = g.occurrence_id AND p.key = g.key AND p.held + p.sold = 0 RETURNING 1)
SELECT holdgate_require((SELECT count(*) FROM gone) = %s, '{BROKEN_MOVE}', 'a pool in use was to be removed')"""

# Deltas, not values: should two writers ever slip past the fence, the CHECK still sees the true sum.
_COUNT = f"""
WITH counted AS (
  UPDATE pools p SET held = p.held + c.held, sold = p.sold + c.sold
  FROM unnest(%s::text[], %s::text[], %s::integer[], %s::integer[]) AS c (occurrence_id, key, held, sold)
  WHERE p.occurrence_id = c.occurrence_id AND p.key = c.key RETURNING 1)
SELECT holdgate_require((SELECT count(*) FROM counted) = %s, '{BROKEN_MOVE}', 'a pool is missing')"""

_NEW_POOLS = """
INSERT INTO pools (occurrence_id, key, capacity, overbooking_percent, buffer, sellable, held, sold)
SELECT *, 0, 0 FROM unnest(%s::text[], %s::text[], %s::integer[], %s::integer[], %s::integer[], %s::integer[])
ON CONFLICT (occurrence_id, key) DO NOTHING"""

# One statement for definition and deltas: neither order of two would pass the CHECK in every case.
_REDEFINE_POOLS = """
UPDATE pools p SET capacity = c.capacity, overbooking_percent = c.overbooking_percent, buffer = c.buffer,
  sellable = c.sellable, held = p.held + c.held, sold = p.sold + c.sold
FROM unnest(%s::text[], %s::text[], %s::integer[], %s::integer[], %s::integer[], %s::integer[], %s::integer[],
  %s::integer[]) AS c (occurrence_id, key, capacity, overbooking_percent, buffer, sellable, held, sold)
WHERE p.occurrence_id = c.occurrence_id AND p.key = c.key"""

# In key order, so that two batches that share limits wait for one another instead of locking crosswise.
_CLAIM = f"""
WITH claimed AS (
  INSERT INTO shared_limits AS s (scope, key, used, cap)
  SELECT scope, key, used, cap FROM unnest(%s::text[], %s::text[], %s::integer[], %s::integer[])
    AS c (scope, key, used, cap) ORDER BY scope, key
  ON CONFLICT (scope, key) DO UPDATE SET used = s.used + excluded.used, cap = excluded.cap
  WHERE s.used + excluded.used <= excluded.cap
  RETURNING s.scope, s.key, s.used),
checked AS MATERIALIZED (
  SELECT holdgate_require(count(*) = %s, '{LIMIT}', 'a shared limit is reached')::text AS ok FROM claimed)
SELECT c.scope, c.key, c.used, checked.ok FROM checked LEFT JOIN claimed c ON true"""

_GIVE_BACK = f"""
WITH given AS (
  UPDATE shared_limits s SET used = s.used + g.used
  FROM (SELECT s.scope, s.key, g.used FROM shared_limits s
    JOIN unnest(%s::text[], %s::text[], %s::integer[]) AS g (scope, key, used)
      ON s.scope = g.scope AND s.key = g.key
    ORDER BY s.scope, s.key FOR UPDATE OF s) AS g
  WHERE s.scope = g.scope AND s.key = g.key
  RETURNING s.scope, s.key, s.used),
checked AS MATERIALIZED (
  SELECT holdgate_require(count(*) = %s, '{BROKEN_MOVE}', 'a limit to give back to is missing')::text AS ok
  FROM given)
SELECT c.scope, c.key, c.used, checked.ok FROM checked LEFT JOIN given c ON true"""

_JOURNAL = """
INSERT INTO journal (request_id, fingerprint, occurrence_id, version, kind, outcome, reason, session_id, hold_id,
  app_id, reply, events, decided_at)
SELECT * FROM unnest(%s::uuid[], %s::bytea[], %s::text[], %s::bigint[], %s::text[], %s::text[], %s::text[],
  %s::text[], %s::uuid[], %s::text[], string_to_array(%s, E'\\x01', '')::json[],
  string_to_array(%s, E'\\x01', '')::json[], %s::timestamptz[])"""


_NOW = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class PackedCommit:
    """Everything that a batch changes, ready to be sent.

    Packing takes time and nothing of the server; it may be done while the batch before is on its way.
    """

    def __init__(self, plan: Commit) -> None:
        self.plan = plan
        self._trip = trip = Trip()
        trip.execute("BEGIN")
        _fence(trip, plan.fences)
        if plan.expired_until is not None:
            trip.execute(_NOT_EARLY, [plan.expired_until])
        # Before the rows that a request makes, so that one decided before is known as that: otherwise it would
        # meet its own hold, which says nothing about why.
        _record(trip, plan)
        _define(trip, plan)
        save_new_holds(trip, plan.new_holds)
        save_changed_holds(trip, plan.changed_holds)
        save_bookings(trip, plan.bookings)
        save_refused_payments(trip, plan.refused_payments)
        save_line(trip, plan.new_entries, plan.ended_entries)
        self._claimed = _claim(trip, plan)
        self._clock = trip.execute(_NOW)
        trip.execute("COMMIT")

    def send(self, connection: PGconn, prepared: set[bytes]) -> None:
        """Send it. The server works on it as it arrives. Raises the driver's exceptions; none leaves anything half
        done."""
        self._trip.send(connection, prepared)

    def outcome(self) -> Committed:
        """Wait until it is durable. Raises the driver's exceptions, as `send` does."""
        self._trip.wait()
        used = {
            LimitKey(str(scope), str(key)): int(str(used))
            for answer in self._claimed
            for scope, key, used, _ in answer.rows
            if scope is not None
        }
        return Committed(_EPOCH + timedelta(microseconds=int(str(self._clock.rows[0][0]))), used)


def _fence(trip: Trip, fences: Sequence[Fence]) -> None:
    """First of all, so that a writer who comes too late waits for nothing but this row and then leaves."""
    written = sorted((f for f in fences if f.after != f.before), key=lambda f: f.occurrence_id)
    looked_at = [f for f in fences if f.after == f.before]
    if written:
        ids = arrays.quoted(f.occurrence_id for f in written)
        before, after = arrays.plain(f.before for f in written), arrays.plain(f.after for f in written)
        trip.execute(_FENCE, [ids, before, after, len(written)])
    if looked_at:
        ids = arrays.quoted(f.occurrence_id for f in looked_at)
        trip.execute(_UNCHANGED, [len(looked_at), ids, arrays.plain(f.before for f in looked_at)])


def _define(trip: Trip, plan: Commit) -> None:
    for statement, rows, versioned in ((_CREATE, plan.created, True), (_REDEFINE, plan.redefined, False)):
        if rows:
            columns = [
                arrays.quoted(row.occurrence_id for row in rows),
                arrays.quoted(row.definition.product_id for row in rows),
                arrays.times(row.definition.starts_at for row in rows),
                arrays.times(row.definition.ends_at for row in rows),
                arrays.quoted(row.definition.status for row in rows),
                arrays.quoted(definition_text(row.definition) for row in rows),
                arrays.plain(row.definition.yields_start for row in rows),
            ]
            if versioned:
                columns.append(arrays.plain(row.version for row in rows))
            trip.execute(statement, columns)
    if plan.removed_pools:
        ids, keys = zip(*plan.removed_pools, strict=True)
        trip.execute(_REMOVE_POOLS, [arrays.quoted(ids), arrays.quoted(keys), len(ids)])
    _count(trip, plan)


def _count(trip: Trip, plan: Commit) -> None:
    counted = sorted(
        (row for row in plan.pools if row.redefined is None and (row.held or row.sold)),
        key=lambda row: (row.occurrence_id, row.key),
    )
    if counted:
        trip.execute(
            _COUNT,
            [
                arrays.quoted(row.occurrence_id for row in counted),
                arrays.quoted(row.key for row in counted),
                arrays.plain(row.held for row in counted),
                arrays.plain(row.sold for row in counted),
                len(counted),
            ],
        )
    defined = [(row, row.redefined) for row in plan.pools if row.redefined is not None]
    if defined:
        columns = [
            arrays.quoted(row.occurrence_id for row, _ in defined),
            arrays.quoted(row.key for row, _ in defined),
            arrays.plain(pool.capacity for _, pool in defined),
            arrays.plain(pool.overbooking_percent for _, pool in defined),
            arrays.plain(pool.buffer for _, pool in defined),
            arrays.plain(pool.sellable for _, pool in defined),
        ]
        deltas = [arrays.plain(row.held for row, _ in defined), arrays.plain(row.sold for row, _ in defined)]
        trip.execute(_NEW_POOLS, columns)
        trip.execute(_REDEFINE_POOLS, [*columns, *deltas])


def _claim(trip: Trip, plan: Commit) -> list[Answer]:
    answers = []
    claims = [claim for claim in plan.claims if claim.delta > 0]
    returns = [claim for claim in plan.claims if claim.delta < 0]
    if claims:
        columns = [*_limit_columns(claims), arrays.plain(claim.cap for claim in claims), len(claims)]
        answers.append(trip.execute(_CLAIM, columns))
    if returns:
        answers.append(trip.execute(_GIVE_BACK, [*_limit_columns(returns), len(returns)]))
    return answers


def _limit_columns(claims: Sequence[Claim]) -> list[object]:
    return [
        arrays.quoted(claim.limit.scope for claim in claims),
        arrays.quoted(claim.limit.key for claim in claims),
        arrays.plain(claim.delta for claim in claims),
    ]


def _record(trip: Trip, plan: Commit) -> None:
    rows = plan.journal
    if rows:
        trip.execute(
            _JOURNAL,
            [
                arrays.plain(row.request_id for row in rows),
                arrays.binary(row.fingerprint for row in rows),
                arrays.quoted(row.occurrence_id for row in rows),
                arrays.plain(row.version for row in rows),
                arrays.plain(row.kind for row in rows),
                arrays.plain(row.outcome for row in rows),
                arrays.plain(row.reason for row in rows),
                arrays.quoted(row.session_id for row in rows),
                arrays.plain(row.hold_id for row in rows),
                arrays.quoted(row.app_id for row in rows),
                arrays.documents(row.reply.decode() for row in rows),
                arrays.documents(_events(row.events) for row in rows),
                arrays.times(row.decided_at for row in rows),
            ],
        )
        link_answers(trip, rows)


def _events(events: Sequence[tuple[str, bytes]]) -> str | None:
    return f"[{','.join([body.decode() for _, body in events])}]" if events else None
