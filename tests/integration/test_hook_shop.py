"""The gateway to a shop that takes signed requests, where it is about more than what every gateway does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace
from tests.support.fake_hook_shop import NOW, SECRET, FakeHookShop, fake_hook_shop
from tests.support.http_peer import Reply, http_peer
from tests.support.orders import new_order, new_reference, new_refund

from holdgate_workers.adapters.http.client import HttpClient
from holdgate_workers.adapters.http.signing import SigningKey
from holdgate_workers.adapters.http.target import Target
from holdgate_workers.adapters.shops.webhook import WebhookGateway
from holdgate_workers.app.ordering.orders import Created, Found, Refused, ShopOrder, Unavailable, Unknown

ORDER = {
    "order_id": "A-1",
    "reference": "hg-somebody-else",
    "status": "paid",
    "currency": "EUR",
    "total": 17797,
    "refunded": 0,
    "changed_at": None,
}


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


def gateway_to(url: str, secret: str = SECRET) -> WebhookGateway:
    return WebhookGateway(HttpClient(Target(url)), SigningKey(secret), Clock())


@pytest.fixture
def shop() -> Iterator[FakeHookShop]:
    with fake_hook_shop() as shop:
        yield shop


@pytest.fixture
def gateway(shop: FakeHookShop) -> WebhookGateway:
    return gateway_to(shop.url)


def ids(shop: FakeHookShop) -> list[str]:
    """The message ids since the last look."""
    found = [request.headers["webhook-id"] for request in shop.peer.requests]
    shop.peer.requests.clear()
    return found


def test_what_is_to_be_done_again_goes_by_the_same_name(shop: FakeHookShop, gateway: WebhookGateway) -> None:
    asked, refund = new_order(), new_refund(100)
    for _ in range(2):
        gateway.create(asked)
    first, again = ids(shop)
    assert first == again
    for _ in range(2):
        gateway.refund("A-1", refund)
    first, again = ids(shop)
    assert first == again
    gateway.refund("A-1", replace(refund, reference=new_reference()))
    assert ids(shop) != [first]


def test_paying_goes_by_another_name_than_creating(shop: FakeHookShop, gateway: WebhookGateway) -> None:
    """A shop that drops what it has seen, by the message's id, must not drop the payment."""
    unpaid = new_order(paid=False)
    gateway.create(unpaid)
    gateway.create(replace(unpaid, payment=replace(unpaid.payment, is_paid=True)))
    created, paid = ids(shop)
    assert created != paid


def test_every_look_goes_by_a_name_of_its_own(shop: FakeHookShop, gateway: WebhookGateway) -> None:
    for _ in range(3):
        gateway.find("hg-5d2c41f0")
        gateway.get("A-1")
    assert len(set(ids(shop))) == 6


@pytest.mark.parametrize("paid", [True, False])
def test_a_shop_that_charges_more_is_refused_and_nothing_is_left_open(
    shop: FakeHookShop, gateway: WebhookGateway, paid: bool
) -> None:
    shop.surcharge = 50
    asked = new_order(paid=paid)
    result = gateway.create(asked)
    assert isinstance(result, Refused)
    assert (result.reason, result.permanent) == ("total_mismatch", True)
    assert [order["status"] for order in shop.under(asked.reference)] == ["cancelled"]


def test_a_shop_that_does_not_know_us_has_to_be_mended(shop: FakeHookShop) -> None:
    stranger = gateway_to(shop.url, "whsec_" + "QUFB" * 8)
    for result in (stranger.create(new_order()), stranger.find(new_reference()), stranger.get("A-1")):
        assert isinstance(result, Refused)
        assert not result.permanent
    assert shop.orders == {}


def test_a_wrong_address_says_nothing_about_orders(shop: FakeHookShop) -> None:
    result = gateway_to(shop.peer.url + "/elsewhere").find(new_reference())
    assert isinstance(result, Refused)
    assert not result.permanent


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, {"order": ORDER, "created": True}),
        Reply(200, {"order": None}),
        Reply(200, {"ok": True}),
        Reply(200, {"order": {**ORDER, "total": "177.97"}}),
        Reply(202, {}),
    ],
    ids=str,
)
def test_an_answer_to_something_else_leaves_it_open(reply: Reply) -> None:
    with http_peer(lambda _: reply) as peer:
        gateway = gateway_to(peer.url)
        assert isinstance(gateway.create(new_order()), Unknown)
        if reply.content != {"order": None}:
            assert isinstance(gateway.find(new_reference()), Unavailable)


def test_a_no_is_told_in_the_shops_own_words_and_not_at_length() -> None:
    with http_peer(lambda _: Reply(422, {"reason": "no\nmore  tours " + "x" * 500})) as peer:
        result = gateway_to(peer.url).create(new_order())
    assert isinstance(result, Refused)
    assert result.permanent
    assert result.reason.startswith("no more tours x")
    assert len(result.reason) == 200


def test_what_the_shop_says_is_there_is_there(shop: FakeHookShop, gateway: WebhookGateway) -> None:
    created = gateway.create(new_order())
    assert isinstance(created, Created)
    assert isinstance(created.order, ShopOrder)
    assert gateway.get(created.order.order_id) == Found(created.order)
