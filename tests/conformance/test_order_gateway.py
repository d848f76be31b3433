"""What the conversion of a booking may rely on, whatever shop it is in."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec.structs import replace
from tests.conformance.order_gateways import HARNESSES, OrderHarness
from tests.support.http_peer import DONE, RETRY_AFTER_SECONDS, Fault, HttpPeer
from tests.support.orders import free_order, new_order, new_reference, new_refund

from holdgate_workers.app.ordering.orders import (
    Cancelled,
    Created,
    Found,
    InvalidOrder,
    NewOrder,
    NotFound,
    OrderGateway,
    Refunded,
    Refused,
    ShopOrder,
    Unavailable,
    Unknown,
)

pytestmark = pytest.mark.services


@pytest.fixture(scope="module", params=sorted(HARNESSES))
def shop(request: pytest.FixtureRequest) -> Iterator[OrderHarness]:
    with HARNESSES[request.param]() as harness:
        yield harness


@pytest.fixture
def peer(shop: OrderHarness) -> HttpPeer:
    assert shop.peer is not None
    return shop.peer


with_a_peer = pytest.mark.parametrize("shop", ["webhook", "woocommerce"], indirect=True, scope="module")


def facing(shop: OrderHarness, fault: Fault) -> OrderGateway:
    """Nobody waits for the end of what has none."""
    endless = fault in (Fault.HANG, Fault.TRICKLE, Fault.TRICKLE_HEADERS)
    gateway = shop.impatient if endless else shop.gateway
    assert gateway is not None
    return gateway


def created(shop: OrderHarness, order: NewOrder) -> ShopOrder:
    result = shop.gateway.create(order)
    assert isinstance(result, Created), result
    return result.order


def found(shop: OrderHarness, reference: str) -> ShopOrder:
    result = shop.gateway.find(reference)
    assert isinstance(result, Found), result
    assert result.twins == ()
    return result.order


# --- creating ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent_before", [True, False])
def test_an_order_is_created_as_it_was_asked_for(shop: OrderHarness, sent_before: bool) -> None:
    asked = new_order()
    result = shop.gateway.create(asked, sent_before=sent_before)
    assert isinstance(result, Created)
    order = result.order
    assert (order.reference, order.status, order.total, order.currency, order.refunded) == (
        asked.reference,
        "paid",
        17797,
        "EUR",
        0,
    )
    assert order.changed_at is not None
    assert shop.states(asked.reference) == ["paid"]


def test_a_created_order_is_found_by_reference_and_by_id(shop: OrderHarness) -> None:
    order = created(shop, new_order())
    assert found(shop, order.reference) == order
    assert shop.gateway.get(order.order_id) == Found(order)


def test_asking_twice_creates_once(shop: OrderHarness) -> None:
    asked = new_order()
    order = created(shop, asked)
    assert shop.gateway.create(asked) == Found(order)
    assert shop.states(asked.reference) == ["paid"]


def test_an_unpaid_order_waits_and_is_paid_by_asking_again(shop: OrderHarness) -> None:
    asked = new_order(paid=False)
    assert created(shop, asked).status == "pending"
    assert shop.states(asked.reference) == ["pending"]
    paid = shop.gateway.create(replace(asked, payment=replace(asked.payment, is_paid=True)))
    assert isinstance(paid, Found)
    assert paid.order.status == "paid"
    assert shop.states(asked.reference) == ["paid"]


def test_a_reference_is_not_used_for_something_else(shop: OrderHarness) -> None:
    asked = new_order(paid=False)
    before = created(shop, asked)
    result = shop.gateway.create(new_order(asked.reference, more=100))
    assert isinstance(result, Refused)
    assert (result.reason, result.permanent) == ("reference_taken", True)
    assert found(shop, asked.reference) == before


def test_an_order_that_is_over_is_not_created_again(shop: OrderHarness) -> None:
    asked = new_order(paid=False)
    order = created(shop, asked)
    shop.gateway.cancel(order.order_id, "changed their mind")
    result = shop.gateway.create(asked)
    assert isinstance(result, Found)
    assert result.order.status == "cancelled"
    assert shop.states(asked.reference) == ["cancelled"]


@pytest.mark.parametrize("paid", [True, False])
def test_an_order_may_cost_nothing(shop: OrderHarness, paid: bool) -> None:
    order = created(shop, free_order(paid=paid))
    assert (order.total, order.status) == (0, "paid" if paid else "pending")


def test_what_cost_nothing_is_cancelled_and_nothing_goes_back(shop: OrderHarness) -> None:
    order = created(shop, free_order())
    ended = shop.gateway.cancel(order.order_id, "changed their mind")
    assert isinstance(ended, Cancelled)
    assert (ended.order.status, ended.order.refunded) == ("cancelled", 0)
    refused = shop.gateway.refund(order.order_id, new_refund(1))
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.permanent) == ("more_than_is_left", True)


def test_it_says_whether_a_refund_moves_money(shop: OrderHarness) -> None:
    """Else a debt would be said to be paid where only people pay."""
    assert shop.gateway.pays_back == (shop.gateway.name != "local")


def test_orders_of_many_threads_do_not_mix(shop: OrderHarness) -> None:
    asked = [new_order(more=100 * number) for number in range(40)]
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(shop.gateway.create, asked))
    assert [(r.order.reference, r.order.total) for r in results if isinstance(r, Created)] == [
        (order.reference, order.total) for order in asked
    ]
    assert all(shop.states(order.reference) == ["paid"] for order in asked)


# --- looking ----------------------------------------------------------------------------------------------------


def test_what_is_not_there_is_not_found(shop: OrderHarness) -> None:
    assert shop.gateway.find(new_reference()) == NotFound()


def test_a_part_of_a_reference_finds_nothing(shop: OrderHarness) -> None:
    asked = new_order(new_reference() + "-and-more")
    created(shop, asked)
    assert shop.gateway.find(asked.reference.removesuffix("-and-more")) == NotFound()


@pytest.mark.parametrize("order_id", ["999999", "9" * 40, "", "1/../2", "1?x=2", "٣", "-1", "x"])
def test_an_id_that_is_nobodys_is_not_found(shop: OrderHarness, order_id: str) -> None:
    assert shop.gateway.get(order_id) == NotFound()
    assert shop.gateway.cancel(order_id, "why not") == NotFound()
    assert shop.gateway.refund(order_id, new_refund(1)) == NotFound()


@pytest.mark.parametrize("reference", ["short", "", "a" * 65, "with space", "%%%%%%%%%", "abcdefgh\n"])
def test_what_is_no_reference_is_not_searched_for(shop: OrderHarness, reference: str) -> None:
    with pytest.raises(InvalidOrder, match="reference"):
        shop.gateway.find(reference)


# --- ending -----------------------------------------------------------------------------------------------------


def test_an_order_is_cancelled_once_however_often_that_is_asked(shop: OrderHarness) -> None:
    order = created(shop, new_order(paid=False))
    first = shop.gateway.cancel(order.order_id, "hold released")
    assert isinstance(first, Cancelled)
    assert first.order.status == "cancelled"
    assert shop.gateway.cancel(order.order_id, "hold released") == first
    assert shop.states(order.reference) == ["cancelled"]


def test_a_refunded_order_stays_refunded(shop: OrderHarness) -> None:
    order = created(shop, new_order())
    shop.gateway.refund(order.order_id, new_refund(order.total))
    result = shop.gateway.cancel(order.order_id, "too late")
    assert isinstance(result, Cancelled)
    assert result.order.status == "refunded"


# --- giving money back ------------------------------------------------------------------------------------------


def test_money_is_given_back_once_for_each_reference(shop: OrderHarness) -> None:
    order = created(shop, new_order())
    refund = new_refund(5000)
    first = shop.gateway.refund(order.order_id, refund)
    assert isinstance(first, Refunded)
    assert first.amount == 5000
    assert shop.gateway.refund(order.order_id, refund) == first
    after = found(shop, order.reference)
    assert (after.refunded, after.status) == (5000, "paid")


def test_an_order_given_back_in_full_is_refunded(shop: OrderHarness) -> None:
    order = created(shop, new_order())
    last = new_refund(order.total - 1)
    for refund in (new_refund(1), last):
        assert isinstance(shop.gateway.refund(order.order_id, refund), Refunded)
    after = found(shop, order.reference)
    assert (after.refunded, after.status) == (order.total, "refunded")
    assert isinstance(shop.gateway.refund(order.order_id, last), Refunded)
    assert found(shop, order.reference).refunded == order.total


def test_no_more_is_given_back_than_was_paid(shop: OrderHarness) -> None:
    order = created(shop, new_order())
    assert isinstance(shop.gateway.refund(order.order_id, new_refund(17000)), Refunded)
    result = shop.gateway.refund(order.order_id, new_refund(798))
    assert isinstance(result, Refused)
    assert (result.reason, result.permanent) == ("more_than_is_left", True)
    assert found(shop, order.reference).refunded == 17000


def test_the_reference_of_a_refund_is_not_used_for_another_amount(shop: OrderHarness) -> None:
    order = created(shop, new_order())
    refund = new_refund(100)
    shop.gateway.refund(order.order_id, refund)
    result = shop.gateway.refund(order.order_id, replace(refund, amount=200))
    assert isinstance(result, Refused)
    assert (result.reason, result.permanent) == ("reference_taken", True)


def test_what_was_not_paid_is_not_given_back(shop: OrderHarness) -> None:
    order = created(shop, new_order(paid=False))
    result = shop.gateway.refund(order.order_id, new_refund(1))
    assert isinstance(result, Refused)
    assert (result.reason, result.permanent) == ("not_paid", True)


# --- when things go wrong ---------------------------------------------------------------------------------------


def test_nothing_is_done_where_nobody_is(shop: OrderHarness) -> None:
    assert isinstance(shop.nobody.create(new_order()), Unavailable)
    assert isinstance(shop.nobody.create(new_order(), sent_before=False), Unavailable)
    assert isinstance(shop.nobody.find(new_reference()), Unavailable)
    assert isinstance(shop.nobody.get("1"), Unavailable)
    assert isinstance(shop.nobody.cancel("1", "why"), Unavailable)
    assert isinstance(shop.nobody.refund("1", new_refund(1)), Unavailable)


@with_a_peer
@pytest.mark.parametrize("fault", DONE, ids=lambda fault: fault.name)
def test_an_order_that_may_be_there_is_unknown_and_asking_again_finds_it(
    shop: OrderHarness, peer: HttpPeer, fault: Fault
) -> None:
    asked = new_order()
    peer.plan(fault)
    result = facing(shop, fault).create(asked, sent_before=False)
    assert isinstance(result, Unknown), result
    assert len(shop.states(asked.reference)) == 1
    again = shop.gateway.create(asked)
    assert isinstance(again, Found), again
    assert again.order.status == "paid"
    assert shop.states(asked.reference) == ["paid"]


@with_a_peer
@pytest.mark.parametrize("fault", DONE, ids=lambda fault: fault.name)
def test_a_refund_that_may_be_there_is_unknown_and_asking_again_does_not_repeat_it(
    shop: OrderHarness, peer: HttpPeer, fault: Fault
) -> None:
    order = created(shop, new_order())
    refund = new_refund(500)
    peer.plan(fault)
    assert isinstance(facing(shop, fault).refund(order.order_id, refund), Unknown)
    assert isinstance(shop.gateway.refund(order.order_id, refund), Refunded)
    assert found(shop, order.reference).refunded == 500


@with_a_peer
def test_a_busy_shop_has_done_nothing_and_says_when_to_come_back(shop: OrderHarness, peer: HttpPeer) -> None:
    asked = new_order()
    peer.plan(Fault.BUSY)
    result = shop.gateway.create(asked, sent_before=False)
    assert isinstance(result, Unavailable)
    assert result.retry_after_seconds == RETRY_AFTER_SECONDS
    assert shop.states(asked.reference) == []


@with_a_peer
def test_a_redirect_is_not_followed_and_for_somebody_to_mend(shop: OrderHarness, peer: HttpPeer) -> None:
    peer.plan(Fault.REDIRECT)
    result = shop.gateway.create(new_order(), sent_before=False)
    assert isinstance(result, Refused)
    assert not result.permanent
    assert "redirects to http://127.0.0.1" in result.detail
    assert "geheim" not in result.detail


@with_a_peer
def test_a_crash_before_the_work_is_unknown_too_and_asking_again_creates(
    shop: OrderHarness, peer: HttpPeer
) -> None:
    asked = new_order()
    peer.plan(Fault.ERROR_BEFORE)
    assert isinstance(shop.gateway.create(asked, sent_before=False), Unknown)
    assert isinstance(shop.gateway.create(asked), Created)
    assert shop.states(asked.reference) == ["paid"]
