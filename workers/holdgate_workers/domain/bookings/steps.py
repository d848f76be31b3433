"""The steps of a booking that the buyer, the shop and the house's own people take alike: sold, given back, parked.

Each gives back what a booking has, once: whoever has no seats any more has none to give.
"""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from msgspec.structs import replace

from holdgate_schema.answers.holds import NotOnSale, Reason, Refused
from holdgate_schema.answers.selling import Booked, Confirmed
from holdgate_schema.events.holds import HoldCreated, HoldReleased
from holdgate_schema.events.selling import (
    BookingCancelled,
    BookingChanged,
    BookingConfirmed,
    BookingFailed,
    BookingParked,
)
from holdgate_schema.values.views import BookingState
from holdgate_workers.domain.decision import Decision
from holdgate_workers.domain.draft import Draft
from holdgate_workers.domain.holds.placing import no_room
from holdgate_workers.domain.occurrences.occurrence import Definition, Hold, Occurrence
from holdgate_workers.domain.refusals import Refusal

from .booking import Booking, EndedBy, HoldQuote

DEAD_ORDERS = ("cancelled", "refunded", "failed")
GIVEN_BACK = "all of its money was given back, and the order goes on"


class Lacking(NamedTuple):
    """Why the seats of a booking cannot be taken once more, as a refusal says it and in words."""

    reason: Reason
    said: str
    subject: str | None = None
    not_on_sale: NotOnSale | None = None


def over(draft: Draft, definition: Definition) -> Lacking | None:
    """Why nothing of the occurrence is sold any more, whatever is held or was paid; None if it is."""
    if definition.status in ("cancelled", "completed"):
        said = f"the occurrence is {definition.status}"
        return Lacking(Reason.NOT_ON_SALE, said, not_on_sale=NotOnSale(definition.status))
    ends = draft.context.settings.conversion_until == "end"
    at = definition.ends_at if ends else definition.starts_at
    if draft.context.now < at:
        return None
    said = f"the occurrence {'ended' if ends else 'started'} at {at:%Y-%m-%d %H:%M} UTC"
    return Lacking(Reason.NOT_ON_SALE, said, not_on_sale=NotOnSale.STARTED)


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
        reason="",
    ).owing(0)
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
    amount: int | None = None,
) -> Booking:
    """Compensate: what the booking still holds is given back, and its voucher. `amount` is what is owed; None: all."""
    release_seats(draft, occurrence, booking)
    ended = replace(booking, state="failed", reason=reason, ended_at=draft.context.now, ended_by=ended_by)
    ended = ended.owing(booking.kept if amount is None else amount)
    draft.bookings.append(ended)
    draft.events.append(BookingFailed(**draft.event_fields(), booking=ended.view()))
    return ended


def release_seats(draft: Draft, occurrence: Occurrence, booking: Booking) -> None:
    """What a booking holds is given back, and its voucher. Once: the hold has to be converting."""
    hold = hold_of(draft, occurrence, booking.hold_id)
    if hold is not None and hold.state == "converting":
        released = draft.end(hold, "released")
        draft.events.append(HoldReleased(**draft.event_fields(), hold=released.view(), reason="compensation"))
        claim_voucher(draft, booking.quote, -1)


def end_sold(
    draft: Draft,
    occurrence: Occurrence,
    booking: Booking,
    ended_by: EndedBy,
    reason: str,
    *,
    amount: int | None = None,
) -> Booking:
    """A confirmed booking's seats are free again, once, and its voucher can be used again."""
    unsell(draft, occurrence, booking)
    return end_booking(draft, booking, ended_by, reason, amount=amount)


def unsell(draft: Draft, occurrence: Occurrence, booking: Booking) -> None:
    """A confirmed booking's seats are free, and its voucher can be used again."""
    hold = hold_of(draft, occurrence, booking.hold_id)
    assert hold is not None, f"booking {booking.id} has no hold"
    draft.unsell(hold)
    claim_voucher(draft, booking.quote, -1)


def end_booking(
    draft: Draft, booking: Booking, ended_by: EndedBy, reason: str, *, amount: int | None = None
) -> Booking:
    """A booking without seats is over. `amount` is what is owed; None: all that is kept."""
    ended = replace(booking, state="cancelled", reason=reason, ended_at=draft.context.now, ended_by=ended_by)
    ended = ended.owing(booking.kept if amount is None else amount)
    draft.bookings.append(ended)
    draft.events.append(BookingCancelled(**draft.event_fields(), booking=ended.view(), refund=ended.refund))
    return ended


def park(draft: Draft, booking: Booking) -> Decision:
    """A person has to decide, or money has to be given back; said aloud, with the reason."""
    draft.bookings.append(booking)
    draft.events.append(BookingParked(**draft.event_fields(), booking=booking.view()))
    return Refusal(draft).parked(booking)


