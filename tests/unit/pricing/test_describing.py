"""A product's rules in words: every rule is there, and says when it counts and what it does."""

from __future__ import annotations

from datetime import date

import pytest
from tests.support.pricing import a_product, an_extra

from holdgate_schema.values.products import (
    Adjustment,
    DateRange,
    Days,
    DemandTier,
    EarlyBird,
    EveryYear,
    GroupTier,
    Holiday,
    LastMinute,
    PriceRules,
    Season,
    Voucher,
    WeekdayChange,
    WeekendAmount,
)
from holdgate_workers.domain.pricing.definitions.describing import RuleRow, described_rules, worth

ALL_DAYS = Days(
    every_year=[EveryYear(first="12-20", last="01-06")],
    months=[2, 3],
    ranges=[DateRange(first=date(2030, 5, 1), last=date(2030, 5, 4))],
    dates=[date(2030, 7, 1)],
)
RULES = PriceRules(
    early_bird=EarlyBird(days_before=30, discount_percent=15),
    last_minute=LastMinute(hours_before=24, discount_percent=20, label="Late"),
    weekdays=[WeekdayChange(days=["sat", "sun"], percent=12.5)],
    seasons=[Season(label="High", days=ALL_DAYS, percent=20)],
    demand=[DemandTier(share_percent=80, amount=-300)],
    others=[Adjustment(label="Offer", amount=-100), Adjustment(label="May", days=Days(months=[5]), percent=-5)],
    group_discounts=[
        GroupTier(tickets_min=5, discount_percent=10),
        GroupTier(tickets_min=9, discount_amount=2000),
    ],
    weekend=WeekendAmount(amount=500),
    holidays=[Holiday(label="Labour Day", days=Days(dates=[date(2030, 5, 1)]), amount=1500)],
    minimum_total=6000,
)


def test_every_rule_is_told_in_the_order_in_which_it_is_applied() -> None:
    photo = an_extra(995, "photo", seasons=[Season(label="Advent", days=Days(months=[12]), amount=100)])
    product = a_product(RULES, extras=[photo, an_extra(2000, per="order")], combo_discounts=[])
    assert described_rules(product) == [
        RuleRow("early_bird", "Early bird", "30 or more days before", "−15 %"),
        RuleRow("last_minute", "Late", "in the last 24 hours", "−20 %"),
        RuleRow("weekday", "", "sat, sun", "+12.5 %"),
        RuleRow(
            "season", "High", "every 12-20 to 01-06; months 2, 3; 2030-05-01 to 2030-05-04; 2030-07-01", "+20 %"
        ),
        RuleRow("demand", "Demand", "80 % or more taken", "−3.00 EUR"),
        RuleRow("other", "Offer", "always", "−1.00 EUR"),
        RuleRow("other", "May", "months 5", "−5 %"),
        RuleRow("clamp", "", "all of these together", "30 % to 250 % of the price"),
        RuleRow("group_discount", "", "5 or more tickets", "−10 %"),
        RuleRow("group_discount", "", "9 or more tickets", "−20.00 EUR"),
        RuleRow("weekend", "Weekend", "sat, sun", "+5.00 EUR per order"),
        RuleRow("holiday", "Labour Day", "2030-05-01", "+15.00 EUR per order"),
        RuleRow("minimum", "", "all tickets together", "at least 60.00 EUR"),
        RuleRow("photo: season", "Advent", "months 12", "+1.00 EUR"),
    ]


def test_the_discounts_that_nobody_wrote_down_are_told_too() -> None:
    product = a_product()
    rules = [(row.rule, row.when, row.does) for row in described_rules(product)]
    assert ("group_discount", "10 or more tickets", "−15 %") in rules
    assert ("combo_discount", "3 or more kinds", "−10 %") in rules


@pytest.mark.parametrize(
    ("voucher", "words"),
    [
        (Voucher(code="HALF", percent=12.5), "12.5 %"),
        (Voucher(code="FIVER", amount=500, currency="EUR"), "5.00 EUR"),
        (Voucher(code="FIVER", amount=500, currency="JPY"), "500 JPY"),
    ],
)
def test_a_voucher_says_what_it_is_worth(voucher: Voucher, words: str) -> None:
    assert worth(voucher) == words
