"""The steps of a booking that the buyer, the shop and the house's own people take alike: sold, given back, parked.

Each gives back what a booking has, once: whoever has no seats any more has none to give.
"""

from __future__ import annotations

from datetime import timedelta

from msgspec.structs import replace

from holdgate_schema.events import HoldCreated, HoldReleased
from holdgate_schema.selling_events import (
    BookingCancelled,
    BookingChanged,
    BookingConfirmed,
    BookingFailed,
    BookingParked,
)
from holdgate_schema.selling_outcomes import Booked, Confirmed
from holdgate_schema.views import BookingState, RefundState

from .bookings import Booking, EndedBy, HoldQuote
from .decision import Decision
from .draft import Draft
from .occurrence import Hold, Occurrence
from .placing import no_room
from .refusals import Refusal

DEAD_ORDERS = ("cancelled", "refunded", "failed")


def booked(draft: Draft, booking: Booking, *, recorded: bool = True) -> Decision:
    """Answer with the booking as it is now."""
    version = draft.version if recorded else draft.version - 1
    answer = Booked(
        request_id=draft.request_id,
        occurrence_id=draft.occurrence_id,
        version=version,
        decided_at=draft.context.now,
        booking=booking.view(),
    )
    return draft.decided(answer, recorded=recorded)


def changed(draft: Draft, booking: Booking) -> Decision:
    """Note what moved no seats."""
    draft.bookings.append(booking)
    draft.events.append(BookingChanged(**draft.event_fields(), booking=booking.view()))
    return booked(draft, booking)


def confirm(draft: Draft, hold: Hold, booking: Booking) -> Decision:
    """The converting hold's seats are sold to the booking."""
    draft.sell(hold)
    confirmed = replace(
        booking,
        state="confirmed",
        hold_id=hold.id,
        confirmed_at=draft.context.now,
        ended_at=None,
        ended_by=None,
        refund="none",
        reason="",
    )
    draft.bookings.append(confirmed)
    draft.events.append(BookingConfirmed(**draft.event_fields(), booking=confirmed.view()))
    answer = Confirmed(
        request_id=draft.request_id,
        occurrence_id=draft.occurrence_id,
        version=draft.version,
        decided_at=draft.context.now,
        booking=confirmed.view(),
    )
    return draft.decided(answer)


def fail(
    draft: Draft,
    occurrence: Occurrence,
    booking: Booking,
    reason: str,
    ended_by: EndedBy = "saga",
    *,
    refunded: bool = False,
) -> Booking:
    """Compensate: what the booking still holds is given back, and its voucher. Once: the hold has to be converting."""
    hold = hold_of(draft, occurrence, booking.hold_id)
    if hold is not None and hold.state == "converting":
        released = draft.end(hold, "released")
        draft.events.append(HoldReleased(**draft.event_fields(), hold=released.view(), reason="compensation"))
        claim_voucher(draft, booking.quote, -1)
    ended = replace(
        booking,
        state="failed",
        reason=reason,
        ended_at=draft.context.now,
        ended_by=ended_by,
        refund="done" if refunded else owed(booking),
    )
    draft.bookings.append(ended)
    draft.events.append(BookingFailed(**draft.event_fields(), booking=ended.view()))
    return ended


def end_sold(
    draft: Draft,
    occurrence: Occurrence,
    booking: Booking,
    ended_by: EndedBy,
    reason: str,
    *,
    refunded: bool = False,
) -> Booking:
    """A confirmed booking's seats are free again, once, and its voucher can be used again."""
    hold = hold_of(draft, occurrence, booking.hold_id)
    assert hold is not None, f"booking {booking.id} has no hold"
    draft.unsell(hold)
    claim_voucher(draft, booking.quote, -1)
    return end_booking(draft, booking, ended_by, reason, refunded=refunded)


