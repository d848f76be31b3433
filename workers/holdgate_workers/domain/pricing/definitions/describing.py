"""A product's rules and a voucher in words: when each counts, and what it does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from holdgate_schema.values.products import Days, ExtraPrice, PriceRules, Product, Season, Voucher
from holdgate_workers.domain.pricing.money import percent_shown, percent_signed, shown, signed


class RuleRow(NamedTuple):
    """One rule, cells as people read them."""

    rule: str
    label: str
    when: str
    does: str


class _Change(Protocol):
    @property
    def percent(self) -> float | None: ...

    @property
    def amount(self) -> int | None: ...


def described_rules(product: Product) -> list[RuleRow]:
    """Every rule of the product, in the order in which they are applied."""
    return [*_of_tickets(product), *_of_all_tickets(product), *_of_extras(product)]


def worth(voucher: Voucher) -> str:
    """What a voucher takes off."""
    if voucher.percent is not None:
        return percent_shown(voucher.percent)
    assert voucher.amount is not None
    assert voucher.currency is not None
    return f"{shown(voucher.amount, voucher.currency)} {voucher.currency}"


def _of_tickets(product: Product) -> Iterator[RuleRow]:
    rules, currency = product.rules, product.currency
    early, late = rules.early_bird, rules.last_minute
    if early:
        when = f"{early.days_before} or more days before"
        yield RuleRow("early_bird", early.label, when, percent_signed(-early.discount_percent))
    if late:
        when = f"in the last {late.hours_before} hours"
        yield RuleRow("last_minute", late.label, when, percent_signed(-late.discount_percent))
    for day in rules.weekdays:
        yield RuleRow("weekday", day.label, ", ".join(day.days), _change(day, currency))
    yield from _seasons("season", rules.seasons, currency)
    for tier in rules.demand:
        yield RuleRow("demand", tier.label, f"{tier.share_percent} % or more taken", _change(tier, currency))
    for other in rules.others:
        yield RuleRow(
            "other", other.label, _days(other.days) if other.days else "always", _change(other, currency)
        )
    low, high = (percent_shown(percent) for percent in (rules.clamp.min_percent, rules.clamp.max_percent))
    yield RuleRow("clamp", "", "all of these together", f"{low} to {high} of the price")


def _of_all_tickets(product: Product) -> Iterator[RuleRow]:
    rules, currency = product.rules, product.currency
    for tier in rules.group_discounts:
        off = (
            percent_signed(-tier.discount_percent)
            if tier.discount_percent is not None
            else signed(-(tier.discount_amount or 0), currency)
        )
        yield RuleRow("group_discount", "", f"{tier.tickets_min} or more tickets", off)
    yield from _once_per_order(rules, currency)
    if rules.minimum_total:
        least = f"at least {shown(rules.minimum_total, currency)} {currency}"
        yield RuleRow("minimum", "", "all tickets together", least)


def _once_per_order(rules: PriceRules, currency: str) -> Iterator[RuleRow]:
    weekend = rules.weekend
    if weekend:
        yield RuleRow("weekend", weekend.label, ", ".join(weekend.days), _once(weekend.amount, currency))
    for holiday in rules.holidays:
        yield RuleRow("holiday", holiday.label, _days(holiday.days), _once(holiday.amount, currency))


def _of_extras(product: Product) -> Iterator[RuleRow]:
    for extra in product.extras:
        yield from _of_extra(extra, product.currency)
    for tier in product.combo_discounts:
        when = f"{tier.kinds_min} or more kinds"
        yield RuleRow("combo_discount", "", when, percent_signed(-tier.discount_percent))


def _of_extra(extra: ExtraPrice, currency: str) -> Iterator[RuleRow]:
    name = f"{extra.key}"
    yield from _seasons(f"{name}: season", extra.seasons, currency)
    if extra.per != "order":
        for tier in extra.bulk_discounts:
            when = f"{tier.quantity_min} or more"
            yield RuleRow(f"{name}: bulk", "", when, percent_signed(-tier.discount_percent))


def _seasons(rule: str, seasons: Sequence[Season], currency: str) -> Iterator[RuleRow]:
    for season in seasons:
        yield RuleRow(rule, season.label, _days(season.days), _change(season, currency))


def _change(change: _Change, currency: str) -> str:
    if change.amount is not None:
        return signed(change.amount, currency)
    assert change.percent is not None
    return percent_signed(change.percent)


def _once(amount: int, currency: str) -> str:
    return f"{signed(amount, currency)} per order"


def _days(days: Days) -> str:
    parts = [f"every {span.first} to {span.last}" for span in days.every_year]
    if days.months:
        parts.append(f"months {', '.join(map(str, days.months))}")
    parts += [f"{span.first} to {span.last}" for span in days.ranges]
    parts += [day.isoformat() for day in days.dates]
    return "; ".join(parts)
