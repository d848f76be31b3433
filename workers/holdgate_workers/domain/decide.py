"""One command, one occurrence, one instant: one decision. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from holdgate_schema.commands.holds import (
    ChangeHold,
    CloseOccurrence,
    Command,
    ExtendHold,
    GetAvailability,
    GetHold,
    PlaceHold,
    PutOccurrence,
    ReleaseHold,
    SetCapacity,
    SweepHolds,
)
from holdgate_schema.commands.selling import (
    CancelBooking,
    ConvertBooking,
    GetBooking,
    GetQuote,
    GetWaitlistEntry,
    JoinWaitlist,
    LeaveWaitlist,
    NoteOrder,
    PaymentNotice,
    PriceHold,
    PutQuote,
    ReduceBooking,
    ResolveBooking,
    SettleBooking,
)
from holdgate_schema.errors import FieldError

from .bookings.conversion import cancel, convert, settle, show
from .bookings.order_events import note_order, resolve
from .bookings.reducing import reduce
from .bookings.refused_payments import tell_refused_payment
from .carts.cart import CART_COMMANDS, decide_cart
from .decision import Context, Decision
from .draft import Draft
from .holds.expiry import sweep
from .holds.lifecycle import extend, release, show_hold
from .holds.placing import change, place
from .occurrences.alerts import tell_crossings
from .occurrences.availability import availability
from .occurrences.catalogue import close, put, set_capacity
from .occurrences.occurrence import Occurrence
from .pricing.quotes import price, put_quote, request_quote
from .refusals import Refusal
from .waitlist.entries import join, leave, show_entry
from .waitlist.offers import serve_after, serve_before


def decide(occurrence: Occurrence | None, command: Command, context: Context) -> Decision:
    """What the command comes to. The occurrence is only looked at; `Decision.apply_to` changes it.

    `occurrence` is None where there is none. Refusals are checked in the order of `Reason`. Raises
    `AssertionError` if an invariant does not hold: the message must then be isolated, not answered.
    """
    decision = _decided(occurrence, command, context)
    if type(command) is ConvertBooking:
        tell_refused_payment(
            decision, command.hold_id, command.payment, context.bookings, session_id=command.session_id
        )
    tell_crossings(occurrence, decision, context.settings)
    return decision


def _decided(occurrence: Occurrence | None, command: Command, context: Context) -> Decision:
    draft = Draft(command.request_id, command.occurrence_id, occurrence, context)
    session_id = getattr(command, "session_id", None)
    if session_id is not None and context.sessions.is_forged(session_id):
        return Refusal(draft).forbidden("The session_id claims to be issued here and was not")
    if occurrence is None or not occurrence.waiting:
        return _by_itself(draft, occurrence, command)
    serve_before(draft, occurrence, command)
    decision = _by_itself(draft, occurrence, command)
    serve_after(draft, occurrence, command, decision)
    return decision


def _by_itself(draft: Draft, occurrence: Occurrence | None, command: Command) -> Decision:
    """What the command comes to, whoever stands in line."""
    rule = _RULES.get(type(command))
    if rule is not None and occurrence is not None:
        return rule(draft, occurrence, command)
    if isinstance(command, PutOccurrence):
        return put(draft, occurrence, command)
    if isinstance(command, CART_COMMANDS):
        return decide_cart(draft, occurrence, command)
    assert rule is not None, f"no rule for {type(command).__name__}"
    return Refusal(draft).unknown_occurrence(recorded=type(command) not in _READS)


def refuse_unreadable(
    occurrence: Occurrence | None,
    request_id: str,
    occurrence_id: str,
    errors: Sequence[FieldError],
    context: Context,
    *,
    recorded: bool = True,
    payment: tuple[str, PaymentNotice] | None = None,
) -> Decision:
    """The refusal of a message whose ids could be read and nothing else can be trusted.

    Not `recorded` where only the message's properties are wrong: then its sender corrects them and sends the same
    body under the same id. `payment`: the hold and what was paid for it, if so much could be read.
    """
    decision = Refusal(Draft(request_id, occurrence_id, occurrence, context)).invalid(errors, recorded=recorded)
    if payment is not None:
        tell_refused_payment(decision, *payment, context.bookings)
    return decision


def refuse_unsealed(
    occurrence: Occurrence | None, request_id: str, occurrence_id: str, context: Context
) -> Decision:
    """The refusal of a command that only Holdgate's own workers may send, or under an id that only they may use.

    It leaves no trace: the id stays free for whom it is meant.
    """
    draft = Draft(request_id, occurrence_id, occurrence, context)
    message = "This command, or a request_id of UUID version 8, is for Holdgate's own workers; it lacks their seal"
    return Refusal(draft).forbidden(message, recorded=False)


def refuse_conflict(request_id: str, occurrence_id: str, context: Context) -> Decision:
    """The refusal of a request whose id was used before with another body. Leaves no trace."""
    return Refusal(Draft(request_id, occurrence_id, None, context)).conflict()


_READS = {GetAvailability, SweepHolds, GetBooking, GetHold, GetWaitlistEntry}
_RULES: Mapping[type[Command], Callable[[Draft, Occurrence, Any], Decision]] = {
    PlaceHold: place,
    ReleaseHold: release,
    ExtendHold: extend,
    ChangeHold: change,
    GetHold: show_hold,
    SweepHolds: sweep,
    GetAvailability: availability,
    CloseOccurrence: close,
    SetCapacity: set_capacity,
    PriceHold: price,
    ConvertBooking: convert,
    SettleBooking: settle,
    GetQuote: request_quote,
    PutQuote: put_quote,
    GetBooking: show,
    CancelBooking: cancel,
    ReduceBooking: reduce,
    NoteOrder: note_order,
    ResolveBooking: resolve,
    JoinWaitlist: join,
    LeaveWaitlist: leave,
    GetWaitlistEntry: show_entry,
}
"""Whatever needs an occurrence that is there."""
