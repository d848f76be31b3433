"""The shop: takes orders and may not say so, lets them live a life of their own, and tells of it in any order."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from holdgate_workers.app.ordering.facts import Call, Cancel, Create, Find, Get, Refund, Result, booking_id_of
from holdgate_workers.app.ordering.next_step import note_of
from holdgate_workers.app.ordering.orders import (
    Cancelled,
    Created,
    Found,
    NewOrder,
    NotFound,
    OrderStatus,
    Refunded,
    Refused,
    ShopOrder,
    Unavailable,
    Unknown,
)
from holdgate_workers.app.seals import Seals, internal_message

from .broker import Publisher
from .database import Database
from .swarm import Options
from .tables import BEGINNING
from .world import MS, SECOND, World

CALL_SECONDS = 0.5
SETTLE_SECONDS = 1.0
"""What was sent is not at work in the shop for longer than that; see `Options.p_shop_late`."""

_LIVES: dict[OrderStatus, tuple[OrderStatus, ...]] = {
    "pending": ("paid", "failed", "cancelled"),
    "paid": ("refunded", "cancelled"),
    "failed": ("paid", "cancelled"),
    "cancelled": ("paid",),
    "refunded": ("paid",),
}


class Shop:
    """Orders under our references, by the shop's own ids."""

    def __init__(
        self, world: World, options: Options, database: Database, publisher: Publisher, seals: Seals
    ) -> None:
        self.world = world
        self.options = options
        self.orders: dict[str, ShopOrder] = {}
        self.untold = 0
        """Words of the shop that have not been taken down yet."""
        self.late_orders: set[str] = set()
        """References of orders that came later than the shop promises."""
        self._database = database
        self._publisher = publisher
        self._seals = seals
        self._last = BEGINNING
        self._under: dict[str, list[str]] = {}
        self._refunds: dict[str, int] = {}
        """What went back under each reference: asked for again it is the same refund."""

    # --- what is asked of it ------------------------------------------------------------------------------------

    def call(self, call: Call, answer: Callable[[Result], None]) -> None:
        """Do as asked, and say so, say nothing, or be away."""
        world = self.world
        if world.fault(self.options.p_shop_down):
            answer(Unavailable("503"))
            return
        if world.fault(self.options.p_shop_unknown) and not isinstance(call, Find | Get):
            self._unheard(call, answer)
            return
        world.after(world.between(0, 30 * MS), lambda: answer(self._do(call)))

    def live(self, reference: str) -> list[ShopOrder]:
        """The orders under a reference that are not over."""
        return [order for order in self.under(reference) if not order.is_over]

    def under(self, reference: str) -> list[ShopOrder]:
        """All orders under a reference."""
        return [self.orders[order_id] for order_id in self._under.get(reference, ())]

    def _unheard(self, call: Call, answer: Callable[[Result], None]) -> None:
        world = self.world
        fate = world.choice(("done", "done later", "never done"))
        world.sometimes(f"the shop did not answer: {fate}")
        heard_at = world.between(MS, 300 * MS)
        if fate == "done":
            world.after(world.between(0, heard_at), self._do_unheard, call)
        elif fate == "done later":
            within = SETTLE_SECONDS * SECOND - heard_at
            if isinstance(call, Create) and world.chance(self.options.p_shop_late):
                world.sometimes("an order came later than the shop promises")
                self.late_orders.add(call.order.reference)
                within = 2 * SECOND
            world.after(heard_at + world.between(0, int(within * 0.8)), self._do_unheard, call)
        world.after(heard_at, answer, Unknown("timeout"))

    def _do_unheard(self, call: Call) -> None:
        self._do(call)

    def _do(self, call: Call) -> Result:
        match call:
            case Create(order, sent_before):
                return self._create(order, sent_before=sent_before)
            case Find(reference):
                return self._find(reference)
            case Get(order_id):
                return self._found(self.orders.get(order_id))
            case Cancel(order_id):
                return self._cancel(order_id)
            case Refund(order_id, refund):
                return self._refund(order_id, refund.amount, refund.reference)

    def _create(self, order: NewOrder, *, sent_before: bool) -> Result:
        if sent_before:
            found = self._find(order.reference)
            if isinstance(found, Found):
                self.world.sometimes("an order was found by searching before it was sent again")
                return found
        if self.world.fault(self.options.p_shop_refuses):
            return Refused("no such product", permanent=True)
        order_id = str(100 + len(self.orders))
        status: OrderStatus = "paid" if order.payment.is_paid else "pending"
        self._under.setdefault(order.reference, []).append(order_id)
        made = self._change(
            ShopOrder(
                order_id=order_id,
                reference=order.reference,
                status=status,
                currency=order.currency,
                total=order.total,
            ),
            status,
        )
        self._live_on(order_id)
        return Created(made)

    def _find(self, reference: str) -> Result:
        every = self.under(reference)
        alive = [order for order in every if not order.is_over]
        chosen = (alive or every)[:1]
        return Found(chosen[0], tuple(alive[1:])) if chosen else NotFound()

    def _found(self, order: ShopOrder | None) -> Result:
        return NotFound() if order is None else Found(order)

    def _cancel(self, order_id: str) -> Result:
        order = self.orders.get(order_id)
        if order is None:
            return NotFound()
        return Cancelled(order if order.is_over else self._change(order, "cancelled"))

    def _refund(self, order_id: str, amount: int, reference: str) -> Result:
        order = self.orders.get(order_id)
        if order is None:
            return NotFound()
        if reference not in self._refunds and order.total:
            if order.refunded + amount > order.total:
                return Refused("more than was paid", permanent=True)
            refunded = order.refunded + amount
            self._change(
                replace(order, refunded=refunded), "refunded" if refunded == order.total else order.status
            )
            self._refunds[reference] = amount
        return Refunded(reference, self._refunds.get(reference, amount))

    # --- its own life -------------------------------------------------------------------------------------------

    def _live_on(self, order_id: str) -> None:
        if self.world.chance(self.options.p_order_event):
            self.world.after(self.world.between(0, 800 * MS), self._happens, order_id)

    def _happens(self, order_id: str) -> None:
        order = self.orders[order_id]
        following = _LIVES.get(order.status, ())
        if not self.world.faulty or not following:
            return
        if order.status in ("cancelled", "refunded") and not self.world.chance(0.7):
            return
        status = self.world.choice(following)
        refunded = order.total if status == "refunded" else order.refunded
        self._change(replace(order, refunded=refunded), status)
        self._live_on(order_id)

    def _change(self, order: ShopOrder, status: OrderStatus) -> ShopOrder:
        order = self.orders[order.order_id] = replace(order, status=status, changed_at=self._now())
        self.world.note("order", order.order_id, order.reference, status)
        copies = 2 if self.world.chance(0.3) else 1
        for _ in range(copies):
            self.untold += 1
            self.world.after(self.world.between(0, 400 * MS), self._tell, order)
        return order

    def _now(self) -> datetime:
        """The shop's own clock, by which no two of its words are the same age."""
        self._last = max(
            self._last + timedelta(microseconds=1), BEGINNING + timedelta(microseconds=self.world.now)
        )
        return self._last

    def _tell(self, order: ShopOrder) -> None:
        """As the endpoint of the shop's webhooks: the shop asks again until its word is taken down."""
        booking = self._database.bookings.get(booking_id_of(order.reference))
        if booking is None or order.changed_at is None:
            self.untold -= 1
            return
        self._send(internal_message(note_of(booking, order, order.changed_at), self._seals))

    def _send(self, message: Any) -> None:
        def told(confirmed: bool) -> None:
            if confirmed:
                self.untold -= 1
            else:
                self.world.after(200 * MS, self._send, message)

        self._publisher.publish([message], told)
