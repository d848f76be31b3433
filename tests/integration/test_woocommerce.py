"""The WooCommerce gateway against a shop that behaves as shops do."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from msgspec.structs import replace
from tests.conformance.order_gateways import IMPATIENT, woocommerce
from tests.support.fake_woocommerce import KEY, FakeWooCommerce, Version, fake_woocommerce
from tests.support.http_peer import PATIENCE_SECONDS, RETRY_AFTER_SECONDS, Fault, Reply, Request
from tests.support.orders import free_order, new_order, new_reference, new_refund

from holdgate_workers.adapters.http.client import Timeouts
from holdgate_workers.adapters.http.target import Target
from holdgate_workers.adapters.shops.woocommerce.api import WooCommerceApi, shop_client
from holdgate_workers.adapters.shops.woocommerce.events import read_delivery
from holdgate_workers.adapters.shops.woocommerce.gateway import WooCommerceGateway
from holdgate_workers.adapters.shops.woocommerce.orders import WooCommerceShop
from holdgate_workers.app.circuit_breaker import BackOff
from holdgate_workers.app.ordering.orders import (
    Created,
    CreateResult,
    Found,
    NewOrder,
    NotFound,
    OrderEvent,
    OrderFee,
    OrderGateway,
    Refunded,
    Refused,
    ShopOrder,
    Unavailable,
    Unknown,
)

ATTEMPTS_MAX = 200


@pytest.fixture
def shop() -> Iterator[FakeWooCommerce]:
    with fake_woocommerce() as shop:
        yield shop


def created(gateway: OrderGateway, order: NewOrder) -> ShopOrder:
    result = gateway.create(order)
    assert isinstance(result, Created), result
    return result.order


def found(gateway: OrderGateway, reference: str) -> ShopOrder:
    result = gateway.find(reference)
    assert isinstance(result, Found), result
    return result.order


def convert(
    gateway: OrderGateway, order: NewOrder, wait: Callable[[float], None], rng: random.Random
) -> CreateResult:
    """What whoever converts a booking does: nothing is sent again before it was searched for, and not searched for
    before what was sent can have come to its end."""
    sent_before = False
    for attempt in range(1, ATTEMPTS_MAX):
        result = gateway.create(order, sent_before=sent_before)
        if isinstance(result, Created | Found) or (isinstance(result, Refused) and result.permanent):
            return result
        told = None if isinstance(result, Refused) else result.retry_after_seconds
        pause = BackOff().seconds(attempt, rng.random(), told)
        if isinstance(result, Unknown):
            sent_before = True
            pause = max(pause, gateway.settle_seconds)
        wait(pause)
    raise AssertionError(f"no end after {ATTEMPTS_MAX} attempts: {result}")


# --- money ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("currency", "decimals", "total"), [("EUR", 2, "177.97"), ("JPY", 0, "17797"), ("KWD", 3, "17.797")]
)
def test_the_shop_charges_what_was_asked(shop: FakeWooCommerce, currency: str, decimals: int, total: str) -> None:
    shop.decimals = decimals
    order = created(woocommerce(shop.url), new_order(currency=currency))
    assert shop.orders[int(order.order_id)]["total"] == total
    assert (order.total, order.currency) == (17797, currency)


@pytest.mark.parametrize("paid", [True, False])
def test_a_shop_that_adds_tax_is_refused_and_nothing_is_left_open(shop: FakeWooCommerce, paid: bool) -> None:
    shop.tax_percent = shop.tax_percent + 19
    asked = new_order(paid=paid)
    result = woocommerce(shop.url).create(asked)
    assert isinstance(result, Refused)
    assert (result.reason, result.permanent) == ("total_mismatch", True)
    assert result.detail == "asked for 17797 EUR, the shop has 21217 EUR"
    (order,) = shop.under(asked.reference)
    assert (order["status"], order["date_paid_gmt"]) == ("cancelled", None)
    assert woocommerce(shop.url).create(asked) == result


def test_a_shop_that_rounds_more_coarsely_is_refused(shop: FakeWooCommerce) -> None:
    shop.decimals = 0
    result = woocommerce(shop.url).create(new_order())
    assert isinstance(result, Refused)
    assert result.reason == "total_mismatch"


def test_what_was_not_left_open_for_sure_is_unknown_and_ended_by_the_next_attempt(shop: FakeWooCommerce) -> None:
    shop.tax_percent = shop.tax_percent + 19
    asked, gateway = new_order(), woocommerce(shop.url)
    shop.peer.plan(Fault.ERROR_BEFORE, method="PUT")
    assert isinstance(gateway.create(asked), Unknown)
    result = gateway.create(asked)
    assert isinstance(result, Refused)
    assert [order["status"] for order in shop.under(asked.reference)] == ["cancelled"]


def test_a_coupon_of_the_shop_takes_off_what_ours_does(shop: FakeWooCommerce) -> None:
    asked = new_order()
    assert asked.coupon is not None
    shop.coupons = {asked.coupon.code: shop.tax_percent + 1242 / shop.tax_percent.__class__(100)}
    order = created(woocommerce(shop.url, coupons_as="coupon"), asked)
    assert (order.total, order.status) == (17797, "paid")
    assert shop.orders[int(order.order_id)]["discount_total"] == "12.42"


def test_an_order_refused_after_it_was_stored_is_not_left_behind(shop: FakeWooCommerce) -> None:
    asked = new_order()
    result = woocommerce(shop.url, coupons_as="coupon").create(asked)
    assert isinstance(result, Refused)
    assert (result.reason, result.permanent) == ("woocommerce_rest_invalid_coupon", True)
    assert "does not exist" in result.detail
    assert [order["status"] for order in shop.under(asked.reference)] == ["cancelled"]


@pytest.mark.parametrize("version", ["8.9.3", "11.0.1"])
def test_what_is_stored_of_a_refused_order_is_ended_in_every_version(version: Version) -> None:
    """11.0.1 keeps a draft of it that `status=any` does not find."""
    with fake_woocommerce(version) as shop:
        asked = new_order()
        assert isinstance(woocommerce(shop.url, coupons_as="coupon").create(asked), Refused)
        assert [order["status"] for order in shop.under(asked.reference)] == ["cancelled"]


def test_an_order_refused_before_it_was_stored_is_just_refused(shop: FakeWooCommerce) -> None:
    nameless = replace(new_order(), fees=(OrderFee(key="x", name="", amount=0),), total=16758)
    result = woocommerce(shop.url).create(nameless)
    assert isinstance(result, Refused)
    assert (result.reason, result.permanent) == ("woocommerce_rest_invalid_fee_item", True)
    assert shop.orders == {}


@pytest.mark.parametrize(
    ("email", "billed"),
    [
        ("info@müller.it", "info@xn--mller-kva.it"),
        ("ada@localhost", None),
        ("jörg@example.org", None),
        ("nobody", None),
        ("a@b.c", None),
        ("ada@example.org", "ada@example.org"),
    ],
)
def test_an_address_that_the_shop_does_not_take_costs_no_order(
    shop: FakeWooCommerce, email: str, billed: str | None
) -> None:
    asked = new_order()
    order = created(woocommerce(shop.url), replace(asked, customer=replace(asked.customer, email=email)))
    assert order.status == "paid"
    [there] = shop.under(asked.reference)
    assert there["billing"].get("email") == billed
    kept = [entry["value"] for entry in there["meta_data"] if entry["key"] == "holdgate_email"]
    assert kept == ([] if billed == email else [email])


def test_a_no_that_cannot_be_read_is_not_for_good(shop: FakeWooCommerce) -> None:
    """A notice of PHP stands before the words that say that only the address is wrong."""
    asked, gateway = new_order(), woocommerce(shop.url)
    asked = replace(asked, customer=replace(asked.customer, email="ada@localhost"))
    shop.peer.plan(Fault.GARBAGE)
    assert isinstance(gateway.create(asked, sent_before=False), Unknown)
    assert isinstance(gateway.create(asked), Created)
    assert len(shop.under(asked.reference)) == 1


def test_customers_read_nothing_of_ours(shop: FakeWooCommerce) -> None:
    gateway = woocommerce(shop.url)
    order = created(gateway, new_order())
    assert isinstance(gateway.refund(order.order_id, new_refund(100)), Refunded)
    shown = shop.shown_to_customer(int(order.order_id))
    assert "cancelled by the customer" in shown
    assert not [words for words in shown if "hg-" in words or "Holdgate" in words], shown


def test_a_percentage_of_the_shop_that_takes_off_something_else_is_refused_and_ended(
    shop: FakeWooCommerce,
) -> None:
    """It rounds each line by itself. Coupons of the shop are to be of fixed amounts."""
    asked = new_order()
    assert asked.coupon is not None
    shop.percent_coupons = {asked.coupon.code: Decimal("6.897")}
    result = woocommerce(shop.url, coupons_as="coupon").create(asked)
    assert isinstance(result, Refused)
    assert result.reason == "total_mismatch"
    assert [order["status"] for order in shop.under(asked.reference)] == ["cancelled"]


# --- paid or not ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", [Fault.ERROR, Fault.ERROR_BEFORE, Fault.GARBAGE, Fault.RESET, Fault.HTML], ids=str
)
def test_an_order_that_may_be_paid_is_unknown_and_asking_again_marks_it(
    shop: FakeWooCommerce, fault: Fault
) -> None:
    asked, gateway = new_order(), woocommerce(shop.url)
    shop.peer.plan(fault, method="PUT")
    assert isinstance(gateway.create(asked), Unknown)
    result = gateway.create(asked)
    assert isinstance(result, Found)
    assert result.order.status == "paid"
    assert [order["status"] for order in shop.under(asked.reference)] == ["processing"]


@pytest.mark.parametrize("fault", [Fault.BUSY, Fault.REDIRECT], ids=str)
def test_an_order_that_is_stored_but_cannot_be_marked_as_paid_is_not_said_to_be_undone(
    shop: FakeWooCommerce, fault: Fault
) -> None:
    """Or whoever asked would ask again as if nothing had ever been sent, and there would be two."""
    gateway, asked = woocommerce(shop.url), new_order()
    shop.peer.plan(fault, method="PUT")
    result = gateway.create(asked, sent_before=False)
    assert isinstance(result, Unknown)
    assert result.retry_after_seconds == (RETRY_AFTER_SECONDS if fault is Fault.BUSY else None)
    assert isinstance(gateway.create(asked), Found)
    assert [order["status"] for order in shop.under(asked.reference)] == ["processing"]


def test_a_shop_that_will_not_have_it_paid_needs_mending(shop: FakeWooCommerce) -> None:
    shop.status_after_payment = "on-hold"
    gateway, asked = woocommerce(shop.url), new_order()
    assert gateway.create(asked, sent_before=False) == Unknown("not_marked_as_paid: the shop left it on-hold")
    assert gateway.create(asked) == Refused(
        "not_marked_as_paid", permanent=False, detail="the shop left it on-hold"
    )


def test_a_state_of_the_shops_own_counts_as_paid_when_it_follows_payment(shop: FakeWooCommerce) -> None:
    shop.status_after_payment = "completed"
    assert created(woocommerce(shop.url), new_order()).status == "paid"


def test_the_customer_is_only_told_of_an_order_that_is_right(shop: FakeWooCommerce) -> None:
    """WooCommerce writes to the customer when an order is paid, so none is created as paid."""
    created(woocommerce(shop.url), new_order())
    created(woocommerce(shop.url), free_order())
    posts = [request.json() for request in shop.peer.requests if request.method == "POST"]
    assert [(body["status"], body.get("set_paid")) for body in posts] == [("pending", None)] * 2


# --- what is not found by `any` ----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["checkout-draft", "awaiting-boat", "in-port"])
def test_an_order_is_found_in_whatever_state_it_is(shop: FakeWooCommerce, status: str) -> None:
    """Else another one would be made."""
    shop.custom_statuses = {"awaiting-boat": True, "in-port": False}
    gateway, asked = woocommerce(shop.url), new_order()
    order = created(gateway, asked)
    shop.move(int(order.order_id), status)
    assert isinstance(gateway.create(asked), Found)
    assert len(shop.under(asked.reference)) == 1


def test_a_shop_that_does_not_say_which_states_it_has_is_searched_for_drafts_as_well(
    shop: FakeWooCommerce,
) -> None:
    work = shop.peer.work
    shop.peer.work = lambda request: Reply(403, {}) if request.method == "OPTIONS" else work(request)
    gateway, asked = woocommerce(shop.url), new_order()
    order = created(gateway, asked)
    shop.move(int(order.order_id), "checkout-draft")
    assert found(gateway, asked.reference).order_id == order.order_id
    result = gateway.create(asked)
    assert isinstance(result, Found)
    assert result.order.status == "paid"


def test_a_plugin_that_takes_its_states_away_stops_no_search_for_ever(shop: FakeWooCommerce) -> None:
    shop.custom_statuses = {"awaiting-boat": True}
    gateway = woocommerce(shop.url)
    order = created(gateway, new_order())
    assert found(gateway, order.reference) == order
    shop.custom_statuses = {}
    assert isinstance(gateway.find(order.reference), Unavailable)
    assert found(gateway, order.reference) == order


# --- searching --------------------------------------------------------------------------------------------------


def test_it_is_found_though_the_shop_does_not_search_meta_data(shop: FakeWooCommerce) -> None:
    gateway = woocommerce(shop.url)
    order = created(gateway, new_order())
    shop.orders[int(order.order_id)]["meta_data"].clear()
    assert gateway.find(order.reference) == Found(order)


def test_others_that_the_search_brings_are_left_aside(shop: FakeWooCommerce) -> None:
    gateway = woocommerce(shop.url)
    reference = new_reference()
    for _ in range(3):
        other = created(gateway, new_order())
        shop.orders[int(other.order_id)]["billing"]["company"] = f"Friends of {reference}"
    assert gateway.find(reference) == NotFound()
    order = created(gateway, new_order(reference))
    assert gateway.find(reference) == Found(order)


def test_a_search_that_brings_everything_does_not_prove_that_it_is_not_there(shop: FakeWooCommerce) -> None:
    gateway = woocommerce(shop.url)
    shop.ignores_search = True
    asked = new_order()
    for _ in range(99):
        shop._create({**_posted(shop, gateway), "status": "completed"})
    assert isinstance(gateway.find(asked.reference), NotFound)
    shop._create({**_posted(shop, gateway), "status": "completed"})
    assert isinstance(gateway.find(asked.reference), Unavailable)
    assert isinstance(gateway.create(asked), Unavailable)
    assert shop.under(asked.reference) == []


def _posted(shop: FakeWooCommerce, gateway: OrderGateway) -> dict[str, object]:
    """What an order of somebody else is like."""
    return {"currency": "EUR", "line_items": [{"product_id": 1, "name": "Mug", "quantity": 1, "total": "9.00"}]}


def test_twins_are_told(shop: FakeWooCommerce) -> None:
    gateway = woocommerce(shop.url)
    asked = new_order()
    first = created(gateway, asked)
    twin = gateway.create(asked, sent_before=False)
    assert isinstance(twin, Created)
    assert gateway.find(asked.reference) == Found(first, (twin.order,))
    gateway.cancel(first.order_id, "one too many")
    assert gateway.find(asked.reference) == Found(twin.order)


CANNOT = ("woocommerce_rest_cannot_create", "woocommerce_rest_cannot_view", "woocommerce_rest_cannot_view")
WRONG_SECRET = ("woocommerce_rest_authentication_error",) * 3


@pytest.mark.parametrize(
    ("key", "is_behind_tls", "reasons"),
    [("ck_wrong", True, CANNOT), (KEY, True, WRONG_SECRET), (KEY, False, CANNOT)],
    ids=["unknown key", "wrong secret", "no TLS"],
)
def test_wrong_keys_are_for_somebody_to_mend(
    shop: FakeWooCommerce, key: str, is_behind_tls: bool, reasons: tuple[str, ...]
) -> None:
    shop.is_behind_tls = is_behind_tls
    client = shop_client(Target(shop.url), key, "cs_geheim")
    gateway = WooCommerceGateway(WooCommerceApi(client), WooCommerceShop(product_id=93))
    results = (
        gateway.create(new_order(), sent_before=False),
        gateway.find(new_reference()),
        gateway.get("727"),
    )
    for result, reason in zip(results, reasons, strict=True):
        assert isinstance(result, Refused)
        assert (result.reason, result.permanent) == (reason, False)
        assert "geheim" not in repr(result)


def test_a_wrong_address_is_for_somebody_to_mend_and_says_nothing_about_orders(shop: FakeWooCommerce) -> None:
    gateway = woocommerce(f"{shop.url}/blog")
    for result in (gateway.create(new_order()), gateway.find(new_reference()), gateway.get("727")):
        assert isinstance(result, Refused)
        assert (result.reason, result.permanent) == ("rest_no_route", False)


# --- giving money back ------------------------------------------------------------------------------------------


def test_what_the_payment_provider_will_not_pay_back_is_for_a_person(shop: FakeWooCommerce) -> None:
    gateway = woocommerce(shop.url)
    order = created(gateway, new_order())
    shop.provider.refuses = True
    result = gateway.refund(order.order_id, new_refund(100))
    assert isinstance(result, Refused)
    assert (result.reason, result.permanent) == ("woocommerce_rest_cannot_create_order_refund", True)
    assert "cannot be refunded" in result.detail


def test_a_way_of_paying_that_is_no_active_gateway_of_the_shop_cannot_pay_back(shop: FakeWooCommerce) -> None:
    asked = new_order()
    asked = replace(asked, payment=replace(asked.payment, method="card"))
    order = created(woocommerce(shop.url), asked)
    refused = woocommerce(shop.url).refund(order.order_id, new_refund(100))
    assert isinstance(refused, Refused)
    assert refused.permanent
    assert shop.provider.movements == []
    named = woocommerce(shop.url, payment_methods={"card": "stripe"})
    other = created(named, replace(asked, reference=new_reference()))
    assert isinstance(named.refund(other.order_id, new_refund(100)), Refunded)
    assert shop.provider.given_back("pi_3PQ") == 1


def test_where_people_pay_back_the_shop_is_not_asked_and_records_nothing(shop: FakeWooCommerce) -> None:
    gateway = woocommerce(shop.url, refunds_payment=False)
    assert not gateway.pays_back
    order = created(gateway, new_order())
    assert gateway.refund(order.order_id, new_refund(100)) == Refused("paid_back_by_hand", permanent=True)
    assert found(gateway, order.reference).refunded == 0


def test_a_refund_that_was_cut_off_at_the_payment_provider_is_not_asked_for_again(shop: FakeWooCommerce) -> None:
    """The shop has stored it without our reference, and nobody knows whether the money has moved."""
    gateway = woocommerce(shop.url)
    order = created(gateway, new_order())
    refund = new_refund(100)
    shop.dies_paying_back = True
    assert isinstance(gateway.refund(order.order_id, refund), Unknown)
    shop.dies_paying_back = False
    result = gateway.refund(order.order_id, refund)
    assert isinstance(result, Refused)
    assert (result.reason, result.permanent) == ("refund_not_confirmed", True)
    assert shop.provider.asked_to_pay_back["pi_3PQ"] == 1


# --- what the shop tells ----------------------------------------------------------------------------------------


def test_the_shop_tells_what_the_gateway_sees(shop: FakeWooCommerce) -> None:
    gateway = woocommerce(shop.url)
    order = created(gateway, new_order())
    gateway.refund(order.order_id, new_refund(order.total))
    headers, body = shop.delivery(int(order.order_id))
    event = read_delivery(headers, body, secrets=["s" * 32], now=shop.now)
    assert isinstance(event, OrderEvent)
    assert gateway.get(order.order_id) == Found(event.order)
    assert event.order.status == "refunded"


# --- once, whatever happens -------------------------------------------------------------------------------------


def test_an_order_that_comes_late_is_waited_for(shop: FakeWooCommerce) -> None:
    """The shop works on although nobody listens any more. A search at once would find nothing."""
    gateway = woocommerce(shop.url, IMPATIENT, settle_seconds=90.0)
    asked = new_order()
    shop.peer.plan(Fault.LATE)
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        shop.peer.release.set()
        shop.peer.settle()

    result = convert(gateway, asked, wait, random.Random(1))
    assert isinstance(result, Found)
    assert waits[0] >= 90.0
    assert len(shop.under(asked.reference)) == 1


def test_without_waiting_there_would_be_two_and_they_are_told(shop: FakeWooCommerce) -> None:
    gateway = woocommerce(shop.url, IMPATIENT)
    asked = new_order()
    shop.peer.plan(Fault.LATE)
    assert isinstance(gateway.create(asked, sent_before=False), Unknown)
    assert isinstance(gateway.create(asked), Created)
    shop.peer.release.set()
    assert shop.peer.late_work_done.wait(PATIENCE_SECONDS)
    found = gateway.find(asked.reference)
    assert isinstance(found, Found)
    assert len(found.twins) == 1


ORDERS = 500


@pytest.mark.slow
def test_500_orders_are_there_once_each_however_the_shop_behaves(shop: FakeWooCommerce) -> None:
    rng, lock, done = random.Random(20261006), threading.Lock(), Counter[str]()
    hurried = Timeouts(connect_seconds=30.0, read_seconds=0.5, total_seconds=1.0)
    gateway = woocommerce(shop.url, hurried)
    others = (Fault.ERROR, Fault.ERROR_BEFORE, Fault.BUSY, Fault.GARBAGE, Fault.HTML)

    def choose(request: Request) -> Fault | None:
        with lock:
            chance = rng.random()
            fault = Fault.HANG if chance < 0.2 and request.method == "POST" else None
            if 0.2 <= chance < 0.3:
                fault = rng.choice(others)
            done[f"{request.method} {fault.name if fault else 'as asked'}"] += 1
            return fault

    shop.peer.choose = choose
    asked = [new_order(paid=number % 2 == 0, more=number) for number in range(ORDERS)]

    def wait(seconds: float) -> None:
        if seconds >= gateway.settle_seconds:
            shop.peer.settle()

    def work(order: NewOrder) -> CreateResult:
        return convert(gateway, order, wait, random.Random(order.reference))

    with ThreadPoolExecutor(32) as threads:
        results = list(threads.map(work, asked))

    assert all(isinstance(result, Created | Found) for result in results)
    assert [len(shop.under(order.reference)) for order in asked] == [1] * ORDERS
    assert len(shop.orders) == ORDERS
    for order, result in zip(asked, results, strict=True):
        assert isinstance(result, Created | Found)
        (there,) = shop.under(order.reference)
        assert (result.order.order_id, result.order.total) == (str(there["id"]), order.total)
        assert there["status"] == ("processing" if order.payment.is_paid else "pending")
    posts = sum(times for what, times in done.items() if what.startswith("POST"))
    assert done["POST HANG"] > 0.15 * posts
    assert sum(times for what, times in done.items() if "as asked" not in what) > 0.2 * posts
