"""The shop's own words are believed if they are the shop's, new, and about an order of ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from msgspec.structs import replace
from tests.support.fake_woocommerce import FakeWooCommerce, fake_woocommerce, signed_delivery
from tests.support.http_peer import Request
from tests.support.orders import new_order

from holdgate_workers.adapters.shops.woocommerce.events import (
    AGE_MAX,
    AHEAD_MAX,
    BODY_BYTES_MAX,
    LookAgain,
    NotOurs,
    Ping,
    Rejected,
    looked_at,
    read_delivery,
    signature_of,
)
from holdgate_workers.adapters.shops.woocommerce.orders import WooCommerceShop, order_body
from holdgate_workers.app.ordering.orders import NewOrder, OrderEvent

SECRET = "s" * 32


@pytest.fixture(scope="module")
def shop() -> Iterator[FakeWooCommerce]:
    with fake_woocommerce() as shop:
        yield shop


def stored(shop: FakeWooCommerce, order: NewOrder, status: str = "processing") -> int:
    """The id of an order that is there without anybody having asked over HTTP."""
    body = order_body(order, WooCommerceShop(product_id=93))
    content = shop._create(Request("POST", "", {}, {}, body).json())
    content["status"] = status
    return int(content["id"])


def read(shop: FakeWooCommerce, delivery: tuple[dict[str, str], bytes], **given: object) -> object:
    headers, body = delivery
    return read_delivery(headers, body, **{"secrets": [SECRET], "now": shop.now, **given})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "ours"),
    [
        ("processing", "paid"),
        ("completed", "paid"),
        ("refunded", "refunded"),
        ("cancelled", "cancelled"),
        ("failed", "failed"),
        ("on-hold", "pending"),
        ("trash", "cancelled"),
    ],
)
def test_an_event_says_how_the_order_is_now(shop: FakeWooCommerce, status: str, ours: str) -> None:
    asked = new_order()
    number = stored(shop, asked, status)
    event = read(shop, shop.delivery(number))
    assert isinstance(event, OrderEvent)
    assert (event.order.reference, event.order.order_id, event.order.status) == (
        asked.reference,
        str(number),
        ours,
    )
    assert (event.order.total, event.order.changed_at) == (17797, shop.now)
    assert event.delivery_id == "c1a1f5a2e2d84e0d9c4e3f4b5a697887"


def test_the_same_words_have_the_same_key_whatever_the_headers_say(shop: FakeWooCommerce) -> None:
    headers, body = shop.delivery(stored(shop, new_order()))
    first = read(shop, (headers, body))
    repeated = read(shop, ({**headers, "X-WC-Webhook-Delivery-ID": "another"}, body))
    assert isinstance(first, OrderEvent)
    assert isinstance(repeated, OrderEvent)
    assert first.delivery_key == repeated.delivery_key


def test_other_words_have_another_key_though_woocommerce_gives_both_one_delivery_id(shop: FakeWooCommerce) -> None:
    number = stored(shop, new_order())
    paid = read(shop, shop.delivery(number))
    shop.orders[number]["status"] = "cancelled"
    cancelled = read(shop, shop.delivery(number))
    assert isinstance(paid, OrderEvent)
    assert isinstance(cancelled, OrderEvent)
    assert paid.delivery_id == cancelled.delivery_id
    assert paid.delivery_key != cancelled.delivery_key


def test_only_the_shop_is_believed(shop: FakeWooCommerce) -> None:
    headers, body = shop.delivery(stored(shop, new_order()))
    assert read(shop, (headers, body + b" ")) == Rejected("bad_signature")
    assert read(shop, (headers, body), secrets=["another secret of the shop"]) == Rejected("bad_signature")
    assert read(shop, (headers, body), secrets=[]) == Rejected("bad_signature")
    unsigned = {name: text for name, text in headers.items() if name != "X-WC-Webhook-Signature"}
    assert read(shop, (unsigned, body)) == Rejected("unsigned")
    assert read(shop, ({**headers, "X-WC-Webhook-Signature": "ü"}, body)) == Rejected("bad_signature")


def test_an_empty_secret_opens_no_door(shop: FakeWooCommerce) -> None:
    _, body = shop.delivery(stored(shop, new_order()))
    forged = {"X-WC-Webhook-Signature": signature_of(body, "")}
    assert read(shop, (forged, body), secrets=[""]) == Rejected("bad_signature")


def test_a_secret_can_be_replaced_without_a_gap(shop: FakeWooCommerce) -> None:
    delivery = shop.delivery(stored(shop, new_order()))
    assert isinstance(read(shop, delivery, secrets=["the new one", SECRET]), OrderEvent)


def test_headers_may_be_written_in_any_case(shop: FakeWooCommerce) -> None:
    headers, body = shop.delivery(stored(shop, new_order()))
    lower = {name.lower(): text for name, text in headers.items()}
    assert isinstance(read(shop, (lower, body)), OrderEvent)


@pytest.mark.parametrize(
    ("later", "why"),
    [
        (AGE_MAX, None),
        (AGE_MAX + timedelta(seconds=1), "too_old"),
        (-AHEAD_MAX, None),
        (-AHEAD_MAX - timedelta(seconds=1), "ahead"),
    ],
)
def test_old_words_only_make_us_look(shop: FakeWooCommerce, later: timedelta, why: str | None) -> None:
    number = stored(shop, new_order())
    result = read(shop, shop.delivery(number), now=shop.now + later)
    if why is None:
        assert isinstance(result, OrderEvent)
    else:
        assert result == LookAgain(str(number), why)  # type: ignore[arg-type]


def test_that_an_order_is_deleted_only_makes_us_look(shop: FakeWooCommerce) -> None:
    number = stored(shop, new_order())
    assert read(shop, shop.delivery(number, "order.deleted")) == LookAgain(str(number), "no_order")


def test_an_order_that_cannot_be_read_only_makes_us_look(shop: FakeWooCommerce) -> None:
    number = stored(shop, new_order())
    _, body = shop.delivery(number)
    broken = json.dumps({**json.loads(body), "total": "1.005"}).encode()
    assert read(shop, signed_delivery(broken, "order.updated", SECRET)) == LookAgain(str(number), "no_order")
    timeless = json.dumps({**json.loads(body), "date_modified_gmt": None}).encode()
    assert read(shop, signed_delivery(timeless, "order.updated", SECRET)) == LookAgain(str(number), "no_time")


@pytest.mark.parametrize("reference", ["", "x", "'; DROP TABLE bookings"])
def test_orders_of_others_are_not_ours(shop: FakeWooCommerce, reference: str) -> None:
    _, body = shop.delivery(stored(shop, new_order()))
    content = json.loads(body)
    content["fee_lines"] = []
    content["meta_data"] = [{"id": 1, "key": "holdgate_reference", "value": reference}]
    assert read(shop, signed_delivery(json.dumps(content).encode(), "order.created", SECRET)) == NotOurs()


@pytest.mark.parametrize("topic", ["product.updated", "coupon.deleted", "action.woocommerce_add_to_cart"])
def test_other_topics_are_not_ours(shop: FakeWooCommerce, topic: str) -> None:
    assert read(shop, signed_delivery(b'{"id": 5}', topic, SECRET)) == NotOurs()


@pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b"{}", b'{"id": "5"}', b"[" * 100_000])
def test_what_is_no_order_at_all_is_not_ours(shop: FakeWooCommerce, body: bytes) -> None:
    assert read(shop, signed_delivery(body, "order.updated", SECRET)) == NotOurs()


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"meta_data":' + b"[" * 100_000])
def test_what_cannot_be_read_is_rejected(shop: FakeWooCommerce, body: bytes) -> None:
    assert read(shop, signed_delivery(body, "order.updated", SECRET)) == Rejected("no_json")


def test_an_order_that_was_looked_at_is_told_once_for_each_state(shop: FakeWooCommerce) -> None:
    event = read(shop, shop.delivery(stored(shop, new_order())))
    assert isinstance(event, OrderEvent)
    first, again = looked_at(event.order), looked_at(replace(event.order))
    other = looked_at(replace(event.order, status="cancelled"))
    assert isinstance(first, OrderEvent)
    assert isinstance(other, OrderEvent)
    assert first == again
    assert first.order == event.order
    assert first.delivery_key != other.delivery_key
    assert looked_at(replace(event.order, reference="")) == NotOurs()


def test_the_first_knock_is_unsigned(shop: FakeWooCommerce) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert read(shop, (form, b"webhook_id=5")) == Ping()
    assert read(shop, (form, b"webhook_id=5&x=1")) == Rejected("unsigned")


def test_nobody_reads_a_book(shop: FakeWooCommerce) -> None:
    assert read(shop, signed_delivery(b" " * (BODY_BYTES_MAX + 1), "order.updated", SECRET)) == Rejected(
        "too_large"
    )
