"""A product, a voucher or a fee that is not right is refused with the field's name, before anybody pays by it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from holdgate_schema.errors import FieldError
from holdgate_schema.values.products import Product, Voucher
from holdgate_workers.domain.pricing.definitions.checks import fee_errors, product_errors, voucher_errors
from holdgate_workers.domain.pricing.fees import Fees, PaymentFee

Json = dict[str, Any]
DECEMBER = {"months": [12]}


def a_body(**fields: Any) -> Json:
    adult = {"key": "adult", "price": 7500, "counts_as": "adult"}
    body = {"product_id": "tour", "currency": "EUR", "timezone": "Europe/Berlin", "ticket_types": [adult]}
    return body | fields


def decoded(body: Json) -> Product:
    return msgspec.json.decode(json.dumps(body).encode(), type=Product)


def with_rules(**rules: Any) -> Json:
    return a_body(rules=rules)


def with_days(**days: Any) -> Json:
    return with_rules(seasons=[{"label": "High", "percent": 10, "days": days}])


def with_extra(**fields: Any) -> Json:
    return a_body(extras=[{"key": "guide", "price": 100} | fields])


def told(errors: Iterable[FieldError]) -> list[tuple[str, str]]:
    """What a person reads of them."""
    return [(error.field, error.reason) for error in errors]


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        (a_body(currency="XXX"), "currency", "is not a currency of ISO 4217: 'XXX'"),
        (a_body(timezone="Mars/Olympus"), "timezone", "is not a known IANA zone: 'Mars/Olympus'"),
        (
            a_body(ticket_types=[{"key": "adult", "price": n, "counts_as": "adult"} for n in (1, 2)]),
            "ticket_types",
            "'adult' is given twice",
        ),
        (
            a_body(ticket_types=[{"key": "a", "price": 1, "counts_as": "adult", "exempt": ["season", "season"]}]),
            "ticket_types[0].exempt",
            "'season' is given twice",
        ),
        (a_body(extras=[{"key": "guide", "price": n} for n in (1, 2)]), "extras", "'guide' is given twice"),
        (
            with_rules(early_bird={"days_before": 30, "discount_percent": 15.125}),
            "rules.early_bird.discount_percent",
            "must have at most two decimals, not 15.125",
        ),
        (
            with_rules(last_minute={"hours_before": 30, "discount_percent": 0.001}),
            "rules.last_minute.discount_percent",
            "must have at most two decimals, not 0.001",
        ),
        (
            with_rules(weekdays=[{"days": ["sat", "sun"], "percent": 5}, {"days": ["sun"], "percent": 6}]),
            "rules.weekdays",
            "'sun' is given twice",
        ),
        (
            with_rules(weekdays=[{"days": ["sat"]}]),
            "rules.weekdays[0]",
            "needs either percent or amount, not both",
        ),
        (
            with_rules(seasons=[{"label": "High", "days": DECEMBER, "percent": 5, "amount": 5}]),
            "rules.seasons[0]",
            "needs either percent or amount, not both",
        ),
        (
            with_rules(seasons=[{"label": "High", "days": DECEMBER, "percent": 5.005}]),
            "rules.seasons[0].percent",
            "must have at most two decimals, not 5.005",
        ),
        (with_days(), "rules.seasons[0].days", "names no day: give every_year, months, ranges or dates"),
        (
            with_days(every_year=[{"first": "06-01", "last": "06-31"}]),
            "rules.seasons[0].days.every_year[0].last",
            "is no day: '06-31'",
        ),
        (
            with_days(every_year=[{"first": "13-01", "last": "00-10"}]),
            "rules.seasons[0].days.every_year[0].first",
            "is no day: '13-01'",
        ),
        (
            with_days(ranges=[{"first": "2026-07-01", "last": "2026-06-30"}]),
            "rules.seasons[0].days.ranges[0].last",
            "must not be before first (2026-07-01)",
        ),
        (with_days(months=[7, 8, 7]), "rules.seasons[0].days.months", "7 is given twice"),
        (
            with_days(dates=["2026-12-24", "2026-12-24"]),
            "rules.seasons[0].days.dates",
            "2026-12-24 is given twice",
        ),
        (
            with_rules(demand=[{"share_percent": 80, "percent": 5}, {"share_percent": 60, "percent": 1}]),
            "rules.demand[1].share_percent",
            "must be above the 80 of the tier before it",
        ),
        (
            with_rules(demand=[{"share_percent": 80}]),
            "rules.demand[0]",
            "needs either percent or amount, not both",
        ),
        (with_rules(others=[{"label": "Offer"}]), "rules.others[0]", "needs either percent or amount, not both"),
        (
            with_rules(others=[{"label": "Offer", "amount": 1, "days": {}}]),
            "rules.others[0].days",
            "names no day: give every_year, months, ranges or dates",
        ),
        (
            with_rules(clamp={"min_percent": 33.333, "max_percent": 250}),
            "rules.clamp.min_percent",
            "must have at most two decimals, not 33.333",
        ),
        (
            with_rules(clamp={"max_percent": 133.333}),
            "rules.clamp.max_percent",
            "must have at most two decimals, not 133.333",
        ),
        (
            with_rules(group_discounts=[{"tickets_min": n, "discount_percent": 5} for n in (5, 5)]),
            "rules.group_discounts[1].tickets_min",
            "must be above the 5 of the tier before it",
        ),
        (
            with_rules(group_discounts=[{"tickets_min": 5, "discount_percent": 5, "discount_amount": 5}]),
            "rules.group_discounts[0]",
            "needs either discount_percent or discount_amount, not both",
        ),
        (
            with_rules(group_discounts=[{"tickets_min": 5, "discount_percent": 5.555}]),
            "rules.group_discounts[0].discount_percent",
            "must have at most two decimals, not 5.555",
        ),
        (
            with_rules(weekend={"amount": 5, "days": ["sat", "sat"]}),
            "rules.weekend.days",
            "'sat' is given twice",
        ),
        (
            with_rules(holidays=[{"label": "Easter", "amount": 5, "days": {}}]),
            "rules.holidays[0].days",
            "names no day: give every_year, months, ranges or dates",
        ),
        (
            with_extra(bulk_discounts=[{"quantity_min": n, "discount_percent": 5} for n in (5, 3)]),
            "extras[0].bulk_discounts[1].quantity_min",
            "must be above the 5 of the tier before it",
        ),
        (
            with_extra(bulk_discounts=[{"quantity_min": 5, "discount_percent": 5.001}]),
            "extras[0].bulk_discounts[0].discount_percent",
            "must have at most two decimals, not 5.001",
        ),
        (
            with_extra(seasons=[{"label": "High", "days": DECEMBER}]),
            "extras[0].seasons[0]",
            "needs either percent or amount, not both",
        ),
        (
            a_body(combo_discounts=[{"kinds_min": n, "discount_percent": 5} for n in (3, 2)]),
            "combo_discounts[1].kinds_min",
            "must be above the 3 of the tier before it",
        ),
        (
            a_body(combo_discounts=[{"kinds_min": 2, "discount_percent": 1.999}]),
            "combo_discounts[0].discount_percent",
            "must have at most two decimals, not 1.999",
        ),
    ],
)
def test_what_does_not_go_together_is_named_with_its_field(body: Json, field: str, reason: str) -> None:
    assert told(product_errors(decoded(body)))[0] == (field, reason)


def test_all_problems_are_told_together() -> None:
    body = a_body(currency="XXX", timezone="Nowhere", rules={"demand": [{"share_percent": 80}]})
    assert [error.field for error in product_errors(decoded(body))] == ["currency", "timezone", "rules.demand[0]"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (a_body(discount=5), "unknown field `discount`"),
        (with_rules(early_birds={}), "unknown field `early_birds` - at `$.rules`"),
        (
            with_rules(early_bird={"days_before": 30, "discount_percent": 0}),
            "`$.rules.early_bird.discount_percent`",
        ),
        (with_rules(early_bird={"days_before": 30, "discount_percent": 101}), "<= 100"),
        (with_rules(early_bird={"days_before": 0, "discount_percent": 5}), "`$.rules.early_bird.days_before`"),
        (with_rules(others=[{"label": "Offer", "percent": -100.5}]), "`$.rules.others[0].percent`"),
        (with_rules(others=[{"label": "", "percent": 5}]), "`$.rules.others[0].label`"),
        (with_rules(others=[{"label": "\x1b[31m", "percent": 5}]), "`$.rules.others[0].label`"),
        (with_rules(weekdays=[{"days": [], "percent": 5}]), "`$.rules.weekdays[0].days`"),
        (with_rules(weekdays=[{"days": ["Sat"], "percent": 5}]), "'Sat'"),
        (with_rules(clamp={"min_percent": 101}), "`$.rules.clamp.min_percent`"),
        (with_rules(clamp={"max_percent": 99}), "`$.rules.clamp.max_percent`"),
        (with_rules(minimum_total=-1), "`$.rules.minimum_total`"),
        (with_rules(minimum_total=12.5), "`$.rules.minimum_total`"),
        (with_rules(minimum_total="12"), "`$.rules.minimum_total`"),
        (with_days(months=[13]), "`$.rules.seasons[0].days.months[0]`"),
        (with_days(dates=["2026-02-30"]), "`$.rules.seasons[0].days.dates[0]`"),
        (with_extra(price=None), "`$.extras[0].price`"),
        (with_extra(per="dog"), "'dog'"),
        (a_body(ticket_types=[]), "`$.ticket_types`"),
        (a_body(ticket_types=[{"key": "adult", "counts_as": "adult"}]), "`price`"),
        (a_body(type="product.put.v2"), "'product.put.v2'"),
    ],
)
def test_what_is_out_of_range_or_unknown_is_not_even_read(body: Json, said: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        decoded(body)
    assert said in str(caught.value)


def test_not_a_number_is_no_percentage() -> None:
    """JSON has none, but what comes from another format may."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(with_rules(others=[{"label": "Offer", "percent": float("nan")}]), Product)


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({}, "percent", "or amount is needed, not both"),
        ({"percent": 5, "amount": 5, "currency": "EUR"}, "percent", "or amount is needed, not both"),
        ({"percent": 5.125}, "percent", "must have at most two decimals, not 5.125"),
        ({"amount": 5}, "currency", "is needed beside an amount or a minimum"),
        ({"percent": 5, "minimum": 5}, "currency", "is needed beside an amount or a minimum"),
        ({"amount": 5, "currency": "XAU"}, "currency", "is not a currency of ISO 4217: 'XAU'"),
        (
            {"percent": 5, "valid_from": "2026-01-02T00:00:00Z", "valid_until": "2026-01-02T01:00:00+01:00"},
            "valid_until",
            "must be after valid_from",
        ),
        ({"percent": 5, "products": ["a", "a"]}, "products", "'a' is given twice"),
    ],
)
def test_a_voucher_that_is_not_right_is_named_with_its_field(fields: Json, field: str, reason: str) -> None:
    voucher = msgspec.convert({"code": "WINTER-26"} | fields, Voucher)
    assert told(voucher_errors(voucher)) == [(field, reason)]


@pytest.mark.parametrize("code", ["abc", "ABC", "WINTER 26", "-WINTER", "WINTER-26\n", "W" * 51])
def test_a_voucher_code_can_be_typed(code: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"code": code, "percent": 5}, Voucher)


def test_fees_that_are_not_right_are_named_with_their_setting() -> None:
    fees = Fees(platform_percent=2.125, payment={"wallet": PaymentFee(percent=1.001, fixed={"EUR": 1, "XXX": 1})})
    assert told(fee_errors(fees)) == [
        ("fees.platform_percent", "must have at most two decimals, not 2.125"),
        ("fees.payment.wallet.percent", "must have at most two decimals, not 1.001"),
        ("fees.payment.wallet.fixed.XXX", "is not a currency of ISO 4217: 'XXX'"),
    ]
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"platform_percent": 51}, Fees)
