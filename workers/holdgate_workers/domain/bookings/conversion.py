"""From a priced hold to an order, and back: the conversion saga as the gate sees it.

docs/bookings.md has the state table. The order itself is made by the orders worker; it says how that went with
`booking.settle`. Money is never guessed about: what cannot be decided here is parked for a person.
"""

from __future__ import annotations

from datetime import timedelta

from msgspec.structs import replace

from holdgate_schema.answers.holds import Reason
from holdgate_schema.answers.selling import Cancelled, Converting
from holdgate_schema.commands.selling import CancelBooking, ConvertBooking, GetBooking, SettleBooking
from holdgate_schema.events.holds import HoldReleased
from holdgate_schema.events.selling import BookingConverting
from holdgate_schema.values.views import Payment
from holdgate_workers.domain.decision import Decision
from holdgate_workers.domain.draft import Draft
from holdgate_workers.domain.occurrences.occurrence import Hold, Occurrence
from holdgate_workers.domain.pricing.fees import costs_more
from holdgate_workers.domain.refusals import Refusal

from .booking import Booking, HoldQuote
from .steps import (
    DEAD_ORDERS,
    GIVEN_BACK,
    Lacking,
    booked,
    changed,
    claim_voucher,
    confirm,
    end_sold,
    fail,
    give_up,
    hold_of,
    leave_paid,
    over,
    park,
    retake,
    take_back_or_park,
    voucher_cap,
    voucher_is_gone,
)


def convert(draft: Draft, occurrence: Occurrence, command: ConvertBooking) -> Decision:
    """Begin: the hold can no longer expire. Paid after its time: the seats are taken again, if the setting says so.

    What was called off, or is over, is not sold, whatever is held: money that was taken for it is parked or refunded.
    """
    hold = hold_of(draft, occurrence, command.hold_id)
    if hold is None or hold.session_id != command.session_id or hold.occurrence_id != occurrence.id:
        return Refusal(draft).hold_not_found(command.hold_id)
    if hold.state == "active" and hold.expires_at <= draft.context.now:
        hold = draft.expire(hold, "touched_late")
    late = hold.state == "expired" and command.payment.status == "paid"
    if command.hold_id in draft.context.bookings or not (late or hold.state == "active"):
        return Refusal(draft).hold_final(hold.id, hold.state)
    is_over = over(draft, occurrence.definition)
    if is_over is not None and not (command.payment.status == "paid" and command.payment.amount):
        assert is_over.not_on_sale is not None, "what is over is not on sale"
        return Refusal(draft).not_on_sale(is_over.not_on_sale, occurrence.definition)
    quote = hold.quote
    if quote is None:
        return Refusal(draft).unpriced("The hold has no price yet, or none that is known", subject=hold.id)
    refused = _other_price(draft, quote, command)
    if refused is not None:
        return refused
    booking = _new_booking(draft, hold, quote, command)
    if late:
        return _convert_late(draft, occurrence, hold, booking)
    if is_over is not None:
        return _convert_in_vain(draft, hold, booking, is_over)
    refused = _voucher_gone(draft, quote)
    if refused is not None:
        return refused
    claim_voucher(draft, quote, 1)
    draft.holds.append(replace(hold, state="converting"))
    return _converting(draft, booking, late=False)


def settle(draft: Draft, occurrence: Occurrence, command: SettleBooking) -> Decision:
    """The orders worker's word on how the conversion ended."""
    booking = draft.context.bookings.get(command.booking_id)
    if booking is None or booking.occurrence_id != occurrence.id:
        return Refusal(draft).booking_not_found(command.booking_id)
    if command.outcome == "ordered":
        return _ordered(draft, occurrence, booking, command)
    if booking.state not in ("converting", "parked") or booking.confirmed_at is not None:
        # Once it was confirmed, its conversion has had its answer, whatever has become of the booking since.
        return Refusal(draft).booking_final(booking)
    if command.outcome == "waiting":
        if booking.state != "converting":
            return Refusal(draft).booking_final(booking)
        return changed(draft, replace(booking, reason=command.reason))
    draft.answers = command.answers
    if command.outcome == "failed":
        ended = fail(draft, occurrence, booking, command.reason)
        return Refusal(draft).order_failed(ended)
    parked = replace(booking, state="parked", reason=command.reason)
    return park(draft, parked)


def cancel(draft: Draft, occurrence: Occurrence, command: CancelBooking) -> Decision:
    """The owner gives a booking back, before the occurrence starts."""
    booking = draft.context.bookings.get(command.booking_id)
    if booking is None or booking.occurrence_id != occurrence.id or booking.session_id != command.session_id:
        return Refusal(draft).booking_not_found(command.booking_id)
    if booking.state != "confirmed":
        return Refusal(draft).booking_final(booking)
    if draft.context.now >= occurrence.definition.starts_at:
        return Refusal(draft).too_late(booking, occurrence.definition)
    ended = end_sold(draft, occurrence, booking, "owner", command.reason)
    answer = Cancelled(
        request_id=draft.request_id,
        occurrence_id=draft.occurrence_id,
        version=draft.version,
        decided_at=draft.context.now,
        booking=ended.view(),
        refund=ended.refund,
    )
    return draft.decided(answer)


def show(draft: Draft, occurrence: Occurrence, command: GetBooking) -> Decision:
    """The booking as it is."""
    booking = draft.context.bookings.get(command.booking_id)
    if booking is None or booking.occurrence_id != occurrence.id or booking.session_id != command.session_id:
        return Refusal(draft).booking_not_found(command.booking_id, recorded=False)
    return booked(draft, booking, recorded=False)


