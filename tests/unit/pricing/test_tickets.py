"""All tickets together: group discount, weekend and holiday amounts, minimum total, in this order."""

from __future__ import annotations

from datetime import date

import pytest
from tests.support.pricing import SATURDAY, TUESDAY, a_product, a_ticket, kinds, line, quoted

from holdgate_schema.values.products import Days, EarlyBird, GroupTier, Holiday, PriceRules, WeekendAmount

HOLIDAYS = [
    Holiday(label="Christmas Eve", days=Days(dates=[date(2026, 12, 24)]), amount=20_00),
    Holiday(label="Advent", days=Days(months=[12]), amount=10_00),
]


@pytest.mark.parametrize(
    ("adults", "children", "off"),
    [(4, 0, 0), (3, 2, 3250), (5, 0, 3750), (9, 0, 6750), (10, 0, 11250), (20, 0, 22500)],
)
def test_unless_given_groups_of_5_get_10_percent_and_of_10_get_15(adults: int, children: int, off: int) -> None:
    items = {"adult": adults} | ({"child": children} if children else {})
    quote = quoted(a_product(), items)
    assert quote.total == adults * 7500 + children * 5000 - off


def test_the_highest_tier_reached_counts_alone_and_is_said_in_words() -> None:
    tiers = [GroupTier(tickets_min=2, discount_amount=10_00), GroupTier(tickets_min=4, discount_percent=7.5)]
    product = a_product(PriceRules(group_discounts=tiers))
    assert line(quoted(product, 3), "group_discount").label == "Group of 2 or more −10.00 EUR"
    assert line(quoted(product, 3), "group_discount").amount == -10_00
    assert line(quoted(product, 4), "group_discount").label == "Group of 4 or more −7.5 %"
    assert line(quoted(product, 4), "group_discount").amount == -22_50


def test_an_empty_list_of_group_discounts_is_none() -> None:
    assert kinds(quoted(a_product(PriceRules(group_discounts=[])), 20)) == ["ticket"]


def test_a_group_discount_is_rounded_half_up_as_a_line() -> None:
    tiers = [GroupTier(tickets_min=1, discount_percent=50)]
    assert quoted(a_product(PriceRules(group_discounts=tiers), ticket_types=a_ticket(5))).total == 2


def test_a_group_discount_takes_no_more_than_there_is() -> None:
    tiers = [GroupTier(tickets_min=1, discount_amount=100_00)]
    quote = quoted(a_product(PriceRules(group_discounts=tiers)))
    assert [(line.kind, line.amount) for line in quote.lines] == [("ticket", 75_00), ("group_discount", -75_00)]


@pytest.mark.parametrize(
    ("on", "added"),
    [
        (TUESDAY, {"holiday": 10_00}),
        (SATURDAY, {"weekend": 15_00, "holiday": 10_00}),
        ("2026-12-24T10:00", {"holiday": 20_00}),
        ("2026-11-28T10:00", {"weekend": 15_00}),
        ("2026-11-30T10:00", {}),
    ],
)
def test_weekend_and_the_first_matching_holiday_are_added_once_per_order(on: str, added: dict[str, int]) -> None:
    rules = PriceRules(weekend=WeekendAmount(amount=15_00), holidays=HOLIDAYS)
    quote = quoted(a_product(rules), 3, on=on)
    assert {line.kind: line.amount for line in quote.lines[1:]} == added
    assert quote.total == 3 * 7500 + sum(added.values())


def test_a_weekend_can_be_on_other_days() -> None:
    """Friday and Saturday in Riyadh."""
    rules = PriceRules(weekend=WeekendAmount(amount=15_00, days=["fri", "sat"], label="Weekend there"))
    assert line(quoted(a_product(rules), on="2026-12-04T10:00"), "weekend").label == "Weekend there +15.00 EUR"
    assert kinds(quoted(a_product(rules), on="2026-12-06T10:00")) == ["ticket"]


@pytest.mark.parametrize(("minimum", "lacking"), [(75_00, None), (75_01, 1), (200_00, 125_00)])
def test_tickets_are_raised_to_the_minimum_total(minimum: int, lacking: int | None) -> None:
    quote = quoted(a_product(PriceRules(minimum_total=minimum)))
    assert quote.total == max(75_00, minimum)
    if lacking is not None:
        assert line(quote, "minimum").amount == lacking
        assert line(quote, "minimum").label == f"Minimum of {minimum / 100:.2f} EUR"


def test_each_step_starts_from_what_the_one_before_it_left() -> None:
    """Unit prices, then the discount on their sum, then the amounts of the day, then the minimum on all of it."""
    rules = PriceRules(
        early_bird=EarlyBird(days_before=1, discount_percent=20),
        weekend=WeekendAmount(amount=15_00),
        holidays=HOLIDAYS,
        minimum_total=400_00,
    )
    quote = quoted(a_product(rules), {"adult": 4, "child": 2}, on=SATURDAY)
    assert [(line.kind, line.amount) for line in quote.lines] == [
        ("ticket", 240_00),
        ("ticket", 80_00),
        ("group_discount", -32_00),
        ("weekend", 15_00),
        ("holiday", 10_00),
        ("minimum", 87_00),
    ]
    assert quote.tickets_total == quote.total == 400_00


def test_lines_stand_in_the_products_order_not_the_baskets() -> None:
    there, back = quoted(a_product(), {"adult": 1, "child": 2}), quoted(a_product(), {"child": 2, "adult": 1})
    assert [line.key for line in there.lines] == ["adult", "child"]
    assert there == back
