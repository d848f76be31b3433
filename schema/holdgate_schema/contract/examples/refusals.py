"""An example of every refusal, with exactly the fields that it teaches by."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from holdgate_schema.answers.holds import FieldProblem, NotOnSale, Reason, Refused
from holdgate_schema.errors import FieldError, ProblemCode

from .story import HOLD, NOW, OCCURRENCE, QUOTE_REF, VOUCHER, example_id

_TAUGHT: Mapping[Reason, dict[str, Any]] = {
    Reason.INVALID: {
        "message": "The request is not valid: ttl_seconds must be at most 3600, the greatest age of a hold",
        "errors": [
            FieldProblem.of(
                FieldError(
                    "ttl_seconds", "must be at most 3600, the greatest age of a hold", ProblemCode.OUT_OF_RANGE
                )
            )
        ],
    },
    Reason.FORBIDDEN: {"message": "The session_id claims to be issued here and was not"},
    Reason.REQUEST_CONFLICT: {
        "message": "This request_id was used before with another body; use a new request_id for a new request",
        "version": 0,
    },
    Reason.UNKNOWN_OCCURRENCE: {"message": f"There is no occurrence '{OCCURRENCE}'", "version": 0},
    Reason.HOLD_NOT_FOUND: {
        "message": "There is no such hold of this session on this occurrence",
        "subject": HOLD,
    },
    Reason.BOOKING_NOT_FOUND: {
        "message": "There is no such booking of this session on this occurrence",
        "subject": HOLD,
    },
    Reason.ENTRY_NOT_FOUND: {
        "message": "There is no such entry of this session in this occurrence's line",
        "subject": example_id(72),
    },
    Reason.HOLD_FINAL: {
        "message": "The hold is expired and can no longer be changed",
        "subject": HOLD,
        "hold_state": "expired",
    },
    Reason.BOOKING_FINAL: {
        "message": "The booking is cancelled",
        "subject": "cancelled",
        "booking_id": HOLD,
    },
    Reason.UNPAID: {
        "message": "The booking is not paid yet; cancel it and book what is wanted",
        "booking_id": HOLD,
    },
    Reason.TOO_LATE: {
        "message": "The occurrence started at 2026-12-05T10:00:00+00:00",
        "decided_at": datetime(2026, 12, 5, 10, 5, tzinfo=UTC),
        "booking_id": HOLD,
    },
    Reason.UNPRICED: {
        "message": "The voucher was valid until 2026-11-01T00:00Z",
        "errors": [
            FieldProblem(
                code="expired", field=f"voucher.{VOUCHER}", reason="The voucher was valid until 2026-11-01T00:00Z"
            )
        ],
    },
    Reason.QUOTE_EXPIRED: {
        "message": "The quote is no longer valid; show the buyer the one given here",
        "quote": QUOTE_REF,
    },
    Reason.PRICE_CHANGED: {
        "message": "The quote is not the hold's price; show the buyer the one given here",
        "quote": QUOTE_REF,
    },
    Reason.PAYMENT_MISMATCH: {
        "message": "payment.amount is 6600 EUR, which is not what the quote says",
        "subject": "payment.amount",
        "quote": QUOTE_REF,
    },
    Reason.NOT_ON_SALE: {
        "message": "The occurrence is not on sale: not_yet_open",
        "not_on_sale": NotOnSale.NOT_YET_OPEN,
        "opens_at": datetime(2026, 11, 1, 9, tzinfo=UTC),
        "decided_at": datetime(2026, 10, 30, 12, tzinfo=UTC),
    },
    Reason.UNKNOWN_TICKET: {
        "message": "The occurrence has no 'senior'; it has: adult, child",
        "subject": "senior",
    },
    Reason.UNKNOWN_EXTRA: {"message": "The occurrence has no 'lunch'; it has: audio-guide", "subject": "lunch"},
    Reason.BELOW_MIN: {
        "message": "adult: at least 2 per order, not 1",
        "subject": "adult",
        "limit": 2,
        "requested": 1,
    },
    Reason.ABOVE_MAX: {
        "message": "adult: at most 8 per order, not 9",
        "subject": "adult",
        "limit": 8,
        "requested": 9,
    },
    Reason.LIMIT_PER_REQUEST: {
        "message": "At most 10 seats per request, not 14",
        "subject": "seats_per_request",
        "limit": 10,
        "used": 0,
        "requested": 14,
    },
    Reason.EXTENSION_LIMIT: {
        "message": "The hold was extended 2 times, at most 2 are allowed",
        "subject": "extensions",
        "limit": 2,
        "used": 2,
        "requested": 1,
    },
    Reason.LIMIT_PER_SESSION: {
        "message": "The session has 10 active holds, at most 10 are allowed; release one or wait for one to end",
        "subject": "holds_per_session",
        "limit": 10,
        "used": 10,
        "requested": 1,
    },
    Reason.ALREADY_WAITING: {
        "message": "The session stands in line already, at place 2; one entry per occurrence",
        "subject": example_id(72),
        "used": 2,
    },
    Reason.NOT_SOLD_OUT: {
        "message": "The basket is not sold out; place a hold",
        "available": {"total": 9, "child-seats": 3},
    },
    Reason.SOLD_OUT: {
        "message": "Not enough is left; some may come back when holds end",
        "subject": "child-seats",
        "requested": 2,
        "available": {"total": 7, "child-seats": 1},
        "held": {"total": 5, "child-seats": 3},
        "next_release_at": NOW + timedelta(minutes=15),
    },
    Reason.VOUCHER_USED_UP: {
        "message": "The voucher was redeemed 100 times, at most 100 are allowed; price the hold without it",
        "subject": "voucher_uses",
        "limit": 100,
        "used": 100,
        "requested": 1,
    },
    Reason.PARKED: {
        "message": "The booking waits for a person: nobody knows whether there is an order",
        "booking_id": HOLD,
    },
    Reason.REFUND_REQUIRED: {
        "message": "The money has to be given back: it was paid after the hold had ended",
        "booking_id": HOLD,
    },
    Reason.ORDER_FAILED: {
        "message": "There is no order: out of stock; the seats were given back",
        "booking_id": HOLD,
    },
    Reason.UNAVAILABLE: {
        "message": "The request could not be decided; it is kept in the dead letters and may be replayed",
        "version": 0,
    },
}


def refusal(reason: Reason) -> Refused:
    """A refusal for this reason, with exactly the fields that it teaches by."""
    fields: dict[str, Any] = {"version": 8, "decided_at": NOW + timedelta(minutes=2), **_TAUGHT[reason]}
    return Refused(
        request_id=example_id(20 + list(Reason).index(reason)),
        occurrence_id=OCCURRENCE,
        reason=reason,
        retryable=reason.retryable,
        **fields,
    )
