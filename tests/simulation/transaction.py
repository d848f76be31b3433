"""What PostgreSQL does with the gate's commit, statement by statement, as adapters/postgres/gate/commit.py sends it.

READ COMMITTED: a row that another transaction has written is waited for and then looked at again. What a transaction
has written is seen by others all at once, when it commits.
"""

from __future__ import annotations

from collections.abc import Generator
from copy import copy
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from holdgate_workers.app.gate.effects import Commit, CommitResult, Conflict, Impossible, JournalRow
from holdgate_workers.domain.bookings.booking import Booking
from holdgate_workers.domain.decision import LimitKey
from holdgate_workers.domain.occurrences.occurrence import Definition, Hold, Pool, WaitEntry

if TYPE_CHECKING:
    from .database import Database

Lock = tuple[str, ...]
Script = Generator[Lock | int, None, None]
"""What it waits for: a row's lock, or so many microseconds."""


class Head(Struct):
    """A row of `occurrences`."""

    definition: Definition
    version: int


class Recording(Struct):
    """A row of `journal`."""

    xid: int
    id: int
    row: JournalRow


class FollowUp(Struct):
    """A row of `follow_ups`."""

    reply_to: str | None
    correlation_id: str | None
    wish: bytes
    answered_by: str | None = None


class RolledBack(Exception):
    """The server refused a statement; nothing of the transaction stays."""

    def __init__(self, result: CommitResult) -> None:
        super().__init__(str(result))
        self.result = result


