"""Carts as the gate sees them: recorded when they begin and end, their legs taken and given back one at a time.

Which leg comes when is not decided here: see `app/carts/next_step.py` and docs/carts.md. To one occurrence a leg is a
hold.
"""

from __future__ import annotations

from msgspec.structs import replace

from holdgate_schema.answers.holds import Reason, Refused
from holdgate_schema.answers.selling import CartHeld, CartLegReleased, CartStarted
from holdgate_schema.commands.holds import PlaceHold
from holdgate_schema.commands.selling import HoldCartLeg, PlaceCart, ReleaseCartLeg, SettleCart
from holdgate_schema.errors import FieldError, ProblemCode
from holdgate_schema.events.holds import HoldReleased
from holdgate_schema.events.selling import CartBegun, CartLegRefused, CartSettled
from holdgate_workers.domain.decision import Decision
from holdgate_workers.domain.draft import Draft
from holdgate_workers.domain.holds.placing import place
from holdgate_workers.domain.occurrences.occurrence import Hold, Occurrence
from holdgate_workers.domain.refusals import Refusal

_NO_WISH = b"{}"
"""A second answer will follow, and it needs nothing that the event does not say."""


CartCommand = PlaceCart | HoldCartLeg | ReleaseCartLeg | SettleCart
CART_COMMANDS = (PlaceCart, HoldCartLeg, ReleaseCartLeg, SettleCart)


def decide_cart(draft: Draft, occurrence: Occurrence | None, command: CartCommand) -> Decision:
    """What a command about a cart comes to."""
    match command:
        case PlaceCart():
            return begin(draft, occurrence, command)
        case HoldCartLeg():
            return hold_leg(draft, occurrence, command)
    if occurrence is None:
        return Refusal(draft).unknown_occurrence(recorded=True)
    match command:
        case ReleaseCartLeg():
            return release_leg(draft, occurrence, command)
        case SettleCart():
            return settle_cart(draft, command)


def begin(draft: Draft, occurrence: Occurrence | None, command: PlaceCart) -> Decision:
    """Note that a cart is to be taken, under the session that all its holds will have. Takes nothing."""
    errors = _leg_errors(command)
    if errors:
        return Refusal(draft).invalid(errors)
    if occurrence is None:
        return Refusal(draft).unknown_occurrence(recorded=True)
    session_id = command.session_id or draft.context.sessions.issue(command.request_id)
    draft.wish = _NO_WISH
    draft.events.append(
        CartBegun(
            **draft.event_fields(),
            cart_id=command.request_id,
            session_id=session_id,
            legs=command.legs,
            user_id=command.user_id,
            ttl_seconds=command.ttl_seconds,
        )
    )
    answer = CartStarted(
        request_id=draft.request_id,
        occurrence_id=draft.occurrence_id,
        version=draft.version,
        decided_at=draft.context.now,
        cart_id=command.request_id,
        session_id=session_id,
        occurrence_ids=[leg.occurrence_id for leg in command.legs],
    )
    return draft.decided(answer)


def hold_leg(draft: Draft, occurrence: Occurrence | None, command: HoldCartLeg) -> Decision:
    """Take one leg, as any other basket; whatever it is refused for is told as the cart's."""
    if occurrence is None:
        return _leg_refused(draft, command, Refusal(draft).unknown_occurrence(recorded=True))
    wanted = PlaceHold(
        request_id=command.request_id,
        occurrence_id=command.occurrence_id,
        items=command.items,
        extras=command.extras,
        session_id=command.session_id,
        user_id=command.user_id,
        ttl_seconds=command.ttl_seconds,
    )
    decision = place(draft, occurrence, wanted, cart_id=command.cart_id)
    if isinstance(decision.answer, Refused):
        return _leg_refused(draft, command, decision)
    return decision


def release_leg(draft: Draft, occurrence: Occurrence, command: ReleaseCartLeg) -> Decision:
    """Give a leg back. One that has ended is given back already; one that was bought is its buyer's."""
    hold = _hold_of(draft, occurrence, command)
    if hold is None:
        return Refusal(draft).hold_not_found(command.hold_id)
    if hold.state in ("converting", "confirmed"):
        return Refusal(draft).hold_final(hold.id, hold.state)
    if hold.state == "active" and hold.expires_at <= draft.context.now:
        draft.expire(hold, "touched_late")
    elif hold.state == "active":
        released = draft.end(hold, "released")
        draft.events.append(HoldReleased(**draft.event_fields(), hold=released.view(), reason="compensation"))
    answer = CartLegReleased(
        request_id=draft.request_id,
        occurrence_id=draft.occurrence_id,
        version=draft.version,
        decided_at=draft.context.now,
        cart_id=command.cart_id,
        hold_id=command.hold_id,
    )
    return draft.decided(answer)


def settle_cart(draft: Draft, command: SettleCart) -> Decision:
    """Tell whoever asked for the cart how it ended. Changes nothing."""
    draft.answers = command.answers
    draft.events.append(
        CartSettled(
            **draft.event_fields(),
            cart_id=command.answers,
            outcome=command.outcome,
            hold_ids=command.hold_ids,
            reason=command.reason,
        )
    )
    if command.outcome == "refused":
        return Refusal(draft).cart(
            _reason(command),
            command.message,
            cart_id=command.answers,
            subject=command.refused_occurrence_id,
            errors=command.errors,
        )
    answer = CartHeld(
        request_id=draft.request_id,
        occurrence_id=draft.occurrence_id,
        version=draft.version,
        decided_at=draft.context.now,
        cart_id=command.answers,
        hold_ids=command.hold_ids,
    )
    return draft.decided(answer)


def _reason(command: SettleCart) -> Reason:
    """The leg's reason, also one that only a newer version knows."""
    return Reason(command.reason or Reason.UNAVAILABLE)


def _leg_errors(command: PlaceCart) -> list[FieldError]:
    """What is wrong with the legs as a whole, each by its field."""
    errors = []
    if command.legs[0].occurrence_id != command.occurrence_id:
        errors.append(FieldError("occurrence_id", "must be the occurrence of the first leg"))
    seen: set[str] = set()
    for number, leg in enumerate(command.legs):
        if leg.occurrence_id in seen:
            errors.append(
                FieldError(
                    f"legs[{number}].occurrence_id",
                    "is in the cart already; put it into one leg",
                    ProblemCode.DUPLICATE,
                )
            )
        seen.add(leg.occurrence_id)
    return errors


def _leg_refused(draft: Draft, command: HoldCartLeg, decision: Decision) -> Decision:
    """The same refusal, told to the world as well: the cart's other legs hang on it."""
    refused = decision.answer
    assert isinstance(refused, Refused)
    draft.events.append(
        CartLegRefused(
            **draft.event_fields(), cart_id=command.cart_id, reason=refused.reason.value, message=refused.message
        )
    )
    decision.answer = replace(refused, cart_id=command.cart_id)
    decision.events = draft.events
    return decision


def _hold_of(draft: Draft, occurrence: Occurrence, command: ReleaseCartLeg) -> Hold | None:
    hold = occurrence.holds.get(command.hold_id) or draft.context.ended_holds.get(command.hold_id)
    if hold is None or hold.occurrence_id != occurrence.id or hold.cart_id != command.cart_id:
        return None
    return hold
