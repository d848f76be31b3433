"""In which order the dates of a list can be moved, so that no two of a product ever have the same start."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from holdgate_schema.commands.holds import CloseOccurrence, PoolDefinition, PutOccurrence
from holdgate_schema.ids import TOTAL_POOL
from holdgate_workers.domain.occurrences.occurrence import Definition, Pool
from holdgate_workers.domain.occurrences.wall_time import instant_of

from .dates import CHANGES, Judged, Step, StoredDate

NO_REQUEST = "00000000-0000-4000-8000-000000000000"
"""Stands in a step's command until it is sent."""
CUTOFF_MINUTES_MAX = 525_600


def ordered(dates: Sequence[Judged], stored: Mapping[str, StoredDate]) -> tuple[list[list[Step]], dict[str, str]]:
    """The steps in rounds, and for each date that waits, the one that it waits for.

    A date is put where another one is only after that one has left. Where they wait for one another in a ring, the
    first of the ring yields its start beforehand: it stays where it is, as everybody sees it, until its turn comes.
    """
    changes = {date.occurrence_id: date for date in dates if date.verdict in CHANGES}
    held = {
        before.definition.claim: before.occurrence_id
        for before in stored.values()
        if before.definition.claim is not None
    }
    after: dict[str, str] = {}
    for date in changes.values():
        if date.put is not None:
            holder = held.get((date.put.product_id, date.put.starts_at.astimezone(UTC)))
            if holder is not None and holder != date.occurrence_id:
                after[date.occurrence_id] = holder
    yielding = _break_rings(list(changes), after)
    depths = _depths(changes, after, frozenset(yielding))
    rounds: list[list[Step]] = [[] for _ in range(max(depths.values(), default=-1) + 1)]
    for key, date in changes.items():
        rounds[depths[key]].append(_step(date))
    if yielding:
        rounds[0] = [_yield(stored[key]) for key in yielding] + rounds[0]
    return rounds, after


def _break_rings(keys: Sequence[str], after: Mapping[str, str]) -> list[str]:
    """One of each ring, the first that the list names."""
    done: set[str] = set()
    found = []
    for key in keys:
        path: dict[str, None] = {}
        at: str | None = key
        while at is not None and at not in done and at not in path:
            path[at] = None
            at = after.get(at)
        if at is not None and at in path:
            found.append(at)
        done |= path.keys()
    return found


def _depths(keys: Iterable[str], after: Mapping[str, str], yielding: frozenset[str]) -> dict[str, int]:
    """In which round each can be put: after the one that must leave first has left, or has yielded in round 0."""
    depths: dict[str, int] = {}
    for key in keys:
        path = []
        at: str | None = key
        while at is not None and at not in depths:
            path.append(at)
            at = after.get(at)
            if at in yielding:
                break
        depth = 0 if at is None else 1 if at in yielding else depths[at] + 1
        for waiting in reversed(path):
            depths[waiting] = depth
            depth += 1
    return depths


def _step(date: Judged) -> Step:
    if date.put is not None:
        return Step(date.occurrence_id, date.put)
    key = date.occurrence_id
    if date.verdict == "cancelled":
        return Step(key, CloseOccurrence(request_id=NO_REQUEST, occurrence_id=key, status="cancelled"))
    return Step(key, CloseOccurrence(request_id=NO_REQUEST, occurrence_id=key, status="closed"))


def _yield(before: StoredDate) -> Step:
    return Step(before.occurrence_id, put_as_stored(before, yields_start=True), yields=True)


def put_as_stored(before: StoredDate, *, yields_start: bool = False) -> PutOccurrence:
    """The `put` that leaves the occurrence as it is. One that is final takes none; there it is what to compare with."""
    definition, pools = before.definition, before.pools
    total = pools[TOTAL_POOL]
    assert total.capacity is not None
    cutoff_minutes, sales_close = closing(definition)
    return PutOccurrence(
        request_id=NO_REQUEST,
        occurrence_id=before.occurrence_id,
        product_id=definition.product_id,
        starts_at=definition.starts_at,
        ends_at=definition.ends_at,
        timezone=definition.timezone,
        capacity=total.capacity,
        ticket_types=list(definition.ticket_types.values()),
        overbooking_percent=total.overbooking_percent,
        buffer=total.buffer,
        pools=[_pool(pool) for pool in pools.values() if pool.key != TOTAL_POOL],
        extras=list(definition.extras.values()),
        sales_open=None if definition.opens_at is None else _wall(definition.opens_at, definition.timezone),
        sales_close=sales_close,
        cutoff_minutes=cutoff_minutes,
        status="closed" if definition.status == "closed" else "active",
        hold=definition.hold,
        alerts=definition.alerts,
        yields_start=yields_start,
    )


def closing(definition: Definition) -> tuple[int, datetime | None]:
    """When sales close, as minutes before the start where that says it exactly, else as a wall time."""
    before_start = definition.starts_at - definition.closes_at
    minutes, rest = divmod(before_start, timedelta(minutes=1))
    if not rest and minutes <= CUTOFF_MINUTES_MAX:
        return minutes, None
    return 0, _wall(definition.closes_at, definition.timezone)


def _wall(instant: datetime, zone: str) -> datetime:
    """What a clock at the place shows. The second of two equal times cannot be said: then it is the first."""
    wall = instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)
    assert instant_of(wall, zone) <= instant
    return wall


def _pool(pool: Pool) -> PoolDefinition:
    return PoolDefinition(
        key=pool.key,
        capacity=pool.capacity,
        overbooking_percent=pool.overbooking_percent,
        buffer=pool.buffer,
    )