class Transaction:
    """One transaction and what it has written so far."""

    def __init__(self, database: Database, plan: Commit, began_at: int) -> None:
        self.database = database
        self.plan = plan
        self.began_at = began_at
        """When the batch was begun whose decisions these are."""
        self.sleep_before_commit = 0
        self.xid: int | None = None
        self.locks: list[Lock] = []
        self.waits_for: Lock | None = None
        self.over = False
        self.heads: dict[str, Head] = {}
        self.pools: dict[tuple[str, str], Pool | None] = {}
        self.holds: dict[str, Hold] = {}
        self.limits: dict[LimitKey, tuple[int, int]] = {}
        self.journal: list[Recording] = []
        self.used: dict[LimitKey, int] = {}
        self.bookings: dict[str, Booking] = {}
        self.follow_ups: dict[str, FollowUp] = {}
        self.entries: dict[str, WaitEntry] = {}
        self.clock = database.clock()
        """The database's clock when it was asked whether an expiry is due."""
        self.script = self._statements()

    def _statements(self) -> Script:
        plan, database = self.plan, self.database
        yield from self._fence()
        self.clock = database.clock()
        if plan.expired_until is not None and database.checks_early and plan.expired_until > self.clock:
            raise RolledBack(Conflict("early", "a hold is not due yet"))
        yield from self._record()
        self._link_answers()
        yield database.pause_inside()
        yield from self._define()
        self._count()
        self._hold()
        self._book()
        self._stand()
        yield from self._claim()
        if self.sleep_before_commit:
            yield self.sleep_before_commit

    def _fence(self) -> Script:
        written = sorted((f for f in self.plan.fences if f.after != f.before), key=lambda f: f.occurrence_id)
        yield from self.database.fence(self, written)
        for fence in self.plan.fences:
            if fence.after == fence.before:
                head = self.database.heads.get(fence.occurrence_id)
                if head is None or head.version != fence.before:
                    raise RolledBack(Conflict("stale", "somebody else wrote"))

    def _record(self) -> Script:
        database = self.database
        for row in self.plan.journal:
            self.write()
            yield ("request", row.request_id)
            if row.request_id in database.journal:
                if database.journal_ignores_repeats:
                    continue
                raise RolledBack(Conflict("duplicate", "journal_pkey"))
            if row.request_id in database.cursed:
                raise RolledBack(Impossible("22P05 a character that cannot be"))
            assert self.xid is not None
            self.journal.append(Recording(self.xid, database.next_row_id(), row))

    def _link_answers(self) -> None:
        """As `link_answers`: the first decision that answers a request is its second answer."""
        for row in self.plan.journal:
            if row.wish is not None:
                self.follow_ups[row.request_id] = FollowUp(row.reply_to, row.correlation_id, row.wish)
        for row in self.plan.journal:
            if row.answers is None:
                continue
            waits = self.follow_ups.get(row.answers) or self.database.follow_ups.get(row.answers)
            if waits is not None and waits.answered_by is None:
                self.follow_ups[row.answers] = replace(waits, answered_by=row.request_id)

    def _define(self) -> Script:
        database = self.database
        for row in self.plan.created:
            self.write()
            yield ("occurrence", row.occurrence_id)
            yield ("start", row.definition.product_id, row.definition.starts_at.isoformat())
            if row.occurrence_id in database.heads or database.start_taken(row.definition):
                raise RolledBack(Conflict("stale", "occurrences_pkey"))
            self.heads[row.occurrence_id] = Head(row.definition, row.version)
        for row in self.plan.redefined:
            head = self.heads.get(row.occurrence_id) or copy(database.heads[row.occurrence_id])
            head.definition = row.definition
            self.heads[row.occurrence_id] = head
        for occurrence_id, key in self.plan.removed_pools:
            pool = self._pool(occurrence_id, key)
            if pool is None or pool.held + pool.sold:
                raise RolledBack(Impossible("HG004 a pool in use was to be removed"))
            self.pools[occurrence_id, key] = None

    def _count(self) -> None:
        for row in self.plan.pools:
            pool = self._pool(row.occurrence_id, row.key)
            defined = row.redefined
            was = pool or defined
            if was is None:
                raise RolledBack(Impossible("HG004 a pool is missing"))
            held, sold = (pool.held, pool.sold) if pool is not None else (0, 0)
            pool = replace(defined or was, held=held, sold=sold)
            pool.held += row.held
            pool.sold += row.sold
            sellable = pool.sellable
            if pool.held < 0 or pool.sold < 0 or (sellable is not None and pool.held + pool.sold > sellable):
                self.database.world.sometimes("a CHECK said no")
                raise RolledBack(Impossible("23514 pools_never_oversold"))
            self.pools[row.occurrence_id, row.key] = pool

    def _hold(self) -> None:
        database = self.database
        for hold in self.plan.new_holds:
            if hold.id in database.holds:
                raise RolledBack(Impossible("23505 holds_pkey"))
            self.holds[hold.id] = hold
        for hold in self.plan.changed_holds:
            before = self.holds.get(hold.id) or database.holds.get(hold.id)
            if before is None or not _may_move(before.state, hold.state):
                raise RolledBack(Impossible("HG004 a hold that has ended was to move"))
            self.holds[hold.id] = hold

    def _book(self) -> None:
        """As `save_bookings`. No two bookings have the same seats."""
        for booking in self.plan.bookings:
            before = self.database.bookings.get(booking.id)
            customer = booking.customer if before is None else before.customer
            for other in self.database.bookings.values():
                if other.hold_id == booking.hold_id and other.id != booking.id:
                    raise RolledBack(Impossible("23505 bookings_hold_idx"))
            self.bookings[booking.id] = replace(booking, customer=customer)

    def _stand(self) -> None:
        """As `save_line`."""
        for entry in self.plan.new_entries:
            if entry.id in self.database.entries:
                raise RolledBack(Impossible("23505 waitlist_pkey"))
            self.entries[entry.id] = entry
        for entry in self.plan.ended_entries:
            before = self.entries.get(entry.id) or self.database.entries.get(entry.id)
            if before is None or before.state != "waiting":
                raise RolledBack(Impossible("HG004 an entry that is over was to move"))
            self.entries[entry.id] = entry

    def _claim(self) -> Script:
        for claim in sorted(self.plan.claims, key=lambda claim: (claim.delta < 0, claim.limit)):
            yield from self.database.claim(self, claim)

    # --- for the statements -------------------------------------------------------------------------------------

    def write(self) -> None:
        """The first row written gives it its id."""
        if self.xid is None:
            self.xid = self.database.next_xid(self)

    def _pool(self, occurrence_id: str, key: str) -> Pool | None:
        own = self.pools.get((occurrence_id, key))
        return own if own is not None else self.database.pools.get(occurrence_id, {}).get(key)


def _may_move(before: str, after: str) -> bool:
    """The moves of holds that `_CHANGED_HOLDS` lets through."""
    if before == "converting":
        return after not in ("active", "expired")
    return before == "active" or (before == "confirmed" and after in ("confirmed", "cancelled"))
