"""What the shop and the house's own people say of an order, in any order and any number of times.

Only the last state of an order counts, by the shop's own time: an event that is older than what is known changes
nothing, except that money was taken or went back. Of two at the same time the one further down the life of an order
counts. What went back completely is not sold any more, whatever is said of it later: a person has to look.
"""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from holdgate_schema.commands.selling import NoteOrder, ResolveBooking
from holdgate_schema.errors import FieldError
from holdgate_schema.values.views import BookedOrder, OrderStatus
from holdgate_workers.domain.decision import Decision
from holdgate_workers.domain.draft import Draft
from holdgate_workers.domain.occurrences.occurrence import Hold, Occurrence
from holdgate_workers.domain.refusals import Refusal

from .booking import Booking
from .reducing import reduce_by_staff
from .steps import (
    DEAD_ORDERS,
    GIVEN_BACK,
    Lacking,
    booked,
    changed,
    confirm,
    end_booking,
    end_sold,
    fail,
    leave_paid,
    release_seats,
    retake,
    take_back_or_park,
    unsell,
)

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
        return _old_news(draft, occurrence, booking, command)
    gateway = known.gateway if known is not None else ""
    order = BookedOrder(
        gateway=gateway, order_id=command.order_id, status=command.status, changed_at=command.changed_at
    )
    return _apply(draft, occurrence, booking, replace(booking, order=order), command)


def _apply(
    draft: Draft, occurrence: Occurrence, before: Booking, booking: Booking, command: NoteOrder
) -> Decision:
    """What comes of an order's state that is news."""
    booking = booking.told(command.status, command.refunded)
    if command.status in DEAD_ORDERS:
        return _order_is_over(draft, occurrence, booking)
    if _ends_by_refund(before, booking):
        return _all_went_back(draft, occurrence, booking)
    if command.status == "paid":
        return _order_is_paid(draft, occurrence, before, booking)
    return changed(draft, booking)


def resolve(draft: Draft, occurrence: Occurrence, command: ResolveBooking) -> Decision:
    """What a person decided about a parked booking, or that money was given back."""
    booking = draft.context.bookings.get(command.booking_id)
    if booking is None or booking.occurrence_id != occurrence.id:
        return Refusal(draft).booking_not_found(command.booking_id)
    said = command.note or f"decided by {command.by}"
    if command.action == "refunded":
        return _went_back(draft, booking, command, said)
    if command.action in ("refund", "cancel"):
        return _give_back(draft, occurrence, booking, command, said)
    if command.action == "reduce":
        return reduce_by_staff(draft, occurrence, booking, command)
    if booking.state not in ("parked", "refund_required"):
        return Refusal(draft).booking_final(booking)
    if occurrence.definition.status == "cancelled":
        return _not_fulfilled(draft, booking, retake(draft, occurrence, booking, by_staff=True))
    hold = _converting_hold(draft, occurrence, booking) or retake(draft, occurrence, booking, by_staff=True)
    if isinstance(hold, Hold):
        return confirm(draft, hold, booking)
    return _not_fulfilled(draft, booking, hold)


def _went_back(draft: Draft, booking: Booking, command: ResolveBooking, said: str) -> Decision:
    """Money was given back: all that is owed, or so much in all as is said. More may have come to be owed meanwhile."""
    total = command.refund_amount
    after = booking.given_back() if total is None else booking.went_back(total)
    if booking.state == "refund_required" and not after.refund_due:
        return booked(draft, end_booking(draft, after, "staff", said, amount=0))
    if booking.refund == "due" and after != booking:
        return changed(draft, after)
    return Refusal(draft).booking_final(booking)


def _not_fulfilled(draft: Draft, booking: Booking, lacking: Hold | Lacking) -> Decision:
    assert isinstance(lacking, Lacking), "nothing is sold of what was called off"
    return Refusal(draft).not_fulfilled(
        booking, lacking.reason, lacking.said, subject=lacking.subject, not_on_sale=lacking.not_on_sale
    )


