"""A sequential model of waiting lists, written from docs/waiting-lists.md and docs/contract-selling.md §4."""

from __future__ import annotations

from typing import Any

from tests.checker.allowed import Among, Issued, Option, refused
from tests.checker.model import ENDED_MAX, Basket, Body, fill, fits, live, on_sale, own_hold
from tests.checker.world import MINUTE, TOTAL, Entry, Hold, Occasion, Shape, Taken, World

LINE_MAX = 500
IN_THE_WAY = "granted, since a hold that is over held the seats: "


# --- who is offered what ----------------------------------------------------------------------------------------


def serve(
    world: World, occasion: Occasion, now: int, told: list[str] | None = None
) -> tuple[list[Hold], list[str]]:
    """Go through the line once and make the offers that were `told` (None: all that can be made); what is wrong with
    them. First in line that fits: whoever could have the basket and gets none is passed over.
    """
    offers: list[Hold] = []
    problems: list[str] = []
    wanted = () if told is None else set(told)
    free = occasion.pools[TOTAL].free()
    hopeless: set[Shape] = set()
    if occasion.line and free != 0 and on_sale(occasion, now) is None:
        for entry in list(occasion.line.values()):
            if (free is not None and entry.seats > free) or entry.shape in hopeless:
                continue
            can = could_have(world, occasion, entry, now)
            if can is False:
                hopeless.add(entry.shape)  # what is left only gets less
            elif _has_limits(world, occasion, entry) if told is None else entry.id in wanted:
                offers.append(offer(world, occasion, entry, now))
                free = occasion.pools[TOTAL].free()
            elif can:
                problems.append(f"entry {entry.id} is passed over: its seats are free, and it is not offered them")
    made = [hold.id for hold in offers]
    if told is not None and made != told:
        problems += [_why_not(occasion, one, now) for one in told if one not in made]
        if sorted(made) == sorted(told):
            problems.append(f"{told} are offered seats out of turn, the line is {made}")
    return offers, problems


def _why_not(occasion: Occasion, entry_id: str, now: int) -> str:
    if on_sale(occasion, now) is not None:
        return f"entry {entry_id} is offered seats while {occasion.id} is not on sale"
    if entry_id not in occasion.line:
        return f"{entry_id} is offered seats, and does not stand in line"
    return f"entry {entry_id} is offered seats that are not free"


def could_have(world: World, occasion: Occasion, entry: Entry, now: int) -> bool | None:
    """Whether an entry's basket can be had. None: if the numbers that are shared allow it, now or a moment ago.

    That these hold at every commit is for the books to say (P1, P10).
    """
    body = {"items": entry.items, "extras": entry.extras}
    if Basket(world, occasion, body, now).refusal() is not None:
        return False
    draws = occasion.draws(entry.items, entry.extras)
    if not all(fits(occasion, pool, number) for pool, number in draws.items()):
        return False
    return True if _surely_has_limits(world, occasion, entry, now) else None


def _surely_has_limits(world: World, occasion: Occasion, entry: Entry, now: int) -> bool:
    """Whether no limit that is shared can stand in an entry's way."""
    limits = _limits(world, occasion, entry)
    return all(
        world.gauge(scope, key).highest(now, world.stale) + number <= cap for scope, key, number, cap in limits
    )


def _has_limits(world: World, occasion: Occasion, entry: Entry) -> bool:
    limits = _limits(world, occasion, entry)
    return all(world.gauge(scope, key).used + number <= cap for scope, key, number, cap in limits)


def _limits(world: World, occasion: Occasion, entry: Entry) -> list[tuple[str, str, int, int]]:
    """What an offer takes of limits that are shared: (scope, key, how much, cap)."""
    limits = [("session", entry.session, 1, world.house["hold.max_per_session"])]
    caps = occasion.caps() if entry.extras else {}
    stock = occasion.stock(entry.extras)
    return limits + [("stock", key, number, caps.get(key, 0)) for key, number in stock.items()]


def offer(world: World, occasion: Occasion, entry: Entry, now: int) -> Hold:
    """An offer is a hold, and the entry is over."""
    hold = Hold(entry.id, occasion.id, entry.session, entry.user)
    fill(occasion, hold, entry.items, entry.extras)
    minutes = min(world.house["waitlist.offer_minutes"], world.rule(occasion, "lifetime_max_minutes"))
    live(hold, now, minutes * MINUTE)
    hold.expires = min(hold.expires, occasion.closes)
    world.take(occasion, hold, now)
    del occasion.line[entry.id]
    world.offered.add(hold.id)
    return hold


def told_of(hold: Hold) -> list[dict[str, Any]]:
    """The events of an offer."""
    return [
        {"type": "hold.created.v1", "hold": hold},
        {"type": "waitlist.offered.v1", "entry_id": hold.id, "hold": hold},
    ]


