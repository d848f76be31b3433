"""One occurrence as an outsider understands it from the journal: what must be true of every decision.

It shares no code with the gate. A decision is judged against the state that its journal row stands on, so a false
refusal is found as surely as a false grant.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from .requests import TTL_SECONDS, Request, draws_of
from .wire import HoldSeen, Reply, Told
from .world import Violation

POOLS = ("total", "kids", "tables")


@dataclass(slots=True)
class Held:
    """A live hold."""

    seen: HoldSeen
    draws: dict[str, int]
    state: str = "active"
    voucher: str | None = None
    """What it has redeemed; only while it is converting or sold."""
    offered: bool = False


@dataclass(slots=True)
class Shared:
    """The counts that occurrences share."""

    sessions: Counter[str] = field(default_factory=Counter)
    stock: Counter[str] = field(default_factory=Counter)
    vouchers: Counter[str] = field(default_factory=Counter)
    carts: Counter[str] = field(default_factory=Counter)
    """Cart -> how many of its legs are held."""

    def count(self, held: Held, sign: int) -> None:
        """A hold came or went. What is sold is no longer one of its session's holds."""
        if held.state != "sold":
            self.sessions[held.seen.session_id] += sign
        self.stock["cellar"] += sign * held.seen.extras.get("wine", 0)
        if held.seen.cart_id is not None:
            self.carts[held.seen.cart_id] += sign
        if held.voucher is not None:
            self.vouchers[held.voucher] += sign

    def copy(self) -> Shared:
        """As it is now."""
        return Shared(self.sessions.copy(), self.stock.copy(), self.vouchers.copy(), self.carts.copy())


