"""A decision in the making: everything that a command changes is collected here, nothing is applied."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from holdgate_schema.answers.holds import Answer
from holdgate_schema.events.holds import Event, HoldExpired

from .bookings.booking import Booking
from .decision import Claim, Context, Decision, LimitKey
from .occurrences.occurrence import Definition, Hold, Occurrence, Pool, WaitEntry

Noticed = Literal["swept", "seats_needed", "touched_late"]


class Draft(Struct, gc=False):
    """What one command would do to an occurrence (None where there is none)."""

    request_id: str
    occurrence_id: str
    occurrence: Occurrence | None
    context: Context
    events: list[Event] = []
    holds: list[Hold] = []
    new_holds: list[str] = []
    held: dict[str, int] = {}
    sold: dict[str, int] = {}
    claims: list[Claim] = []
    unsure: list[LimitKey] = []
    bookings: list[Booking] = []
    waiting: list[WaitEntry] = []
    answers: str | None = None
    wish: bytes | None = None

    @property
    def version(self) -> int:
        """The occurrence's version once this is applied."""
        return 0 if self.occurrence is None else self.occurrence.version + 1

    def event_id(self) -> str:
        """The id of the next event."""
        return f"{self.request_id}/{len(self.events)}"

    def event_fields(self) -> dict[str, Any]:
        """What every event says: its id, where, at which version and when."""
        return {
            "event_id": self.event_id(),
            "occurrence_id": self.occurrence_id,
            "version": self.version,
            "occurred_at": self.context.now,
        }

    def take(self, draws: dict[str, int]) -> None:
        """Count seats as held, or back (negative)."""
        for pool, taken in draws.items():
            self.held[pool] = self.held.get(pool, 0) + taken

    def claim(self, scope: str, key: str, delta: int, cap: int) -> None:
        """Take or give back some of a shared limit."""
        self.claims.append(Claim(LimitKey(scope, key), delta, cap))

    def used(self, limit: LimitKey) -> int:
        """How much of a limit is used, this draft included."""
        used = self.context.limits.used(limit)
        for claim in self.claims:
            if claim.limit == limit:
                used += claim.delta
        return used

    def used_of(self, scope: str, key: str) -> int:
        """How much of a limit is used, this draft included."""
        return self.used(LimitKey(scope, key))

    def cap_of(self, scope: str, key: str) -> int | None:
        """What the limit is now, as far as it was read; None: unknown."""
        return self.context.limits.cap(LimitKey(scope, key))

    def allows(self, scope: str, key: str, delta: int, cap: int) -> bool:
        """Whether a limit has room. A no that rests on a guess is noted: the number must be read first."""
        limit = LimitKey(scope, key)
        if self.used(limit) + delta <= cap:
            return True
        if not self.context.limits.is_fresh(limit):
            self.unsure.append(limit)
        return False

    def rests_on(self, scope: str, keys: Iterable[str]) -> None:
        """Have these numbers read first, where they are a guess: no claim will verify them."""
        for key in keys:
            limit = LimitKey(scope, key)
            if not self.context.limits.is_fresh(limit):
                self.unsure.append(limit)

    def available(self, keys: Iterable[str]) -> dict[str, int | None]:
        """What is left per pool with this draft applied; None: unlimited."""
        assert self.occurrence is not None
        pools, moved = self.occurrence.pools, self._moved()
        return {key: pools[key].available(moved.get(key, 0)) for key in keys}

    def lacking(self, draws: dict[str, int]) -> dict[str, int]:
        """By how much each pool falls short of a basket; empty if it fits."""
        assert self.occurrence is not None
        pools = self.occurrence.pools
        short: dict[str, int] = {}
        moved = self._moved()
        for key, wanted in draws.items():
            available = pools[key].available(moved.get(key, 0))
            if available is not None and wanted > available:
                short[key] = wanted - available
        return short

    def _moved(self) -> dict[str, int]:
        """How many more seats are taken per pool, held and sold together."""
        if not self.sold:
            return self.held
        return {key: self.held.get(key, 0) + self.sold.get(key, 0) for key in self.held.keys() | self.sold.keys()}

    def due(self) -> Iterator[Hold]:
        """The active holds whose time is over and that this draft has not ended, the longest overdue first."""
        assert self.occurrence is not None
        ended = {hold.id for hold in self.holds}
        return (hold for hold in self.occurrence.due(self.context.now) if hold.id not in ended)

    def next_release(self) -> datetime | None:
        """When the earliest active hold that is not past its time ends, this draft's own included."""
        assert self.occurrence is not None
        first = self.occurrence.next_release(self.context.now)
        ends = [hold.expires_at for hold in self.holds if hold.state == "active"]
        return min([*ends, first] if first is not None else ends, default=None)

    def end(self, hold: Hold, state: Literal["expired", "released"]) -> Hold:
        """Give back everything a hold took. One that is converting can be released, but never expires."""
        assert hold.state == "active" or (hold.state == "converting" and state == "released"), (
            f"hold {hold.id} is {hold.state} and cannot become {state}"
        )
        ended = replace(hold, state=state, ended_at=self.context.now)
        self.holds.append(ended)
        self.take({pool: -taken for pool, taken in hold.draws.items()})
        self.claim("session", hold.session_id, -1, self.context.settings.max_per_session)
        for stock, taken in hold.stock.items():
            self.claim("stock", stock, -taken, 0)
        return ended

    def sell(self, hold: Hold) -> Hold:
        """Held becomes sold: `converting -> confirmed`. What is sold no longer counts among the session's holds."""
        assert hold.state == "converting", f"hold {hold.id} is {hold.state}, not converting"
        sold = replace(hold, state="confirmed")
        self.holds.append(sold)
        self.take({pool: -taken for pool, taken in hold.draws.items()})
        for pool, taken in hold.draws.items():
            self.sold[pool] = self.sold.get(pool, 0) + taken
        self.claim("session", hold.session_id, -1, self.context.settings.max_per_session)
        return sold

    def unsell(self, hold: Hold) -> Hold:
        """Give back what was sold: `confirmed -> cancelled`."""
        assert hold.state == "confirmed", f"hold {hold.id} is {hold.state}, not confirmed"
        cancelled = replace(hold, state="cancelled", ended_at=self.context.now)
        self.holds.append(cancelled)
        for pool, taken in hold.draws.items():
            self.sold[pool] = self.sold.get(pool, 0) - taken
        for stock, taken in hold.stock.items():
            self.claim("stock", stock, -taken, 0)
        return cancelled

    def give_back_some(self, hold: Hold, kept: Hold) -> None:
        """Of what was sold under a hold only this is kept; the rest is free again."""
        assert hold.state == kept.state == "confirmed", f"hold {hold.id} is {hold.state}, not confirmed"
        self.holds.append(kept)
        for pool, taken in hold.draws.items():
            self.sold[pool] = self.sold.get(pool, 0) + kept.draws.get(pool, 0) - taken
        for stock, taken in hold.stock.items():
            if kept.stock.get(stock, 0) != taken:
                self.claim("stock", stock, kept.stock.get(stock, 0) - taken, 0)

    def expire(self, hold: Hold, noticed: Noticed) -> Hold:
        """End a hold whose time is over, with its one terminal event."""
        assert hold.expires_at <= self.context.now, f"hold {hold.id} would expire early"
        ended = self.end(hold, "expired")
        self.events.append(
            HoldExpired(
                event_id=self.event_id(),
                occurrence_id=self.occurrence_id,
                version=self.version,
                occurred_at=self.context.now,
                hold=ended.view(),
                reason=noticed,
            )
        )
        return ended

    def decided(
        self,
        answer: Answer,
        *,
        recorded: bool = True,
        definition: Definition | None = None,
        pools: dict[str, Pool] | None = None,
    ) -> Decision:
        """The finished decision."""
        return Decision(
            answer=answer,
            events=self.events,
            holds=self.holds,
            new_holds=self.new_holds,
            held=self.held,
            sold=self.sold,
            claims=self.claims,
            definition=definition,
            pools=pools,
            recorded=recorded,
            unsure=tuple(self.unsure),
            bookings=self.bookings,
            waiting=self.waiting,
            answers=self.answers,
            wish=self.wish,
        )
