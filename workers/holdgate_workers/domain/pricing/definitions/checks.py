"""What is wrong with a product, a voucher or the fees beyond what their types say: each problem with its field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Protocol

from holdgate_schema.errors import FieldError
from holdgate_schema.values.currencies import MINOR_DIGITS
from holdgate_schema.values.products import DemandTier, ExtraPrice, PriceRules, Product, Season, Voucher
from holdgate_workers.domain.occurrences.wall_time import zone_exists
from holdgate_workers.domain.pricing.fees import Fees

from .check_days import day_errors


class _Change(Protocol):
    @property
    def percent(self) -> float | None: ...

    @property
    def amount(self) -> int | None: ...


def product_errors(product: Product) -> list[FieldError]:
    """Everything that is wrong with the product; empty if prices can be made with it."""
    return list(_product(product))


def voucher_errors(voucher: Voucher) -> list[FieldError]:
    """Everything that is wrong with the voucher."""
    return list(_voucher(voucher))


def fee_errors(fees: Fees) -> list[FieldError]:
    """Everything that is wrong with the fees, under the names of their settings."""
    errors = list(_decimals("fees.platform_percent", fees.platform_percent))
    for method, fee in fees.payment.items():
        errors += _decimals(f"fees.payment.{method}.percent", fee.percent)
        errors += [error for code in fee.fixed for error in _currency(f"fees.payment.{method}.fixed.{code}", code)]
    return errors


def _product(product: Product) -> Iterator[FieldError]:
    yield from _currency("currency", product.currency)
    if not zone_exists(product.timezone):
        yield FieldError("timezone", f"is not a known IANA zone: {product.timezone!r}")
    yield from _repeated("ticket_types", [ticket.key for ticket in product.ticket_types])
    for place, ticket in enumerate(product.ticket_types):
        yield from _repeated(f"ticket_types[{place}].exempt", ticket.exempt)
    yield from _rules(product.rules)
    yield from _repeated("extras", [extra.key for extra in product.extras])
    for place, extra in enumerate(product.extras):
        yield from _extra(f"extras[{place}]", extra)
    combos = product.combo_discounts
    yield from _ascending("combo_discounts", "kinds_min", [tier.kinds_min for tier in combos])
    yield from _discounts("combo_discounts", [tier.discount_percent for tier in combos])


def _rules(rules: PriceRules) -> Iterator[FieldError]:
    for name, early_or_late in (("early_bird", rules.early_bird), ("last_minute", rules.last_minute)):
        if early_or_late is not None:
            yield from _decimals(f"rules.{name}.discount_percent", early_or_late.discount_percent)
    yield from _repeated("rules.weekdays", [day for change in rules.weekdays for day in change.days])
    for place, weekday in enumerate(rules.weekdays):
        yield from _one_change(f"rules.weekdays[{place}]", weekday)
    yield from _seasons("rules.seasons", rules.seasons)
    yield from _demand(rules.demand)
    for place, other in enumerate(rules.others):
        yield from _one_change(f"rules.others[{place}]", other)
        if other.days is not None:
            yield from day_errors(f"rules.others[{place}].days", other.days)
    yield from _decimals("rules.clamp.min_percent", rules.clamp.min_percent)
    yield from _decimals("rules.clamp.max_percent", rules.clamp.max_percent)
    yield from _groups(rules)
    if rules.weekend is not None:
        yield from _repeated("rules.weekend.days", rules.weekend.days)
    for place, holiday in enumerate(rules.holidays):
        yield from day_errors(f"rules.holidays[{place}].days", holiday.days)


def _demand(tiers: list[DemandTier]) -> Iterator[FieldError]:
    yield from _ascending("rules.demand", "share_percent", [tier.share_percent for tier in tiers])
    for place, tier in enumerate(tiers):
        yield from _one_change(f"rules.demand[{place}]", tier)


def _groups(rules: PriceRules) -> Iterator[FieldError]:
    name = "rules.group_discounts"
    yield from _ascending(name, "tickets_min", [tier.tickets_min for tier in rules.group_discounts])
    for place, tier in enumerate(rules.group_discounts):
        if (tier.discount_percent is None) == (tier.discount_amount is None):
            yield FieldError(f"{name}[{place}]", "needs either discount_percent or discount_amount, not both")
        if tier.discount_percent is not None:
            yield from _decimals(f"{name}[{place}].discount_percent", tier.discount_percent)


def _extra(name: str, extra: ExtraPrice) -> Iterator[FieldError]:
    yield from _seasons(f"{name}.seasons", extra.seasons)
    tiers = extra.bulk_discounts
    yield from _ascending(f"{name}.bulk_discounts", "quantity_min", [tier.quantity_min for tier in tiers])
    yield from _discounts(f"{name}.bulk_discounts", [tier.discount_percent for tier in tiers])


def _seasons(name: str, seasons: list[Season]) -> Iterator[FieldError]:
    for place, season in enumerate(seasons):
        yield from _one_change(f"{name}[{place}]", season)
        yield from day_errors(f"{name}[{place}].days", season.days)


def _voucher(voucher: Voucher) -> Iterator[FieldError]:
    if (voucher.percent is None) == (voucher.amount is None):
        yield FieldError("percent", "or amount is needed, not both")
    if voucher.percent is not None:
        yield from _decimals("percent", voucher.percent)
    if voucher.currency is not None:
        yield from _currency("currency", voucher.currency)
    elif voucher.amount is not None or voucher.minimum:
        yield FieldError("currency", "is needed beside an amount or a minimum")
    if voucher.valid_from and voucher.valid_until and voucher.valid_until <= voucher.valid_from:
        yield FieldError("valid_until", "must be after valid_from")
    yield from _repeated("products", voucher.products)


def _one_change(name: str, change: _Change) -> Iterator[FieldError]:
    if (change.percent is None) == (change.amount is None):
        yield FieldError(name, "needs either percent or amount, not both")
    if change.percent is not None:
        yield from _decimals(f"{name}.percent", change.percent)


def _discounts(name: str, percents: Iterable[float]) -> Iterator[FieldError]:
    for place, percent in enumerate(percents):
        yield from _decimals(f"{name}[{place}].discount_percent", percent)


def _decimals(name: str, percent: float) -> Iterator[FieldError]:
    if round(percent, 2) != percent:
        yield FieldError(name, f"must have at most two decimals, not {percent!r}")


def _currency(name: str, code: str) -> Iterator[FieldError]:
    if code not in MINOR_DIGITS:
        yield FieldError(name, f"is not a currency of ISO 4217: {code!r}")


def _ascending(name: str, field: str, values: Sequence[int]) -> Iterator[FieldError]:
    for place, (before, value) in enumerate(pairwise(values), start=1):
        if value <= before:
            yield FieldError(f"{name}[{place}].{field}", f"must be above the {before} of the tier before it")


def _repeated(name: str, values: Sequence[str]) -> Iterator[FieldError]:
    for value in sorted(set(values)):
        if values.count(value) > 1:
            yield FieldError(name, f"{value!r} is given twice")
