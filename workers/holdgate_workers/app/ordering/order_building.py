"""From a quote to the order that charges it: to the last minor unit, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from holdgate_schema.values.quotes import Quote, QuoteLine, is_intact

from .orders import Coupon, Customer, NewOrder, OrderFee, OrderLine, Payment


def order_of(
    quote: Quote,
    *,
    reference: str,
    payment: Payment,
    customer: Customer | None = None,
    labels: Mapping[str, str] | None = None,
    details: Mapping[str, str] | None = None,
) -> NewOrder:
    """The order of a booking: its total is the quote's.

    Tickets and extras become lines, the voucher a coupon, and everything else a fee, in the quote's order. `labels`
    names tickets and extras by their key where the quote's own words are too short for an invoice. `details` are shown
    beside product, occurrence and the quote's hash. Raises `InvalidOrder` for a reference that is none.
    """
    assert is_intact(quote), "a quote is charged as it was made"
    names = labels or {}
    return NewOrder(
        reference=reference,
        currency=quote.currency,
        total=quote.total,
        lines=tuple(_line(line, names) for line in quote.lines if _is_bought(line)),
        fees=tuple(_fee(line) for line in quote.lines if _is_fee(line)),
        coupon=_coupon(quote),
        payment=payment,
        customer=customer or Customer(),
        details={
            **(details or {}),
            "product": quote.product_id,
            "occurrence": quote.occurrence_id,
            "quote": quote.hash,
        },
    )


def _is_bought(line: QuoteLine) -> bool:
    """Whether it is a line of the order. An extra for each child is quoted even where no child comes along: that is
    none, for nothing, which no shop takes."""
    return line.kind in ("ticket", "extra") and line.quantity > 0


def _is_fee(line: QuoteLine) -> bool:
    match line.kind:
        case "ticket" | "extra" | "voucher":
            return False
        case (
            "group_discount"
            | "weekend"
            | "holiday"
            | "minimum"
            | "combo_discount"
            | "platform_fee"
            | "payment_fee"
        ):
            return True
        case kind:
            assert_never(kind)


def _line(line: QuoteLine, names: Mapping[str, str]) -> OrderLine:
    assert line.key is not None, "tickets and extras have a key"
    name = names.get(line.key, line.label)
    return OrderLine(key=line.key, name=name, quantity=line.quantity, amount=line.amount)


def _fee(line: QuoteLine) -> OrderFee:
    return OrderFee(key=line.kind, name=line.label, amount=line.amount)


def _coupon(quote: Quote) -> Coupon | None:
    """What the voucher takes off; none if there is none, or if nothing was left that it could have taken off."""
    off = -sum(line.amount for line in quote.lines if line.kind == "voucher")
    if not off:
        return None
    assert quote.voucher is not None, "what a voucher takes off has a voucher's name"
    return Coupon(code=quote.voucher, discount=off)
