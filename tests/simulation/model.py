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


@dataclass(slots=True)
class Shared:
    """The counts that occurrences share."""

    sessions: Counter[str] = field(default_factory=Counter)
    stock: Counter[str] = field(default_factory=Counter)

    def count(self, hold: HoldSeen, sign: int) -> None:
        """A hold came or went."""
        self.sessions[hold.session_id] += sign
        self.stock["cellar"] += sign * hold.extras.get("wine", 0)


class Book:
    """What is known of one occurrence."""

    def __init__(self, occurrence_id: str, shared: Shared) -> None:
        self.id = occurrence_id
        self.version = 0
        self.status = "active"
        self.capacity: dict[str, int] = {}
        self.taken = dict.fromkeys(POOLS, 0)
        self.live: dict[str, Held] = {}
        self.ended: dict[str, str] = {}
        self.owners: dict[str, str] = {}
        self.was_sold_out = False
        self.events: dict[str, int] = {}
        """Event id -> its place in this occurrence's history."""
        self.told = 0
        """How many of them the world has been told, in order."""
        self._shared = shared

    # --- what happened ------------------------------------------------------------------------------------------

    def happen(self, event: Told, decided_at: datetime, database_now: datetime) -> None:
        """Take in an event of the journal."""
        hold = event.hold
        kind = event.type.removesuffix(".v1")
        if hold is None:
            return
        if kind == "hold.created":
            self._must(hold.hold_id not in self.owners, f"hold {hold.hold_id} was made twice")
            self.owners[hold.hold_id] = hold.session_id
            self._take(hold)
            return
        before = self.live.get(hold.hold_id)
        if before is None:
            raise Violation(f"{kind} of hold {hold.hold_id}, which is {self.ended.get(hold.hold_id, 'unknown')}")
        self._give(before)
        if kind in ("hold.released", "hold.expired"):
            self.ended[hold.hold_id] = hold.state
            if kind == "hold.expired":
                self._must(before.seen.expires_at <= decided_at, f"hold {hold.hold_id} expired before its time")
                self._must(before.seen.expires_at <= database_now, f"hold {hold.hold_id} expired early")
            else:
                self._must(before.seen.expires_at > decided_at, f"hold {hold.hold_id} released after its time")
        else:
            self._must(before.seen.expires_at > decided_at, f"hold {hold.hold_id} was touched after its time")
            self._take(hold)

    def _take(self, hold: HoldSeen) -> None:
        draws = draws_of(hold.items, hold.extras)
        self.live[hold.hold_id] = Held(hold, draws)
        self._shared.count(hold, 1)
        for pool, number in draws.items():
            self.taken[pool] += number

    def _give(self, held: Held) -> None:
        del self.live[held.seen.hold_id]
        self._shared.count(held.seen, -1)
        for pool, number in held.draws.items():
            self.taken[pool] -= number

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
                    self._no_pool_over(self.live[hold.hold_id].draws)
            case "extended":
                assert hold is not None
                self._must(hold.expires_at == self.live[hold.hold_id].seen.expires_at, "another expiry")
            case "released":
                assert hold is not None
                self._must(self.ended.get(hold.hold_id) == "released", "released without an end")
            case "occurrence_stored":
                self._store(request)
            case "swept":
                self._must(reply.expired > 0, "a sweep of nothing was recorded")
            case _:
                raise Violation(f"{reply.outcome} in the journal")

    def _no_pool_over(self, draws: dict[str, int]) -> None:
        for pool, number in draws.items():
            if number:
                self._must(
                    self.taken[pool] <= self.capacity[pool],
                    f"OVERSOLD {self.id}/{pool}: {self.taken[pool]} of {self.capacity[pool]}",
                )

    def _store(self, request: Request) -> None:
        fields = request.fields
        match request.kind:
            case "occurrence.put.v1":
                self.capacity = {"total": fields["capacity"]}
                self.capacity |= {pool.key: pool.capacity for pool in fields["pools"]}
                self.status = fields["status"]
            case "occurrence.capacity.v1":
                self.capacity["total"] = fields["capacity"]
            case _:
                self.status = fields["status"]

    # --- what was refused ---------------------------------------------------------------------------------------

    def refuse(self, request: Request, reply: Reply) -> None:
        """Judge a refusal that rests on this occurrence alone."""
        fields, reason = request.fields, reply.reason
        hold_id = fields.get("hold_id", "")
        match reason:
            case "sold_out":
                self._really_sold_out(request, reply)
            case "hold_not_found":
                self._must(self.owners.get(hold_id) != fields["session_id"], f"hold {hold_id} was there")
            case "hold_final":
                self._must(hold_id in self.ended, f"hold {hold_id} has not ended")
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
            if held.seen.expires_at <= reply.decided_at and key != own
        )
        free = max(0, self.capacity[pool] - self.taken[pool] + back)
        assert reply.requested is not None
        self._must(
            reply.requested > free, f"FALSE sold_out of {self.id}/{pool}: {reply.requested} asked, {free} free"
        )

    def _must(self, ok: bool, otherwise: str) -> None:
        if not ok:
            raise Violation(f"{otherwise} ({self.id} at version {self.version})")
