"""Puts the role `pricing` together: what it reads, where it keeps quotes, and how it tells the gate."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from holdgate_workers.adapters.postgres.pricing.quotes import QuoteBook
from holdgate_workers.app.pricing.tasks import PRICE_HOLD, PRICE_QUOTE, PRICING_RETRIES, PricingHandler
from holdgate_workers.app.tasks.tasks import Handler, Retries

from .carts import house_seals
from .site import Site, worker_name

PRICE_RETRIES: Mapping[str, Retries] = dict.fromkeys((PRICE_HOLD, PRICE_QUOTE), PRICING_RETRIES)


def pricing_handlers(site: Site) -> Callable[[], Mapping[str, Handler]]:
    """What makes the handlers of one thread, with connections of their own. Raises `DatabaseUnavailable`."""
    seals = house_seals(site)

    def made() -> Mapping[str, Handler]:
        rows = QuoteBook(site.database_url)
        publisher = site.transport.publisher(name=worker_name("pricing"))
        return {kind: PricingHandler(kind, rows, publisher, seals) for kind in (PRICE_HOLD, PRICE_QUOTE)}

    return made
