"""What must be true of bookings, orders, carts and tasks once everything has come to rest."""

from __future__ import annotations

from collections.abc import Iterable

from holdgate_workers.app.tasks.tasks import CancelTask

from .database import Database
from .sales import FREE, Sales
from .shop import Shop
from .task_tables import PLANNERS, TaskTables, planned
from .wire import BookingSeen
from .world import Violation, World

DEAD = ("cancelled", "refunded", "failed")
LEGAL = ("confirmed", "cancelled", "failed", "parked", "refund_required")


def judge(world: World, database: Database, tasks: TaskTables, shop: Shop, every: Iterable[Sales]) -> None:
    """Raise `Violation` for the first thing that is not as it must be."""
    for sales in every:
        for booking in sales.bookings.values():
            _booking(world, sales, booking, tasks, shop)
            _order(world, database, sales, booking, tasks, shop)
        for cart_id, cart in sales.carts.items():
            _cart(world, database, cart_id, cart.outcome, cart.hold_ids)
    _planned(database, tasks)


def _booking(world: World, sales: Sales, booking: BookingSeen, tasks: TaskTables, shop: Shop) -> None:
    key = booking.booking_id
    if booking.state not in LEGAL:
        raise Violation(f"booking {key} came to no end: {booking.state}")
    world.sometimes(f"a booking ended as {booking.state}")
    held, sold = booking.hold_id in sales.book.live, booking.hold_id in sales.book.sold
    if (sold, held) != (booking.state == "confirmed", booking.state == "parked" and held):
        raise Violation(f"booking {key} is {booking.state}, its seats are held {held}, sold {sold}")
    for order in shop.under(f"hg-{key}"):
        if order.total != booking.quote.total:
            raise Violation(f"booking {key} was charged {order.total}, the price was {booking.quote.total}")


def _order(
    world: World, database: Database, sales: Sales, booking: BookingSeen, tasks: TaskTables, shop: Shop
) -> None:
    """A person was told where the shop would not do as it had to; and who sets the clock ahead, ends every wait."""
    key = booking.booking_id
    orders = shop.under(f"hg-{key}")
    # Of an order whose money went back completely nothing is left, whatever it is called.
    alive = [order for order in orders if order.status not in DEAD and not 0 < order.total <= order.refunded]
    if database.jumps:
        return
    is_late = f"hg-{key}" in shop.late_orders
    if is_late and booking.state != "failed":
        return  # what comes later than the shop promises is looked for where a conversion has failed
    if len(alive) > 1:
        raise Violation(f"booking {key} has {len(alive)} LIVE ORDERS")
    if any(row.state == "dead" and key in name[1] for name, row in tasks.tasks.items()):
        return
    if booking.state == "confirmed" and not alive and not booking.all_gone:
        raise Violation(f"booking {key} is confirmed and has no order that lives: {[o.status for o in orders]}")
    if booking.state in FREE and alive:
        raise Violation(f"booking {key} is {booking.state} and order {alive[0].order_id} is {alive[0].status}")
    if is_late and orders and booking.state == "failed":
        world.sometimes("a late order was ended")


def _cart(world: World, database: Database, cart_id: str, outcome: str, hold_ids: tuple[str, ...]) -> None:
    mine = [hold for hold in database.holds.values() if hold.cart_id == cart_id]
    if not outcome:
        raise Violation(f"cart {cart_id} was never settled")
    world.sometimes(f"a cart ended as {outcome}")
    if outcome == "held" and {hold.id for hold in mine} != set(hold_ids):
        raise Violation(f"cart {cart_id} is held, and not as it was told")
    live = [hold.id for hold in mine if hold.state in ("active", "converting", "confirmed")]
    if outcome == "refused" and live:
        raise Violation(f"PARTIAL CART {cart_id}: it was refused, and {live} are held")
    if outcome == "refused" and mine:
        world.sometimes("a cart was refused at a later leg")


def _planned(database: Database, tasks: TaskTables) -> None:
    rows = [recording.row for recording in database.journal.values()]
    missing = planned(rows, PLANNERS) - {CancelTask(*name) for name in tasks.tasks}
    if missing:
        name = min(missing, key=lambda task: (task.kind, task.key))
        raise Violation(f"TASK LOST: {name.kind} {name.key} follows from the journal and is not there")
