"""A sequential model of the hold commands, written from docs/contract.md: what each request must be told.

Where the contract leaves room, the model gives every answer that it allows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.checker.allowed import ANYTHING, Among, AnyOf, Between, Option, refused
from tests.checker.instants import SECOND, stamp
from tests.checker.world import MINUTE, TOTAL, Hold, Occasion, Taken, World, differences

Body = dict[str, Any]
ENDED_MAX = 500
"""So many holds that are over one decision ends at most where somebody stands in line."""


def on_sale(occasion: Occasion, now: int) -> Option | None:
    """Why an occurrence is not on sale; None if it is."""
    why = occasion.status if occasion.status != "active" else None
    if why is None and now >= occasion.starts:
        why = "started"
    if why is None and occasion.opens is not None and now < occasion.opens:
        return refused("not_on_sale", not_on_sale="not_yet_open", opens_at=stamp(occasion.opens))
    if why is None and now >= occasion.closes:
        why = "past_cutoff"
    return None if why is None else refused("not_on_sale", not_on_sale=why)


class Basket:
    """The checks that a basket of a new or a changed hold goes through, in the contract's order."""

    def __init__(self, world: World, occasion: Occasion, body: Body, now: int) -> None:
        self.world, self.occasion, self.now = world, occasion, now
        self.items: Taken = body["items"]
        self.extras: Taken = body.get("extras") or {}

    def refusal(self) -> Option | None:
        """Reasons 7 to 12."""
        closed = on_sale(self.occasion, self.now)
        if closed is not None:
            return closed
        tickets, extras = self.occasion.tickets, self.occasion.extras
        unknown = [key for key in self.items if key not in tickets]
        if unknown:
            return refused("unknown_ticket", subject=AnyOf(unknown))
        unknown = [key for key in self.extras if key not in extras]
        if unknown:
            return refused("unknown_extra", subject=AnyOf(unknown))
        few = [key for key, number in self.items.items() if number < tickets[key].least]
        if few:
            return refused("below_min", subject=AnyOf(few), limit=ANYTHING, requested=ANYTHING)
        many = [key for key, number in self.items.items() if number > tickets[key].most]
        many += [key for key, number in self.extras.items() if number > extras[key].most]
        if many:
            return refused("above_max", subject=AnyOf(many), limit=ANYTHING, requested=ANYTHING)
        return self._too_many_seats()

    def _too_many_seats(self) -> Option | None:
        seats = sum(self.items.values())
        for name, subject in (
            ("max_seats_per_request", "seats_per_request"),
            ("max_seats_per_hold", "seats_per_hold"),
        ):
            limit = self.world.rule(self.occasion, name)
            if seats > limit:
                return refused("limit_per_request", subject=subject, limit=limit, requested=seats)
        return None

    def sold_out(self, own: Hold | None = None) -> list[Option]:
        """Reason 15: every refusal for want of seats that would be true now; none if there are enough."""
        occasion = self.occasion
        draws = occasion.draws(self.items, self.extras)
        wanted = draws if own is None else differences(own.draws, draws)
        short = [pool for pool in draws if not fits(occasion, pool, wanted[pool])]
        if short:
            fields = {
                "available": Among(draws, {key: pool.free() for key, pool in occasion.pools.items()}),
                "held": Among(draws, {key: pool.held for key, pool in occasion.pools.items()}),
            }
            return [self._short_of(pool, wanted[pool], short, fields) for pool in short]
        return []

    def _short_of(self, pool: str, number: int, short: list[str], fields: dict[str, Any]) -> Option:
        # Of the occurrence, of this pool, or of all that are short: the contract does not say which hold is meant.
        ends = self.occasion.next_ends(TOTAL, self.now) | self.occasion.next_ends(pool, self.now)
        if len(short) > 1:
            for one in short:
                ends |= self.occasion.next_ends(one, self.now)
        released = AnyOf({None if end is None else stamp(end) for end in ends})
        return refused("sold_out", subject=pool, requested=number, next_release_at=released, **fields)

    def is_short_of_stock(self, own: Hold | None = None) -> bool:
        """Whether shared stock is used up now.

        A grant may be right even so: somebody else in the same transaction gives back, and in which order those two
        were decided nobody can see. That the limits hold at every commit is for the books to say (P1, P10).
        """
        taken = self.occasion.stock(self.extras)
        wanted = taken if own is None else differences(own.stock, taken)
        caps = self.occasion.caps()
        return any(
            n > 0 and self.world.gauge("stock", key).used + n > caps.get(key, 0) for key, n in wanted.items()
        )

    def stale_refusals(self, own: Hold | None = None) -> list[Option]:
        """Refusals for shared stock that was used up when somebody looked, a moment ago."""
        taken = self.occasion.stock(self.extras)
        if not taken:
            return []
        wanted = taken if own is None else differences(own.stock, taken)
        caps = self.occasion.caps()
        return [
            self._no_stock(key, number, cap)
            for key, number in wanted.items()
            if number > 0 and self._highest(key) + number > (cap := caps.get(key, 0))
        ]

    def _highest(self, key: str) -> int:
        return self.world.gauge("stock", key).highest(self.now, self.world.stale)

    def _no_stock(self, key: str, number: int, cap: int) -> Option:
        gauge = self.world.gauge("stock", key)
        lowest = max(gauge.lowest(self.now, self.world.stale), cap - number + 1)
        used = Between(lowest, gauge.highest(self.now, self.world.stale))
        return refused("sold_out", subject=key, limit=cap, used=used, requested=number, available=ANYTHING)


