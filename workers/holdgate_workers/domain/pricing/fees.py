"""What is charged on top of an order: the platform's share, and what a way of paying costs. Settings of the house."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from holdgate_schema.values.currencies import CurrencyCode
from holdgate_schema.values.fields import AMOUNT_MAX
from holdgate_schema.values.quotes import PriceProblem, QuoteLine

from .money import half_up, percent_shown, share, shown

FeePercent = Annotated[float, Meta(ge=0, le=50)]
Method = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=50,
        pattern=r"^[A-Za-z0-9_.:-]+$(?!\n)",
        description="1 to 50 of letters, digits and '_.:-', such as credit_card",
    ),
]
FixedFee = Annotated[int, Meta(ge=0, le=AMOUNT_MAX)]


class PaymentFee(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What paying in one way costs: a percentage, and an amount in minor units for each currency it is taken in."""

    percent: FeePercent = 0
    fixed: Annotated[dict[CurrencyCode, FixedFee], Meta(max_length=200)] = {}


class Fees(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings `fees.platform_percent` and `fees.payment`. A way of paying that is not there costs nothing."""

    platform_percent: FeePercent = 2.5
    payment: Annotated[dict[Method, PaymentFee], Meta(max_length=50)] = {}


HOUSE_FEES = Fees(payment={"credit_card": PaymentFee(percent=2.9)})
"""Unless operations say otherwise."""


def fee_problem(fees: Fees, method: str | None, currency: str) -> PriceProblem | None:
    """Why the way of paying has no price: it costs an amount, and nobody said how much in this currency."""
    fee = fees.payment.get(method) if method is not None else None
    if method is None or fee is None or not fee.fixed or currency in fee.fixed:
        return None
    message = f"The fee of {method} is not known in {currency}; it is in {', '.join(sorted(fee.fixed))}"
    return PriceProblem(what="payment_method", key=method, reason="unknown", message=message)


def costs_more(fees: Fees, method: str, total: int, currency: str) -> bool:
    """Whether paying in this way costs more than `total`, a price for no way of paying; also if nobody knows how much
    in this currency. What costs nothing costs nothing in any way."""
    if fee_problem(fees, method, currency) is not None:
        return total > 0
    paying = Fees(platform_percent=0, payment=fees.payment)
    return bool(fee_lines(paying, method, total, currency))


def fee_lines(fees: Fees, method: str | None, due: int, currency: str) -> list[QuoteLine]:
    """Both fees are on what is due before them, and each is rounded. Where nothing is due nothing is charged."""
    if not due:
        return []
    lines = []
    platform = half_up(share(due, fees.platform_percent))
    if platform:
        label = f"Platform fee {percent_shown(fees.platform_percent)}"
        lines.append(QuoteLine(kind="platform_fee", label=label, amount=platform))
    fee = fees.payment.get(method) if method is not None else None
    if fee is not None:
        fixed = fee.fixed.get(currency, 0)
        amount = half_up(share(due, fee.percent) + fixed)
        words = [percent_shown(fee.percent)] if fee.percent else []
        words += [f"{shown(fixed, currency)} {currency}"] if fixed else []
        if amount:
            label = f"Payment by {method} {' + '.join(words)}"
            lines.append(QuoteLine(kind="payment_fee", label=label, amount=amount))
    return lines
