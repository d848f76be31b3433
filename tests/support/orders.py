"""Orders to ask for."""

from __future__ import annotations

from itertools import count

from holdgate_workers.app.ordering.orders import (
    Coupon,
    Customer,
    NewOrder,
    NewRefund,
    OrderFee,
    OrderLine,
    Payment,
)

_numbers = count(1)


def new_reference() -> str:
    """One that nothing else in this process has."""
    return f"hg-5d2c41f0-{next(_numbers):08d}"


def new_order(
    reference: str | None = None, *, currency: str = "EUR", paid: bool = True, more: int = 0
) -> NewOrder:
    """144.00 + 36.00 − 2.80 + 6.11 + 7.08 − 12.42 = 177.97, if it is EUR and nothing is added."""
    return NewOrder(
        reference=reference or new_reference(),
        currency=currency,
        total=17797 + more,
        lines=(
            OrderLine(key="adult", name="Adult “Übermut” & co", quantity=2, amount=14400 + more),
            OrderLine(key="lunch", name="Lunch, 1 per person", quantity=3, amount=3600),
        ),
        fees=(
            OrderFee(key="combo_discount", name="2 or more kinds of extras −5 %", amount=-280),
            OrderFee(key="platform_fee", name="Platform fee 2.5 %", amount=611),
            OrderFee(key="payment_fee", name="Payment by credit_card 2.9 %", amount=708),
        ),
        coupon=Coupon(code="ADVENT-26", discount=1242),
        payment=Payment(method="stripe", title="Credit card", reference="pi_3PQ", is_paid=paid),
        customer=Customer(first_name="Ada", last_name="Lovelace", email="ada@example.org", note="By the window"),
        details={"occurrence": "harbour-tour@2026-10-06", "hold": "5d2c41f0"},
    )


def free_order(*, paid: bool = True) -> NewOrder:
    """One that a voucher pays in full."""
    return NewOrder(
        reference=new_reference(),
        currency="EUR",
        total=0,
        lines=(OrderLine(key="adult", name="Adult", quantity=1, amount=7500),),
        coupon=Coupon(code="FREE", discount=7500),
        payment=Payment(method="voucher", is_paid=paid),
    )


def new_refund(amount: int, reference: str | None = None) -> NewRefund:
    return NewRefund(reference=reference or new_reference(), amount=amount, reason="cancelled by the customer")