def fits(occasion: Occasion, pool: str, wanted: int) -> bool:
    """Whether so many are left of a pool."""
    free = occasion.pools[pool].free()
    return wanted <= 0 or free is None or wanted <= free


def left(occasion: Occasion, pools: Iterable[str], now: int) -> AnyOf:
    """What is left per pool: as counted, or as if the holds that are over had been noticed."""
    counted = {pool: occasion.pools[pool].free() for pool in pools}
    due = occasion.due(now)
    if not due:
        return AnyOf([counted])
    back = {pool: sum(hold.draws.get(pool, 0) for hold in due) for pool in counted}
    return AnyOf([counted, {pool: occasion.pools[pool].free(back[pool]) for pool in counted}])


def place(world: World, occasion: Occasion, body: Body, now: int, ended: int = 0) -> list[Option]:
    """`hold.place.v1`; `ended`: so many holds that were over were ended on the way."""
    basket = Basket(world, occasion, body, now)
    no = basket.refusal()
    if no is not None:
        return [no]
    ttl = body.get("ttl_seconds")
    if ttl is not None and ttl * SECOND > world.rule(occasion, "lifetime_max_minutes") * MINUTE:
        return [refused("invalid", errors=ANYTHING)]
    session = body.get("session_id")
    options: list[Option] = []
    if session is not None:
        options = _session_full(world, session, now)
    short = basket.sold_out()
    if short:
        # A dead hold stands in nobody's way: while there is one, a refusal is not allowed.
        return options + [_nobody_waits(occasion, one, now, ended) for one in short]
    options += basket.stale_refusals()
    granted = held(world, occasion, body, now)
    return [*options, granted] if basket.is_short_of_stock() or _is_full(world, session) else [granted, *options]


def _is_full(world: World, session: str | None) -> bool:
    gauge = None if session is None else world.sessions.get(session)
    return gauge is not None and gauge.used >= world.house["hold.max_per_session"]


def _session_full(world: World, session: str, now: int) -> list[Option]:
    limit = world.house["hold.max_per_session"]
    gauge = world.sessions.get(session)
    if gauge is None or (highest := gauge.highest(now, world.stale)) < limit:
        return []
    used = Between(max(limit, gauge.lowest(now, world.stale)), highest)
    subject = "holds_per_session"
    return [refused("limit_per_session", subject=subject, limit=limit, used=used, requested=1)]


def _nobody_waits(occasion: Occasion, option: Option, now: int, ended: int = 0) -> Option:
    if ended >= ENDED_MAX:
        return option
    subject = option.fields["subject"]
    dead = [hold for hold in occasion.due(now) if subject in hold.draws or subject in hold.stock]
    if dead:
        return Option("granted, since a hold that is over held the seats: " + dead[0].id)
    return option


def held(world: World, occasion: Occasion, body: Body, now: int) -> Option:
    hold = Hold(body["request_id"], occasion.id, body.get("session_id") or "", body.get("user_id"))
    ttl = body.get("ttl_seconds")
    fill(occasion, hold, body["items"], body.get("extras") or {})
    hold.terms = _said(body["pricing"]) if body.get("pricing") else {}
    live(hold, now, ttl * SECOND if ttl is not None else world.rule(occasion, "ttl_minutes") * MINUTE)
    hold.cart = body.get("cart_id")

    def apply() -> Hold:
        world.take(occasion, hold, now)
        return hold

    return Option("held", None, {"hold": hold}, [{"type": "hold.created.v1", "hold": hold}], apply)


