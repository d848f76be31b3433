"""Money that a shop says was paid and that is not taken: it is somewhere, and somebody has to give it back.

A booking that is parked or has to be refunded has the money on its own account. Everything else that is refused
although it was paid is told as `payment.refused.v1`, and is written down with the refusal.
"""

from __future__ import annotations

from collections.abc import Mapping

from holdgate_schema.answers.holds import Reason, Refused
from holdgate_schema.commands.selling import PaymentNotice
from holdgate_schema.events.selling import PaymentRefused
from holdgate_schema.values.views import Payment
from holdgate_workers.domain.decision import Decision

from .booking import Booking

KEPT_BY_A_BOOKING = (Reason.PARKED, Reason.REFUND_REQUIRED)


def tell_refused_payment(
    decision: Decision,
    hold_id: str,
    payment: PaymentNotice,
    bookings: Mapping[str, Booking],
    *,
    session_id: str | None = None,
) -> None:
    """Add to a decision that is otherwise complete that the money of a conversion was not taken, if so it is.

    A payment that the booking of this hold has already is not refused by being said once more.
    """
    answer = decision.answer
    if not decision.recorded or not isinstance(answer, Refused) or answer.reason in KEPT_BY_A_BOOKING:
        return
    if payment.status != "paid" or not payment.amount or _is_known(bookings.get(hold_id), payment):
        return
    decision.events.append(
        PaymentRefused(
            event_id=f"{answer.request_id}/{len(decision.events)}",
            occurrence_id=answer.occurrence_id,
            version=answer.version,
            occurred_at=answer.decided_at,
            hold_id=hold_id,
            payment=Payment(
                method=payment.method,
                amount=payment.amount,
                currency=payment.currency,
                status=payment.status,
                reference=payment.reference,
            ),
            reason=answer.reason.value,
            message=answer.message,
            session_id=session_id,
        )
    )


def _is_known(booking: Booking | None, payment: PaymentNotice) -> bool:
    """Whether the booking was paid by this very payment. One without a name is known by how much it is."""
    if booking is None:
        return False
    known = booking.payment
    if payment.reference or known.reference:
        return payment.reference == known.reference
    return (payment.amount, payment.currency) == (known.amount, known.currency)
