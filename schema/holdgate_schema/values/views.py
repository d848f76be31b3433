"""What answers and events show of holds, prices and bookings."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from holdgate_schema.errors import FieldError, pointer_of

from .quotes import QuoteLine

HoldState = Literal["active", "converting", "confirmed", "released", "expired", "cancelled"]
OccurrenceStatus = Literal["active", "closed", "cancelled", "completed"]
BookingState = Literal["converting", "confirmed", "cancelled", "failed", "parked", "refund_required"]
OrderStatus = Literal["pending", "paid", "cancelled", "refunded", "failed", "other"]
"""How a shop's order is; `other` is a state of the shop's own."""
RefundState = Literal["none", "due", "done"]


class _View(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Base of the views."""


class FieldProblem(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One field and what is wrong with it.

    `code` is for programs (see `ProblemCode`), `reason` for people. `pointer` is a JSON Pointer (RFC 6901) into the
    request's body; None for what is not in the body, such as a property.
    """

    code: str
    field: str
    reason: str
    pointer: str | None = None

    @classmethod
    def of(cls, error: FieldError) -> FieldProblem:
        """The error as it is answered."""
        return cls(code=str(error.code), field=error.field, reason=error.reason, pointer=pointer_of(error))


class QuoteRef(_View, frozen=True, kw_only=True):
    """Which price a hold has, in minor units. The hash names all of it."""

    hash: str
    currency: str
    total: int
    payment_method: str | None = None


class QuoteView(_View, frozen=True, kw_only=True):
    """A price with its lines, which add up to `total`. A very long one comes without its lines."""

    hash: str
    currency: str
    total: int
    tickets_total: int
    extras_total: int
    lines: list[QuoteLine] = []
    payment_method: str | None = None


class Payment(_View, frozen=True, kw_only=True):
    """What was said of the payment, in minor units."""

    method: str
    amount: int
    currency: str
    status: Literal["pending", "paid"]
    reference: str = ""


class BookedOrder(_View, frozen=True, kw_only=True):
    """The order in the shop that a booking became."""

    gateway: str
    order_id: str
    status: OrderStatus
    changed_at: datetime | None = None


class AnswerBase(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="outcome", gc=False):
    """Base of the answers. `version` is the occurrence's after the decision; 0 where there is none."""

    request_id: str
    occurrence_id: str
    version: int
    decided_at: datetime


class HoldView(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A hold as its owner sees it."""

    hold_id: str
    occurrence_id: str
    session_id: str
    state: HoldState
    items: dict[str, int]
    seats: int
    created_at: datetime
    expires_at: datetime
    extensions_used: int = 0
    extras: dict[str, int] = {}
    user_id: str | None = None
    quote: QuoteRef | None = None
    cart_id: str | None = None


class BookingView(_View, frozen=True, kw_only=True):
    """A booking as its owner sees it.

    `booking_id` is the id of the hold that was converted, `hold_id` that of the hold which has the seats now; they
    differ where seats were taken again. `reason` says why it failed, was parked or was cancelled. `refund_due` is what
    has to be given back, `refunded` what went back, in minor units; `refund` says the same in a word. A conversion is
    tried until `timeout_at`, and one that was paid until `wait_until`.
    """

    booking_id: str
    hold_id: str
    occurrence_id: str
    session_id: str
    state: BookingState
    items: dict[str, int]
    seats: int
    quote: QuoteRef
    payment: Payment
    created_at: datetime
    timeout_at: datetime
    wait_until: datetime | None = None
    extras: dict[str, int] = {}
    user_id: str | None = None
    order: BookedOrder | None = None
    confirmed_at: datetime | None = None
    ended_at: datetime | None = None
    refund: RefundState = "none"
    refund_due: int = 0
    refunded: int = 0
    reason: str = ""
