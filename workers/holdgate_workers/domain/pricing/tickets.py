"""All tickets together: their lines, then group discount, weekend and holiday amounts, minimum total."""

from __future__ import annotations

from decimal import Decimal

from holdgate_schema.values.products import GroupTier, PriceRules, Product
from holdgate_schema.values.quotes import QuoteLine

from .basket import Basket
from .money import half_up, percent_signed, share, shown, signed, written
from .price_context import Occasion, has
from .unit_price import unit_price


def ticket_lines(product: Product, basket: Basket, occasion: Occasion) -> list[QuoteLine]:
    """The lines of the tickets in the product's order, and of what is applied to them in its own order."""
    lines = _tickets(product, basket, occasion)
    currency, rules = product.currency, product.rules
    lines += _group_discount(rules.group_discounts, basket.people, total(lines), currency)
    lines += _day_amounts(rules, occasion, currency)
    lacking = rules.minimum_total - total(lines)
    if lacking > 0:
        label = f"Minimum of {shown(rules.minimum_total, currency)} {currency}"
        lines.append(QuoteLine(kind="minimum", label=label, amount=lacking))
    return lines


def total(lines: list[QuoteLine]) -> int:
    """What the lines add up to."""
    return sum(line.amount for line in lines)


def _tickets(product: Product, basket: Basket, occasion: Occasion) -> list[QuoteLine]:
    lines = []
    for ticket in product.ticket_types:
        quantity = basket.items.get(ticket.key, 0)
        if quantity:
            unit = unit_price(ticket, product.rules, occasion, product.currency)
            lines.append(
                QuoteLine(
                    kind="ticket",
                    key=ticket.key,
                    label=ticket.label or ticket.key,
                    quantity=quantity,
                    each=written(unit.amount),
                    amount=unit.amount * quantity,
                    steps=unit.steps,
                )
            )
    return lines


def _group_discount(tiers: list[GroupTier], people: int, subtotal: int, currency: str) -> list[QuoteLine]:
    """The highest tier reached; they are in rising order. No discount is more than there is."""
    reached = [tier for tier in tiers if people >= tier.tickets_min]
    if not reached:
        return []
    tier = reached[-1]
    if tier.discount_amount is not None:
        words, off = signed(-tier.discount_amount, currency), Decimal(tier.discount_amount)
    else:
        assert tier.discount_percent is not None
        words, off = percent_signed(-tier.discount_percent), share(subtotal, tier.discount_percent)
    amount = min(half_up(off), subtotal)
    label = f"Group of {tier.tickets_min} or more {words}"
    return [QuoteLine(kind="group_discount", label=label, amount=-amount)] if amount else []


def _day_amounts(rules: PriceRules, occasion: Occasion, currency: str) -> list[QuoteLine]:
    """Once per order, however many tickets; a holiday on a weekend is both."""
    lines = []
    weekend = rules.weekend
    if weekend and weekend.amount and occasion.weekday in weekend.days:
        label = f"{weekend.label} {signed(weekend.amount, currency)}"
        lines.append(QuoteLine(kind="weekend", label=label, amount=weekend.amount))
    holiday = next((holiday for holiday in rules.holidays if has(holiday.days, occasion.day)), None)
    if holiday and holiday.amount:
        label = f"{holiday.label} {signed(holiday.amount, currency)}"
        lines.append(QuoteLine(kind="holiday", label=label, amount=holiday.amount))
    return lines