class Book:
    """What is known of one occurrence."""

    def __init__(self, occurrence_id: str, shared: Shared) -> None:
        self.id = occurrence_id
        self.version = 0
        self.status = "active"
        self.capacity: dict[str, int] = {}
        self.taken = dict.fromkeys(POOLS, 0)
        self.sold_seats = dict.fromkeys(POOLS, 0)
        self.live: dict[str, Held] = {}
        """What is held: active and converting."""
        self.sold: dict[str, Held] = {}
        self.gone: dict[str, Held] = {}
        """What ended, as it was."""
        self.ended: dict[str, str] = {}
        self.owners: dict[str, str] = {}
        self.made_at: dict[str, int] = {}
        """Hold id -> the version at which it was made."""
        self.was_sold_out = False
        self.events: dict[str, int] = {}
        """Event id -> its place in this occurrence's history."""
        self.told = 0
        """How many of them the world has been told, in order."""
        self.shared = self._shared = shared

    # --- what happened ------------------------------------------------------------------------------------------

    def happen(self, event: Told, decided_at: datetime, database_now: datetime) -> None:
        """Take in an event of the journal that is about a hold."""
        hold = event.hold
        kind = event.type.removesuffix(".v1")
        assert hold is not None
        if kind == "hold.created":
            self._must(hold.hold_id not in self.owners, f"hold {hold.hold_id} was made twice")
            self.owners[hold.hold_id] = hold.session_id
            self.made_at[hold.hold_id] = self.version
            self._take(hold)
            return
        before = self.live.get(hold.hold_id)
        if before is None:
            raise Violation(f"{kind} of hold {hold.hold_id}, which is {self.ended.get(hold.hold_id, 'unknown')}")
        if before.state == "converting" and kind != "hold.released":
            raise Violation(f"{kind} of hold {hold.hold_id}, which is converting")
        if kind == "hold.priced":
            self._must(before.seen.expires_at > decided_at, f"hold {hold.hold_id} was priced after its time")
            self._must(
                (hold.items, hold.extras) == (before.seen.items, before.seen.extras), "another basket's price"
            )
            before.seen = hold
            return
        self._give(before)
        if kind in ("hold.released", "hold.expired"):
            self.ended[hold.hold_id] = hold.state
            self.gone[hold.hold_id] = before
            if before.state == "converting":
                self._must(
                    event.reason == "compensation", f"hold {hold.hold_id} was released while it was converting"
                )
                return
            if kind == "hold.expired":
                self._must(before.seen.expires_at <= decided_at, f"hold {hold.hold_id} expired before its time")
                self._must(before.seen.expires_at <= database_now, f"hold {hold.hold_id} expired early")
            else:
                self._must(before.seen.expires_at > decided_at, f"hold {hold.hold_id} released after its time")
        else:
            self._must(before.seen.expires_at > decided_at, f"hold {hold.hold_id} was touched after its time")
            unpriced = hold.quote is None if kind == "hold.changed" else hold.quote == before.seen.quote
            self._must(unpriced, f"{kind} left hold {hold.hold_id} with another basket's price")
            self._take(hold)
            self.live[hold.hold_id].offered = before.offered

    def _take(self, hold: HoldSeen) -> None:
        draws = draws_of(hold.items, hold.extras)
        held = self.live[hold.hold_id] = Held(hold, draws, hold.state)
        self._shared.count(held, 1)
        for pool, number in draws.items():
            self.taken[pool] += number

    def _give(self, held: Held) -> None:
        del self.live[held.seen.hold_id]
        self._shared.count(held, -1)
        for pool, number in held.draws.items():
            self.taken[pool] -= number

    def convert(self, hold_id: str, voucher: str | None) -> None:
        """It can no longer expire, and its voucher is redeemed."""
        held = self.live[hold_id]
        self._shared.count(held, -1)
        held.state, held.voucher = "converting", voucher
        self._shared.count(held, 1)

    def sell(self, hold_id: str) -> None:
        """What was held is sold."""
        held = self.live[hold_id]
        self._give(held)
        held.state = "sold"
        self.sold[hold_id] = held
        self._shared.count(held, 1)
        for pool, number in held.draws.items():
            self.sold_seats[pool] += number

    def unsell(self, hold_id: str) -> None:
        """What was sold is free again."""
        held = self.sold.pop(hold_id)
        self.ended[hold_id] = "cancelled"
        self.gone[hold_id] = held
        self._shared.count(held, -1)
        for pool, number in held.draws.items():
            self.sold_seats[pool] -= number

    def reduce(self, hold_id: str, draws: dict[str, int], items: dict[str, int], extras: dict[str, int]) -> None:
        """Of what was sold only this is kept."""
        held = self.sold[hold_id]
        self._shared.count(held, -1)
        for pool, number in held.draws.items():
            self.sold_seats[pool] += draws.get(pool, 0) - number
        held.seen.items, held.seen.extras, held.draws = items, extras, draws
        self._shared.count(held, 1)

    def free(self, pool: str) -> int:
        """What is left of a pool."""
        return max(0, self.capacity[pool] - self.taken[pool] - self.sold_seats[pool])

    # --- what was answered --------------------------------------------------------------------------------------

    def grant(self, request: Request, reply: Reply) -> None:
        """Judge what was not refused; the events are in already."""
        fields, hold = request.fields, reply.hold
        match reply.outcome:
            case "held" | "changed":
                assert hold is not None
                self._must(hold.items == fields["items"] and hold.extras == fields["extras"], "another basket")
                self._must(self.status == "active", f"{reply.outcome} while {self.status}")
                self._must(hold.hold_id in self.live, f"{reply.outcome} without a hold")
                if reply.outcome == "held":
                    ttl = timedelta(seconds=fields["ttl_seconds"] or TTL_SECONDS)
                    self._must(hold.expires_at == reply.decided_at + ttl, "another time to live")
                    self.no_pool_over(self.live[hold.hold_id].draws)
            case "extended":
                assert hold is not None
                self._must(hold.expires_at == self.live[hold.hold_id].seen.expires_at, "another expiry")
            case "released":
                assert hold is not None
                self._must(self.ended.get(hold.hold_id) == "released", "released without an end")
            case "occurrence_stored":
                pass  # it was taken in before the events
            case _:
                raise Violation(f"{reply.outcome} in the journal")

    def no_pool_over(self, draws: dict[str, int]) -> None:
        for pool, number in draws.items():
            if number:
                self._must(
                    self.taken[pool] + self.sold_seats[pool] <= self.capacity[pool],
                    f"OVERSOLD {self.id}/{pool}: {self.taken[pool]} held, {self.sold_seats[pool]} sold "
                    f"of {self.capacity[pool]}",
                )

    def store(self, request: Request) -> bool:
        """Take in a definition; what the same decision offers, it offers under this one. Whether it is another one."""
        fields = request.fields
        before = self.capacity, self.status
        match request.kind:
            case "occurrence.put.v1":
                self.capacity = {"total": fields["capacity"]}
                self.capacity |= {pool.key: pool.capacity for pool in fields["pools"]}
                self.status = fields["status"]
            case "occurrence.capacity.v1":
                self.capacity = self.capacity | {"total": fields["capacity"]}
            case _:
                self.status = fields["status"]
        return before != (self.capacity, self.status)

    # --- what was refused ---------------------------------------------------------------------------------------

    def refuse(self, request: Request, reply: Reply) -> None:
        """Judge a refusal that rests on this occurrence alone."""
        fields, reason = request.fields, reply.reason
        hold_id = fields.get("hold_id") or fields.get("entry_id", "")
        match reason:
            case "sold_out":
                self._really_sold_out(request, reply)
            case "hold_not_found":
                # What the same decision offers to somebody in line was not there when it was looked for.
                was_there = self.made_at.get(hold_id, self.version) < self.version
                theirs = self.owners.get(hold_id) == fields["session_id"]
                self._must(not (was_there and theirs), f"hold {hold_id} was there")
            case "hold_final":
                self._must(
                    hold_id in self.ended or hold_id in self.sold or self.live[hold_id].state == "converting",
                    f"hold {hold_id} has not ended",
                )
            case "not_on_sale":
                self._must(self.status != "active", "it was on sale")
            case "extension_limit":
                seen = self.live[hold_id].seen
                long_lived = seen.expires_at >= seen.created_at + timedelta(minutes=60)
                self._must(seen.extensions_used >= 3 or long_lived, "it could have been extended")
            case "invalid":
                self._must(request.broken, f"there was nothing wrong with {request.kind}")
            case _:
                raise Violation(f"refused without reason: {reason}")

    def _really_sold_out(self, request: Request, reply: Reply) -> None:
        pool, own = str(reply.subject), request.fields.get("hold_id")
        back = sum(
            held.draws[pool]
            for key, held in self.live.items()
            if held.state == "active" and held.seen.expires_at <= reply.decided_at and key != own
        )
        free = max(0, self.capacity[pool] - self.taken[pool] - self.sold_seats[pool] + back)
        assert reply.requested is not None
        self._must(
            reply.requested > free, f"FALSE sold_out of {self.id}/{pool}: {reply.requested} asked, {free} free"
        )

    def _must(self, ok: bool, otherwise: str) -> None:
        if not ok:
            raise Violation(f"{otherwise} ({self.id} at version {self.version})")
