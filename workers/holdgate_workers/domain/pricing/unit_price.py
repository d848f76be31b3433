"""The price of one ticket: every rule is added to the base, none to another; then clamped, then rounded."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from holdgate_schema.values.products import Clamp, DemandTier, PriceRules, Season, TicketPrice
from holdgate_schema.values.quotes import PriceStep, StepRule

from .money import half_up, percent_shown, percent_signed, share, signed, written
from .price_context import Occasion, has


class UnitPrice(NamedTuple):
    """What one ticket costs in minor units, and the steps that add up to it."""

    amount: int
    steps: list[PriceStep]


class Term(NamedTuple):
    """What one rule adds to the base."""

    rule: StepRule
    label: str
    amount: Decimal


def unit_price(ticket: TicketPrice, rules: PriceRules, occasion: Occasion, currency: str) -> UnitPrice:
    """The price of one ticket of this type on this occasion."""
    terms = [
        Term("base", "Price", Decimal(ticket.price)),
        *(term for term in _terms(ticket.price, rules, occasion, currency) if term.rule not in ticket.exempt),
    ]
    raw = sum((term.amount for term in terms), Decimal(0))
    clamped = _clamped(raw, ticket.price, rules.clamp)
    if clamped is not None:
        terms.append(clamped)
        raw += clamped.amount
    amount = half_up(raw)
    terms.append(Term("rounding", "Rounded", amount - raw))
    return UnitPrice(amount, steps(terms))


def steps(terms: list[Term]) -> list[PriceStep]:
    """The terms that change something, as a quote has them; the first one, the base, always."""
    return [
        PriceStep(rule=term.rule, label=term.label, amount=written(term.amount))
        for place, term in enumerate(terms)
        if place == 0 or term.amount
    ]


def season_of(seasons: list[Season], occasion: Occasion) -> Season | None:
    """The first season that has the day of the occasion."""
    return next((season for season in seasons if has(season.days, occasion.day)), None)


def change(
    rule: StepRule,
    label: str,
    price: int,
    currency: str,
    *,
    percent: float | None,
    amount: int | None,
) -> Term:
    """What a percentage of the price or an amount adds, with its words. Exactly one is given."""
    if amount is not None:
        return Term(rule, f"{label} {signed(amount, currency)}", Decimal(amount))
    assert percent is not None
    return Term(rule, f"{label} {percent_signed(percent)}", share(price, percent))


def _terms(price: int, rules: PriceRules, occasion: Occasion, currency: str) -> Iterator[Term]:
    early, late = rules.early_bird, rules.last_minute
    if early and occasion.is_days_before(early.days_before):
        yield _discount("early_bird", early.label, price, early.discount_percent)
    if late and occasion.is_within_hours(late.hours_before):
        yield _discount("last_minute", late.label, price, late.discount_percent)
    for day in rules.weekdays:
        if occasion.weekday in day.days:
            label = day.label or occasion.weekday_name
            yield change("weekday", label, price, currency, percent=day.percent, amount=day.amount)
    season = season_of(rules.seasons, occasion)
    if season:
        yield change("season", season.label, price, currency, percent=season.percent, amount=season.amount)
    tier = _demand(rules.demand, occasion)
    if tier:
        yield change("demand", tier.label, price, currency, percent=tier.percent, amount=tier.amount)
    for other in rules.others:
        if other.days is None or has(other.days, occasion.day):
            yield change("other", other.label, price, currency, percent=other.percent, amount=other.amount)


def _discount(rule: StepRule, label: str, price: int, percent: float) -> Term:
    return Term(rule, f"{label} {percent_signed(-percent)}", -share(price, percent))


def _demand(tiers: list[DemandTier], occasion: Occasion) -> DemandTier | None:
    """The highest tier that is reached; they are in rising order."""
    reached = [tier for tier in tiers if occasion.reaches(tier.share_percent)]
    return reached[-1] if reached else None


def _clamped(raw: Decimal, price: int, clamp: Clamp) -> Term | None:
    low, high = share(price, clamp.min_percent), share(price, clamp.max_percent)
    if raw < low:
        return Term("clamp", f"At least {percent_shown(clamp.min_percent)} of the price", low - raw)
    if raw > high:
        return Term("clamp", f"At most {percent_shown(clamp.max_percent)} of the price", high - raw)
    return None
