"""A quote laid out for people: every line, every rule under it, and the total."""

from __future__ import annotations

from decimal import Decimal, localcontext

import pytest
from tests.support.pricing import TUESDAY, a_product, a_ticket, an_extra, an_occasion, quoted

from holdgate_schema.values.products import EarlyBird, PriceRules
from holdgate_workers.domain.pricing.explaining import HEADINGS, Row, explained
from holdgate_workers.domain.pricing.fees import HOUSE_FEES
from holdgate_workers.domain.pricing.money import shown

EARLY = PriceRules(early_bird=EarlyBird(days_before=1, discount_percent=15))


def test_every_line_says_what_and_why() -> None:
    product = a_product(EARLY, ticket_types=a_ticket(75_05), extras=[an_extra(10_00, label="Guide", per="order")])
    quote = quoted(product, 5, {"guide": 1}, fees=HOUSE_FEES)
    assert explained(quote) == [
        Row("Adult", "5", "63.79", "318.95"),
        Row("  Price", each="75.05"),
        Row("  Early bird −15 %", each="−11.2575"),
        Row("  Rounded", each="−0.0025"),
        Row("Group of 5 or more −10 %", amount="−31.90"),
        Row("Guide, once per order", "1", "10.00", "10.00"),
        Row("  Price", each="10.00"),
        Row("Platform fee 2.5 %", amount="7.43"),
        Row("Total EUR", amount="304.48"),
    ]
    assert len(HEADINGS) == len(Row._fields)


def test_without_steps_only_what_is_charged_is_shown() -> None:
    assert explained(quoted(a_product(EARLY)), steps=False) == [
        Row("Adult", "1", "63.75", "63.75"),
        Row("Total EUR", amount="63.75"),
    ]


@pytest.mark.parametrize(
    ("currency", "amount", "text"),
    [
        ("JPY", 1250, "1250"),
        ("EUR", 1250, "12.50"),
        ("KWD", 1250, "1.250"),
        ("EUR", -5, "−0.05"),
        ("EUR", 0, "0.00"),
        ("JPY", Decimal("-0.25"), "−0.25"),
        ("EUR", Decimal("945.25"), "9.4525"),
        ("KWD", Decimal("1E+3"), "1.000"),
    ],
)
def test_amounts_are_shown_in_the_major_unit_with_all_their_digits(
    currency: str, amount: Decimal | int, text: str
) -> None:
    assert shown(amount, currency) == text


def test_what_is_shown_does_not_depend_on_the_threads_decimal_context() -> None:
    product = a_product(ticket_types=a_ticket(123_456_78))
    with localcontext() as context:
        context.prec = 3
        quote = quoted(product, 3, on=an_occasion(TUESDAY))
        rows = explained(quote)
    assert quote.total == 370_370_34
    assert rows[-1] == Row("Total EUR", amount="370370.34")
