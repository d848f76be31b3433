"""Extras: what is charged how often, season and bulk of the price itself, then the combination discount."""

from __future__ import annotations

from decimal import Decimal

import pytest
from tests.support.pricing import ADULT, CHILD, a_product, an_extra, kinds, line, quoted, words

from holdgate_schema.values.products import BulkTier, ComboTier, Days, ExtraPrice, Season, TicketPrice

PARTY = {"adult": 2, "child": 3, "senior": 1}
TICKETS = [ADULT, CHILD, TicketPrice(key="senior", price=4000, counts_as="other")]


@pytest.mark.parametrize(
    ("per", "times", "label"),
    [
        ("fixed", 2, "Lunch"),
        ("order", 1, "Lunch, once per order"),
        ("person", 12, "Lunch, 2 per person"),
        ("adult", 4, "Lunch, 2 per adult"),
        ("child", 6, "Lunch, 2 per child"),
    ],
)
def test_an_extra_is_charged_as_often_as_it_says(per: str, times: int, label: str) -> None:
    product = a_product(ticket_types=TICKETS, extras=[an_extra(10_00, "lunch", label="Lunch", per=per)])
    found = line(quoted(product, PARTY, {"lunch": 2}), "extra")
    assert (found.quantity, found.each, found.amount, found.label) == (times, "1000", 10_00 * times, label)


def test_an_extra_for_children_costs_nothing_where_there_are_none() -> None:
    product = a_product(extras=[an_extra(10_00, "toy", per="child")])
    found = line(quoted(product, 2, {"toy": 1}), "extra")
    assert (found.quantity, found.amount) == (0, 0)


@pytest.mark.parametrize(
    ("quantity", "each"), [(1, "2000"), (2, "2000"), (3, "1900"), (5, "1800"), (9, "1800"), (10, "1700")]
)
def test_unless_given_3_are_5_percent_off_5_are_10_and_10_are_15(quantity: int, each: str) -> None:
    product = a_product(extras=[ExtraPrice(key="guide", price=20_00)])
    found = line(quoted(product, 1, {"guide": quantity}), "extra")
    assert (found.each, found.amount) == (each, int(each) * quantity)


def test_bulk_goes_by_what_was_ordered_not_by_how_often_it_is_charged() -> None:
    """One lunch for each of five people is no bulk; ten guides that are charged once are none either."""
    extras = [
        ExtraPrice(key="lunch", price=20_00, per="person"),
        ExtraPrice(key="guide", price=20_00, per="order"),
    ]
    quote = quoted(a_product(extras=extras), 5, {"lunch": 1, "guide": 10})
    assert [line(quote, "extra", key).each for key in ("lunch", "guide")] == ["2000", "2000"]


def test_season_and_bulk_are_of_the_price_itself() -> None:
    extra = ExtraPrice(
        key="guide",
        price=20_00,
        seasons=[
            Season(label="Christmas", days=Days(months=[12]), percent=20),
            Season(label="Winter", days=Days(months=[12, 1, 2]), amount=-100),
        ],
        bulk_discounts=[BulkTier(quantity_min=2, discount_percent=50)],
    )
    found = line(quoted(a_product(extras=[extra]), 1, {"guide": 2}), "extra")
    assert words(found) == ["Christmas +20 %", "2 or more −50 %"]
    assert found.each == "1400", "not 1200, which would be half of 2400"
    found = line(quoted(a_product(extras=[extra]), 1, {"guide": 2}, on="2027-01-05T10:00"), "extra")
    assert found.each == "900"


def test_no_extra_costs_less_than_nothing() -> None:
    extra = an_extra(5_00, seasons=[Season(label="Gift", days=Days(months=[12]), amount=-9_00)])
    found = line(quoted(a_product(extras=[extra]), 1, {"guide": 3}), "extra")
    assert (found.each, found.amount, words(found)) == ("0", 0, ["Gift −9.00 EUR", "Not below 0"])


def test_an_extra_is_rounded_once_as_a_line() -> None:
    """Three at 9.95 less 5 % are 28.3575, not three times 9.45."""
    product = a_product(extras=[ExtraPrice(key="guide", price=9_95)])
    found = line(quoted(product, 1, {"guide": 3}), "extra")
    assert (found.each, found.amount) == ("945.25", 28_36)
    assert sum(Decimal(step.amount) for step in found.steps) == Decimal("945.25")


@pytest.mark.parametrize(
    ("ordered", "off"),
    [(["guide"], 0), (["guide", "lunch"], 1_50), (["guide", "lunch", "photo"], 6_00), (["guide", "leaflet"], 0)],
)
def test_unless_given_2_kinds_are_5_percent_off_and_3_are_10_but_what_is_free_is_no_kind(
    ordered: list[str], off: int
) -> None:
    prices = {"guide": 10_00, "lunch": 20_00, "photo": 30_00, "leaflet": 0}
    product = a_product(extras=[an_extra(amount, key) for key, amount in prices.items()])
    quote = quoted(product, 1, dict.fromkeys(ordered, 1))
    assert quote.extras_total == sum(prices[key] for key in ordered) - off
    assert ("combo_discount" in kinds(quote)) == bool(off)


def test_a_combination_of_ones_own_is_rounded_and_said_in_words() -> None:
    product = a_product(
        extras=[an_extra(5, "guide"), an_extra(4, "lunch")],
        combo_discounts=[ComboTier(kinds_min=2, discount_percent=50)],
    )
    found = line(quoted(product, 1, {"guide": 1, "lunch": 1}), "combo_discount")
    assert (found.amount, found.label) == (-5, "2 or more kinds of extras −50 %")


def test_group_discount_and_minimum_are_for_tickets_alone() -> None:
    product = a_product(extras=[an_extra(10_00)])
    quote = quoted(product, 5, {"guide": 1})
    assert (quote.tickets_total, quote.extras_total) == (337_50, 10_00)
