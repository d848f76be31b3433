"""Refusals: what each one teaches."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from holdgate_schema.answers.holds import FieldProblem, HoldState, NotOnSale, Reason, Refused
from holdgate_schema.errors import FieldError
from holdgate_schema.values.views import QuoteRef

from .bookings.booking import Booking
from .decision import Decision
from .draft import Draft
from .occurrences.occurrence import Definition

_WAYS_OUT = {
    Reason.VOUCHER_USED_UP: "raise the voucher's uses_max, or give the money back",
    Reason.NOT_ON_SALE: "give the money back",
}
NAMED_MAX = 5
"""So many problems are in the message; all of them are in `errors`."""


class Refusal:
    """Makes the refusals of one draft. What the draft has done so far (holds that expired) stays in them."""

    __slots__ = ("_draft",)

    def __init__(self, draft: Draft) -> None:
        self._draft = draft

    def invalid(self, errors: Iterable[FieldError], *, recorded: bool = True) -> Decision:
        """The request says something that cannot be; every problem is named."""
        problems = [FieldProblem.of(error) for error in errors]
        named = "; ".join(f"{problem.field} {problem.reason}" for problem in problems[:NAMED_MAX])
        if len(problems) > NAMED_MAX:
            named += f"; and {len(problems) - NAMED_MAX} more"
        return self._refuse(
            Reason.INVALID, f"The request is not valid: {named}", recorded=recorded, errors=problems
        )

    def forbidden(self, message: str, *, recorded: bool = True) -> Decision:
        """The sender may not do that."""
        return self._refuse(Reason.FORBIDDEN, message, recorded=recorded)

    def conflict(self) -> Decision:
        """The request id was used before with another body. Not recorded: the id has its answer already."""
        message = "This request_id was used before with another body; use a new request_id for a new request"
        return self._refuse(Reason.REQUEST_CONFLICT, message, recorded=False)

    def unknown_occurrence(self, *, recorded: bool) -> Decision:
        """Nobody has put such an occurrence."""
        message = f"There is no occurrence {self._draft.occurrence_id!r}"
        return self._refuse(Reason.UNKNOWN_OCCURRENCE, message, recorded=recorded)

    def hold_not_found(self, hold_id: str, *, recorded: bool = True) -> Decision:
        """No such hold for this session. Another session's hold looks the same: no oracle."""
        return self._refuse(
            Reason.HOLD_NOT_FOUND,
            "There is no such hold of this session on this occurrence",
            subject=hold_id,
            recorded=recorded,
        )

    def hold_final(self, hold_id: str, state: HoldState) -> Decision:
        """The hold has ended or is being turned into an order; place a new one."""
        message = f"The hold is {state} and can no longer be changed"
        return self._refuse(Reason.HOLD_FINAL, message, subject=hold_id, hold_state=state)

    def not_on_sale(self, why: NotOnSale, definition: Definition) -> Decision:
        """The occurrence is not on sale now."""
        opens_at = definition.opens_at if why is NotOnSale.NOT_YET_OPEN else None
        return self._refuse(
            Reason.NOT_ON_SALE, f"The occurrence is not on sale: {why.value}", not_on_sale=why, opens_at=opens_at
        )

    def unknown(self, reason: Reason, key: str, known: Iterable[str]) -> Decision:
        """The occurrence has no such ticket type or extra."""
        message = f"The occurrence has no {key!r}; it has: {', '.join(sorted(known)) or 'none'}"
        return self._refuse(reason, message, subject=key)

    def quantity(self, reason: Reason, key: str, *, limit: int, requested: int) -> Decision:
        """Too few or too many of one ticket type or extra."""
        word = "at least" if reason is Reason.BELOW_MIN else "at most"
        message = f"{key}: {word} {limit} per order, not {requested}"
        return self._refuse(reason, message, subject=key, limit=limit, requested=requested)

    def limit(
        self, reason: Reason, subject: str, message: str, *, limit: int, used: int, requested: int
    ) -> Decision:
        """A limit is reached; carries the limit and what is used of it."""
        return self._refuse(reason, message, subject=subject, limit=limit, used=used, requested=requested)

    def sold_out(self, subject: str, requested: dict[str, int]) -> Decision:
        """Not enough is left; carries what is, what is merely held, and when the earliest hold could free."""
        occurrence = self._draft.occurrence
        assert occurrence is not None
        held = {key: occurrence.pools[key].held + self._draft.held.get(key, 0) for key in requested}
        return self._refuse(
            Reason.SOLD_OUT,
            "Not enough is left; some may come back when holds end"
            if any(held.values())
            else "Not enough is left",
            subject=subject,
            requested=requested[subject],
            available=self._draft.available(requested),
            held=held,
            next_release_at=self._draft.next_release(),
        )

    def stock_gone(self, stock: str, *, cap: int, used: int, requested: int) -> Decision:
        """Not enough is left of an extra that several occurrences share."""
        return self._refuse(
            Reason.SOLD_OUT,
            f"Not enough is left of {stock!r}, which several occurrences share",
            subject=stock,
            limit=cap,
            used=used,
            requested=requested,
            available={stock: max(0, cap - used)},
        )

    # --- waiting lists ----------------------------------------------------------------------------------------

    def already_waiting(self, entry_id: str, position: int) -> Decision:
        """The session stands in line here; carries its entry and its place."""
        message = f"The session stands in line already, at place {position}; one entry per occurrence"
        return self._refuse(Reason.ALREADY_WAITING, message, subject=entry_id, used=position)

    def not_sold_out(self, draws: dict[str, int]) -> Decision:
        """The basket can be had now, and nobody in line could take what it needs."""
        message = "There is room for this basket; place a hold"
        return self._refuse(Reason.NOT_SOLD_OUT, message, available=self._draft.available(draws))

    def line_full(self, limit: int, used: int) -> Decision:
        """Even the places in line are gone."""
        return self._refuse(
            Reason.SOLD_OUT,
            f"The basket is sold out, and {limit} parties stand in line already",
            subject="waitlist",
            limit=limit,
            used=used,
            requested=1,
        )

    def offer_ends_with_sales(self, closes_at: datetime) -> Decision:
        """An offer to the waiting list lasts no longer than sales do."""
        message = f"An offer to the waiting list ends with sales, at {closes_at.isoformat()}; book it before"
        return self._refuse(Reason.EXTENSION_LIMIT, message, subject="sales_close")

    def entry_not_found(self, entry_id: str, *, recorded: bool = True) -> Decision:
        """No such entry for this session. Another session's entry looks the same: no oracle."""
        message = "There is no such place in line of this session on this occurrence"
        return self._refuse(Reason.ENTRY_NOT_FOUND, message, subject=entry_id, recorded=recorded)

    # --- prices and bookings ----------------------------------------------------------------------------------

    def unpriced(
        self, message: str, *, subject: str | None = None, errors: Iterable[FieldProblem] = ()
    ) -> Decision:
        """There is no price, which is not the same as none to pay."""
        return self._refuse(Reason.UNPRICED, message, subject=subject, errors=list(errors))

    def other_quote(self, reason: Reason, quote: QuoteRef) -> Decision:
        """The buyer agreed to a price that the hold does not have; carries the one that it has."""
        why = "is no longer valid" if reason is Reason.QUOTE_EXPIRED else "is not the hold's price"
        return self._refuse(reason, f"The quote {why}; show the buyer the one given here", quote=quote)

    def payment_mismatch(self, subject: str, said: str, quote: QuoteRef) -> Decision:
        """Not what the quote says was paid, or not in the way."""
        message = f"{subject} is {said}, which is not what the quote says"
        return self._refuse(Reason.PAYMENT_MISMATCH, message, subject=subject, quote=quote)

    def booking_not_found(self, booking_id: str, *, recorded: bool = True) -> Decision:
        """No such booking for this session on this occurrence. Another session's looks the same: no oracle."""
        message = "There is no such booking of this session on this occurrence"
        return self._refuse(Reason.BOOKING_NOT_FOUND, message, subject=booking_id, recorded=recorded)

    def booking_final(self, booking: Booking) -> Decision:
        """The booking is not in a state in which that can be done."""
        return self._refuse(
            Reason.BOOKING_FINAL, f"The booking is {booking.state}", subject=booking.state, booking_id=booking.id
        )

    def too_late(self, booking: Booking, definition: Definition) -> Decision:
        """The occurrence has started."""
        message = f"The occurrence started at {definition.starts_at.isoformat()}"
        return self._refuse(Reason.TOO_LATE, message, booking_id=booking.id)

    def unpaid(self, booking: Booking) -> Decision:
        """Its order still asks for the whole price, so no part of it can be taken out."""
        message = "The booking is not paid yet; cancel it and book what is wanted"
        return self._refuse(Reason.UNPAID, message, booking_id=booking.id)

    def share_unknown(self, booking: Booking, subject: str) -> Decision:
        """What one of them comes to was not worked out when the hold was priced."""
        message = f"What {subject} comes to of the price is not known; a person can give it back"
        return self._refuse(Reason.UNPRICED, message, subject=subject, booking_id=booking.id)

    def share_gone(self, booking: Booking) -> Decision:
        """So much went back already that with this all of the money would be gone, and tickets kept for nothing."""
        message = "No more than the share of these tickets is left of the money; a person can give it back"
        return self._refuse(Reason.UNPRICED, message, booking_id=booking.id)

    def order_failed(self, booking: Booking) -> Decision:
        """There is no order, and the seats were given back."""
        message = f"There is no order: {booking.reason or 'it was refused'}; the seats were given back"
        return self._refuse(Reason.ORDER_FAILED, message, booking_id=booking.id)

    def parked(self, booking: Booking) -> Decision:
        """Nothing is lost: somebody looks at it, or the money goes back."""
        if booking.state == "refund_required":
            message = f"The money has to be given back: {booking.reason}"
            return self._refuse(Reason.REFUND_REQUIRED, message, booking_id=booking.id)
        return self._refuse(
            Reason.PARKED, f"The booking waits for a person: {booking.reason}", booking_id=booking.id
        )

    def not_fulfilled(
        self,
        booking: Booking,
        reason: Reason,
        said: str,
        *,
        subject: str | None = None,
        not_on_sale: NotOnSale | None = None,
    ) -> Decision:
        """The seats of a booking cannot be taken again; carries what really stands in the way."""
        way_out = _WAYS_OUT.get(reason, "give the money back, or make room")
        return self._refuse(
            reason,
            f"The booking cannot be fulfilled: {said}; {way_out}",
            booking_id=booking.id,
            requested=booking.seats,
            subject=subject,
            not_on_sale=not_on_sale,
        )

    def cart(
        self, reason: Reason, message: str, *, cart_id: str, subject: str | None, errors: list[FieldProblem]
    ) -> Decision:
        """Nothing of the cart is held; carries the occurrence whose leg was refused, and why."""
        return self._refuse(reason, message, cart_id=cart_id, subject=subject, errors=errors)

    def _refuse(
        self,
        reason: Reason,
        message: str,
        *,
        recorded: bool = True,
        errors: list[FieldProblem] | None = None,
        not_on_sale: NotOnSale | None = None,
        opens_at: datetime | None = None,
        subject: str | None = None,
        limit: int | None = None,
        used: int | None = None,
        requested: int | None = None,
        available: dict[str, int | None] | None = None,
        held: dict[str, int] | None = None,
        next_release_at: datetime | None = None,
        hold_state: HoldState | None = None,
        quote: QuoteRef | None = None,
        booking_id: str | None = None,
        cart_id: str | None = None,
    ) -> Decision:
        draft = self._draft
        answer = Refused(
            request_id=draft.request_id,
            occurrence_id=draft.occurrence_id,
            version=draft.version if recorded else max(0, draft.version - 1),
            decided_at=draft.context.now,
            reason=reason,
            retryable=reason.retryable,
            message=message,
            errors=errors or [],
            not_on_sale=not_on_sale,
            opens_at=opens_at,
            subject=subject,
            limit=limit,
            used=used,
            requested=requested,
            available=available or {},
            held=held or {},
            next_release_at=next_release_at,
            hold_state=hold_state,
            quote=quote,
            booking_id=booking_id,
            cart_id=cart_id,
        )
        return draft.decided(answer, recorded=recorded)
