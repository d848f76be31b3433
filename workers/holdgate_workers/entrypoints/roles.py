"""The roles that a process can have. Each is imported when it is wanted: a gate needs neither mail nor web."""

from __future__ import annotations

from collections.abc import Callable

from holdgate_workers.app.tasks import NOTIFICATIONS, ORDERS, PRICING
from holdgate_workers.bootstrap import Site

from .process import Worker


def _gate(site: Site) -> Worker:
    from .gate_worker import GateWorker

    return GateWorker(site)


def _expiry(site: Site) -> Worker:
    from .expiry_worker import ExpiryWorker

    return ExpiryWorker(site)


def _relay(site: Site) -> Worker:
    from .relay_worker import RelayWorker

    return RelayWorker(site)


def _projection(site: Site) -> Worker:
    from .projection_worker import ProjectionWorker

    return ProjectionWorker(site)


def _feeder(site: Site) -> Worker:
    from holdgate_workers.bootstrap_tasks import planners

    from .feeder_worker import FeederWorker

    return FeederWorker(site, planners(site))


def _pricing(site: Site) -> Worker:
    from holdgate_workers.bootstrap_tasks import HANDLERS, RETRIES

    from .task_worker import TaskRole

    return TaskRole(site, PRICING, HANDLERS[PRICING](site), retries=RETRIES)


def _orders(site: Site) -> Worker:
    from holdgate_workers.bootstrap_tasks import HANDLERS, RETRIES

    from .orders_worker import OrdersRole

    return OrdersRole(site, HANDLERS[ORDERS](site), retries=RETRIES)


def _notifications(site: Site) -> Worker:
    from .notices_worker import NoticesRole

    return NoticesRole(site)


ROLES: dict[str, Callable[[Site], Worker]] = {
    "gate": _gate,
    "expiry": _expiry,
    "relay": _relay,
    "projection": _projection,
    "feeder": _feeder,
    PRICING: _pricing,
    ORDERS: _orders,
    NOTIFICATIONS: _notifications,
}