def give_up(draft: Draft, occurrence: Occurrence, booking: Booking, why: str) -> Decision:
    """A conversion that came too late for its occurrence: its seats and voucher are free. Whoever has paid is left to
    a person, or gets the money back, by the setting; where nothing was paid there is nothing to decide."""
    if not booking.kept and not booking.is_given_back:
        return Refusal(draft).order_failed(fail(draft, occurrence, booking, why))
    release_seats(draft, occurrence, booking)
    return leave_paid(draft, booking, why)


def leave_paid(draft: Draft, booking: Booking, why: str) -> Decision:
    """A booking without seats that was paid: parked, or to be refunded, by the setting; what was to be refunded before
    still is. What went back completely is always parked: no money is left to give, and a person has to find out what
    was meant."""
    state = unfulfilled(draft.context.settings.late_payment)
    if booking.state == "refund_required":
        state = "refund_required"
    if booking.is_given_back:
        state = "parked"
    # Whoever ended it before has not ended this: the orders worker leaves alone what the shop has ended itself.
    left = replace(booking, state=state, reason=why, ended_at=None, ended_by=None)
    return park(draft, left.owing(left.kept if state == "refund_required" else 0))


def retake(
    draft: Draft, occurrence: Occurrence, booking: Booking, *, sold: bool = True, by_staff: bool = False
) -> Hold | Lacking:
    """Take the booking's seats once more under a new hold (its id is this request's), or say why they cannot be had.

    `sold`: it is sold in the same decision, so that it never counts among the session's holds. `by_staff`: a person may
    fulfil what is over, but never what was called off.
    """
    definition = occurrence.definition
    lacking = over(draft, definition)
    if lacking is not None and not (by_staff and definition.status != "cancelled"):
        return lacking
    for reason, wanted, known in (
        (Reason.UNKNOWN_TICKET, booking.items, definition.ticket_types.keys()),
        (Reason.UNKNOWN_EXTRA, booking.extras, definition.extras.keys()),
    ):
        for key in wanted:
            if key not in known:
                return Lacking(reason, f"the occurrence has no {key!r} any more", subject=key)
    if voucher_is_gone(draft, booking.quote):
        used, limit = draft.used_of("voucher", booking.quote.voucher or ""), voucher_cap(draft, booking.quote)
        said = f"its voucher was redeemed {used} times, at most {limit} are allowed"
        return Lacking(Reason.VOUCHER_USED_UP, said, subject="voucher_uses")
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
    refused = no_room(
        draft, occurrence, hold.id, hold.session_id, hold.draws, hold.stock, new=True, counts=not sold
    )
    if refused is not None:
        assert isinstance(refused.answer, Refused), "what has no room is refused"
        return _lacking_room(refused.answer)
    claim_voucher(draft, booking.quote, 1)
    draft.new_holds.append(hold.id)
    draft.holds.append(hold)
    draft.events.append(HoldCreated(**draft.event_fields(), hold=hold.view()))
    return hold


def _lacking_room(answer: Refused) -> Lacking:
    if answer.reason is Reason.LIMIT_PER_SESSION:
        said = f"the session has {answer.used} other holds, at most {answer.limit} are allowed"
    else:
        said = f"not enough is left of {answer.subject}"
    return Lacking(answer.reason, said, subject=answer.subject)


def take_back_or_park(draft: Draft, occurrence: Occurrence, booking: Booking, reason: str) -> Decision:
    """There is an order that was paid and no seats: sold again if they can be had and the setting says so."""
    if booking.is_given_back:
        return leave_paid(draft, booking, GIVEN_BACK)
    if draft.context.settings.late_payment.startswith("fulfil"):
        hold = retake(draft, occurrence, booking)
        if isinstance(hold, Hold):
            return confirm(draft, hold, booking)
        reason = f"{reason}: {hold.said}"
    return leave_paid(draft, booking, reason)


def claim_voucher(draft: Draft, quote: HoldQuote, uses: int) -> None:
    """Redeem the quote's voucher, or give it back."""
    if quote.voucher is not None:
        draft.claim("voucher", quote.voucher, uses, voucher_cap(draft, quote))


def voucher_is_gone(draft: Draft, quote: HoldQuote) -> bool:
    """Whether the quote has a voucher that cannot be redeemed once more."""
    if quote.voucher is None:
        return False
    return not draft.allows("voucher", quote.voucher, 1, voucher_cap(draft, quote))


def voucher_cap(draft: Draft, quote: HoldQuote) -> int:
    """How often the quote's voucher may be redeemed: as it was priced, or more if that was raised since."""
    agreed = quote.voucher_uses_max or 1
    return agreed if quote.voucher is None else max(agreed, draft.cap_of("voucher", quote.voucher) or 0)


def unfulfilled(policy: str) -> BookingState:
    """What becomes of a booking that was paid and gets no seats, by the setting."""
    return "refund_required" if policy.endswith("refund") else "parked"


def hold_of(draft: Draft, occurrence: Occurrence, hold_id: str) -> Hold | None:
    """The hold, live or ended."""
    return occurrence.holds.get(hold_id) or draft.context.ended_holds.get(hold_id)
