"""Extras: each one's line, then the combination discount on all of them."""

from __future__ import annotations

from decimal import Decimal

from holdgate_schema.values.products import ComboTier, ExtraPrice, Product
from holdgate_schema.values.quotes import QuoteLine

from .basket import Basket
from .money import half_up, percent_signed, share, written
from .price_context import Occasion
from .unit_price import Term, change, season_of, steps


def extra_lines(product: Product, basket: Basket, occasion: Occasion) -> list[QuoteLine]:
    """The lines of the extras in the product's order, and of their combination discount."""
    lines = [
        _line(extra, basket.extras[extra.key], _charged(extra, product, basket), occasion, product.currency)
        for extra in product.extras
        if extra.key in basket.extras
    ]
    return lines + _combo_discount(product.combo_discounts, lines)


def _line(
    extra: ExtraPrice, quantity: int, charged: tuple[int, str], occasion: Occasion, currency: str
) -> QuoteLine:
    terms = _terms(extra, quantity, occasion, currency)
    each = sum((term.amount for term in terms), Decimal(0))
    if each < 0:
        terms.append(Term("clamp", "Not below 0", -each))
        each = Decimal(0)
    times, words = charged
    return QuoteLine(
        kind="extra",
        key=extra.key,
        label=(extra.label or extra.key) + words,
        quantity=times,
        each=written(each),
        amount=half_up(each * times),
        steps=steps(terms),
    )


def _terms(extra: ExtraPrice, quantity: int, occasion: Occasion, currency: str) -> list[Term]:
    """Season and bulk are both taken of the price itself."""
    terms = [Term("base", "Price", Decimal(extra.price))]
    season = season_of(extra.seasons, occasion)
    if season:
        terms.append(
            change("season", season.label, extra.price, currency, percent=season.percent, amount=season.amount)
        )
    reached = [tier for tier in extra.bulk_discounts if quantity >= tier.quantity_min]
    if reached and extra.per != "order":
        tier = reached[-1]
        label = f"{tier.quantity_min} or more {percent_signed(-tier.discount_percent)}"
        terms.append(Term("bulk", label, -share(extra.price, tier.discount_percent)))
    return terms


def _charged(extra: ExtraPrice, product: Product, basket: Basket) -> tuple[int, str]:
    """How often the price is charged, and how that is said."""
    quantity = basket.extras[extra.key]
    match extra.per:
        case "fixed":
            return quantity, ""
        case "order":
            return 1, ", once per order"
        case "person":
            return quantity * basket.people, f", {quantity} per person"
        case kind:
            return quantity * basket.counted_as(product, kind), f", {quantity} per {kind}"


def _combo_discount(tiers: list[ComboTier], extras: list[QuoteLine]) -> list[QuoteLine]:
    """The highest tier reached. What is free is no kind: it would only be ordered for the discount."""
    kinds = sum(1 for line in extras if line.amount)
    reached = [tier for tier in tiers if kinds >= tier.kinds_min]
    if not reached:
        return []
    tier = reached[-1]
    amount = half_up(share(sum(line.amount for line in extras), tier.discount_percent))
    label = f"{tier.kinds_min} or more kinds of extras {percent_signed(-tier.discount_percent)}"
    return [QuoteLine(kind="combo_discount", label=label, amount=-amount)] if amount else []
