"""The database server: transactions, their locks, and the ways in which an answer to a commit can go astray."""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Callable, Sequence

from holdgate_workers.app.gate.effects import (
    Commit,
    CommitResult,
    Committed,
    Conflict,
    Fence,
    Impossible,
    Unavailable,
    Unknown,
)
from holdgate_workers.domain.decision import Claim
from holdgate_workers.domain.occurrences.occurrence import Definition

from .swarm import Options
from .tables import DOWN, Tables
from .transaction import Head, Lock, RolledBack, Script, Transaction
from .world import MS, World


class Database(Tables):
    """The tables with transactions on them."""

    checks_early = True
    journal_ignores_repeats = False

    def __init__(self, world: World, options: Options) -> None:
        super().__init__(world, options)
        self._waiting: dict[Lock, deque[Transaction]] = {}
        self._row_id = 0
        self.stalled_until = 0
        """Until then somebody holds the tables; commits wait."""

    # --- committing ---------------------------------------------------------------------------------------------

    def commit(self, plan: Commit, began_at: int, answer: Callable[[CommitResult], None]) -> None:
        """Run the transaction. What comes back may be less than what happened."""
        world, options = self.world, self.options
        if self.down:
            answer(DOWN)
            return
        if self.stalled_until > world.now:
            world.after(self.stalled_until - world.now, self.commit, plan, began_at, answer)
            return
        transaction = Transaction(self, plan, began_at)
        if world.fault(options.p_unknown):
            fate = world.choice(("never applied", "rolled back", "applied", "applied later"))
            world.note("fate", fate)
            if any(row.kind == "booking.settle.v1" for row in plan.journal):
                world.sometimes("nobody knew whether a settlement was committed")
            answer = self._astray(transaction, fate, answer)
            if fate == "never applied":
                return
        elif world.fault(options.p_abort):
            self._astray_refused(transaction, answer)
        self._running[transaction] = answer
        self._run(transaction)

    def _astray(
        self, transaction: Transaction, fate: str, answer: Callable[[CommitResult], None]
    ) -> Callable[[CommitResult], None]:
        world = self.world
        lost = Unknown("the connection was lost")

        def applied_only(result: CommitResult) -> None:
            if isinstance(result, Committed):
                world.sometimes(f"unknown commit: {fate}")
                answer(lost)
            else:
                answer(result)

        if fate == "applied":
            return applied_only
        if fate == "applied later":
            transaction.sleep_before_commit = world.between(20 * MS, 400 * MS)
        if fate == "rolled back":
            transaction.sleep_before_commit = 10_000 * MS
            world.after(world.between(5 * MS, 400 * MS), self._end, transaction)
        if fate != "applied later":
            world.sometimes("unknown commit: never applied")
        world.after(world.between(MS, 20 * MS), answer, lost)

        def nobody_listens(result: CommitResult) -> None:
            if isinstance(result, Committed):
                world.sometimes(f"unknown commit: {fate}")

        return nobody_listens

    def _astray_refused(self, transaction: Transaction, answer: Callable[[CommitResult], None]) -> None:
        """The server gives up in the middle, and says so."""

        def give_up() -> None:
            if not transaction.over:
                self._end(transaction)
                self.world.sometimes("aborted by the server")
                answer(Unavailable("57P01 terminating connection"))

        self.world.after(self.world.between(0, 3 * MS), give_up)

    def _run(self, transaction: Transaction) -> None:
        """On to where it waits, or to its end."""
        while not transaction.over:
            try:
                wanted = next(transaction.script)
            except StopIteration:
                self._apply(transaction)
                return
            except RolledBack as refused:
                self._refuse(transaction, refused.result)
                return
            if isinstance(wanted, int):
                if wanted:
                    self.world.after(wanted, self._run, transaction)
                    return
            elif not self._lock(transaction, wanted):
                return

    def _refuse(self, transaction: Transaction, result: CommitResult) -> None:
        if isinstance(result, Conflict):
            self.world.sometimes(f"conflict: {result.kind}")
        elif isinstance(result, Impossible) and len(transaction.plan.journal) > 1:
            self.world.sometimes("a batch was halved")
        answer = self._running[transaction]
        self._end(transaction)
        answer(result)

    def _apply(self, transaction: Transaction) -> None:
        """COMMIT."""
        self.heads.update(transaction.heads)
        for (occurrence_id, key), pool in transaction.pools.items():
            pools = self.pools.setdefault(occurrence_id, {})
            if pool is None:
                pools.pop(key, None)
            else:
                pools[key] = pool
        for hold in transaction.holds.values():
            self.holds[hold.id] = hold
            live = self.live.setdefault(hold.occurrence_id, {})
            if hold.state in ("active", "converting"):
                live[hold.id] = hold
            else:
                live.pop(hold.id, None)
        self.limits.update(transaction.limits)
        self.bookings.update(transaction.bookings)
        self.follow_ups.update(transaction.follow_ups)
        for entry in transaction.entries.values():
            self.entries[entry.id] = entry
            line = self.lines.setdefault(entry.occurrence_id, {})
            if entry.state == "waiting":
                line[entry.id] = entry
            else:
                line.pop(entry.id, None)
        for recording in transaction.journal:
            self.journal[recording.row.request_id] = recording
            place = (recording.xid, recording.id)
            insort(self._by_xid, place)
            self._rows[place] = recording
        answer = self._running[transaction]
        self.on_commit(transaction)
        self._end(transaction)
        answer(Committed(self.clock(), transaction.used))

    def _end(self, transaction: Transaction) -> None:
        """Whatever became of it, it keeps nobody waiting any longer."""
        if transaction.over:
            return
        transaction.over = True
        del self._running[transaction]
        if transaction.waits_for is not None:
            self._waiting[transaction.waits_for].remove(transaction)
        for lock in transaction.locks:
            del self._owners[lock]
        for lock in transaction.locks:
            waiting = self._waiting.get(lock)
            if waiting:
                successor = waiting.popleft()
                successor.waits_for = None
                self._owners[lock] = successor
                successor.locks.append(lock)
                self.world.after(0, self._run, successor)

    # --- what statements need -----------------------------------------------------------------------------------

    def fence(self, transaction: Transaction, fences: Sequence[Fence]) -> Script:
        """Move the versions on, if they are what was read."""
        for fence in fences:
            head = self.heads.get(fence.occurrence_id)
            if head is None or head.version != fence.before:
                raise RolledBack(Conflict("stale", "somebody else wrote"))
            transaction.write()
            yield ("occurrence", fence.occurrence_id)
            head = self.heads[fence.occurrence_id]
            if head.version != fence.before:
                raise RolledBack(Conflict("stale", "somebody else wrote"))
            transaction.heads[fence.occurrence_id] = Head(head.definition, fence.after)

    def claim(self, transaction: Transaction, claim: Claim) -> Script:
        """Take from a shared limit if it has room, or give back to it."""
        yield ("limit", claim.limit.scope, claim.limit.key)
        transaction.write()
        found = self.limits.get(claim.limit)
        used, cap = found or (0, claim.cap)
        after = used + claim.delta
        if claim.delta > 0:
            cap = claim.cap
            if found is not None and after > cap:
                raise RolledBack(Conflict("limit", "a shared limit is reached"))
        elif found is None:
            raise RolledBack(Impossible("HG004 a limit to give back to is missing"))
        if not 0 <= after <= cap:
            raise RolledBack(Impossible("23514 shared_limits_within_cap"))
        transaction.limits[claim.limit] = (after, cap)
        transaction.used[claim.limit] = after

    def next_xid(self, transaction: Transaction) -> int:
        """`pg_current_xact_id()`."""
        self._xid += 1
        return self._xid

    def next_row_id(self) -> int:
        """The identity column; never given back."""
        self._row_id += 1
        return self._row_id

    def pause_inside(self) -> int:
        """How long the middle of a commit takes."""
        if self.world.chance(self.options.p_slow):
            return self.world.between(5 * MS, 60 * MS)
        return self.world.between(200, MS)

    def start_taken(self, definition: Definition) -> bool:
        """Whether the product has another occurrence at that time."""
        start = definition.claim
        return start is not None and any(head.definition.claim == start for head in self.heads.values())

    def _lock(self, transaction: Transaction, lock: Lock) -> bool:
        owner = self._owners.get(lock)
        if owner is transaction:
            return True
        if owner is None:
            self._owners[lock] = transaction
            transaction.locks.append(lock)
            return True
        self.world.sometimes("waited for a row")
        blocker: Transaction | None = owner
        while blocker is not None and blocker.waits_for is not None:
            blocker = self._owners.get(blocker.waits_for)
            if blocker is transaction:
                self._refuse(transaction, Conflict("retry", "40P01 deadlock detected"))
                return False
        transaction.waits_for = lock
        self._waiting.setdefault(lock, deque()).append(transaction)
        return False

    # --- the server ---------------------------------------------------------------------------------------------

    def restart(self, pause: int) -> None:
        """Every transaction that runs is rolled back, and nobody is told."""
        self.down = True
        self.world.note("database down")
        self._cursor_owner = None
        for transaction, answer in list(self._running.items()):
            self._end(transaction)
            self.world.after(self.world.between(0, 5 * MS), answer, Unknown("the server went away"))
        self.world.after(pause, self._up)

    def _up(self) -> None:
        self.down = False
        self.world.note("database up")
