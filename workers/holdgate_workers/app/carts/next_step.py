"""Carts over several occurrences: what comes next, from nothing but what is true. Pure.

docs/carts.md has the table. Two rules make it all or nothing: the legs are taken one after another in an order that
all carts share, and how a cart ends is written down once, before anything is done about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from holdgate_schema.answers.holds import FieldProblem, HoldState, Reason
from holdgate_schema.commands.selling import CartLeg, HoldCartLeg, ReleaseCartLeg, SettleCart
from holdgate_schema.events.selling import CartBegun
from holdgate_workers.ids import derived_id

MESSAGE_CHARS_MAX = 200
"""Of a refusal's message so much is passed on."""

CartState = Literal["placing", "held", "refused"]
_ENDED: tuple[HoldState, ...] = ("released", "expired", "cancelled")


# --- what is true -----------------------------------------------------------------------------------------------


class Verdict(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """How a cart ends; if refused, because of which leg and why."""

    outcome: Literal["held", "refused"]
    occurrence_id: str | None = None
    reason: str = ""
    message: str = ""
    errors: list[FieldProblem] = []


class Cart(Struct, frozen=True, kw_only=True, gc=False):
    """A cart as it was asked for, on the occurrence `occurrence_id`. `legs` are in the order of taking.

    `verdict`: None until every leg was answered, or one was refused.
    """

    id: str
    occurrence_id: str
    session_id: str
    legs: tuple[CartLeg, ...]
    user_id: str | None = None
    ttl_seconds: int | None = None
    reply_to: str | None = None
    correlation_id: str | None = None
    verdict: Verdict | None = None


class LegSeen(Struct, frozen=True, kw_only=True, gc=False):
    """What the rows say of one leg. `outcome`: the gate's answer to `cart.hold`, None while there is none."""

    outcome: str | None = None
    reason: str = ""
    message: str = ""
    errors: list[FieldProblem] = []
    hold: HoldState | None = None


class Seen(Struct, frozen=True, kw_only=True, gc=False):
    """What the rows say of a cart: its legs by occurrence, and whether `cart.settle` was answered."""

    legs: Mapping[str, LegSeen]
    is_settled: bool = False


class Answered(Struct, frozen=True, gc=False):
    """A request's first answer in the journal."""

    outcome: str
    reason: str = ""
    message: str = ""
    errors: list[FieldProblem] = []


def cart_of(
    begun: CartBegun, *, reply_to: str | None, correlation_id: str | None, verdict: Verdict | None
) -> Cart:
    """The cart that was begun; `verdict` if one was written."""
    return Cart(
        id=begun.cart_id,
        occurrence_id=begun.occurrence_id,
        session_id=begun.session_id,
        legs=in_order(begun.legs),
        user_id=begun.user_id,
        ttl_seconds=begun.ttl_seconds,
        reply_to=reply_to,
        correlation_id=correlation_id or begun.cart_id,
        verdict=verdict,
    )


def seen_of(cart: Cart, answers: Mapping[str, Answered], holds: Mapping[str, HoldState]) -> Seen:
    """What has become of it, from answers by request and holds by id; others may be among them."""
    legs: dict[str, LegSeen] = {}
    for key, hold_id in hold_ids(cart).items():
        found = answers.get(hold_id)
        if found is None:
            legs[key] = LegSeen()
        else:
            legs[key] = LegSeen(
                outcome=found.outcome,
                reason=found.reason,
                message=found.message,
                errors=found.errors,
                hold=holds.get(hold_id),
            )
    return Seen(legs=legs, is_settled=settle_id_of(cart.id) in answers)


def in_order(legs: Iterable[CartLeg]) -> tuple[CartLeg, ...]:
    """The legs in the order that all carts share.

    Of carts that want the last of the same seats one gets them: whoever has the first leg meets nobody who has a
    later one and lacks the first. In the buyers' orders each could take what the other lacks, and both would fail.
    """
    return tuple(sorted(legs, key=lambda leg: leg.occurrence_id))


# --- what comes next --------------------------------------------------------------------------------------------


class TakeLeg(Struct, frozen=True, gc=False):
    """Ask for this leg, if nobody has, and wait for its answer."""

    leg: CartLeg


class Judge(Struct, frozen=True, gc=False):
    """Every answer that is needed is there: write down how the cart ends."""

    verdict: Verdict


class GiveBack(Struct, frozen=True, gc=False):
    """Ask for these legs to be released, and wait until they are."""

    legs: tuple[CartLeg, ...]


class Settle(Struct, frozen=True, gc=False):
    """Tell the buyer, and wait until that is recorded."""

    verdict: Verdict


class Ended(Struct, frozen=True, gc=False):
    """Nothing is left to do."""

    verdict: Verdict


Step = TakeLeg | Judge | GiveBack | Settle | Ended


def next_step(cart: Cart, seen: Seen) -> Step:
    """What is to be done about a cart. To be asked again after every answer; asking twice does no harm.

    As long as the verdict is open one leg at most is on its way, and once there is a verdict none is: so nothing can
    be taken after it was decided to give everything back.
    """
    verdict = cart.verdict
    if verdict is None:
        return _taking(cart, seen)
    if seen.is_settled:
        return Ended(verdict)
    if verdict.outcome == "refused":
        left = tuple(leg for leg in cart.legs if seen.legs[leg.occurrence_id].hold == "active")
        if left:
            return GiveBack(left)
    return Settle(verdict)


def _taking(cart: Cart, seen: Seen) -> Step:
    for leg in cart.legs:
        found = seen.legs[leg.occurrence_id]
        if found.outcome is None:
            return TakeLeg(leg)
        if found.outcome != "held":
            return Judge(_refused(leg, found.reason, found.message, found.errors))
    for leg in cart.legs:
        state = seen.legs[leg.occurrence_id].hold
        if state in _ENDED:
            message = f"The hold on {leg.occurrence_id!r} was {state} before the last leg was taken"
            return Judge(_refused(leg, Reason.HOLD_FINAL, message))
    return Judge(Verdict(outcome="held"))


def _refused(leg: CartLeg, reason: str, message: str, errors: Sequence[FieldProblem] = ()) -> Verdict:
    return Verdict(
        outcome="refused",
        occurrence_id=leg.occurrence_id,
        reason=str(reason),
        message=message if len(message) <= MESSAGE_CHARS_MAX else f"{message[: MESSAGE_CHARS_MAX - 1]}…",
        errors=list(errors),
    )


def progress(cart: Cart, seen: Seen) -> dict[str, str]:
    """What has become of each leg, in a word: `waiting`, `refused`, or the state of its hold."""
    return {leg.occurrence_id: _word(seen.legs[leg.occurrence_id]) for leg in cart.legs}


def _word(found: LegSeen) -> str:
    if found.outcome is None:
        return "waiting"
    return found.hold or "refused"


# --- the commands -----------------------------------------------------------------------------------------------


def hold_id_of(cart_id: str, occurrence_id: str) -> str:
    """The hold of a leg, which is also the request that asks for it."""
    return derived_id("cart.hold", cart_id, occurrence_id)


def hold_ids(cart: Cart) -> dict[str, str]:
    """The holds of a cart by occurrence, those that are yet to be asked for included."""
    return {leg.occurrence_id: hold_id_of(cart.id, leg.occurrence_id) for leg in cart.legs}


def settle_id_of(cart_id: str) -> str:
    """The request that ends a cart."""
    return derived_id("cart.settle", cart_id)


Internal = HoldCartLeg | ReleaseCartLeg | SettleCart


def commands(cart: Cart, step: TakeLeg | GiveBack | Settle) -> list[Internal]:
    """What is sent for a step: each time the same words under the same ids."""
    match step:
        case TakeLeg(leg):
            return [_hold(cart, leg)]
        case GiveBack(legs):
            return [_release(cart, leg) for leg in legs]
        case Settle(verdict):
            return [_settle(cart, verdict)]


def _hold(cart: Cart, leg: CartLeg) -> HoldCartLeg:
    return HoldCartLeg(
        request_id=hold_id_of(cart.id, leg.occurrence_id),
        occurrence_id=leg.occurrence_id,
        cart_id=cart.id,
        items=leg.items,
        extras=leg.extras,
        session_id=cart.session_id,
        user_id=cart.user_id,
        ttl_seconds=cart.ttl_seconds,
    )


def _release(cart: Cart, leg: CartLeg) -> ReleaseCartLeg:
    return ReleaseCartLeg(
        request_id=derived_id("cart.release", cart.id, leg.occurrence_id),
        occurrence_id=leg.occurrence_id,
        cart_id=cart.id,
        hold_id=hold_id_of(cart.id, leg.occurrence_id),
        session_id=cart.session_id,
    )


def _settle(cart: Cart, verdict: Verdict) -> SettleCart:
    held = verdict.outcome == "held"
    return SettleCart(
        request_id=settle_id_of(cart.id),
        occurrence_id=cart.occurrence_id,
        answers=cart.id,
        outcome=verdict.outcome,
        hold_ids=hold_ids(cart) if held else {},
        refused_occurrence_id=verdict.occurrence_id,
        reason=verdict.reason,
        message=verdict.message,
        errors=verdict.errors,
    )