def _give_back(
    draft: Draft, occurrence: Occurrence, booking: Booking, command: ResolveBooking, said: str
) -> Decision:
    """A person gives seats and money back, whatever the clock says; what is owed is said in minor units."""
    amount = booking.kept if command.refund_amount is None else command.refund_amount
    if amount > booking.kept:
        most = f"must be at most {booking.kept}: what was paid ({booking.paid}) less what went back"
        return Refusal(draft).invalid([FieldError("refund_amount", f"{most} ({booking.refunded})")])
    if booking.state == "confirmed" and command.action == "cancel":
        return booked(draft, end_sold(draft, occurrence, booking, "staff", said, amount=amount))
    if booking.state in ("parked", "refund_required"):
        if _converting_hold(draft, occurrence, booking) is not None:
            return booked(draft, fail(draft, occurrence, booking, said, ended_by="staff", amount=amount))
        return booked(draft, end_booking(draft, booking, "staff", said, amount=amount))
    over = booking.state in ("cancelled", "failed")
    if over and command.action == "refund" and booking.refund != "due" and amount:
        return changed(draft, replace(booking, reason=said).owing(amount))
    return Refusal(draft).booking_final(booking)


def _old_news(draft: Draft, occurrence: Occurrence, booking: Booking, command: NoteOrder) -> Decision:
    """The order has moved on since. That it was paid once, or went back, counts all the same: the money is
    somewhere."""
    told = booking.told(command.status, command.refunded)
    if told == booking:
        return booked(draft, booking, recorded=False)
    if _ends_by_refund(booking, told):
        return _all_went_back(draft, occurrence, told)
    return changed(draft, _owed_now(booking, told))


def _owed_now(before: Booking, booking: Booking) -> Booking:
    """What ended while it was not known to be paid owes what was paid since."""
    if booking.state in ("cancelled", "failed") and not before.is_paid and booking.refund == "none":
        return booking.owing(booking.kept)
    return booking


def _ends_by_refund(before: Booking, booking: Booking) -> bool:
    """Whether it is news that all of the money went back, of a booking that is not over. One that is converting ends
    when it is settled."""
    is_news = booking.is_given_back and not before.is_given_back
    return is_news and booking.state in ("confirmed", "parked", "refund_required")


def _all_went_back(draft: Draft, occurrence: Occurrence, booking: Booking) -> Decision:
    """All of its money went back, and its order goes on: its seats are free, and a person has to look."""
    if booking.state == "confirmed":
        unsell(draft, occurrence, booking)
    else:
        release_seats(draft, occurrence, booking)
    return leave_paid(draft, booking, GIVEN_BACK)


def _order_is_over(draft: Draft, occurrence: Occurrence, booking: Booking) -> Decision:
    assert booking.order is not None
    said = f"the order is {booking.order.status}"
    if booking.state == "confirmed":
        return booked(draft, end_sold(draft, occurrence, booking, "order", said))
    if booking.state in ("parked", "refund_required"):
        if _converting_hold(draft, occurrence, booking) is not None:
            return booked(draft, fail(draft, occurrence, booking, said, ended_by="order"))
        return booked(draft, end_booking(draft, booking, "order", said))
    return changed(draft, booking)


def _order_is_paid(draft: Draft, occurrence: Occurrence, before: Booking, booking: Booking) -> Decision:
    if booking.state in ("cancelled", "failed"):
        if booking.ended_by in ("owner", "staff"):
            return changed(draft, _owed_now(before, booking))
        return take_back_or_park(draft, occurrence, booking, "it was paid after its seats were given back")
    return changed(draft, booking)


def _converting_hold(draft: Draft, occurrence: Occurrence, booking: Booking) -> Hold | None:
    hold = occurrence.holds.get(booking.hold_id) or draft.context.ended_holds.get(booking.hold_id)
    return hold if hold is not None and hold.state == "converting" else None


def _place(status: OrderStatus, changed_at: datetime) -> tuple[datetime, int]:
    return changed_at, _LIFE.index(status)
