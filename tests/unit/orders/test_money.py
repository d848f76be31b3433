"""Amounts cross the border to a shop digit by digit."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdgate_schema.values.currencies import MINOR_DIGITS
from holdgate_workers.adapters.shops.amounts import InvalidAmount, to_decimal_text, to_minor_units

amounts = st.integers(min_value=-(10**14), max_value=10**14)
currencies = st.sampled_from(sorted(MINOR_DIGITS))


@given(amounts, currencies)
def test_what_is_written_is_read_as_it_was(amount: int, currency: str) -> None:
    text = to_decimal_text(amount, currency)
    assert to_minor_units(text, currency) == amount
    assert Decimal(text) == Decimal(amount).scaleb(-MINOR_DIGITS[currency])


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (25739, "EUR", "257.39"),
        (-5, "EUR", "-0.05"),
        (0, "EUR", "0.00"),
        (1250, "JPY", "1250"),
        (1250, "KWD", "1.250"),
        (-1250, "KWD", "-1.250"),
    ],
)
def test_an_amount_has_as_many_decimals_as_its_currency(amount: int, currency: str, text: str) -> None:
    assert to_decimal_text(amount, currency) == text


@pytest.mark.parametrize(
    ("text", "currency", "amount"),
    [("10", "EUR", 1000), ("10.5", "EUR", 1050), ("10.500000", "EUR", 1050), ("1250.00", "JPY", 1250)],
)
def test_a_shop_may_write_fewer_decimals_or_more_noughts(text: str, currency: str, amount: int) -> None:
    assert to_minor_units(text, currency) == amount


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("257.395", "EUR"),
        ("1.5", "JPY"),
        ("", "EUR"),
        (".5", "EUR"),
        ("1,5", "EUR"),
        ("1e3", "EUR"),
        (" 1", "EUR"),
        ("1\n", "EUR"),
        ("٣", "EUR"),
        ("NaN", "EUR"),
        ("9" * 16, "EUR"),
        ("1", "BTC"),
    ],
)
def test_anything_else_is_no_amount(text: str, currency: str) -> None:
    with pytest.raises(InvalidAmount):
        to_minor_units(text, currency)
