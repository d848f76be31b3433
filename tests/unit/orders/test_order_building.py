"""The order charges what was quoted, to the last minor unit, and says for what."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.support.pricing import SATURDAY, a_product, an_extra, quoted
from tests.support.pricing_strategies import baskets, fees, good_for, occasions, products, vouchers

from holdgate_schema.values.products import (
    ComboTier,
    Days,
    GroupTier,
    Holiday,
    PriceRules,
    Product,
    Voucher,
    WeekendAmount,
)
from holdgate_schema.values.quotes import LineKind, Quote, sealed
from holdgate_workers.app.ordering.order_building import order_of
from holdgate_workers.app.ordering.orders import Coupon, Customer, InvalidOrder, NewOrder, Payment
from holdgate_workers.domain.pricing.basket import Basket
from holdgate_workers.domain.pricing.engine import price
from holdgate_workers.domain.pricing.fees import Fees, PaymentFee
from holdgate_workers.domain.pricing.price_context import Occasion

REFERENCE = "hg-5d2c41f0"
CARD = Payment(method="stripe", reference="pi_3PQ", is_paid=True)
CUSTOMER = Customer(first_name="Ada", email="ada@example.org")
FULL = a_product(
    PriceRules(
        group_discounts=[GroupTier(tickets_min=2, discount_percent=10)],
        weekend=WeekendAmount(amount=500),
        holidays=[Holiday(label="St Nicholas", days=Days(months=[12]), amount=300)],
        minimum_total=30_000,
    ),
    extras=[an_extra(2000, "guide", label="Guide"), an_extra(1200, "lunch", label="Lunch", per="person")],
    combo_discounts=[ComboTier(kinds_min=2, discount_percent=5)],
)
EVERYTHING = quoted(
    FULL,
    {"adult": 2, "child": 1},
    {"guide": 1, "lunch": 1},
    on=SATURDAY,
    fees=Fees(platform_percent=2.5, payment={"credit_card": PaymentFee(percent=2.9)}),
    method="credit_card",
    voucher=Voucher(code="ADVENT-26", percent=10),
)


def ordered(quote: Quote, **fields: object) -> NewOrder:
    return order_of(quote, **{"reference": REFERENCE, "payment": CARD, **fields})  # type: ignore[arg-type]


def test_a_quote_with_every_kind_of_line_becomes_an_order() -> None:
    assert {line.kind for line in EVERYTHING.lines} == set(get_args(LineKind))
    order = ordered(EVERYTHING, customer=CUSTOMER)
    amounts = {line.kind if line.key is None else line.key: line.amount for line in EVERYTHING.lines}
    assert [(line.key, line.name, line.quantity, line.amount) for line in order.lines] == [
        ("adult", "Adult", 2, amounts["adult"]),
        ("child", "Child", 1, amounts["child"]),
        ("guide", "Guide", 1, amounts["guide"]),
        ("lunch", "Lunch, 1 per person", 3, amounts["lunch"]),
    ]
    kinds = ["group_discount", "weekend", "holiday", "minimum", "combo_discount", "platform_fee", "payment_fee"]
    assert [(fee.key, fee.amount) for fee in order.fees] == [(kind, amounts[kind]) for kind in kinds]
    assert order.fees[0].name == "Group of 2 or more −10 %"
    assert order.coupon == Coupon(code="ADVENT-26", discount=-amounts["voucher"])
    assert (order.reference, order.total, order.currency) == (REFERENCE, EVERYTHING.total, "EUR")
    assert (order.payment, order.customer) == (CARD, CUSTOMER)


def test_the_order_says_what_it_is_for_and_by_which_quote() -> None:
    order = ordered(EVERYTHING, details={"hold": "5d2c41f0", "quote": "another"})
    assert order.details == {
        "hold": "5d2c41f0",
        "product": "harbour-tour",
        "occurrence": "occ-1",
        "quote": EVERYTHING.hash,
    }


def test_tickets_and_extras_can_be_given_longer_names() -> None:
    order = ordered(EVERYTHING, labels={"adult": "Harbour tour, 5 December 10:00, adult"})
    assert [line.name for line in order.lines][:2] == ["Harbour tour, 5 December 10:00, adult", "Child"]


@given(products, baskets, occasions, fees, st.none() | vouchers)
def test_any_quote_is_charged_exactly_as_it_was_made(
    product: Product, basket: Basket, occasion: Occasion, charged: Fees, voucher: Voucher | None
) -> None:
    quote = price(product, basket, occasion, fees=charged, voucher=voucher and good_for(product, voucher))
    assert isinstance(quote, Quote)
    order = ordered(quote)
    off = order.coupon.discount if order.coupon else 0
    parts = [line.amount for line in order.lines] + [fee.amount for fee in order.fees]
    assert sum(parts) - off == order.total == quote.total
    assert [(line.key, line.quantity, line.amount) for line in order.lines] == [
        (line.key, line.quantity, line.amount) for line in quote.lines if line.key and line.quantity
    ]


@given(products, baskets, occasions, fees, st.none() | vouchers)
def test_no_discount_is_ever_more_than_what_stands_before_it(
    product: Product, basket: Basket, occasion: Occasion, charged: Fees, voucher: Voucher | None
) -> None:
    """WooCommerce adds fees up in their order and cuts a negative one down to what is there by then."""
    quote = price(product, basket, occasion, fees=charged, voucher=voucher and good_for(product, voucher))
    assert isinstance(quote, Quote)
    order = ordered(quote)
    so_far = sum(line.amount for line in order.lines)
    for fee in order.fees:
        so_far += fee.amount
        assert so_far >= 0
    assert order.coupon is None or order.coupon.discount <= so_far


def test_what_is_quoted_none_times_is_not_ordered() -> None:
    """An extra for each child, and no child comes along."""
    product = a_product(extras=[an_extra(900, "toy", per="child")])
    quote = quoted(product, {"adult": 1}, {"toy": 1})
    assert [(line.key, line.quantity) for line in quote.lines if line.kind == "extra"] == [("toy", 0)]
    assert [line.key for line in ordered(quote).lines] == ["adult"]


def test_a_voucher_that_takes_nothing_off_is_no_coupon() -> None:
    free = a_product(ticket_types=[replace(ticket, price=0) for ticket in a_product().ticket_types])
    assert ordered(quoted(free, voucher=Voucher(code="ADVENT-26", percent=10))).coupon is None


def test_a_quote_that_somebody_changed_is_not_charged() -> None:
    cheaper = replace(EVERYTHING, lines=EVERYTHING.lines[:1], total=EVERYTHING.lines[0].amount)
    with pytest.raises(AssertionError, match="as it was made"):
        ordered(cheaper)
    assert ordered(sealed(cheaper)).total == cheaper.total


def test_a_reference_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidOrder, match="reference"):
        ordered(EVERYTHING, reference="5d2c")
