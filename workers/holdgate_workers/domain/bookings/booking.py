"""Bookings: what becomes of a hold that is turned into an order, and the price that a hold has.

converting -> confirmed -> cancelled
converting -> failed | parked | refund_required
confirmed  -> parked      only when the shop says that it is paid, and that all of it went back
parked     -> confirmed | cancelled | failed
refund_required -> cancelled | parked
cancelled | failed -> confirmed | parked | refund_required     only when the shop says that it was paid after all

What was paid and what went back are facts: they are written down whatever else is said, and never forgotten.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from holdgate_schema.commands.selling import Customer
from holdgate_schema.values.views import (
    BookedOrder,
    BookingState,
    BookingView,
    OrderStatus,
    Payment,
    QuoteRef,
    RefundState,
)

EndedBy = Literal["owner", "order", "saga", "staff"]


class HoldQuote(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The price of a hold, as its conversion is checked against it.

    `outdated_hash` is an earlier quote that the buyer asked for and that was no longer valid. `shares` is what
    one of each ticket type and extra comes to of the total.
    """

    hash: str
    currency: str
    total: int
    payment_method: str | None = None
    voucher: str | None = None
    voucher_uses_max: int | None = None
    outdated_hash: str | None = None
    shares: dict[str, int] = {}

    def ref(self) -> QuoteRef:
        """The price as everybody may see it: a voucher's code is money."""
        return QuoteRef(
            hash=self.hash, currency=self.currency, total=self.total, payment_method=self.payment_method
        )


class Booking(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A hold on its way to an order, and what came of it. `id` is that hold's id for ever.

    `hold_id` is the hold that has the seats, or had them last. `customer` is only there while a booking is new: it is
    stored beside it and never read here again. `refunded` is what went back so far, `refund_due` what has still to,
    both in minor units; `refund` says the same in a word.
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
    wait_until: datetime | None = None
    extras: dict[str, int] = {}
    user_id: str | None = None
    order: BookedOrder | None = None
    confirmed_at: datetime | None = None
    ended_at: datetime | None = None
    ended_by: EndedBy | None = None
    refund: RefundState = "none"
    refund_due: int = 0
    refunded: int = 0
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
            wait_until=self.wait_until,
            order=self.order,
            confirmed_at=self.confirmed_at,
            ended_at=self.ended_at,
            refund=self.refund,
            refund_due=self.refund_due,
            refunded=self.refunded,
            reason=self.reason,
        )

    @property
    def is_paid(self) -> bool:
        """Whether money was taken, by what the payment provider or the shop last said."""
        return self.payment.status == "paid" or (self.order is not None and self.order.status == "paid")

    @property
    def paid(self) -> int:
        """How much money was taken."""
        return self.payment.amount if self.is_paid else 0

    @property
    def kept(self) -> int:
        """What was paid and has not gone back: the most that can be owed."""
        return max(0, self.paid - self.refunded)

    @property
    def tried_until(self) -> datetime:
        """Until when the shop is asked for its order: longer where money was taken."""
        return self.wait_until if self.kept and self.wait_until is not None else self.timeout_at

    @property
    def is_given_back(self) -> bool:
        """Whether all that was paid went back, which is final. Where nothing was to be paid, nothing can."""
        return 0 < self.payment.amount <= self.refunded

    def owing(self, amount: int) -> Booking:
        """The same, with so much to be given back: never more than is kept."""
        due = min(amount, self.kept)
        return replace(self, refund_due=due, refund=_in_a_word(due, self.refunded))

    def given_back(self) -> Booking:
        """The same, once what was due went back."""
        refunded = self.refunded + self.refund_due
        return replace(self, refund_due=0, refunded=refunded, refund=_in_a_word(0, refunded))

    def went_back(self, total: int) -> Booking:
        """The same, once so much went back in all. What is owed beyond that still is."""
        gone = max(self.refunded, min(total, self.payment.amount))
        due = max(0, self.refund_due - (gone - self.refunded))
        return replace(self, refund_due=due, refunded=gone, refund=_in_a_word(due, gone))

    def told(self, status: OrderStatus, refunded: int = 0) -> Booking:
        """The same with what an order's state says of money, however old that is: paid once stays paid, and what went
        back stays gone. `refunded` is all that went back by then; an order that is `refunded` says that all did."""
        gone = self.payment.amount if status == "refunded" else min(refunded, self.payment.amount)
        gone = max(gone, self.refunded)
        payment = self.payment
        if (status == "paid" or gone) and payment.status != "paid":
            payment = replace(payment, status="paid")
        due = max(0, self.refund_due - (gone - self.refunded))
        return replace(self, payment=payment, refunded=gone, refund_due=due, refund=_in_a_word(due, gone))


def _in_a_word(due: int, refunded: int) -> RefundState:
    if due:
        return "due"
    return "done" if refunded else "none"
