"""A shop that is down is left alone; one that says no is not taken for one that is down."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.support.orders import new_order, new_reference, new_refund

from holdgate_workers.adapters.shops.guarded import GuardedGateway
from holdgate_workers.app.circuit_breaker import BackOff, CircuitBreaker
from holdgate_workers.app.ordering.orders import (
    Cancelled,
    CancelResult,
    Created,
    CreateResult,
    FindResult,
    Found,
    NewOrder,
    NewRefund,
    NotFound,
    OrderGateway,
    Refunded,
    RefundResult,
    Refused,
    ShopOrder,
    Unavailable,
    Unknown,
)

ORDER = ShopOrder(order_id="1", reference="hg-00000001", status="paid", currency="EUR", total=100)
DOWN = Unavailable("ConnectError")
Ask = Callable[[OrderGateway], object]
CALLS: dict[str, Ask] = {
    "create": lambda gateway: gateway.create(new_order(), sent_before=False),
    "find": lambda gateway: gateway.find(new_reference()),
    "get": lambda gateway: gateway.get("1"),
    "cancel": lambda gateway: gateway.cancel("1", "why"),
    "refund": lambda gateway: gateway.refund("1", new_refund(1)),
}


class Shop:
    """Answers what it was told to."""

    name = "shop"
    settle_seconds = 45.0
    pays_back = False

    def __init__(self) -> None:
        self.says: object = DOWN
        self.asked: list[object] = []
        self.closed = False

    def _answer(self, *asked: object) -> object:
        self.asked.append(asked)
        if isinstance(self.says, Exception):
            raise self.says
        return self.says

    def create(self, order: NewOrder, *, sent_before: bool = True) -> CreateResult:
        return self._answer("create", order, sent_before)  # type: ignore[return-value]

    def find(self, reference: str) -> FindResult:
        return self._answer("find", reference)  # type: ignore[return-value]

    def get(self, order_id: str) -> FindResult:
        return self._answer("get", order_id)  # type: ignore[return-value]

    def cancel(self, order_id: str, reason: str) -> CancelResult:
        return self._answer("cancel", order_id, reason)  # type: ignore[return-value]

    def refund(self, order_id: str, refund: NewRefund) -> RefundResult:
        return self._answer("refund", order_id, refund)  # type: ignore[return-value]

    def close(self) -> None:
        self.closed = True


class Bench:
    """A shop behind a breaker, and a clock that stands."""

    def __init__(self) -> None:
        self.shop = Shop()
        self.now = 1000.0
        breaker = CircuitBreaker(failures_max=3, pause=BackOff(10.0, 10.0), probe_seconds=60.0)
        self.gateway = GuardedGateway(self.shop, breaker, elapsed_seconds=lambda: self.now, draw=lambda: 0.0)

    def fails(self, times: int = 3) -> None:
        for _ in range(times):
            self.gateway.get("1")


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize("call", CALLS)
def test_after_several_failures_the_shop_is_left_alone_and_nothing_was_done(bench: Bench, call: str) -> None:
    bench.fails()
    asked = len(bench.shop.asked)
    result = CALLS[call](bench.gateway)
    assert result == Unavailable("shop is left alone after several failures", 5.0, is_left_alone=True)
    assert len(bench.shop.asked) == asked
    assert bench.gateway.circuit == "open"


@pytest.mark.parametrize("call", CALLS)
def test_every_call_is_passed_on_as_it_was_made(bench: Bench, call: str) -> None:
    bench.shop.says = NotFound()
    assert CALLS[call](bench.gateway) == NotFound()
    ((name, *given),) = bench.shop.asked
    assert name == call
    assert call != "create" or given[1] is False


def test_one_that_works_again_is_asked_again(bench: Bench) -> None:
    bench.fails()
    bench.now += 5.0
    bench.shop.says = Found(ORDER)
    assert bench.gateway.get("1") == Found(ORDER)
    assert bench.gateway.circuit == "closed"


def test_a_probe_that_fails_opens_the_circuit_again(bench: Bench) -> None:
    bench.fails()
    bench.now += 5.0
    assert bench.gateway.get("1") == DOWN
    assert bench.gateway.get("1") != DOWN
    assert bench.gateway.circuit == "open"


@pytest.mark.parametrize("trouble", [DOWN, Unknown("HTTP 500"), Refused("no_keys", permanent=False)], ids=repr)
def test_what_speaks_against_the_shop_counts(bench: Bench, trouble: object) -> None:
    bench.shop.says = trouble
    bench.fails()
    assert bench.gateway.circuit == "open"


@pytest.mark.parametrize(
    "answer",
    [
        Created(ORDER),
        Found(ORDER),
        NotFound(),
        Cancelled(ORDER),
        Refunded("1", 100),
        Refused("total_mismatch", permanent=True),
    ],
    ids=repr,
)
def test_an_answer_even_a_no_counts_for_the_shop(bench: Bench, answer: object) -> None:
    bench.fails(2)
    bench.shop.says = answer
    bench.fails(1)
    bench.shop.says = DOWN
    bench.fails(2)
    assert bench.gateway.circuit == "closed"


def test_a_shop_that_says_when_to_come_back_is_left_alone_until_then(bench: Bench) -> None:
    """As far as its longest pause goes: conversions wait behind it."""
    bench.shop.says = Unavailable("HTTP 429", 7.0)
    bench.fails()
    result = bench.gateway.get("1")
    assert isinstance(result, Unavailable)
    assert result.retry_after_seconds == 7.0
    bench.now += 7.0
    bench.shop.says = Unavailable("HTTP 503", 600.0)
    bench.fails(1)
    result = bench.gateway.get("1")
    assert isinstance(result, Unavailable)
    assert result.retry_after_seconds is not None
    assert 7.0 <= result.retry_after_seconds <= 10.0


def test_a_fault_of_our_own_is_not_hidden_and_stops_nobody_for_ever(bench: Bench) -> None:
    bench.fails()
    bench.now += 5.0
    bench.shop.says = RuntimeError("a fault")
    with pytest.raises(RuntimeError):
        bench.gateway.get("1")
    bench.now += 60.0
    bench.shop.says = Found(ORDER)
    assert bench.gateway.get("1") == Found(ORDER)


def test_it_is_the_gateway_that_it_guards(bench: Bench) -> None:
    gateway = bench.gateway
    assert (gateway.name, gateway.settle_seconds, gateway.pays_back) == ("shop", 45.0, False)
    bench.gateway.close()
    assert bench.shop.closed
