"""What is not judged word for word, because no model of it is here: carts and waiting lists.

Their decisions are taken as they were told, so that all that rests on them is judged: sums, moves, limits, rows, and
what is decided after them.
"""

from __future__ import annotations

from typing import Any

from tests.checker.booker import Deal, begin, sell, unsell
from tests.checker.deals import price_of
from tests.checker.instants import SECOND, micros
from tests.checker.model import Body
from tests.checker.world import Hold, Occasion, World

Event = dict[str, Any]
_KINDS = ("cart.", "waitlist.")


def is_followed(occasion: Occasion | None, kind: str) -> bool:
    """Whether a decision is taken as it was told."""
    return kind.startswith(_KINDS) or (occasion is not None and bool(occasion.line))


def follow(world: World, occasion: Occasion, body: Body, events: list[Event], now: int) -> list[str]:
    """Do what the events say; what cannot be is told."""
    problems = []
    for event in events:
        kind = event["type"].removesuffix(".v1")
        try:
            if "booking" in event:
                _booking(world, occasion, kind, event["booking"], now)
            elif kind.startswith("waitlist."):
                _in_line(occasion, kind, event["entry_id"])
            elif kind == "cart.settled":
                problems += _settled(world, event)
            elif kind.startswith("hold."):
                problems += _hold(world, occasion, kind, event["hold"], body, now)
        except (KeyError, TypeError) as exc:
            problems.append(f"event {event['type']} is about something that is not there: {exc!r}")
    return problems


def _settled(world: World, event: Event) -> list[str]:
    """Held as a whole, or not at all; a leg that was bought meanwhile is its buyer's."""
    legs = world.carts.pop(event["cart_id"], {})
    if event["outcome"] == "refused":
        return [
            f"cart {event['cart_id']} is refused and holds {key}"
            for key, leg in legs.items()
            if leg.state == "active"
        ]
    told = event.get("hold_ids") or {}
    right = {leg.occurrence: key for key, leg in legs.items()} == told
    return [] if right else [f"cart {event['cart_id']} has {told}, it got {sorted(legs)}"]


def _in_line(occasion: Occasion, kind: str, entry_id: str) -> None:
    if kind == "waitlist.joined":
        occasion.line.add(entry_id)
    else:
        occasion.line.remove(entry_id)


def _hold(world: World, occasion: Occasion, kind: str, view: dict[str, Any], body: Body, now: int) -> list[str]:
    hold_id = view["hold_id"]
    if kind == "hold.created":
        hold = _made(occasion, view, now)
        hold.price = (
            world.deals[body["booking_id"]].price
            if view["state"] == "converting" and "booking_id" in body
            else None
        )
        if view["state"] == "converting" and hold.price is None and body.get("hold_id") in world.priced:
            hold.price = world.priced[body["hold_id"]].price
        world.take(occasion, hold, now)
        if hold.cart is not None:
            world.carts.setdefault(hold.cart, {})[hold.id] = hold
        if hold.state == "converting":
            world.redeem(hold.price, 1, now)
        return []
    hold = occasion.live[hold_id]
    if kind == "hold.expired":
        problems = (
            [] if hold.state == "active" and hold.expires <= now else [f"hold {hold_id} expired, {hold.state}"]
        )
        world.end(occasion, hold, "expired", now)
        return problems
    if kind == "hold.released":
        world.end(occasion, hold, "released", now)
    elif kind == "hold.changed":
        world.swap(occasion, hold, view["items"], view.get("extras") or {}, now)
    elif kind == "hold.extended":
        hold.expires, hold.extensions = micros(view["expires_at"]), view["extensions_used"]
        occasion.await_end(hold)
    elif kind == "hold.priced":
        hold.price = price_of(body)
    return []


def _made(occasion: Occasion, view: dict[str, Any], now: int) -> Hold:
    hold = Hold(view["hold_id"], occasion.id, view["session_id"], view.get("user_id"))
    hold.state, hold.items, hold.extras = view["state"], view["items"], view.get("extras") or {}
    hold.draws, hold.stock = occasion.draws(hold.items, hold.extras), occasion.stock(hold.extras)
    hold.seats, hold.created, hold.expires = view["seats"], now, micros(view["expires_at"])
    hold.ttl = (hold.expires - hold.created) // SECOND * SECOND
    hold.cart = view.get("cart_id")
    return hold


def _booking(world: World, occasion: Occasion, kind: str, view: dict[str, Any], now: int) -> None:
    key, hold_id = view["booking_id"], view["hold_id"]
    known = world.deals.get(key)
    if known is None:
        hold = occasion.live.get(hold_id) or world.priced[key]
        assert hold.price is not None
        if hold.state == "active":
            begin(world, hold, now)
        world.deals[key] = Deal(view, hold.price)
        return
    if kind == "booking.confirmed":
        sell(world, occasion, occasion.live[hold_id], now)
    elif kind == "booking.cancelled" and hold_id in occasion.sold:
        unsell(world, occasion, occasion.sold[hold_id], now)
    ended_by = None if kind in ("booking.confirmed", "booking.parked") else known.ended_by or "owner"
    world.deals[key] = Deal(view, known.price, ended_by)
