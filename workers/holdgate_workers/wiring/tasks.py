"""What follows from decisions, and who does it. `entrypoints` takes planners and handlers from here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from holdgate_workers.app.carts.protocol import cart_tasks
from holdgate_workers.app.ordering.tasks import order_tasks
from holdgate_workers.app.pricing.tasks import pricing_tasks
from holdgate_workers.app.tasks.tasks import ORDERS, PRICING, Handler, Planner, Retries

from .bookings import BOOKING_RETRIES
from .carts import CART_RETRIES, cart_handlers
from .notifications import NOTICE_RETRIES, planners_of
from .pricing import PRICE_RETRIES, pricing_handlers
from .site import Site

HandlerMaker = Callable[[], Mapping[str, Handler]]
"""Called once on each thread of a role: the handlers by their kinds. What they own needs no locks."""

RoleHandlers = Callable[[Site], HandlerMaker]
"""Called once in each process of a role: here is the place for what its threads share, such as a circuit breaker."""


PLANNERS: Sequence[Planner] = (pricing_tasks, cart_tasks, order_tasks)
"""Asked in this order about each row of the journal."""

HANDLERS: Mapping[str, RoleHandlers] = {PRICING: pricing_handlers, ORDERS: cart_handlers}
"""Per role. `roles.orders` adds what makes orders and `roles.notifications` has what tells the
world: they have metrics of their own."""

RETRIES: Mapping[str, Retries] = {**PRICE_RETRIES, **NOTICE_RETRIES, **CART_RETRIES, **BOOKING_RETRIES}
"""Per kind of task, where it is not `app.tasks.tasks.USUAL`."""


def planners(site: Site) -> Sequence[Planner]:
    """All planners: the ones of always, and those of what is configured here. Raises `ConfigError`."""
    return (*PLANNERS, *planners_of(site.config))
