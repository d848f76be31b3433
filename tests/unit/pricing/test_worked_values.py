"""Prices worked out by hand from the rules of the engine before this one, with its orders of magnitude and our
rounding. Amounts are in cents."""

from __future__ import annotations

import pytest
from tests.support.pricing import ADULT, CHILD, a_product, a_ticket, an_extra, an_occasion, line, quoted, words

from holdgate_schema.values.products import (
    Adjustment,
    Days,
    DemandTier,
    EarlyBird,
    ExtraPrice,
    LastMinute,
    PriceRules,
    Season,
    WeekdayChange,
)
from holdgate_workers.domain.pricing.fees import HOUSE_FEES

DEMAND = [
    DemandTier(share_percent=0, amount=-300),
    DemandTier(share_percent=20, amount=0),
    DemandTier(share_percent=60, amount=800),
    DemandTier(share_percent=80, amount=1500),
]
QUIET = an_occasion(taken=0, sellable=100)
BUSY = an_occasion("2026-07-04T10:00", booked="2026-06-01T10:00", taken=81, sellable=100)


def test_two_adults_and_a_child_without_rules_are_200() -> None:
    assert quoted(a_product(), {"adult": 2, "child": 1}).total == 200_00


def test_two_adults_and_a_child_while_nobody_books_are_191() -> None:
    quote = quoted(a_product(PriceRules(demand=DEMAND)), {"adult": 2, "child": 1}, on=QUIET)
    assert (line(quote, "ticket", "adult").each, line(quote, "ticket", "child").each) == ("7200", "4700")
    assert quote.total == 191_00


@pytest.mark.parametrize(("adults", "total"), [(5, 324_00), (10, 612_00)])
def test_groups_of_5_are_324_and_of_10_are_612(adults: int, total: int) -> None:
    assert quoted(a_product(PriceRules(demand=DEMAND)), adults, on=QUIET).total == total


def test_20_with_every_surcharge_would_be_70_and_is_held_at_50() -> None:
    rules = PriceRules(
        weekdays=[WeekdayChange(days=["sat", "sun"], amount=10_00)],
        seasons=[Season(label="Summer", days=Days(months=[7, 8]), amount=20_00)],
        demand=DEMAND,
        others=[Adjustment(label="Weather", amount=5_00)],
    )
    quote = quoted(a_product(rules, ticket_types=a_ticket(20_00)), on=BUSY)
    assert quote.total == 50_00
    steps = [step.amount for step in line(quote, "ticket").steps]
    assert steps == ["2000", "1000", "2000", "1500", "500", "-2000"]


def test_10_with_every_discount_would_be_below_nothing_and_is_held_at_3() -> None:
    rules = PriceRules(
        early_bird=EarlyBird(days_before=1, discount_percent=15),
        last_minute=LastMinute(hours_before=48, discount_percent=20),
        weekdays=[WeekdayChange(days=["tue"], amount=0)],
        seasons=[Season(label="Winter", days=Days(months=[12]), amount=-5_00)],
        demand=DEMAND,
        others=[Adjustment(label="Weather", amount=-5_00)],
    )
    occasion = an_occasion("2026-12-08T10:00", booked="2026-12-07T09:00", taken=0, sellable=10)
    quote = quoted(a_product(rules, ticket_types=a_ticket(10_00)), on=occasion)
    assert quote.total == 3_00
    assert [step.amount for step in line(quote, "ticket").steps] == [
        *("1000", "-150", "-200", "-500", "-300", "-500"),
        "950",
    ]
    assert words(line(quote, "ticket"))[:2] == ["Early bird −15 %", "Last minute −20 %"]


def _with_two_extras() -> list[ExtraPrice]:
    return [an_extra(12_00, "lunch", per="person"), an_extra(20_00, "guide", per="order")]


def test_lunch_for_three_and_a_guide_are_53_20() -> None:
    quote = quoted(a_product(extras=_with_two_extras()), {"adult": 2, "child": 1}, {"lunch": 1, "guide": 1})
    assert (line(quote, "extra", "lunch").amount, line(quote, "extra", "guide").amount) == (36_00, 20_00)
    assert quote.extras_total == 53_20


def test_three_pieces_of_30_in_july_are_94_50() -> None:
    """Season and bulk discount are both taken of the 30, not of one another."""
    extra = ExtraPrice(
        key="guide", price=30_00, seasons=[Season(label="Summer", days=Days(months=[7, 8]), percent=10)]
    )
    quote = quoted(a_product(extras=[extra]), 1, {"guide": 3}, on="2026-07-01T10:00")
    assert line(quote, "extra").each == "3150"
    assert quote.extras_total == 94_50


def test_191_and_53_20_with_both_fees_are_257_39() -> None:
    """6.105 and 7.0818 are each rounded: 6.11 and 7.08."""
    product = a_product(PriceRules(demand=DEMAND), ticket_types=[ADULT, CHILD], extras=_with_two_extras())
    quote = quoted(
        product,
        {"adult": 2, "child": 1},
        {"lunch": 1, "guide": 1},
        on=QUIET,
        fees=HOUSE_FEES,
        method="credit_card",
    )
    assert (quote.tickets_total, quote.extras_total) == (191_00, 53_20)
    assert (line(quote, "platform_fee").amount, line(quote, "payment_fee").amount) == (6_11, 7_08)
    assert quote.total == 257_39


def test_a_per_order_extra_is_charged_once_however_many_are_asked_for() -> None:
    """The engine before this one took it times the quantity."""
    quote = quoted(a_product(extras=[ExtraPrice(key="guide", price=20_00, per="order")]), 1, {"guide": 3})
    assert quote.extras_total == 20_00
