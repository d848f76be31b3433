"""What is committed, as other connections see it: rows, the clock, the journal's cursor."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Generator
from copy import copy
from datetime import UTC, datetime, timedelta

from holdgate_workers.app.expiry.sweep import Due, ReadDue, ReadWorked
from holdgate_workers.app.gate.effects import JournalRow, Load, Loaded, Recorded, Unavailable
from holdgate_workers.app.relay.relay import Advance, JournalPage, Position, ReadJournal
from holdgate_workers.domain.bookings.booking import Booking
from holdgate_workers.domain.decision import LimitKey
from holdgate_workers.domain.occurrences.occurrence import Hold, Occurrence, Pool, WaitEntry

from .swarm import Options
from .transaction import FollowUp, Head, Lock, Recording, Transaction
from .world import MS, World

BEGINNING = datetime(2026, 6, 1, 12, tzinfo=UTC)
DOWN = Unavailable("the server is not there")


class Tables:
    """The rows and everything that only reads them. Answers go to a callback or come at once."""

    reads_below_horizon = True

    def __init__(self, world: World, options: Options) -> None:
        self.world = world
        self.options = options
        self.heads: dict[str, Head] = {}
        self.pools: dict[str, dict[str, Pool]] = {}
        self.holds: dict[str, Hold] = {}
        self.live: dict[str, dict[str, Hold]] = {}
        self.limits: dict[LimitKey, tuple[int, int]] = {}
        self.journal: dict[str, Recording] = {}
        self.bookings: dict[str, Booking] = {}
        self.follow_ups: dict[str, FollowUp] = {}
        self.lines: dict[str, dict[str, WaitEntry]] = {}
        """Occurrence -> who stands in line there, in the order of joining."""
        self.entries: dict[str, WaitEntry] = {}
        self.cursor = Position()
        self.cursed: set[str] = set()
        """Request ids whose row the server refuses for its content."""
        self.down = False
        self.jumps = 0
        self.on_commit: Callable[[Transaction], None] = lambda transaction: None
        self._offset = timedelta()
        self._by_xid: list[tuple[int, int]] = []
        self._rows: dict[tuple[int, int], Recording] = {}
        self._running: dict[Transaction, Callable[..., None]] = {}
        self._owners: dict[Lock, Transaction] = {}
        self._xid = 100
        self._cursor_owner: str | None = None
        self._cut_off: set[str] = set()

    # --- the clock ----------------------------------------------------------------------------------------------

    def clock(self) -> datetime:
        """`clock_timestamp()`."""
        return self.clock_at(self.world.now)

    def clock_at(self, moment: int) -> datetime:
        """What the clock, as it is set now, shows at some moment of the run."""
        return BEGINNING + timedelta(microseconds=moment) + self._offset

    def jump(self, by: timedelta) -> None:
        """Somebody sets the clock."""
        self._offset += by
        self.jumps += 1
        self.world.note("clock jumps", by.total_seconds())

    # --- reading ------------------------------------------------------------------------------------------------

    def load(self, wanted: Load, answer: Callable[[Loaded | Unavailable], None]) -> None:
        """The statements of adapters/postgres/gate/load.py in their order; others may write in between."""
        if self.down or self.world.fault(self.options.p_abort / 4):
            answer(DOWN)
            return
        self._read_on(self._reading(wanted, answer), self.world.chance(self.options.p_torn_read))

    def _read_on(self, reading: Generator[None, None, None], torn: bool) -> None:
        for _ in reading:
            if torn:
                self.world.after(self.world.between(0, 10 * MS), self._read_on, reading, torn)
                return

    def _reading(
        self, wanted: Load, answer: Callable[[Loaded | Unavailable], None]
    ) -> Generator[None, None, None]:
        requests = {
            key: Recorded(found.row.fingerprint, found.row.reply, found.row.outcome)
            for key in wanted.requests
            if (found := self.journal.get(key)) is not None
        }
        yield
        second = {key: last for key in wanted.requests if (last := self._second(key)) is not None}
        yield
        bookings = {key: self.bookings[key] for key in wanted.bookings if key in self.bookings}
        if wanted.bookings:
            yield
        named = {hold_id for key in wanted.bookings for hold_id in (key, self._seats_of(key))}
        booked_holds = {key: self.holds[key] for key in sorted(named) if key in self.holds}
        yield
        occurrences = {
            key: Occurrence(key, head.definition, {}, version=head.version)
            for key in wanted.occurrences
            if (head := self.heads.get(key)) is not None
        }
        yield
        for key, occurrence in occurrences.items():
            occurrence.pools = {pool.key: copy(pool) for pool in self.pools[key].values()}
        yield
        for key, occurrence in occurrences.items():
            occurrence.holds = dict(self.live.get(key, {}))
        yield
        for key, occurrence in occurrences.items():
            occurrence.waiting = dict(self.lines.get(key, {}))
        holds = booked_holds | {key: self.holds[key] for key in wanted.holds if key in self.holds}
        yield
        asked = set(wanted.starts)
        starts = {start: key for key, head in self.heads.items() if (start := head.definition.claim) in asked}
        limits = {limit: self.limits.get(limit, (0, 0))[0] for limit in wanted.limits}
        now = self.clock()
        answer(
            DOWN
            if self.down
            else Loaded(
                now=now,
                occurrences=occurrences,
                holds=holds,
                starts=starts,
                limits=limits,
                requests=requests,
                second=second,
                bookings=bookings,
            )
        )

    def _second(self, request_id: str) -> Recorded | None:
        follow_up = self.follow_ups.get(request_id)
        found = None if follow_up is None else self.journal.get(follow_up.answered_by or "")
        return None if found is None else Recorded(found.row.fingerprint, found.row.reply, found.row.outcome)

    def _seats_of(self, booking_id: str) -> str:
        booking = self.bookings.get(booking_id)
        return booking_id if booking is None else booking.hold_id

    def due(self, wanted: ReadDue, answer: Callable[[Due | Unavailable], None]) -> None:
        """Which occurrences have due holds."""
        if self.down:
            answer(DOWN)
            return
        now = self.clock()
        ends: dict[str, list[datetime]] = {}
        for key, holds in self.live.items():
            over = [
                hold.expires_at for hold in holds.values() if hold.state == "active" and hold.expires_at <= now
            ]
            if over:
                ends[key] = over
        chosen = sorted(ends, key=lambda key: (min(ends[key]), key))[: wanted.holds_max]
        lines = self._servable()[: wanted.holds_max] if wanted.lines_too else []
        answer(Due(now, {key: len(ends[key]) for key in chosen}, {key: min(ends[key]) for key in chosen}, lines))

    def worked(self, wanted: ReadWorked, answer: Callable[[set[str] | Unavailable], None]) -> None:
        """Which sweeps are in the journal, or have nothing to do any longer."""
        if self.down:
            answer(DOWN)
            return
        now = self.clock()

        def is_due(key: str) -> bool:
            return any(
                hold.state == "active" and hold.expires_at <= now for hold in self.live.get(key, {}).values()
            )

        worked = {each for each, key in wanted.commands.items() if each in self.journal or not is_due(key)}
        answer(worked)

    def _servable(self) -> list[str]:
        """Where somebody in line may find room."""
        found = []
        for key, line in self.lines.items():
            total, head = self.pools[key]["total"], self.heads[key]
            assert total.sellable is not None
            room = total.sellable - total.held - total.sold
            if line and head.definition.status == "active" and room >= min(entry.seats for entry in line.values()):
                found.append(key)
        return found

    def forget_idle_limits(self) -> None:
        """Remove sessions that hold nothing, as the expiry worker does now and then."""
        locked = {lock[1:] for lock in self._owners if lock[0] == "limit"}
        for limit, (used, _) in list(self.limits.items()):
            if limit.scope == "session" and used == 0 and (limit.scope, limit.key) not in locked:
                del self.limits[limit]

    # --- the journal's cursor -----------------------------------------------------------------------------------

    def read_journal(self, who: str, wanted: ReadJournal) -> JournalPage | Unavailable:
        """A page for the owner of the cursor; nothing for anybody else."""
        if self._is_cut_off(who):
            return DOWN
        if self._cursor_owner is None:
            self._cursor_owner = who
        if self._cursor_owner != who:
            return JournalPage(Position(), Position(), (), 0.0)
        start = self.cursor
        rows, end = self.rows_after(start, wanted.rows_max)
        events = [
            "[" + ",".join(body.decode() for _, body in row.events) + "]" if row.events else None for row in rows
        ]
        return JournalPage(start, end, events, 0.0)

    def rows_after(self, start: Position, rows_max: int) -> tuple[list[JournalRow], Position]:
        """The next rows of the journal for a cursor, below the oldest transaction still running, and their end."""
        horizon = min((t.xid for t in self._running if t.xid is not None), default=self._xid + 1)
        first = bisect_right(self._by_xid, (start.xid, start.id))
        places = self._by_xid[first : first + rows_max]
        if self.reads_below_horizon:
            below = [place for place in places if place[0] < horizon]
            if len(below) < len(places):
                self.world.sometimes("the cursor waited for a running transaction")
            places = below
        if not places:
            return [], start
        return [self._rows[place].row for place in places], Position(*places[-1])

    def advance(self, who: str, step: Advance) -> bool:
        """Move the cursor if it is where it was read."""
        if self._is_cut_off(who) or self.cursor != step.start:
            return False
        self.cursor = step.end
        return True

    def cut_off(self, who: str) -> None:
        """A connection is gone, and with it the right to the cursor; its owner learns of it at the next statement."""
        self._cut_off.add(who)
        if self._cursor_owner == who:
            self._cursor_owner = None

    def _is_cut_off(self, who: str) -> bool:
        if who not in self._cut_off:
            return self.down
        self._cut_off.discard(who)
        return True

    @property
    def cursor_is_at_the_end(self) -> bool:
        """Whether everything was told."""
        return self.is_at_the_end(self.cursor)

    def is_at_the_end(self, cursor: Position) -> bool:
        """Whether there is no row after it."""
        return not self._by_xid or (cursor.xid, cursor.id) >= self._by_xid[-1]
