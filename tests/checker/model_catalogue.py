"""The catalogue commands of the model, written from docs/contract.md §9."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from tests.checker.allowed import ANYTHING, AnyOf, Option, refused
from tests.checker.instants import micros, of_wall, stamp
from tests.checker.model import Body
from tests.checker.pool import Pool
from tests.checker.world import MINUTE, TOTAL, Entry, Occasion, Ticket, World

_FINAL = ("cancelled", "completed")
_CHANGED, _UNCHANGED = AnyOf((None, True)), AnyOf((False,))
"""It is left out where it is true."""


def _instant(text: str) -> int:
    return micros(text.replace("z", "Z").replace("t", "T"))


def _known_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ValueError, OSError):
        return False
    return True


def put_faults(world: World, occasion: Occasion | None, body: Body) -> list[str]:
    """What is wrong with a definition, beyond its form."""
    found = []
    starts, ends = _instant(body["starts_at"]), _instant(body["ends_at"])
    if ends <= starts:
        found.append("the end is not after the start")
    if not _known_zone(body["timezone"]):
        found.append("the time zone is unknown")
    opens, closes = body.get("sales_open"), body.get("sales_close")
    if opens and closes and closes <= opens:
        found.append("sales close before they open")
    pools = [TOTAL, *(pool["key"] for pool in body.get("pools") or ())]
    tickets, extras = body["ticket_types"], body.get("extras") or []
    keys = (pools, [one["key"] for one in tickets], [one["key"] for one in extras])
    if any(len(set(names)) != len(names) for names in keys):
        found.append("a key is given twice")
    for one in tickets:
        drawn = [TOTAL, *(one.get("pools") or ())]
        if len(set(drawn)) != len(drawn) or not set(drawn) <= set(pools):
            found.append(f"the pools of {one['key']}")
        if (one.get("min_per_order") or 0) > _most(one):
            found.append(f"the least of {one['key']} is above the most")
    for one in extras:
        drawn = one.get("pools") or []
        if len(set(drawn)) != len(drawn) or not set(drawn) <= set(pools):
            found.append(f"the pools of {one['key']}")
    own = body.get("hold") or {}
    if (
        own.get("ttl_minutes")
        and own.get("lifetime_max_minutes")
        and own["lifetime_max_minutes"] < own["ttl_minutes"]
    ):
        found.append("the greatest age is below the time to live")
    low, nearly_full, full = world.alerts(body.get("alerts") or {})
    if not low < nearly_full < full:
        found.append("the thresholds of the alerts do not rise")
    taken_by = world.starts.get((body["product_id"], starts))
    if not body.get("yields_start") and taken_by not in (None, body["occurrence_id"]):
        found.append("another occurrence starts then")
    return found + _against_present(occasion, body["product_id"], pools)


def _against_present(occasion: Occasion | None, product: str, pools: list[str]) -> list[str]:
    if occasion is None:
        return []
    found = [f"it is {occasion.status}"] if occasion.status in _FINAL else []
    if product != occasion.product and _taken(occasion, TOTAL):
        found.append("what is held and sold is of another product")
    gone = [key for key, pool in occasion.pools.items() if key not in pools and pool.held + pool.sold]
    return found + [f"pool {key} is in use" for key in gone]


def _most(one: dict[str, Any]) -> int:
    most = one.get("max_per_order")
    return 10 if most is None else int(most)


def put(world: World, occasion: Occasion | None, body: Body) -> list[Option]:
    """`occurrence.put.v1`."""
    if put_faults(world, occasion, body):
        return [refused("invalid", errors=ANYTHING)]
    created = occasion is None
    after = occasion or Occasion(body["occurrence_id"])
    numbers = _pools(body)
    deficits = _deficits(after, numbers)
    says = _definition(body)
    is_new = (
        occasion is None
        or (occasion.definition, occasion.status) != (says, body.get("status") or "active")
        or _numbers(occasion.pools) != _numbers(numbers)
    )

    def apply() -> None:
        world.occasions[after.id] = after
        _leave_start(world, after)
        _define(after, body)
        after.definition = says
        if not body.get("yields_start"):
            world.starts[after.product, after.starts] = after.id
        _count(after, numbers)

    status = body.get("status") or "active"
    changed = {
        "type": "occurrence.changed.v1",
        "product_id": body["product_id"],
        "status": status,
        "starts_at": stamp(_instant(body["starts_at"])),
        "ends_at": stamp(_instant(body["ends_at"])),
        "created": created,
    }
    fields = {
        "created": created,
        "changed": _CHANGED if is_new else _UNCHANGED,
        "status": status,
        "sellable": {key: _sellable(after, key, pool) for key, pool in numbers.items()},
        "deficit": {event["pool"]: event["taken"] - event["target"] for event in deficits},
    }
    return [Option("occurrence_stored", None, fields, [*deficits, changed] if is_new else [], apply)]


def _definition(body: Body) -> list[Any]:
    """What a put says, its status and its numbers aside. Who says it again in other words says the same."""
    probe = Occasion(body["occurrence_id"])
    _define(probe, body)
    tickets, extras = body["ticket_types"], body.get("extras") or ()
    return [
        (probe.product, probe.starts, probe.ends, body["timezone"], probe.opens, probe.closes),
        (probe.overrides, probe.alerts, bool(body.get("yields_start"))),
        [(key, one.least, one.most, one.pools) for key, one in probe.tickets.items()],
        [(key, one.most, one.pools, one.stock) for key, one in probe.extras.items()],
        [one.get("label") or "" for one in (*tickets, *extras)],
    ]


def _numbers(pools: dict[str, Pool]) -> list[tuple[str, int | None, int, int]]:
    return [(key, pool.capacity, pool.overbooking, pool.buffer) for key, pool in pools.items()]


def _leave_start(world: World, occasion: Occasion) -> None:
    """Another one may have it already, if this one gave way."""
    if world.starts.get((occasion.product, occasion.starts)) == occasion.id:
        del world.starts[occasion.product, occasion.starts]


def _pools(body: Body) -> dict[str, Pool]:
    total = Pool(body["capacity"], body.get("overbooking_percent") or 0, body.get("buffer") or 0)
    others = {
        one["key"]: Pool(one.get("capacity"), one.get("overbooking_percent") or 0, one.get("buffer") or 0)
        for one in body.get("pools") or ()
    }
    return {TOTAL: total, **others}


def _taken(occasion: Occasion, key: str) -> int:
    pool = occasion.pools.get(key)
    return 0 if pool is None else pool.held + pool.sold


def _sellable(occasion: Occasion, key: str, pool: Pool) -> int | None:
    target = pool.target
    return None if target is None else max(target, _taken(occasion, key))


def _deficits(occasion: Occasion, numbers: dict[str, Pool]) -> list[dict[str, Any]]:
    found = []
    for key, pool in sorted(numbers.items()):
        target, taken = pool.target, _taken(occasion, key)
        if target is not None and target < taken:
            found.append({"type": "capacity.deficit.v1", "pool": key, "target": target, "taken": taken})
    return found


def _count(occasion: Occasion, numbers: dict[str, Pool]) -> None:
    for key, pool in numbers.items():
        before = occasion.pools.get(key)
        if before is not None:
            pool.held, pool.sold = before.held, before.sold
    occasion.pools = numbers


def _define(occasion: Occasion, body: Body) -> None:
    occasion.product = body["product_id"]
    occasion.status = body.get("status") or "active"
    occasion.starts, occasion.ends = _instant(body["starts_at"]), _instant(body["ends_at"])
    zone = body["timezone"]
    opens, closes = body.get("sales_open"), body.get("sales_close")
    occasion.opens = None if opens is None else of_wall(opens, zone)
    cutoff = occasion.starts - (body.get("cutoff_minutes") or 0) * MINUTE
    occasion.closes = cutoff if closes is None else min(cutoff, of_wall(closes, zone))
    occasion.overrides = {key: value for key, value in (body.get("hold") or {}).items() if value is not None}
    occasion.alerts = {key: value for key, value in (body.get("alerts") or {}).items() if value is not None}
    occasion.tickets = {
        one["key"]: Ticket(one.get("min_per_order") or 0, _most(one), list(one.get("pools") or ()))
        for one in body["ticket_types"]
    }
    occasion.extras = {
        one["key"]: Ticket(0, _most(one), list(one.get("pools") or ()), _stock(one))
        for one in body.get("extras") or ()
    }


def _stock(one: dict[str, Any]) -> tuple[str, int] | None:
    stock = one.get("stock")
    return None if stock is None else (stock["key"], stock["cap"])


def _changed(occasion: Occasion, status: str) -> dict[str, Any]:
    return {
        "type": "occurrence.changed.v1",
        "product_id": occasion.product,
        "status": status,
        "starts_at": stamp(occasion.starts),
        "ends_at": stamp(occasion.ends),
    }


def _stored(occasion: Occasion, status: str, pools: dict[str, Pool]) -> dict[str, Any]:
    return {
        "created": False,
        "changed": _CHANGED
        if status != occasion.status or _numbers(pools) != _numbers(occasion.pools)
        else _UNCHANGED,
        "status": status,
        "sellable": {key: _sellable(occasion, key, pool) for key, pool in pools.items()},
        "deficit": {event["pool"]: event["taken"] - event["target"] for event in _deficits(occasion, pools)},
    }


def close(world: World, occasion: Occasion, body: Body) -> list[Option]:
    """`occurrence.close.v1`. Closing what is final already is not described: both answers will do."""
    status = body.get("status") or "closed"
    final = occasion.status in _FINAL

    def apply() -> None:
        occasion.status = status
        if status in _FINAL:
            occasion.line.clear()
        if status == "cancelled":
            _leave_start(world, occasion)

    stored = Option("occurrence_stored", None, _stored(occasion, status, occasion.pools), [], apply)
    if status != occasion.status:
        stored.events.append(_changed(occasion, status))
    if status in _FINAL:
        stored.events += [_sent_home(entry) for entry in occasion.line.values()]
    if not final:
        return [stored]
    invalid = refused("invalid", errors=ANYTHING)
    return [invalid, stored] if status == occasion.status else [invalid]


def _sent_home(entry: Entry) -> dict[str, Any]:
    """The line ends with the occurrence."""
    told = {"type": "waitlist.left.v1", "entry_id": entry.id, "session_id": entry.session}
    return told | {"reason": "occurrence_ended"}


def capacity(occasion: Occasion, body: Body) -> list[Option]:
    """`occurrence.capacity.v1`. On an occurrence that is final it is not described: both answers will do."""
    key = body.get("pool") or TOTAL
    before = occasion.pools.get(key)
    number = body.get("capacity")
    if before is None or (number is None and key == TOTAL):
        return [refused("invalid", errors=ANYTHING)]
    pool = Pool(number, before.overbooking, before.buffer)
    pools = {**occasion.pools, key: pool}

    def apply() -> None:
        before.resize(number)

    deficits = [event for event in _deficits(occasion, pools) if event["pool"] == key]
    fields = _stored(occasion, occasion.status, pools)
    told = [*deficits, _changed(occasion, occasion.status)] if fields["changed"] is _CHANGED else []
    stored = Option("occurrence_stored", None, fields, told, apply)
    return [stored] if occasion.status not in _FINAL else [stored, refused("invalid", errors=ANYTHING)]
