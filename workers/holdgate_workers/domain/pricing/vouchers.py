"""What a voucher is worth to an order, or why it is not good for it. Who has used it before is not asked here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from holdgate_schema.values.products import Product, Voucher
from holdgate_schema.values.quotes import NoPrice, PriceProblem, QuoteLine

from .money import half_up, percent_signed, share, shared_out, shown


def voucher_problem(voucher: Voucher, product: Product, subtotal: int, booked_at: datetime) -> PriceProblem | None:
    """The first reason why the voucher is not good for this order."""
    if voucher.products and product.product_id not in voucher.products:
        return _problem(voucher, "other_product", "The voucher is not for this product")
    if voucher.currency not in (None, product.currency):
        return _problem(
            voucher, "other_currency", f"The voucher is in {voucher.currency}, the price in {product.currency}"
        )
    if voucher.valid_from and booked_at < voucher.valid_from:
        return _problem(voucher, "not_yet_valid", f"The voucher is valid from {_instant(voucher.valid_from)}")
    if voucher.valid_until and booked_at >= voucher.valid_until:
        return _problem(voucher, "expired", f"The voucher was valid until {_instant(voucher.valid_until)}")
    if subtotal < voucher.minimum:
        least, price = (f"{shown(amount, product.currency)}" for amount in (voucher.minimum, subtotal))
        return _problem(
            voucher,
            "below_minimum",
            f"The voucher is for orders from {least} {product.currency}; this one comes to {price}",
        )
    return None


def voucher_lines(voucher: Voucher, subtotal: int, currency: str) -> list[QuoteLine]:
    """What the voucher takes off: at most what there is."""
    off = taken_off(voucher, subtotal)
    return [QuoteLine(kind="voucher", label=_label(voucher, currency), amount=-off)] if off else []


def taken_off(voucher: Voucher, subtotal: int) -> int:
    """How much the voucher takes off, without a sign."""
    if voucher.amount is not None:
        return min(voucher.amount, subtotal)
    assert voucher.percent is not None
    return half_up(share(subtotal, voucher.percent))


def voucher_shares(voucher: Voucher, subtotals: Sequence[int]) -> list[int]:
    """What the voucher takes off each of several baskets that are paid together: applied once to all of them, and
    shared out to the last minor unit. Only those that it is good for are to be among them."""
    return shared_out(taken_off(voucher, sum(subtotals)), subtotals)


def _label(voucher: Voucher, currency: str) -> str:
    if voucher.amount is not None:
        return f"Voucher of {shown(voucher.amount, currency)} {currency}"
    assert voucher.percent is not None
    return f"Voucher {percent_signed(-voucher.percent)}"


def _problem(voucher: Voucher, reason: NoPrice, message: str) -> PriceProblem:
    return PriceProblem(what="voucher", key=voucher.code, reason=reason, message=message)


def _instant(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="minutes").replace("+00:00", "Z")