# --- converting ---------------------------------------------------------------------------------------------------


def _other_price(draft: Draft, quote: HoldQuote, command: ConvertBooking) -> Decision | None:
    """The buyer agreed to this price and paid this price, or nothing happens."""
    if command.quote_hash != quote.hash:
        outdated = command.quote_hash == quote.outdated_hash
        return Refusal(draft).other_quote(Reason.QUOTE_EXPIRED if outdated else Reason.PRICE_CHANGED, quote.ref())
    payment = command.payment
    if (payment.amount, payment.currency) != (quote.total, quote.currency):
        said = f"{payment.amount} {payment.currency}"
        return Refusal(draft).payment_mismatch("payment.amount", said, quote.ref())
    if payment.method == quote.payment_method:
        return None
    # A quote without a way of paying has no fee of one: whoever pays in a way that costs more has paid too little.
    fees = draft.context.settings.fees
    if quote.payment_method is not None or costs_more(fees, payment.method, quote.total, quote.currency):
        return Refusal(draft).payment_mismatch("payment.method", payment.method, quote.ref())
    return None


def _voucher_gone(draft: Draft, quote: HoldQuote) -> Decision | None:
    if not voucher_is_gone(draft, quote):
        return None
    assert quote.voucher is not None
    used, limit = draft.used_of("voucher", quote.voucher), voucher_cap(draft, quote)
    message = f"The voucher was redeemed {used} times, at most {limit} are allowed; price the hold without it"
    return Refusal(draft).limit(
        Reason.VOUCHER_USED_UP, "voucher_uses", message, limit=limit, used=used, requested=1
    )


def _new_booking(draft: Draft, hold: Hold, quote: HoldQuote, command: ConvertBooking) -> Booking:
    payment = command.payment
    now = draft.context.now
    return Booking(
        id=hold.id,
        hold_id=hold.id,
        occurrence_id=hold.occurrence_id,
        session_id=hold.session_id,
        user_id=hold.user_id,
        state="converting",
        items=hold.items,
        extras=hold.extras,
        seats=hold.seats,
        quote=quote,
        payment=Payment(
            method=payment.method,
            amount=payment.amount,
            currency=payment.currency,
            status=payment.status,
            reference=payment.reference,
        ),
        created_at=now,
        timeout_at=now + timedelta(minutes=draft.context.settings.conversion_timeout_minutes),
        wait_until=now + timedelta(minutes=draft.context.settings.conversion_paid_wait_minutes),
        customer=command.customer,
    )


def _convert_late(draft: Draft, occurrence: Occurrence, hold: Hold, booking: Booking) -> Decision:
    reason = f"it was paid after the hold ended at {hold.ended_at:%Y-%m-%d %H:%M:%S} UTC"
    if draft.context.settings.late_payment.startswith("fulfil"):
        again = retake(draft, occurrence, booking, sold=False)
        if isinstance(again, Hold):
            return _converting(draft, replace(booking, hold_id=again.id), late=True)
        reason = f"{reason}: {again.said}"
    return leave_paid(draft, booking, reason)


def _convert_in_vain(draft: Draft, hold: Hold, booking: Booking, is_over: Lacking) -> Decision:
    """It was paid, and nothing is sold any more: the seats are free, and the money is not forgotten."""
    released = draft.end(hold, "released")
    draft.events.append(HoldReleased(**draft.event_fields(), hold=released.view(), reason="compensation"))
    return leave_paid(draft, booking, f"it was paid when {is_over.said}")


def _converting(draft: Draft, booking: Booking, *, late: bool) -> Decision:
    draft.bookings.append(booking)
    draft.wish = b"{}"
    view = booking.view()
    draft.events.append(BookingConverting(**draft.event_fields(), booking=view, late=late))
    answer = Converting(
        request_id=draft.request_id,
        occurrence_id=draft.occurrence_id,
        version=draft.version,
        decided_at=draft.context.now,
        booking=view,
    )
    return draft.decided(answer)


# --- settling -----------------------------------------------------------------------------------------------------


def _ordered(draft: Draft, occurrence: Occurrence, booking: Booking, command: SettleBooking) -> Decision:
    order = command.order
    assert order is not None, "an order that was made has an id"
    noted = booking.order
    if noted is not None and noted.order_id != order.order_id and booking.state == "confirmed":
        return changed(draft, replace(booking, reason=f"a second order {order.order_id} was made"))
    if noted is not None and noted.order_id == order.order_id and noted.changed_at is not None:
        order = replace(noted, gateway=order.gateway)  # the shop has told us more since
    booking = replace(booking, order=order).told(order.status)
    hold = hold_of(draft, occurrence, booking.hold_id)
    if booking.state in ("converting", "parked") and hold is not None and hold.state == "converting":
        draft.answers = command.answers
        if order.status in DEAD_ORDERS:
            ended = fail(draft, occurrence, booking, f"the order is {order.status}", ended_by="order")
            return Refusal(draft).order_failed(ended)
        is_over = over(draft, occurrence.definition)
        if is_over is not None:
            return give_up(draft, occurrence, booking, f"its order was made when {is_over.said}")
        if booking.is_given_back:
            return give_up(draft, occurrence, booking, GIVEN_BACK)
        return confirm(draft, hold, booking)
    if booking.state == "confirmed" or booking.ended_by == "owner" or order.status in DEAD_ORDERS:
        return changed(draft, booking)
    return take_back_or_park(draft, occurrence, booking, "an order was made after its seats were given back")
