"""What must be true of a house that sells, after whatever broke: counted from rows and answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tests.crash.selling_house import SellingHouse
from tests.crash.selling_scenes import Buyers
from tests.support.cart_rows import CartBooks
from tests.support.rabbit import eventually
from tests.support.recount import Books, Broken

from holdgate_schema.answers.holds import Answer, Held
from holdgate_schema.answers.selling import CartHeld, CartStarted, Confirmed, Converting, Priced
from holdgate_schema.commands.holds import PlaceHold
from holdgate_schema.commands.selling import ConvertBooking, PlaceCart

REST_SECONDS = 60.0

_DUE = """
SELECT kind, key, attempts, claimed_by, due_at, last_error FROM tasks
WHERE state = 'open' AND role = ANY(%s)
  AND (due_at <= now() OR attempts > 0 AND due_at <= now() + interval '20 s')"""
"""What has failed once is tried again a little later; what only looks from time to time comes much later."""
_UNPLANNED = """
SELECT 'journal row', j.kind, j.request_id FROM journal j JOIN relay_cursors c ON c.name = 'tasks'
WHERE (j.xid, j.id) > (c.xid, c.id)"""
_DEAD = "SELECT kind, key, last_error FROM tasks WHERE state = 'dead'"
_SOLD = """
SELECT b.id::text, b.state, (b.document -> 'quote' ->> 'total')::bigint, b.document -> 'order' ->> 'order_id',
  o.id::text, o.status, o.total
FROM bookings b FULL JOIN orders o ON o.reference = 'hg-' || b.id"""

_EXPECTED: Mapping[type, tuple[type, type]] = {
    PlaceHold: (Held, Priced),
    ConvertBooking: (Converting, Confirmed),
    PlaceCart: (CartStarted, CartHeld),
}


def problems_of(buyers: Buyers) -> list[str]:
    """Waits until everything is answered and nothing is under way; empty if all is well."""
    house = buyers.house
    told = buyers.told()
    return [
        *_answers(buyers, told),
        *_left_open(house),
        *(f"dead task: {row}" for row in house.site.rows(_DEAD)),
        *(f"dead letter: {letter}" for letter in house.site.dead_letters()),
        *_orders(house),
        *_rows(house),
    ]


def _left_open(house: SellingHouse) -> Iterable[str]:
    """What is not planned or not done, however long one waits; in a house without its role nobody would."""
    left: list[tuple[object, ...]] = []

    def looked() -> bool:
        unplanned = house.site.rows(_UNPLANNED) if "feeder" in house.roles else []
        # What is not planned yet is not due yet: first the one, then the other.
        left[:] = unplanned or house.site.rows(_DUE, list(house.roles))
        return not left

    try:
        eventually(looked, "no task is left that is due", REST_SECONDS)
    except AssertionError:
        yield from (f"due and not done: {row}" for row in left)


def _answers(buyers: Buyers, told: list[tuple[Answer, Answer]]) -> Iterable[str]:
    for (command, _), (first, final) in zip(buyers.asked, told, strict=True):
        wanted_first, wanted_final = _EXPECTED[type(command)]
        if not isinstance(first, wanted_first):
            yield f"{command.request_id} was first answered {first}"
        # Somebody's cart finds no seats left: there are two for four.
        if not isinstance(final, wanted_final) and not isinstance(command, PlaceCart):
            yield f"{command.request_id} was answered {final} in the end"
    for (command, _), once, again in zip(buyers.asked, told, buyers.told_again(), strict=True):
        if once != again:
            yield f"{command.request_id} was told {once}, and then {again}"


def _orders(house: SellingHouse) -> Iterable[str]:
    """One order that is paid for each confirmed booking, of its total and known to it, and no other."""
    for booking, state, total, known, order, status, charged in house.site.rows(_SOLD):
        if state != "confirmed" or status != "paid" or total != charged or known != order:
            yield Broken(f"booking {booking} {state} {total} {known}, order {order} {status} {charged}")


def _rows(house: SellingHouse) -> list[Broken]:
    if house.scene == "carting":
        return CartBooks(house.site).problems()
    problems = Books(house.site.database_url).problems()
    if house.redis is not None and not house.read_side_is_right():
        problems.append(Broken("the read side is not as the rows are"))
    return problems
