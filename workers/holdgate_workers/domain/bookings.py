"""Bookings: what becomes of a hold that is turned into an order, and the price that a hold has.

converting -> confirmed -> cancelled
converting -> failed | parked
parked     -> confirmed | cancelled | failed
refund_required -> cancelled
cancelled | failed -> confirmed | parked | refund_required     only when the shop says that it was paid after all
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from holdgate_schema.selling import Customer
from holdgate_schema.views import BookedOrder, BookingState, BookingView, Payment, QuoteRef, RefundState

EndedBy = Literal["owner", "order", "saga", "staff"]


class HoldQuote(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The price of a hold, as its conversion is checked against it.

    `outdated_hash` is an earlier quote that the buyer asked for and that was no longer valid.
    """

    hash: str
    currency: str
    total: int
    payment_method: str | None = None
    voucher: str | None = None
    voucher_uses_max: int | None = None
    outdated_hash: str | None = None

    def ref(self) -> QuoteRef:
        """The price as everybody may see it: a voucher's code is money."""
        return QuoteRef(
            hash=self.hash, currency=self.currency, total=self.total, payment_method=self.payment_method
        )


class Booking(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A hold on its way to an order, and what came of it. `id` is that hold's id for ever.

    `hold_id` is the hold that has the seats, or had them last. `customer` is only there while a booking is new: it is
    stored beside it and never read here again.
    """

    id: str
    hold_id: str
    occurrence_id: str
    session_id: str
    state: BookingState
    items: dict[str, int]
    seats: int
    quote: HoldQuote
    payment: Payment
    created_at: datetime
    timeout_at: datetime
    extras: dict[str, int] = {}
    user_id: str | None = None
    order: BookedOrder | None = None
    confirmed_at: datetime | None = None
    ended_at: datetime | None = None
    ended_by: EndedBy | None = None
    refund: RefundState = "none"
    reason: str = ""
    customer: Customer | None = None

    def view(self) -> BookingView:
        """The booking as its owner sees it."""
        return BookingView(
            booking_id=self.id,
            hold_id=self.hold_id,
            occurrence_id=self.occurrence_id,
            session_id=self.session_id,
            user_id=self.user_id,
            state=self.state,
            items=self.items,
            extras=self.extras,
            seats=self.seats,
            quote=self.quote.ref(),
            payment=self.payment,
            created_at=self.created_at,
            timeout_at=self.timeout_at,
            order=self.order,
            confirmed_at=self.confirmed_at,
            ended_at=self.ended_at,
            refund=self.refund,
            reason=self.reason,
        )

    @property
    def is_paid(self) -> bool:
        """Whether money was taken, by what the payment provider or the shop last said."""
        return self.payment.status == "paid" or (self.order is not None and self.order.status == "paid")
