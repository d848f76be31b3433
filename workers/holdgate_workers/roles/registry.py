"""The roles that a process can have. Each is imported when it is wanted: a gate needs neither mail nor web."""

from __future__ import annotations

from collections.abc import Callable

from holdgate_workers.app.tasks.tasks import NOTIFICATIONS, ORDERS, PRICING
from holdgate_workers.wiring.site import Site

from .process.process import Worker


def _gate(site: Site) -> Worker:
    from .gate.worker import GateWorker

    return GateWorker(site)


def _expiry(site: Site) -> Worker:
    from .expiry import ExpiryWorker

    return ExpiryWorker(site)


def _relay(site: Site) -> Worker:
    from .relay import RelayWorker

    return RelayWorker(site)


def _projection(site: Site) -> Worker:
    from .projection import ProjectionWorker

    return ProjectionWorker(site)


def _feeder(site: Site) -> Worker:
    from holdgate_workers.wiring.tasks import planners

    from .feeder import FeederWorker

    return FeederWorker(site, planners(site))


def _pricing(site: Site) -> Worker:
    from holdgate_workers.wiring.tasks import HANDLERS, RETRIES

    from .tasks import TaskRole

    return TaskRole(site, PRICING, HANDLERS[PRICING](site), retries=RETRIES)


def _orders(site: Site) -> Worker:
    from holdgate_workers.wiring.tasks import HANDLERS, RETRIES

    from .orders import OrdersRole

    return OrdersRole(site, HANDLERS[ORDERS](site), retries=RETRIES)


def _notifications(site: Site) -> Worker:
    from .notifications import NoticesRole

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
