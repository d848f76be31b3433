"""A quote is the same to the last byte for the same price, and its hash stands for all of it."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from tests.support.pricing import SATURDAY, a_product, an_extra, an_occasion, quoted

from holdgate_schema.values.currencies import MINOR_DIGITS
from holdgate_schema.values.products import PriceRules, WeekdayChange
from holdgate_schema.values.quotes import PriceStep, Quote, is_intact, sealed

PRODUCT = a_product(
    PriceRules(weekdays=[WeekdayChange(days=["sat"], percent=12.5)]), extras=[an_extra(10_00), an_extra(5, "map")]
)
ITEMS, EXTRAS = {"adult": 2, "child": 1}, {"guide": 1, "map": 2}


def a_quote() -> Quote:
    return quoted(PRODUCT, ITEMS, EXTRAS, on=SATURDAY)


def test_a_quote_comes_back_from_the_wire_as_it_was_and_intact() -> None:
    body = msgspec.json.encode(a_quote(), order="deterministic")
    back = msgspec.json.decode(body, type=Quote)
    assert back == a_quote()
    assert is_intact(back)
    assert msgspec.json.encode(back, order="deterministic") == body


def test_every_amount_on_the_wire_is_a_whole_number_of_minor_units() -> None:
    body = msgspec.to_builtins(a_quote())
    amounts = [body["total"], body["tickets_total"], body["extras_total"]]
    amounts += [line["amount"] for line in body["lines"]]
    assert all(type(amount) is int for amount in amounts)


@pytest.mark.parametrize(
    "change",
    [
        {"total": 1},
        {"currency": "CHF"},
        {"occurrence_id": "occ-2"},
        {"product_id": "other"},
        {"items": {"adult": 3, "child": 1}},
        {"extras": {}},
        {"payment_method": "cash"},
        {"voucher": "WINTER"},
        {"lines": []},
    ],
)
def test_a_quote_with_anything_changed_is_not_intact(change: dict[str, Any]) -> None:
    changed = replace(a_quote(), **change)
    assert not is_intact(changed)
    assert sealed(changed).hash != a_quote().hash


def test_a_changed_word_of_a_step_is_noticed_as_well() -> None:
    quote = a_quote()
    first = quote.lines[0]
    steps = [*first.steps[:-1], replace(first.steps[-1], label="Sunday +12.5 %")]
    assert not is_intact(replace(quote, lines=[replace(first, steps=steps), *quote.lines[1:]]))


def test_the_moment_is_not_in_a_quote() -> None:
    """So what was quoted and what would be quoted now can be compared by their hashes."""
    later = an_occasion(SATURDAY, booked="2026-12-02T17:30", taken=3, sellable=10)
    assert quoted(PRODUCT, ITEMS, EXTRAS, on=later).hash == a_quote().hash


@pytest.mark.parametrize("amount", ["-0", "01", "1.50", "1.", ".5", "1e3", "", "NaN", "1\n"])
def test_an_exact_amount_has_one_spelling(amount: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"rule": "base", "label": "Price", "amount": amount}, PriceStep)


@pytest.mark.parametrize("amount", ["0", "-1125.75", "0.5", "-0.0005", "1000"])
def test_an_exact_amount_may_have_a_fraction(amount: str) -> None:
    assert msgspec.convert({"rule": "base", "label": "Price", "amount": amount}, PriceStep).amount == amount


def test_currencies_have_none_two_or_three_digits() -> None:
    digits = {0: ("JPY", "KRW"), 2: ("EUR", "USD"), 3: ("KWD", "TND")}
    assert all(MINOR_DIGITS[code] == number for number, codes in digits.items() for code in codes)
    assert set(MINOR_DIGITS.values()) == {0, 2, 3}
    assert all(re.fullmatch("[A-Z]{3}", code) for code in MINOR_DIGITS)
    assert len(MINOR_DIGITS) > 140
