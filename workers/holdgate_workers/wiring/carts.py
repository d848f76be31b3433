"""Puts together what takes carts: handlers for the role `orders`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from holdgate_workers.adapters.postgres.maintenance.installation import House
from holdgate_workers.adapters.postgres.ordering.carts import CartBook
from holdgate_workers.app.carts.protocol import ADVANCE, RECONCILE, RECONCILE_RETRIES, CartHandler, CartRows
from holdgate_workers.app.ports import Publisher
from holdgate_workers.app.seals import Seals
from holdgate_workers.app.tasks.tasks import Handler, Retries

from .site import Site, worker_name

CART_RETRIES: Mapping[str, Retries] = {RECONCILE: RECONCILE_RETRIES}


def cart_handlers(
    site: Site, handler_class: Callable[[str, CartRows, Publisher, Seals], CartHandler] = CartHandler
) -> Callable[[], Mapping[str, Handler]]:
    """What makes the handlers of one thread. Each thread has its own connections, to the broker too."""
    seals = house_seals(site)

    def made() -> Mapping[str, Handler]:
        rows = CartBook(site.database_url)
        publisher = site.transport.publisher(name=worker_name("carts"))
        return {kind: handler_class(kind, rows, publisher, seals) for kind in (ADVANCE, RECONCILE)}

    return made


def house_seals(site: Site) -> Seals:
    """The seals of this house. Raises `DatabaseUnavailable`."""
    house = House(site.database_url)
    try:
        return Seals(house.session_secret())
    finally:
        house.close()
