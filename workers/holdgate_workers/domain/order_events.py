"""What the shop and the house's own people say of an order, in any order and any number of times.

Only the last state of an order counts, by the shop's own time: an event that is older than what is known changes
nothing, except that money was taken. Of two at the same time the one further down the life of an order counts.
"""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from holdgate_schema.selling import NoteOrder, ResolveBooking
from holdgate_schema.views import BookedOrder, OrderStatus

from .booking_steps import (
    DEAD_ORDERS,
    booked,
    changed,
    confirm,
    end_booking,
    end_sold,
    fail,
    retake,
    take_back_or_park,
)
from .bookings import Booking
from .decision import Decision
from .draft import Draft
from .occurrence import Hold, Occurrence
from .refusals import Refusal

_LIFE: tuple[OrderStatus, ...] = ("other", "pending", "failed", "paid", "cancelled", "refunded")


def note_order(draft: Draft, occurrence: Occurrence, command: NoteOrder) -> Decision:
    """Move the booking to where its order is now."""
    booking = draft.context.bookings.get(command.booking_id)
    if booking is None or booking.occurrence_id != occurrence.id:
        return Refusal(draft).booking_not_found(command.booking_id)
    known = booking.order
    if known is not None and known.order_id != command.order_id:
        return changed(draft, replace(booking, reason=f"the shop has a second order {command.order_id}"))
    if (
        known is not None
        and known.changed_at is not None
        and _place(known.status, known.changed_at) >= _place(command.status, command.changed_at)
    ):
        return _old_news(draft, booking, command)
    gateway = known.gateway if known is not None else ""
    order = BookedOrder(
        gateway=gateway, order_id=command.order_id, status=command.status, changed_at=command.changed_at
    )
    booking = replace(booking, order=order)
    if command.status in DEAD_ORDERS:
        return _order_is_over(draft, occurrence, booking, _is_given_back(booking, command))
    if command.status == "paid":
        return _order_is_paid(draft, occurrence, booking, _is_given_back(booking, command))
    return changed(draft, booking)


def resolve(draft: Draft, occurrence: Occurrence, command: ResolveBooking) -> Decision:
    """What a person decided about a parked booking, or that money was given back."""
    booking = draft.context.bookings.get(command.booking_id)
    if booking is None or booking.occurrence_id != occurrence.id:
        return Refusal(draft).booking_not_found(command.booking_id)
    said = command.note or f"decided by {command.by}"
    if command.action == "refunded":
        if booking.state == "refund_required":
            return booked(draft, end_booking(draft, booking, "staff", said, refunded=True))
        if booking.refund == "due":
            return changed(draft, replace(booking, refund="done"))
        return Refusal(draft).booking_final(booking)
    if booking.state not in ("parked", "refund_required"):
        return Refusal(draft).booking_final(booking)
    hold = _converting_hold(draft, occurrence, booking)
    if command.action == "refund":
        if hold is not None:
            return booked(draft, fail(draft, occurrence, booking, said, ended_by="staff"))
        return booked(draft, end_booking(draft, booking, "staff", said))
    hold = hold or retake(draft, occurrence, booking)
    if hold is None:
        return Refusal(draft).seats_gone(booking)
    return confirm(draft, hold, booking)


def _old_news(draft: Draft, booking: Booking, command: NoteOrder) -> Decision:
    """The order has moved on since. That it was paid once counts all the same: the money is somewhere."""
    if command.status != "paid" or booking.payment.status == "paid":
        return booked(draft, booking, recorded=False)
    paid = replace(booking, payment=replace(booking.payment, status="paid"))
    if booking.state in ("cancelled", "failed") and booking.refund == "none":
        paid = replace(paid, refund="due")
    return changed(draft, paid)


def _is_given_back(booking: Booking, command: NoteOrder) -> bool:
    """An order that was refunded may be moved on to another state; what was given back stays given back."""
    return command.status == "refunded" or (booking.quote.total > 0 and command.refunded >= booking.quote.total)


def _order_is_over(draft: Draft, occurrence: Occurrence, booking: Booking, refunded: bool) -> Decision:
    assert booking.order is not None
    said = f"the order is {booking.order.status}"
    if booking.state == "confirmed":
        return booked(draft, end_sold(draft, occurrence, booking, "order", said, refunded=refunded))
    if booking.state in ("parked", "refund_required"):
        if _converting_hold(draft, occurrence, booking) is not None:
            return booked(draft, fail(draft, occurrence, booking, said, ended_by="order", refunded=refunded))
        return booked(draft, end_booking(draft, booking, "order", said, refunded=refunded))
    if refunded:
        booking = replace(booking, refund="done")
    return changed(draft, booking)


def _order_is_paid(draft: Draft, occurrence: Occurrence, booking: Booking, refunded: bool) -> Decision:
    booking = replace(booking, payment=replace(booking.payment, status="paid"))
    if booking.state in ("cancelled", "failed"):
        if booking.ended_by in ("owner", "staff"):
            is_done = refunded or booking.refund == "done"
            return changed(draft, replace(booking, refund="done" if is_done else "due"))
        return take_back_or_park(draft, occurrence, booking, "it was paid after its seats were given back")
    return changed(draft, booking)


def _converting_hold(draft: Draft, occurrence: Occurrence, booking: Booking) -> Hold | None:
    hold = occurrence.holds.get(booking.hold_id) or draft.context.ended_holds.get(booking.hold_id)
    return hold if hold is not None and hold.state == "converting" else None


def _place(status: OrderStatus, changed_at: datetime) -> tuple[datetime, int]:
    return changed_at, _LIFE.index(status)
