"""An example of every refusal, with exactly the fields that it teaches by; and the story that they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from .outcomes import FieldProblem, NotOnSale, Reason, Refused

OCCURRENCE = "tour-42.2026-12-05T10"
PRODUCT = "harbour-tour"
HOLD = "4f7d6b1e-0c55-4f0a-9a53-2f8f3f0f7c01"
SESSION = f"hgs.{HOLD}.3c9fb1b0c9a2d4e8f7a6b5c4d3e2f1a0b9c8d7e6"
STARTS = datetime(2026, 12, 5, 10, tzinfo=UTC)
NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


def example_id(number: int) -> str:
    """A request id of the story, 1 to 99."""
    return f"4f7d6b1e-0c55-4f0a-9a53-2f8f3f0f7c{number:02d}"


_TAUGHT: Mapping[Reason, dict[str, Any]] = {
    Reason.INVALID: {
        "message": "The request is not valid: ttl_seconds must be at most 3600, the greatest age of a hold",
        "errors": [FieldProblem(field="ttl_seconds", reason="must be at most 3600, the greatest age of a hold")],
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
    Reason.HOLD_FINAL: {
        "message": "The hold is expired and can no longer be changed",
        "subject": HOLD,
        "hold_state": "expired",
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
    Reason.SOLD_OUT: {
        "message": "Not enough is left; some may come back when holds end",
        "subject": "child-seats",
        "requested": 2,
        "available": {"total": 7, "child-seats": 1},
        "held": {"total": 5, "child-seats": 3},
        "next_release_at": NOW + timedelta(minutes=15),
    },
    Reason.BUSY: {"message": "Too much is waiting here; ask again with the same request_id", "version": 0},
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
