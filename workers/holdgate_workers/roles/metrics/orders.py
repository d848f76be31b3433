"""The metrics of orders. Labels: calls, results and states, never an id."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from holdgate_workers.app.circuit_breaker import BreakerState

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 150.0)
CIRCUITS: Mapping[BreakerState, int] = {"closed": 0, "half_open": 1, "open": 2}


class OrderMetrics:
    """`app.ordering.handler.OrderObserver`, and what the role looks up. Thread-safe."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._settled = Counter(
            "holdgate_conversions", "Conversions by how they ended", ["result"], registry=registry
        )
        self._calls = Counter(
            "holdgate_saga_steps", "What the shop was asked, by its answer", ["call", "result"], registry=registry
        )
        self._seconds = Histogram(
            "holdgate_order_gateway_seconds", "One call to the shop", ["call"], buckets=_SECONDS, registry=registry
        )
        self._circuit = Gauge(
            "holdgate_order_circuit",
            "The shop's circuit breaker: 0 closed, 1 half open, 2 open",
            registry=registry,
        )

    def asked(self, call: str, result: str, seconds: float) -> None:
        """The shop was asked."""
        self._calls.labels(call, result).inc()
        self._seconds.labels(call).observe(seconds)

    def settled(self, outcome: str) -> None:
        """The gate was told how a conversion ended."""
        self._settled.labels(outcome).inc()

    def looked(self, circuit: BreakerState) -> None:
        """How the shop's breaker stands now."""
        self._circuit.set(CIRCUITS[circuit])
