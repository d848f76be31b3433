"""What WooCommerce is sent, and what is taken from its answers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.orders import free_order, new_order, new_refund

from holdgate_schema.values.currencies import MINOR_DIGITS
from holdgate_workers.adapters.shops.woocommerce.orders import (
    ORDER,
    ORDERS,
    WooCommerceShop,
    WooOrder,
    WooRefund,
    order_body,
    ours_among,
    paid_body,
    refund_body,
)
from holdgate_workers.app.ordering.orders import NewOrder, OrderFee, OrderLine, Payment

SHOP = WooCommerceShop(product_id=93)
ANSWER = {
    "id": 727,
    "status": "processing",
    "currency": "EUR",
    "total": "177.97",
    "date_modified_gmt": "2026-10-06T09:30:15",
    "meta_data": [{"id": 1, "key": "holdgate_reference", "value": "hg-00000001"}],
    "fee_lines": [],
    "refunds": [],
}


def sent(order: NewOrder, shop: WooCommerceShop = SHOP) -> Any:
    return json.loads(order_body(order, shop))


def answered(**change: object) -> WooOrder:
    return ORDER.decode(json.dumps({**ANSWER, **change}))


# --- what is sent -----------------------------------------------------------------------------------------------


def test_an_order_is_sent_whole() -> None:
    asked = new_order("hg-00000001")
    body = sent(asked)
    assert body["status"] == "pending"
    assert "set_paid" not in body
    assert (body["currency"], body["payment_method"], body["payment_method_title"]) == (
        "EUR",
        "stripe",
        "Credit card",
    )
    assert body["transaction_id"] == "pi_3PQ"
    assert body["line_items"][0] == {
        "product_id": 93,
        "name": "Adult “Übermut” & co",
        "quantity": 2,
        "subtotal": "144.00",
        "total": "144.00",
    }
    assert [(fee["name"], fee["total"]) for fee in body["fee_lines"]] == [
        ("2 or more kinds of extras −5 %", "-2.80"),
        ("Platform fee 2.5 %", "6.11"),
        ("Payment by credit_card 2.9 %", "7.08"),
        ("Voucher ADVENT-26", "-12.42"),
        ("Holdgate hg-00000001", "0"),
    ]
    assert {fee["tax_status"] for fee in body["fee_lines"]} == {"none"}
    assert body["billing"] == {"first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.org"}
    assert body["customer_note"] == "By the window"
    assert {"key": "holdgate_reference", "value": "hg-00000001"} in body["meta_data"]
    assert {"key": "occurrence", "value": "harbour-tour@2026-10-06"} in body["meta_data"]


def test_details_do_not_pass_for_a_reference() -> None:
    asked = msgspec.structs.replace(new_order("hg-00000001"), details={"holdgate_reference": "hg-00000002"})
    values = [entry["value"] for entry in sent(asked)["meta_data"] if entry["key"] == "holdgate_reference"]
    assert values == ["hg-00000001"]


def test_a_coupon_of_the_shop_is_named_and_not_taken_off_twice() -> None:
    body = sent(new_order(), WooCommerceShop(product_id=93, coupons_as="coupon"))
    assert body["coupon_lines"] == [{"code": "ADVENT-26"}]
    assert not any(fee["name"].startswith("Voucher") for fee in body["fee_lines"])


def test_a_line_can_have_a_product_of_its_own() -> None:
    body = sent(new_order(), WooCommerceShop(product_id=93, product_ids={"lunch": 95}))
    assert [line["product_id"] for line in body["line_items"]] == [93, 95]


@given(
    st.sampled_from(sorted(MINOR_DIGITS)),
    st.lists(st.integers(0, 10**9), min_size=1, max_size=5),
    st.lists(st.integers(0, 10**9), max_size=5),
)
def test_what_is_sent_adds_up_to_what_is_asked(currency: str, lines: list[int], fees: list[int]) -> None:
    asked = NewOrder(
        reference="hg-00000001",
        currency=currency,
        total=sum(lines) + sum(fees),
        lines=tuple(OrderLine(key="a", name="A", quantity=1, amount=amount) for amount in lines),
        fees=tuple(OrderFee(key="f", name="F", amount=amount) for amount in fees),
        payment=Payment(method="cash"),
    )
    body = sent(asked)
    parts = [Decimal(part["total"]) for part in body["line_items"] + body["fee_lines"]]
    assert sum(parts) == Decimal(asked.total).scaleb(-MINOR_DIGITS[currency])


def test_what_costs_nothing_is_not_marked_as_paid_by_the_flag() -> None:
    assert json.loads(paid_body(free_order())) == {"status": "processing"}
    assert json.loads(paid_body(new_order())) == {"set_paid": True, "transaction_id": "pi_3PQ"}


def test_a_refund_has_its_reference_where_no_customer_reads_it() -> None:
    wanted = new_refund(1250, "hg-00000009")
    body = json.loads(refund_body(wanted, "EUR"))
    assert body == {
        "amount": "12.50",
        "reason": "cancelled by the customer",
        "api_refund": True,
        "meta_data": [{"key": "holdgate_refund", "value": "hg-00000009"}],
    }


def test_a_refund_is_known_by_its_reference_or_by_what_it_was_if_the_shop_was_cut_off() -> None:
    wanted = new_refund(1250, "hg-00000009")

    def refund(number: int, **fields: object) -> WooRefund:
        return WooRefund(**{"id": number, "amount": "12.50", "reason": wanted.reason, **fields})  # type: ignore[arg-type]

    marked = refund(1, meta_data=[{"key": "holdgate_refund", "value": "hg-00000009"}], reason="x")
    cut_off, another = refund(2), refund(3, meta_data=[{"key": "holdgate_refund", "value": "hg-00000008"}])
    assert ours_among([another, cut_off, marked], wanted, "EUR") is marked
    assert ours_among([another, cut_off], wanted, "EUR") is cut_off
    by_others = [another, refund(4, reason="goodwill"), refund(5, amount="12.00")]
    assert ours_among(by_others, wanted, "EUR") is None


@pytest.mark.parametrize(
    ("given", "sent_as"),
    [
        ("info@müller.it", "info@xn--mller-kva.it"),
        ("ada@example.org", "ada@example.org"),
        ("ada@localhost", "ada@localhost"),
        ("ada@straße.de", "ada@xn--strae-oqa.de"),
        ("ada@ü..", "ada@ü.."),
        ("müller", "müller"),
    ],
)
def test_a_domain_is_sent_as_mail_servers_have_it(given: str, sent_as: str) -> None:
    asked = new_order()
    body = sent(msgspec.structs.replace(asked, customer=msgspec.structs.replace(asked.customer, email=given)))
    assert body["billing"]["email"] == sent_as
    kept = [entry["value"] for entry in body["meta_data"] if entry["key"] == "holdgate_email"]
    assert kept == ([given] if given != sent_as else [])


def test_a_way_of_paying_is_named_as_the_shop_names_it() -> None:
    shop = WooCommerceShop(product_id=93, payment_methods={"stripe": "woocommerce_payments"})
    assert sent(new_order(), shop)["payment_method"] == "woocommerce_payments"
    assert sent(new_order())["payment_method"] == "stripe"


# --- what comes back --------------------------------------------------------------------------------------------


def test_an_order_is_read() -> None:
    order = answered(refunds=[{"id": 1, "total": "-10.00"}, {"id": 2, "reason": "", "total": "-0.50"}]).snapshot()
    assert (order.order_id, order.reference, order.status) == ("727", "hg-00000001", "paid")
    assert (order.total, order.refunded) == (17797, 1050)
    assert order.changed_at == datetime(2026, 10, 6, 9, 30, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("pending", "pending"),
        ("on-hold", "pending"),
        ("processing", "paid"),
        ("completed", "paid"),
        ("cancelled", "cancelled"),
        ("trash", "cancelled"),
        ("refunded", "refunded"),
        ("failed", "failed"),
        ("awaiting-collection", "other"),
    ],
)
def test_states_have_a_meaning_or_are_other(theirs: str, ours: str) -> None:
    assert answered(status=theirs).snapshot().status == ours


@pytest.mark.parametrize(
    "meta_data",
    [
        {"3": {"id": 1, "key": "holdgate_reference", "value": "hg-00000001"}},
        [None, 5, {"key": "x", "value": {"y": [1]}}, {"key": "holdgate_reference", "value": "hg-00000001"}],
    ],
)
def test_meta_data_may_look_as_php_likes(meta_data: object) -> None:
    assert answered(meta_data=meta_data).reference == "hg-00000001"


@pytest.mark.parametrize("meta_data", [None, [], {}, "", [{"key": "holdgate_reference", "value": 7}]])
def test_without_meta_data_the_fee_line_says_whose_it_is(meta_data: object) -> None:
    fees = [{"name": "Platform fee"}, {"name": "Holdgate hg-00000001"}]
    assert answered(meta_data=meta_data, fee_lines=fees).reference == "hg-00000001"
    assert answered(meta_data=meta_data).reference == ""


@pytest.mark.parametrize("change", [{"total": "1.005"}, {"total": ""}, {"currency": "BTC"}, {"total": 177.97}])
def test_money_that_makes_no_sense_makes_no_order(change: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        answered(**change)
    with pytest.raises(msgspec.ValidationError):
        ORDERS.decode(json.dumps([ANSWER, {**ANSWER, **change}]))


@pytest.mark.parametrize("stamp", [None, "", "yesterday", "0000-00-00T00:00:00"])
def test_a_time_that_makes_no_sense_is_none(stamp: str | None) -> None:
    assert answered(date_modified_gmt=stamp).snapshot().changed_at is None
