"""Puts together what makes orders of bookings: handlers for the role `orders`."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from holdgate_workers.adapters.postgres.ordering.sagas import SagaBook
from holdgate_workers.app.ordering.facts import Terms
from holdgate_workers.app.ordering.handler import ORDER_RETRIES, OrderHandler, OrderObserver
from holdgate_workers.app.ordering.orders import OrderGateway
from holdgate_workers.app.ordering.tasks import ORDER_KINDS
from holdgate_workers.app.seals import Seals
from holdgate_workers.app.tasks.tasks import Handler, Retries
from holdgate_workers.config.environment import ServiceConfig

from .carts import house_seals
from .shops import order_gateway
from .site import Site, worker_name

BOOKING_RETRIES: Mapping[str, Retries] = ORDER_RETRIES

REQUESTS_MAX = 8
"""A call may ask for the shop's states, search, create, create without the address, search again and cancel, each
within the configured time; where the shop does not say which states it has, each search is two."""
LOCAL_SECONDS = 20.0
"""Longer than the database lets a statement run."""


@dataclass(slots=True, frozen=True)
class Shop:
    """Where orders go, shared by all threads of a process."""

    gateway: OrderGateway
    terms: Terms
    seals: Seals


def open_shop(site: Site) -> Shop:
    """The shop that is configured. Raises `ConfigError` and `DatabaseUnavailable`."""
    gateway = order_gateway(site.config, site.database_url)
    return Shop(gateway, terms_of(site.config, gateway), house_seals(site))


def terms_of(config: ServiceConfig, gateway: OrderGateway) -> Terms:
    """How long what was sent may be at work, and whether anybody else changes orders."""
    is_local = config.order_gateway == "local"
    return Terms(
        gateway=gateway.name,
        call_seconds=LOCAL_SECONDS if is_local else REQUESTS_MAX * config.order_total_seconds,
        settle_seconds=gateway.settle_seconds,
        is_watched=not is_local,
        pays_back=gateway.pays_back,
    )


def order_handlers(
    site: Site,
    shop: Shop,
    observer: Callable[[], OrderObserver],
    handler_class: type[OrderHandler] = OrderHandler,
) -> Callable[[], Mapping[str, Handler]]:
    """What makes the handlers of one thread. Each thread has its own connections, to the broker too."""

    def made() -> Mapping[str, Handler]:
        rows = SagaBook(site.database_url)
        publisher = site.transport.publisher(name=worker_name("orders"))
        return {
            kind: handler_class(
                kind,
                rows,
                shop.gateway,
                publisher,
                shop.seals,
                shop.terms,
                elapsed_seconds=time.monotonic,
                draw=random.random,
                observer=observer(),
            )
            for kind in ORDER_KINDS
        }

    return made
