"""A gateway behind a circuit breaker: a shop that is down is left alone for a while, and nobody waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from holdgate_workers.app.circuit_breaker import BreakerState, CircuitBreaker
from holdgate_workers.app.ordering.orders import (
    CancelResult,
    CreateResult,
    FindResult,
    NewOrder,
    NewRefund,
    OrderGateway,
    RefundResult,
    Unavailable,
    Unknown,
    is_trouble,
)

LEFT_ALONE = "is left alone after several failures"
"""What is said of a shop whose circuit is open."""

R = TypeVar("R", CreateResult, FindResult, CancelResult, RefundResult)


class GuardedGateway:
    """An `OrderGateway` that asks another one only while its breaker lets it, and is `Unavailable` else.

    `elapsed_seconds` is a clock that does not go back, `draw` a random number from 0 up to 1.
    """

    def __init__(
        self,
        gateway: OrderGateway,
        breaker: CircuitBreaker,
        *,
        elapsed_seconds: Callable[[], float],
        draw: Callable[[], float],
    ) -> None:
        self.name = gateway.name
        self.settle_seconds = gateway.settle_seconds
        self.pays_back = gateway.pays_back
        self._gateway = gateway
        self._breaker = breaker
        self._elapsed_seconds = elapsed_seconds
        self._draw = draw
        self._lock = threading.Lock()

    @property
    def circuit(self) -> BreakerState:
        """For metrics."""
        with self._lock:
            return self._breaker.state

    def create(self, order: NewOrder, *, sent_before: bool = True) -> CreateResult:
        """See the port."""
        return self._guarded(lambda: self._gateway.create(order, sent_before=sent_before))

    def find(self, reference: str) -> FindResult:
        """See the port."""
        return self._guarded(lambda: self._gateway.find(reference))

    def get(self, order_id: str) -> FindResult:
        """See the port."""
        return self._guarded(lambda: self._gateway.get(order_id))

    def cancel(self, order_id: str, reason: str) -> CancelResult:
        """See the port."""
        return self._guarded(lambda: self._gateway.cancel(order_id, reason))

    def refund(self, order_id: str, refund: NewRefund) -> RefundResult:
        """See the port."""
        return self._guarded(lambda: self._gateway.refund(order_id, refund))

    def close(self) -> None:
        """See the port."""
        self._gateway.close()

    def _guarded(self, ask: Callable[[], R]) -> R | Unavailable:
        with self._lock:
            now = self._elapsed_seconds()
            permit = self._breaker.admit(now)
            if permit is None:
                wait = self._breaker.wait_seconds(now)
                return Unavailable(f"{self.name} {LEFT_ALONE}", wait, is_left_alone=True)
        result = ask()
        with self._lock:
            if is_trouble(result):
                told = result.retry_after_seconds if isinstance(result, Unknown | Unavailable) else None
                self._breaker.failed(permit, self._elapsed_seconds(), self._draw(), told)
            else:
                self._breaker.succeeded(permit)
        return result
