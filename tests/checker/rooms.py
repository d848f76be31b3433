"""What is to be told of rooms that fill up, written from docs/alerts.md."""

from __future__ import annotations

from typing import Any

from tests.checker.world import Occasion, World

Room = tuple[int, int | None]
"""What is taken of a pool, and what may be sold of it."""
TOLD = ("capacity.low.v1", "capacity.nearly_full.v1", "capacity.full.v1", "capacity.available_again.v1")
Rooms = tuple[dict[str, Room], tuple[int, ...]] | None
BANDS = ("open", "low", "nearly_full", "full")


def rooms(world: World, occasion: Occasion | None) -> Rooms:
    """How full an occurrence is, and from when on it is told of; None where there is none."""
    if occasion is None:
        return None
    found = {key: (pool.held + pool.sold, pool.target) for key, pool in occasion.pools.items()}
    return found, world.thresholds(occasion)


def alerts(before: Rooms, after: Rooms) -> list[dict[str, Any]]:
    """The events of a decision that made the one of the other."""
    if before is None or after is None or before == after:
        return []
    found = []
    for key, (taken, target) in after[0].items():
        was = before[0].get(key, (0, None))
        if not target or (was == (taken, target) and before[1] == after[1]):
            continue
        now = _band(taken, target, after[1])
        name = _told(was, before[1], now)
        if name is not None:
            found.append({"type": f"capacity.{name}.v1", "pool": key, "sellable": target, "taken": taken})
    return found


def _told(was: Room, thresholds: tuple[int, ...], now: int) -> str | None:
    taken, target = was
    if target == 0:
        return "full" if now == 3 else "available_again"
    before = 0 if target is None else _band(taken, target, thresholds)
    if now > before:
        return BANDS[now]
    return "available_again" if before == 3 > now else None


def _band(taken: int, target: int, thresholds: tuple[int, ...]) -> int:
    reached = [number for number, percent in enumerate(thresholds, 1) if 100 * taken >= percent * target]
    return max(reached, default=0)


def alerted(wanted: list[dict[str, Any]], told: list[dict[str, Any]]) -> list[str]:
    """What is told of rooms comes last, in any order."""
    by_pool = {event.get("pool"): event for event in told}
    problems = [] if len(told) == len(wanted) else [f"{len(told)} events of rooms are told, not {len(wanted)}"]
    for should in wanted:
        event = by_pool.get(should["pool"], {})
        if any(event.get(name) != value for name, value in should.items()):
            problems.append(f"{should} was to be told, not {event or 'nothing'}")
    return problems
