"""A sequential model of what the gate is asked about carts, written from docs/carts.md and docs/contract-selling.md §3.

Each command by itself; what the commands about one cart come to together is in cart_book.py.
"""

from __future__ import annotations

from typing import Any

from tests.checker import model
from tests.checker.allowed import ANYTHING, AS_ANSWERED, Issued, Option, refused
from tests.checker.instants import stamp
from tests.checker.model import Body
from tests.checker.world import Hold, Occasion, World

KINDS = ("cart.place.v1", "cart.hold.v1", "cart.release.v1", "cart.settle.v1")


def options(
    world: World, occasion: Occasion | None, kind: str, body: Body, now: int, ended: int = 0
) -> list[Option]:
    """What the contract allows; `ended`: so many holds that were over were ended on the way."""
    if kind == "cart.place.v1":
        return [_begin(occasion, body)]
    if kind == "cart.hold.v1":
        return _hold(world, occasion, body, now, ended)
    if occasion is None:
        return [refused("unknown_occurrence")]
    return [_release(world, occasion, body, now) if kind == "cart.release.v1" else _settle(body)]


def legs_of(body: Body) -> list[dict[str, Any]]:
    """The legs in the buyer's order, without what is left out where it is empty."""
    return [{name: one for name, one in leg.items() if one not in (None, {})} for leg in body["legs"]]


def _begin(occasion: Occasion | None, body: Body) -> Option:
    """It takes nothing yet."""
    ids = [leg["occurrence_id"] for leg in body["legs"]]
    if ids[0] != body["occurrence_id"] or len(set(ids)) != len(ids):
        return refused("invalid", errors=ANYTHING)
    if occasion is None:
        return refused("unknown_occurrence")
    told = {"cart_id": body["request_id"], "session_id": body.get("session_id") or Issued()}
    event = {"type": "cart.begun.v1", **told, "legs": legs_of(body), "user_id": body.get("user_id")}
    event["ttl_seconds"] = body.get("ttl_seconds")
    return Option("cart_started", None, {**told, "occurrence_ids": ids}, [event])


def _hold(world: World, occasion: Occasion | None, body: Body, now: int, ended: int) -> list[Option]:
    """As any other basket; a refusal is told as the cart's."""
    found = [refused("unknown_occurrence")]
    if occasion is not None:
        found = model.place(world, occasion, body, now, ended)
    for option in found:
        if option.outcome == "refused":
            option.fields["cart_id"] = body["cart_id"]
            told = {"cart_id": body["cart_id"], "reason": option.reason, "message": AS_ANSWERED}
            option.events.append({"type": "cart.leg_refused.v1", **told})
    return found


def _release(world: World, occasion: Occasion, body: Body, now: int) -> Option:
    """What has ended is given back already; what was bought is its buyer's."""
    hold_id = body["hold_id"]
    state = world.state_of(occasion.id, hold_id)
    if state is None or world.cart_of.get(hold_id) != body["cart_id"]:
        return refused("hold_not_found", subject=hold_id)
    if state in ("converting", "confirmed"):
        return refused("hold_final", subject=hold_id, hold_state=state)
    done = Option("cart_leg_released", None, {"cart_id": body["cart_id"], "hold_id": hold_id})
    if state == "active":
        hold = occasion.live[hold_id]
        if hold.expires <= now:
            return Option(f"the hold expired on the way, it was over at {stamp(hold.expires)}")

        def apply() -> Hold:
            world.end(occasion, hold, "released", now)
            return hold

        done.events.append({"type": "hold.released.v1", "hold": hold, "reason": "compensation"})
        done.apply = apply
    return done


def _settle(body: Body) -> Option:
    """The buyer is told how it ended."""
    cart_id, outcome = body["answers"], body["outcome"]
    told = {"cart_id": cart_id, "outcome": outcome, "hold_ids": body.get("hold_ids") or {}}
    events = [{"type": "cart.settled.v1", **told, "reason": body.get("reason") or ""}]
    if outcome == "held":
        return Option("cart_held", None, {"cart_id": cart_id, "hold_ids": told["hold_ids"]}, events)
    fields = {"cart_id": cart_id, "subject": body.get("refused_occurrence_id")}
    return Option("refused", body.get("reason"), fields, events)
