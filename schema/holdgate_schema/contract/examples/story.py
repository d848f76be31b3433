"""The story that all examples tell: a harbour tour with room for twelve, one family, and what they are told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from holdgate_schema.answers.holds import HoldState, HoldView
from holdgate_schema.values.quotes import PriceStep, Quote, QuoteLine, sealed
from holdgate_schema.values.views import (
    BookedOrder,
    BookingState,
    BookingView,
    Payment,
    QuoteRef,
    QuoteView,
    RefundState,
)

OCCURRENCE = "tour-42.2026-12-05T10"
PRODUCT = "harbour-tour"
HOLD = "4f7d6b1e-0c55-4f0a-9a53-2f8f3f0f7c01"
SESSION = f"hgs.{HOLD}.3c9fb1b0c9a2d4e8f7a6b5c4d3e2f1a0b9c8d7e6"
STARTS = datetime(2026, 12, 5, 10, tzinfo=UTC)
NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
VOUCHER = "WINTER-26"
CARD = "credit_card"


def example_id(number: int) -> str:
    """A request id of the story, 1 to 99."""
    return f"4f7d6b1e-0c55-4f0a-9a53-2f8f3f0f7c{number:02d}"


def example_hold(
    *,
    state: HoldState = "active",
    children: int = 1,
    minutes: int = 15,
    extensions_used: int = 0,
    hold_id: str = HOLD,
    quote: QuoteRef | None = None,
) -> HoldView:
    """The family's hold."""
    items = {"adult": 2, "child": children}
    return HoldView(
        hold_id=hold_id,
        occurrence_id=OCCURRENCE,
        session_id=SESSION,
        state=state,
        items=items,
        seats=sum(items.values()),
        created_at=NOW,
        expires_at=NOW + timedelta(minutes=minutes),
        extensions_used=extensions_used,
        extras={"audio-guide": 2},
        user_id="user-7",
        quote=quote,
    )


def _piece(kind: str, key: str, label: str, each: int, quantity: int) -> QuoteLine:
    return QuoteLine(
        kind="extra" if kind == "extra" else "ticket",
        key=key,
        label=label,
        quantity=quantity,
        each=str(each),
        amount=each * quantity,
        steps=[PriceStep(rule="base", label="Price", amount=str(each))],
    )


QUOTE = sealed(
    Quote(
        product_id=PRODUCT,
        occurrence_id=OCCURRENCE,
        currency="EUR",
        items={"adult": 2, "child": 1},
        extras={"audio-guide": 2},
        payment_method=CARD,
        voucher=VOUCHER,
        lines=[
            _piece("ticket", "adult", "Adult", 2500, 2),
            _piece("ticket", "child", "Child (4 to 12)", 1250, 1),
            _piece("extra", "audio-guide", "Audio guide", 400, 2),
            QuoteLine(kind="voucher", label="Voucher \N{MINUS SIGN}10 %", amount=-705),
            QuoteLine(kind="platform_fee", label="Platform fee 2.5 %", amount=159),
            QuoteLine(kind="payment_fee", label="Payment by credit_card 2.9 %", amount=184),
        ],
        tickets_total=6250,
        extras_total=800,
        total=6688,
    )
)
"""What the family's basket costs."""

QUOTE_VIEW = QuoteView(
    hash=QUOTE.hash,
    currency=QUOTE.currency,
    total=QUOTE.total,
    tickets_total=QUOTE.tickets_total,
    extras_total=QUOTE.extras_total,
    lines=QUOTE.lines,
    payment_method=QUOTE.payment_method,
)
QUOTE_REF = QuoteRef(hash=QUOTE.hash, currency=QUOTE.currency, total=QUOTE.total, payment_method=CARD)
PAYMENT = Payment(method=CARD, amount=QUOTE.total, currency="EUR", status="paid", reference="pi_3QK0")
ORDER = BookedOrder(
    gateway="woocommerce", order_id="1042", status="paid", changed_at=NOW + timedelta(minutes=5, seconds=3)
)


def example_booking(
    state: BookingState, *, reason: str = "", refund: RefundState = "none", order: BookedOrder | None = None
) -> BookingView:
    """What became of the family's hold."""
    was_sold = state in ("confirmed", "cancelled")
    return BookingView(
        booking_id=HOLD,
        hold_id=HOLD,
        occurrence_id=OCCURRENCE,
        session_id=SESSION,
        state=state,
        items={"adult": 2, "child": 1},
        seats=3,
        quote=QUOTE_REF,
        payment=PAYMENT,
        created_at=NOW + timedelta(minutes=5),
        timeout_at=NOW + timedelta(minutes=15),
        extras={"audio-guide": 2},
        user_id="user-7",
        order=order,
        confirmed_at=NOW + timedelta(minutes=5, seconds=4) if was_sold else None,
        ended_at=NOW + timedelta(days=2) if state in ("cancelled", "failed") else None,
        refund=refund,
        refund_due=PAYMENT.amount if refund == "due" else 0,
        refunded=PAYMENT.amount if refund == "done" else 0,
        reason=reason,
    )
