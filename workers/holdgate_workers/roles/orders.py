"""The role `orders`: makes orders of bookings, and takes what the shop tells of them."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import structlog
from msgspec.structs import replace

from holdgate_schema.commands.selling import NoteOrder
from holdgate_schema.ids import UUID_PATTERN
from holdgate_workers.adapters.postgres.ordering.sagas import SagaBook
from holdgate_workers.adapters.shops.guarded import GuardedGateway
from holdgate_workers.app.ordering.facts import booking_id_of
from holdgate_workers.app.ordering.handler import CONFIRM_SECONDS, OrderHandler
from holdgate_workers.app.ordering.next_step import is_known, note_of, told_after
from holdgate_workers.app.ordering.orders import FindResult, Found, OrderEvent, ShopOrder
from holdgate_workers.app.ports import Publisher
from holdgate_workers.app.seals import Seals, internal_message
from holdgate_workers.app.tasks.tasks import ORDERS, Handler
from holdgate_workers.domain.bookings.booking import Booking
from holdgate_workers.ids import derived_id
from holdgate_workers.wiring.bookings import Shop, open_shop, order_handlers
from holdgate_workers.wiring.shops import wall_clock
from holdgate_workers.wiring.site import Site, worker_name

from .metrics.orders import OrderMetrics
from .tasks import TaskRole
from .web.order_webhooks import OrderWebhooks, OrderWebhookServer

log = structlog.get_logger("holdgate.orders")

CLOSE_SECONDS = 2.0
_ID = re.compile(UUID_PATTERN)


class OrderInbox:
    """Hands on what the shop says of an order of ours, as a command to the gate. Safe for several threads."""

    def __init__(
        self,
        book: SagaBook,
        publisher: Publisher,
        seals: Seals,
        now: Callable[[], datetime],
        look: Callable[[str], FindResult],
    ) -> None:
        self._book = book
        self._look = look
        self._publisher = publisher
        self._seals = seals
        self._now = now
        self._lock = threading.Lock()

    def accept(self, event: OrderEvent) -> bool:
        """True once it is durable, or if there is nothing to hand on. May raise: then it is not."""
        order, booking_id = event.order, booking_id_of(event.order.reference)
        if order.status == "other" or not _ID.match(booking_id):
            return True
        with self._lock:
            booking = self._book.booked(booking_id)
        if booking is None:
            log.warning("order_of_no_booking", reference=order.reference)
            return True
        quote = booking.quote
        if order.status == "paid" and (order.total, order.currency) != (quote.total, quote.currency):
            log.error("order_of_another_total", reference=order.reference, total=order.total, asked=quote.total)
            return True
        if event.is_fresh and is_known(booking, order):
            return True
        command = self._fresh(booking, order) if event.is_fresh else self._told(booking, event)
        if command is None:
            return False
        return not self._publisher.publish([internal_message(command, self._seals)]).wait(CONFIRM_SECONDS)

    def _told(self, booking: Booking, event: OrderEvent) -> NoteOrder:
        """The shop's own word, with the time by which its words follow one another."""
        noted = note_of(booking, event.order, event.order.changed_at or self._now())
        return replace(noted, request_id=derived_id("order.delivery", event.delivery_key))

    def _fresh(self, booking: Booking, order: ShopOrder) -> NoteOrder | None:
        """What we have seen ourselves. Words that came between that look and the reading of the booking would count as
        older, so where there may have been some the shop is asked once more."""
        known = booking.order
        if known is not None and known.changed_at is not None:
            found = self._look(order.order_id)
            if not isinstance(found, Found):
                return None
            order = found.order
        return note_of(booking, order, told_after(known, order, self._now()))

    def close(self) -> None:
        """Close the connections."""
        self._book.close()
        self._publisher.close(CLOSE_SECONDS)


class OrdersRole(TaskRole):
    """Threads that are woken up and make orders, and a door for the shop's webhooks where one is configured.

    Any number of them are safe. `others` makes the handlers of what else is done in this role.
    """

    def __init__(
        self,
        site: Site,
        others: Callable[[], Mapping[str, Handler]],
        *,
        handler_class: type[OrderHandler] = OrderHandler,
        **fields: Any,
    ) -> None:
        self._shop: Shop = open_shop(site)
        self._others = others
        self._orders = order_handlers(site, self._shop, lambda: self._order_metrics, handler_class)
        super().__init__(site, ORDERS, self._handlers_of_a_thread, **fields)
        self._order_metrics = OrderMetrics(self.metrics.registry)
        self._site = site
        self._inbox: OrderInbox | None = None
        self._server: OrderWebhookServer | None = None

    @property
    def webhook_port(self) -> int | None:
        """Where the shop's webhooks are taken, if they are."""
        return None if self._server is None else self._server.port

    def start(self) -> None:
        """Begin."""
        super().start()
        self._open_door()

    def stop(self) -> None:
        """Answer what the shop has sent, then as every role. Idempotent."""
        server, self._server = self._server, None
        if server is not None:
            server.stop()
        inbox, self._inbox = self._inbox, None
        if inbox is not None:
            inbox.close()
        super().stop()
        self._shop.gateway.close()

    def round(self) -> float:
        """One look."""
        gateway = self._shop.gateway
        self._order_metrics.looked(gateway.circuit if isinstance(gateway, GuardedGateway) else "closed")
        return super().round()

    def _handlers_of_a_thread(self) -> Mapping[str, Handler]:
        return {**self._others(), **self._orders()}

    def _open_door(self) -> None:
        config = self._site.config
        if config.order_webhook_port is None:
            return
        publisher = self._site.transport.publisher(name=worker_name("order-events"))
        book, look = SagaBook(self._site.database_url), self._shop.gateway.get
        self._inbox = OrderInbox(book, publisher, self._shop.seals, wall_clock, look)
        webhooks = OrderWebhooks(
            secrets=config.order_webhook_secrets,
            accept=self._inbox.accept,
            look=look,
            now=wall_clock,
            registry=self.metrics.registry,
        )
        self._server = OrderWebhookServer(webhooks, host=config.order_webhook_host, port=config.order_webhook_port)
        log.info("order_webhooks_taken", host=config.order_webhook_host, port=self._server.port)
