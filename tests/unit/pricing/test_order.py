"""The order: voucher, then both fees on what is left of the subtotal, each rounded as a line."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.support.pricing import (
    FREE,
    a_product,
    a_ticket,
    an_extra,
    an_occasion,
    at,
    kinds,
    line,
    problems,
    quoted,
)

from holdgate_schema.values.products import AMOUNT_MAX, Voucher
from holdgate_workers.domain.pricing.definitions.checks import voucher_errors
from holdgate_workers.domain.pricing.engine import TOTAL_MAX
from holdgate_workers.domain.pricing.fees import HOUSE_FEES, Fees, PaymentFee


def a_voucher(**fields: Any) -> Voucher:
    """Ten euros off, unless said otherwise."""
    worth: dict[str, Any] = {} if "percent" in fields else {"amount": 10_00, "currency": "EUR"}
    voucher = Voucher(**{"code": "WINTER-26", **worth, **fields})
    assert voucher_errors(voucher) == []
    return voucher


@pytest.mark.parametrize(
    ("voucher", "off", "label"),
    [
        (a_voucher(), 10_00, "Voucher of 10.00 EUR"),
        (a_voucher(amount=75_01), 75_00, "Voucher of 75.01 EUR"),
        (a_voucher(percent=12.5), 9_38, "Voucher −12.5 %"),  # 9.375
        (a_voucher(percent=100), 75_00, "Voucher −100 %"),
    ],
)
def test_a_voucher_takes_off_what_it_says_and_no_more_than_there_is(
    voucher: Voucher, off: int, label: str
) -> None:
    quote = quoted(a_product(), voucher=voucher)
    assert (line(quote, "voucher").amount, line(quote, "voucher").label) == (-off, label)
    assert quote.total == 75_00 - off
    assert quote.voucher == "WINTER-26"


def test_a_voucher_is_for_extras_as_well() -> None:
    product = a_product(extras=[an_extra(25_00)])
    assert quoted(product, 1, {"guide": 1}, voucher=a_voucher(percent=50)).total == 50_00


@pytest.mark.parametrize(
    ("fields", "reason", "message"),
    [
        ({"products": ["other"]}, "other_product", "The voucher is not for this product"),
        ({"currency": "CHF"}, "other_currency", "The voucher is in CHF, the price in EUR"),
        (
            {"valid_from": at("2026-12-01T09:00:01")},
            "not_yet_valid",
            "The voucher is valid from 2026-12-01T09:00Z",
        ),
        ({"valid_until": at("2026-12-01T09:00")}, "expired", "The voucher was valid until 2026-12-01T09:00Z"),
        (
            {"minimum": 75_01},
            "below_minimum",
            "The voucher is for orders from 75.01 EUR; this one comes to 75.00",
        ),
    ],
)
def test_a_voucher_that_is_not_good_is_refused_with_the_reason(
    fields: dict[str, Any], reason: str, message: str
) -> None:
    (problem,) = problems(a_product(), voucher=a_voucher(**fields))
    assert (problem.what, problem.key, problem.reason, problem.message) == (
        "voucher",
        "WINTER-26",
        reason,
        message,
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"products": ["other", "harbour-tour"]},
        {"valid_from": at("2026-12-01T09:00")},
        {"valid_until": at("2026-12-01T09:00:01")},
        {"minimum": 75_00},
    ],
)
def test_a_voucher_is_good_up_to_its_very_bounds(fields: dict[str, Any]) -> None:
    """The booking is at nine o'clock UTC, in the window from and including its start up to its end."""
    assert quoted(a_product(), voucher=a_voucher(**fields)).total == 65_00


def test_a_voucher_goes_by_when_it_was_booked_not_by_the_occurrences_day() -> None:
    voucher = a_voucher(valid_until=at("2026-12-01T09:00") + timedelta(hours=1))
    assert quoted(a_product(), on=an_occasion("2031-01-01T10:00"), voucher=voucher).total == 65_00


def test_both_fees_are_on_what_the_voucher_left_and_none_is_on_the_other() -> None:
    quote = quoted(a_product(), fees=HOUSE_FEES, method="credit_card", voucher=a_voucher())
    assert [(line.label, line.amount) for line in quote.lines[1:]] == [
        ("Voucher of 10.00 EUR", -10_00),
        ("Platform fee 2.5 %", 1_63),  # 1.625
        ("Payment by credit_card 2.9 %", 1_89),  # 1.885
    ]
    assert quote.total == 65_00 + 1_63 + 1_89
    assert quote.payment_method == "credit_card"


def test_where_nothing_is_due_there_are_no_fees() -> None:
    fees = Fees(payment={"credit_card": PaymentFee(percent=2.9, fixed={"EUR": 30})})
    quote = quoted(a_product(), fees=fees, method="credit_card", voucher=a_voucher(percent=100))
    assert quote.total == 0
    assert kinds(quote) == ["ticket", "voucher"]


@pytest.mark.parametrize(
    ("fee", "amount", "label"),
    [
        (PaymentFee(fixed={"EUR": 30, "CHF": 35}), 30, "Payment by wallet 0.30 EUR"),
        (PaymentFee(percent=1.5, fixed={"EUR": 30}), 1_43, "Payment by wallet 1.5 % + 0.30 EUR"),  # 1.425
        (PaymentFee(percent=1.5), 1_13, "Payment by wallet 1.5 %"),
    ],
)
def test_a_way_of_paying_costs_a_percentage_and_an_amount_in_one_line(
    fee: PaymentFee, amount: int, label: str
) -> None:
    quote = quoted(a_product(), fees=Fees(platform_percent=0, payment={"wallet": fee}), method="wallet")
    assert (line(quote, "payment_fee").amount, line(quote, "payment_fee").label) == (amount, label)


@pytest.mark.parametrize("method", [None, "bank_transfer"])
def test_a_way_of_paying_that_has_no_fee_costs_nothing(method: str | None) -> None:
    assert kinds(quoted(a_product(), fees=HOUSE_FEES, method=method)) == ["ticket", "platform_fee"]


def test_a_fee_that_is_not_known_in_the_currency_is_no_free_payment() -> None:
    fees = Fees(payment={"wallet": PaymentFee(fixed={"EUR": 30, "CHF": 35})})
    (problem,) = problems(a_product(currency="PLN"), fees=fees, method="wallet")
    assert (problem.what, problem.key, problem.reason) == ("payment_method", "wallet", "unknown")
    assert problem.message == "The fee of wallet is not known in PLN; it is in CHF, EUR"


def test_no_order_is_larger_than_anybody_can_count() -> None:
    product = a_product(ticket_types=a_ticket(AMOUNT_MAX))
    assert quoted(product, 1).total <= TOTAL_MAX
    (problem,) = problems(product, 2000, fees=FREE)
    assert (problem.what, problem.reason) == ("order", "too_large")
    assert problem.message == "The order comes to more than 10000000000.00 EUR"


def test_everything_that_has_no_price_is_named_at_once() -> None:
    found = problems(a_product(extras=[an_extra(5)]), {"vip": 1, "adult": 1, "dog": 1}, {"boat": 1, "guide": 1})
    assert [(problem.what, problem.key, problem.reason) for problem in found] == [
        ("ticket", "dog", "unknown"),
        ("ticket", "vip", "unknown"),
        ("extra", "boat", "unknown"),
    ]
    assert found[0].message == "The product has no price for the ticket 'dog'; there are prices for: adult, child"