def end_booking(
    draft: Draft, booking: Booking, ended_by: EndedBy, reason: str, *, refunded: bool = False
) -> Booking:
    """A booking without seats is over."""
    ended = replace(
        booking,
        state="cancelled",
        reason=reason,
        ended_at=draft.context.now,
        ended_by=ended_by,
        refund="done" if refunded else owed(booking),
    )
    draft.bookings.append(ended)
    draft.events.append(BookingCancelled(**draft.event_fields(), booking=ended.view(), refund=ended.refund))
    return ended


def park(draft: Draft, booking: Booking) -> Decision:
    """A person has to decide, or money has to be given back; said aloud, with the reason."""
    draft.bookings.append(booking)
    draft.events.append(BookingParked(**draft.event_fields(), booking=booking.view()))
    return Refusal(draft).parked(booking)


def retake(draft: Draft, occurrence: Occurrence, booking: Booking) -> Hold | None:
    """Take the booking's seats once more under a new hold (its id is this request's); None if they cannot be had."""
    definition = occurrence.definition
    known = (
        booking.items.keys() <= definition.ticket_types.keys()
        and booking.extras.keys() <= definition.extras.keys()
    )
    if not known or definition.status in ("cancelled", "completed") or voucher_is_gone(draft, booking.quote):
        return None
    now = draft.context.now
    hold = Hold(
        id=draft.request_id,
        occurrence_id=occurrence.id,
        session_id=booking.session_id,
        user_id=booking.user_id,
        state="converting",
        items=booking.items,
        extras=booking.extras,
        draws=occurrence.draws_of(booking.items, booking.extras),
        stock=occurrence.stock_of(booking.extras),
        seats=booking.seats,
        ttl_seconds=draft.context.settings.ttl_minutes * 60,
        created_at=now,
        expires_at=now + timedelta(minutes=draft.context.settings.ttl_minutes),
        quote=booking.quote,
    )
    if no_room(draft, occurrence, hold.id, hold.session_id, hold.draws, hold.stock, new=True) is not None:
        return None
    claim_voucher(draft, booking.quote, 1)
    draft.new_holds.append(hold.id)
    draft.holds.append(hold)
    draft.events.append(HoldCreated(**draft.event_fields(), hold=hold.view()))
    return hold


def take_back_or_park(draft: Draft, occurrence: Occurrence, booking: Booking, reason: str) -> Decision:
    """There is an order that was paid and no seats: sold again if they can be had and the setting says so."""
    policy = draft.context.settings.late_payment
    if policy.startswith("fulfil"):
        hold = retake(draft, occurrence, booking)
        if hold is not None:
            return confirm(draft, hold, booking)
    # Whoever ended it before has not ended this: the orders worker leaves alone what the shop has ended itself.
    unended = replace(booking, ended_at=None, ended_by=None, refund="none")
    return park(draft, replace(unended, state=unfulfilled(policy), reason=reason))


def claim_voucher(draft: Draft, quote: HoldQuote, uses: int) -> None:
    """Redeem the quote's voucher, or give it back."""
    if quote.voucher is not None:
        draft.claim("voucher", quote.voucher, uses, quote.voucher_uses_max or 1)


def voucher_is_gone(draft: Draft, quote: HoldQuote) -> bool:
    """Whether the quote has a voucher that cannot be redeemed once more."""
    if quote.voucher is None:
        return False
    return not draft.allows("voucher", quote.voucher, 1, quote.voucher_uses_max or 1)


def unfulfilled(policy: str) -> BookingState:
    """What becomes of a booking that was paid and gets no seats, by the setting."""
    return "refund_required" if policy.endswith("refund") else "parked"


def owed(booking: Booking) -> RefundState:
    """What is to happen with the money of a booking that ends."""
    if booking.refund == "done":
        return "done"
    return "due" if booking.is_paid else "none"


def hold_of(draft: Draft, occurrence: Occurrence, hold_id: str) -> Hold | None:
    """The hold, live or ended."""
    return occurrence.holds.get(hold_id) or draft.context.ended_holds.get(hold_id)
