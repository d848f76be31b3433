"""The price of a basket: tickets, extras, voucher, fees, in this order."""

from __future__ import annotations

from decimal import localcontext
from typing import Literal

from holdgate_schema.values.products import Product, Voucher
from holdgate_schema.values.quotes import PriceProblem, Quote, Unpriced, sealed

from .basket import Basket
from .extras import extra_lines
from .fees import HOUSE_FEES, Fees, fee_lines, fee_problem
from .money import EXACT, shown
from .price_context import Occasion
from .tickets import ticket_lines, total
from .vouchers import voucher_lines, voucher_problem

TOTAL_MAX = 1_000_000_000_000
"""Minor units. No booking costs that much, and every reader of JSON can still count to it."""


def price(
    product: Product,
    basket: Basket,
    occasion: Occasion,
    *,
    fees: Fees = HOUSE_FEES,
    voucher: Voucher | None = None,
) -> Quote | Unpriced:
    """What the basket costs, or everything that stands in the way of a price.

    Product, voucher and fees are such that `checks` finds nothing wrong with them. The same arguments give the
    same quote, hash included, whatever the order of keys and whatever the thread's decimal context.
    """
    with localcontext(EXACT):
        problems = _unknown(product, basket)
        problem = fee_problem(fees, basket.payment_method, product.currency)
        if problem is not None:
            problems.append(problem)
        return Unpriced(problems=problems) if problems else _priced(product, basket, occasion, fees, voucher)


def _priced(
    product: Product, basket: Basket, occasion: Occasion, fees: Fees, voucher: Voucher | None
) -> Quote | Unpriced:
    tickets = ticket_lines(product, basket, occasion)
    extras = extra_lines(product, basket, occasion)
    lines = [*tickets, *extras]
    if voucher is not None:
        problem = voucher_problem(voucher, product, total(lines), occasion.booked_at)
        if problem is not None:
            return Unpriced(problems=[problem])
        lines += voucher_lines(voucher, total(lines), product.currency)
    lines += fee_lines(fees, basket.payment_method, total(lines), product.currency)
    if total(lines) > TOTAL_MAX:
        return Unpriced(problems=[_too_large(product.currency)])
    return sealed(
        Quote(
            product_id=product.product_id,
            occurrence_id=occasion.occurrence_id,
            currency=product.currency,
            items=dict(sorted(basket.items.items())),
            extras=dict(sorted(basket.extras.items())),
            payment_method=basket.payment_method,
            voucher=voucher.code if voucher else None,
            lines=lines,
            tickets_total=total(tickets),
            extras_total=total(extras),
            total=total(lines),
        )
    )


def _unknown(product: Product, basket: Basket) -> list[PriceProblem]:
    """Tickets and extras that the product has no price for. They are never taken to be free."""
    tickets = {ticket.key for ticket in product.ticket_types}
    extras = {extra.key for extra in product.extras}
    return [
        *(_no_price("ticket", key, tickets) for key in sorted(basket.items) if key not in tickets),
        *(_no_price("extra", key, extras) for key in sorted(basket.extras) if key not in extras),
    ]


def _no_price(what: Literal["ticket", "extra"], key: str, known: set[str]) -> PriceProblem:
    there = f"there are prices for: {', '.join(sorted(known))}" if known else "it has no prices of that kind"
    message = f"The product has no price for the {what} {key!r}; {there}"
    return PriceProblem(what=what, key=key, reason="unknown", message=message)


def _too_large(currency: str) -> PriceProblem:
    message = f"The order comes to more than {shown(TOTAL_MAX, currency)} {currency}"
    return PriceProblem(what="order", key="total", reason="too_large", message=message)