def would_take(world: World, occasion: Occasion, now: int) -> tuple[Taken, bool]:
    """What a walk-in's request would move in each pool before it is looked at: what is over is free, and the line is
    served. And whether that is certain.
    """
    moved = dict.fromkeys(occasion.pools, 0)
    if on_sale(occasion, now) is not None:
        return moved, False
    due = occasion.due(now)
    for hold in due:
        for pool, number in hold.draws.items():
            moved[pool] -= number
    is_certain = len(due) <= ENDED_MAX
    hopeless: set[Shape] = set()
    for entry in occasion.line.values():
        if entry.shape in hopeless:
            continue
        body = {"items": entry.items, "extras": entry.extras}
        draws = {} if Basket(world, occasion, body, now).refusal() else occasion.draws(entry.items, entry.extras)
        free = {pool: occasion.pools[pool].free(-moved[pool]) for pool in draws}
        if not draws or any(left is not None and left < draws[pool] for pool, left in free.items()):
            hopeless.add(entry.shape)
            continue
        is_certain = is_certain and _surely_has_limits(world, occasion, entry, now)
        for pool, number in draws.items():
            moved[pool] += number
    return moved, is_certain


# --- coming and going -------------------------------------------------------------------------------------------


def join(world: World, occasion: Occasion, body: Body, now: int) -> list[Option]:
    """`waitlist.join.v1`, once what was over is ended and the line is served."""
    basket = Basket(world, occasion, body, now)
    no = basket.refusal()
    if no is not None:
        return [no]
    session = body.get("session_id")
    for place, entry in enumerate(occasion.line.values(), start=1):
        if session is not None and entry.session == session:
            return [refused("already_waiting", subject=entry.id, used=place)]
    draws, stock = occasion.draws(basket.items, basket.extras), occasion.stock(basket.extras)
    short = [pool for pool, number in draws.items() if not fits(occasion, pool, number)]
    free = {key: pool.free() for key, pool in occasion.pools.items()}
    there_is_room = refused("not_sold_out", available=Among(draws, free))
    if not short and not stock:
        return [there_is_room]
    dead = [
        hold for hold in occasion.due(now) if not stock.keys().isdisjoint(hold.stock) or hold.draws.keys() & short
    ]
    if dead and short:
        return [Option(IN_THE_WAY + dead[0].id)]
    waits = _waits(world, occasion, body)
    if short:
        return [waits]
    # Of shared stock everybody has a guess of his own, and who is told of room may be told of less when he takes it.
    if basket.is_short_of_stock():
        return [waits, there_is_room]
    return [there_is_room, waits] if basket.stale_refusals() else [there_is_room]


def _waits(world: World, occasion: Occasion, body: Body) -> Option:
    line = occasion.line
    if len(line) >= LINE_MAX:
        return refused("sold_out", subject="waitlist", limit=LINE_MAX, used=len(line), requested=1)
    session: str | Issued = body.get("session_id") or Issued()
    entry_id, user = body["request_id"], body.get("user_id")
    seats = sum(body["items"].values())

    def apply() -> None:
        own = session.session if isinstance(session, Issued) else session
        line[entry_id] = Entry(entry_id, own, user, body["items"], body.get("extras") or {})

    told = {"entry_id": entry_id, "session_id": session, "seats": seats}
    event = {"type": "waitlist.joined.v1", **told, "user_id": user}
    return Option("waiting", None, {**told, "position": len(line) + 1}, [event], apply)


def leave(world: World, occasion: Occasion, body: Body, now: int) -> list[Option]:
    """`waitlist.leave.v1`: out of the line, or the offer is declined."""
    entry_id, session = body["entry_id"], body["session_id"]
    entry = occasion.line.get(entry_id)
    fields = {"entry_id": entry_id}
    if entry is not None and entry.session == session:
        event = {"type": "waitlist.left.v1", **fields, "session_id": session, "reason": "by_owner"}
        return [Option("left_waitlist", None, fields, [event], lambda: occasion.line.pop(entry_id) and None)]
    hold = own_hold(world, occasion, {**body, "hold_id": entry_id}, now)
    if entry_id not in world.offered or (isinstance(hold, Option) and hold.reason == "hold_not_found"):
        return [refused("entry_not_found", subject=entry_id)]
    if isinstance(hold, Option):
        return [hold]
    found = hold

    def apply() -> Hold:
        world.end(occasion, found, "released", now)
        return found

    told = {"type": "hold.released.v1", "hold": hold, "reason": "offer_declined"}
    return [Option("left_waitlist", None, fields, [told], apply)]
