"""P5 again: the rows, and what was read in between, against what the model holds."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from tests.checker.allowed import plain
from tests.checker.asked import Asked
from tests.checker.books import basket_of
from tests.checker.decoding import Row, Transaction
from tests.checker.instants import SECOND, micros
from tests.checker.jsonl import loads
from tests.checker.judge import Judge
from tests.checker.lines import would_take
from tests.checker.model import on_sale
from tests.checker.verdict import Report
from tests.checker.world import Hold, Occasion, World

Reads = list[tuple[int, dict[str, Any], Asked]]


class Written:
    """The rows that a transaction wrote, and what is left of those before it."""

    def __init__(self) -> None:
        self.holds: dict[str, Row] = {}
        self.occurrences: dict[str, Row] = {}
        self.bookings: dict[str, Row] = {}
        self.pools: dict[str, dict[str, Row | None]] = defaultdict(dict)
        """Occurrence -> pool -> its row, or None if it is gone; of all transactions."""
        self.documents: dict[str, dict[str, Any]] = {}
        """What bookings say in their documents; of all transactions."""
        self.occurrences_of_pools: set[str] = set()

    def take(self, transaction: Transaction) -> None:
        """The next transaction."""
        self.holds, self.occurrences, self.bookings = {}, {}, {}
        self.occurrences_of_pools = set()
        for table, operation, row in transaction.changes:
            if table == "holds":
                if operation != "DELETE":
                    self.holds[str(row["id"])] = row
                    self.occurrences_of_pools.add(str(row["occurrence_id"]))
            elif table == "pools":
                occurrence_id = str(row["occurrence_id"])
                self.pools[occurrence_id][str(row["key"])] = None if operation == "DELETE" else row
                self.occurrences_of_pools.add(occurrence_id)
            elif table == "occurrences" and operation != "DELETE":
                self.occurrences[str(row["id"])] = row
            elif table == "bookings" and operation != "DELETE":
                self._booking(str(row["id"]), row)

    def _booking(self, booking_id: str, row: Row) -> None:
        self.bookings[booking_id] = row
        if row.get("document") is not None:
            self.documents[booking_id] = loads(str(row["document"]))


def check_rows(report: Report, written: Written, judge: Judge, xid: int) -> None:
    """What a transaction left behind is what the model has."""
    for hold_id, row in written.holds.items():
        if row["occurrence_id"] not in judge.lost:
            for problem in _unlike_hold(judge.world, hold_id, row):
                report.flag("P5", f"hold {hold_id} after transaction {xid}: {problem}")
    for occurrence_id in written.occurrences_of_pools - judge.lost:
        occasion = judge.world.occasions.get(occurrence_id)
        if occasion is not None:
            rows = written.pools[occurrence_id]
            for key in {**rows, **occasion.pools}:
                _check_pool(report, occasion, key, rows.get(key), xid)
    for occurrence_id, row in written.occurrences.items():
        occasion = judge.world.occasions.get(occurrence_id)
        if occasion is None or occurrence_id in judge.lost:
            continue
        if row["status"] != occasion.status:
            report.flag("P5", f"{occurrence_id} is {row['status']} after {xid}, by the model {occasion.status}")
    for booking_id, row in written.bookings.items():
        if row["occurrence_id"] not in judge.lost:
            for problem in _unlike_booking(judge.world, booking_id, written.documents.get(booking_id, {})):
                report.flag("P5", f"after transaction {xid}: booking {booking_id} {problem}")


def _unlike_hold(world: World, hold_id: str, row: Row) -> list[str]:
    occasion = world.occasions.get(str(row["occurrence_id"]))
    if occasion is None:
        return []
    hold = occasion.live.get(hold_id) or world.just_ended.get(hold_id) or occasion.sold.get(hold_id)
    if hold is not None:
        return _hold_problems(hold, row, offered=hold_id in world.offered)
    ended = world.ended.get(hold_id)
    told = (row["occurrence_id"], row["session_id"], row["state"])
    return [] if ended == told else [f"is {told}, by the model {ended}"]


def _unlike_booking(world: World, booking_id: str, document: dict[str, Any]) -> list[str]:
    deal = world.deals.get(booking_id)
    if deal is None:
        return ["is there, by the model it is not"]
    wanted = {**deal.view, "quote": deal.price, "id": booking_id}
    del wanted["booking_id"]
    told = {name: one for name, one in document.items() if name != "ended_by"}
    if plain(told) == plain(wanted):
        return []
    names = [name for name in {**told, **wanted} if plain(told.get(name), name) != plain(wanted.get(name), name)]
    return [f"differs from the model in {', '.join(sorted(names))}"]


def _hold_problems(hold: Hold, row: Row, *, offered: bool) -> list[str]:
    wanted = {
        "state": hold.state,
        "session_id": hold.session,
        "user_id": hold.user,
        "seats": str(hold.seats),
        "ttl_seconds": str(hold.ttl // SECOND),
        "extensions_used": str(hold.extensions),
    }
    problems = [f"{name} is {row.get(name)!r}, not {value!r}" for name, value in wanted.items()
                if row.get(name) != value]  # fmt: skip
    for name, moment in (("created_at", hold.created), ("expires_at", hold.expires)):
        if micros(str(row[name])) != moment:
            problems.append(f"{name} is {row[name]}")
    if (row.get("ended_at") is None) != (hold.state in ("active", "converting", "confirmed")):
        problems.append(f"it is {hold.state} and ended at {row.get('ended_at')}")
    price = row.get("quote")
    if hold.price != (None if price is None else loads(price)):
        problems.append(f"its price is {price}, not {hold.price}")
    if row.get("cart_id") != hold.cart:
        problems.append(f"its cart is {row.get('cart_id')}, not {hold.cart}")
    if "basket" in row:
        basket = basket_of(str(row["basket"]))
        if bool(basket.get("offered")) != offered:
            problems.append(f"it says that it was {'' if not offered else 'not '}offered to somebody in line")
        problems += [
            f"its {name} are {basket.get(name)}, not {getattr(hold, name)}"
            for name in ("items", "extras", "draws", "stock", "terms")
            if (basket.get(name) or {}) != getattr(hold, name)
        ]
    return problems


def _check_pool(report: Report, occasion: Occasion, key: str, row: Row | None, xid: int) -> None:
    pool = occasion.pools.get(key)
    if pool is None or row is None:
        if (pool is None) != (row is None):
            report.flag("P5", f"pool {occasion.id}/{key} is {'there' if row else 'gone'} after {xid}")
        return
    told = tuple(None if row[name] is None else int(str(row[name]))
                 for name in ("capacity", "overbooking_percent", "buffer", "sellable", "held", "sold"))  # fmt: skip
    wanted = (pool.capacity, pool.overbooking, pool.buffer, pool.sellable, pool.held, pool.sold)
    if told != wanted:
        report.flag("P5", f"pool {occasion.id}/{key} after transaction {xid}: {told}, by the model {wanted}")


def check_reads(report: Report, judge: Judge, reads: Reads | None, occurrence_id: str, version: int) -> None:
    """Availability that was answered at this version; what is left of the list is of later ones."""
    while reads and reads[-1][0] <= version:
        at, answer, asked = reads.pop()
        occasion = judge.world.occasions.get(occurrence_id)
        if at == version and occasion is not None and occurrence_id not in judge.lost:
            report.count("P5")
            booked = answer["outcome"] == "booking"
            for problem in (
                _booking_read(judge, answer) if booked else _read_problems(judge.world, occasion, answer)
            ):
                report.flag("P5", f"availability {asked.id} of {occurrence_id} v{version}: {problem}")


def _booking_read(judge: Judge, answer: dict[str, Any]) -> list[str]:
    deal = judge.world.deals.get(answer["booking"]["booking_id"])
    right = deal is not None and plain(answer["booking"]) == plain(deal.view)
    return [] if right else [f"booking is {answer['booking']}, not {None if deal is None else deal.view}"]


def _read_problems(world: World, occasion: Occasion, answer: dict[str, Any]) -> list[str]:
    now = micros(answer["decided_at"])
    due = occasion.due(now)
    moved, is_certain = would_take(world, occasion, now) if occasion.line else ({}, True)
    if not is_certain:
        return []
    pools: dict[str, Any] = {}
    for key, pool in occasion.pools.items():
        back = -moved[key] if moved else sum(hold.draws.get(key, 0) for hold in due)
        target = pool.target
        pools[key] = {
            "capacity": pool.capacity,
            "sellable": None if target is None else max(target, pool.held - back + pool.sold),
            "held": pool.held - back,
            "sold": pool.sold,
            "available": pool.free(back),
        }
    told = {key: {name: one.get(name) for name in pools.get(key, one)} for key, one in answer["pools"].items()}
    problems = [] if told == pools else [f"pools are {told}, not {pools}"]
    closed = on_sale(occasion, now)
    why = None if closed is None else closed.fields["not_on_sale"]
    if (answer.get("on_sale"), answer.get("not_on_sale")) != (why is None, why):
        problems.append(f"on sale {answer.get('on_sale')} {answer.get('not_on_sale')}, not {why}")
    if answer.get("status", "active") != occasion.status:
        problems.append(f"status {answer.get('status')}, not {occasion.status}")
    for key, ticket in occasion.tickets.items():
        free = [pools[pool]["available"] for pool in ("total", *ticket.pools)]
        most = min([ticket.most, *(one for one in free if one is not None)]) if why is None else 0
        seen = answer["ticket_types"].get(key, {}).get("available")
        if seen is None or seen > most or (seen < most and most >= max(1, ticket.least) and seen == 0):
            problems.append(f"{seen} of {key} available, not {most}")
    return problems