def fill(occasion: Occasion, hold: Hold, items: Taken, extras: Taken) -> None:
    """Give a new hold its basket."""
    hold.items, hold.extras = items, extras
    hold.draws, hold.stock = occasion.draws(items, extras), occasion.stock(extras)
    hold.seats = sum(items.values())


def live(hold: Hold, now: int, ttl: int) -> None:
    """Give a new hold its time."""
    hold.ttl, hold.created, hold.expires = ttl, now, now + ttl


def own_hold(world: World, occasion: Occasion, body: Body, now: int) -> Hold | Option:
    """The hold that a command is about, or the refusal."""
    hold_id, session = body["hold_id"], body["session_id"]
    hold = occasion.live.get(hold_id)
    if hold is None:
        ended = world.ended.get(hold_id)
        if ended is None or ended[:2] != (occasion.id, session):
            return refused("hold_not_found", subject=hold_id)
        return refused("hold_final", subject=hold_id, hold_state=ended[2])
    if hold.session != session:
        return refused("hold_not_found", subject=hold_id)
    if hold.state != "active":
        return refused("hold_final", subject=hold_id, hold_state=hold.state)
    if hold.expires <= now:
        return Option("refused as hold_final, the hold being expired on the way")
    return hold


def change(world: World, occasion: Occasion, body: Body, now: int) -> list[Option]:
    """`hold.change.v1`."""
    hold = own_hold(world, occasion, body, now)
    if isinstance(hold, Option):
        return [hold]
    basket = Basket(world, occasion, body, now)
    no = basket.refusal()
    if no is not None:
        return [no]
    short = basket.sold_out(hold)
    if short:
        return [_nobody_waits(occasion, one, now) for one in short]
    options = basket.stale_refusals(hold)
    found = hold
    kept = body.get("pricing") is None
    terms = hold.terms if kept else _said(body["pricing"])

    def apply() -> Hold:
        world.swap(occasion, found, basket.items, basket.extras, now)
        found.terms = terms
        return found

    events = [{"type": "hold.changed.v1", "hold": hold}]
    granted = Option("changed", None, {"hold": hold, "keeps_pricing": kept and bool(terms)}, events, apply)
    return [*options, granted] if basket.is_short_of_stock(hold) else [granted, *options]


def _said(pricing: Body) -> Body:
    """What a request says of how it is to be priced; null says nothing."""
    return {name: value for name, value in pricing.items() if value is not None}


def extend(world: World, occasion: Occasion, body: Body, now: int) -> list[Option]:
    """`hold.extend.v1`."""
    hold = own_hold(world, occasion, body, now)
    if isinstance(hold, Option):
        return [hold]
    found = hold
    limit = world.rule(occasion, "extensions_max")
    lifetime = world.rule(occasion, "lifetime_max_minutes")
    options = []
    if hold.extensions >= limit:
        options.append(refused("extension_limit", subject="extensions", limit=limit, used=hold.extensions))
    oldest = hold.created + lifetime * MINUTE
    if oldest <= hold.expires:
        options.append(refused("extension_limit", subject="lifetime_minutes", limit=lifetime))
    if not options and hold.id in world.offered:
        if occasion.closes <= hold.expires:
            return [refused("extension_limit", subject="sales_close")]
        oldest = min(oldest, occasion.closes)
    if options:
        return options

    # At the same instant, or after the clock went back, nothing is gained, and nothing is lost.
    expires = max(hold.expires, min(now + hold.ttl, oldest))

    def apply() -> Hold:
        found.expires = expires
        found.extensions += 1
        occasion.await_end(found)
        return found

    fields = {"hold": hold, "extensions_left": limit - hold.extensions - 1}
    return [Option("extended", None, fields, [{"type": "hold.extended.v1", "hold": hold}], apply)]


def release(world: World, occasion: Occasion, body: Body, now: int) -> list[Option]:
    """`hold.release.v1`."""
    hold = own_hold(world, occasion, body, now)
    if isinstance(hold, Option):
        return [hold]
    found = hold

    def apply() -> Hold:
        world.end(occasion, found, "released", now)
        return found

    told = {"type": "hold.released.v1", "hold": hold, "reason": "by_owner"}
    if hold.id in world.offered:
        told["reason"] = "offer_declined"
    return [Option("released", None, {"hold": hold}, [told], apply)]
