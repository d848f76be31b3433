"""Rooms that fill up: told at the crossing of a threshold, and only there. See docs/alerts.md.

A pool's band is how much of what may be sold of it is taken, held and sold together: `open`, `low`, `nearly_full` or
`full`. A decision that lifts a pool into a higher band tells that band, one event for all thresholds that it crosses;
one that brings it down from `full` tells that there are seats again. Everything else is silent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from holdgate_schema.events.selling import CapacityAvailableAgain, CapacityFull, CapacityLow, CapacityNearlyFull
from holdgate_workers.domain.decision import Decision
from holdgate_workers.domain.settings.settings import AlertRules, Settings

from .occurrence import Occurrence, Pool

Band = Literal["open", "low", "nearly_full", "full"]
OPEN, LOW, NEARLY_FULL, FULL = range(4)
BANDS: tuple[Band, ...] = ("open", "low", "nearly_full", "full")
"""By their level."""

CapacityEvent = CapacityLow | CapacityNearlyFull | CapacityFull | CapacityAvailableAgain
_RISEN: tuple[type[CapacityEvent], ...] = (CapacityAvailableAgain, CapacityLow, CapacityNearlyFull, CapacityFull)


def level(taken: int, target: int, rules: AlertRules) -> int:
    """The index in `BANDS` of a pool of which so much may be sold. Whole numbers only: nothing is rounded."""
    share = taken * 100
    if share >= rules.full * target:
        return FULL
    if share >= rules.nearly_full * target:
        return NEARLY_FULL
    return LOW if share >= rules.low * target else OPEN


def band(taken: int, target: int | None, rules: AlertRules) -> Band:
    """The name of how full a pool is. Unlimited it is always open; with nothing to sell it is full."""
    return "open" if target is None else BANDS[level(taken, target, rules)]


def tell_crossings(occurrence: Occurrence | None, decision: Decision, settings: Settings) -> None:
    """Add to a decision that is otherwise complete what it does to the bands of its occurrence's pools.

    An occurrence that is new tells nothing.
    """
    if occurrence is None or not decision.recorded:
        return
    if decision.pools is not None:
        _redefined(occurrence, decision, decision.pools, settings)
    elif decision.held or decision.sold:
        _moved(occurrence, decision, settings)


def _moved(occurrence: Occurrence, decision: Decision, settings: Settings) -> None:
    """This is on the way of every hold: as long as a pool stays open it is one comparison."""
    held, sold, pools = decision.held, decision.sold, occurrence.pools
    overrides = occurrence.definition.alerts
    rules = None if overrides is None else settings.alerts_for(overrides)
    low = settings.alerts_low if rules is None else rules.low
    for key in {**held, **sold} if sold else held:
        pool = pools[key]
        target = pool.target
        if not target:
            continue
        before = pool.held + pool.sold
        after = before + held.get(key, 0) + (sold.get(key, 0) if sold else 0)
        if (after if after > before else before) * 100 >= low * target:
            rules = rules or settings.alerts_for(None)
            _compare(decision, pool, after, level(before, target, rules), level(after, target, rules))


def _redefined(occurrence: Occurrence, decision: Decision, pools: Mapping[str, Pool], settings: Settings) -> None:
    rules = settings.alerts_for(occurrence.definition.alerts)
    new_rules = rules if decision.definition is None else settings.alerts_for(decision.definition.alerts)
    for key, pool in pools.items():
        if pool.target:
            taken = pool.held + pool.sold + decision.held.get(key, 0) + decision.sold.get(key, 0)
            after = level(taken, pool.target, new_rules)
            _compare(decision, pool, taken, _level_before(occurrence.pools.get(key), after, rules), after)


def _level_before(pool: Pool | None, after: int, rules: AlertRules) -> int:
    """Without a share of its own, a pool comes from where there was nothing to sell, or no end of it."""
    if pool is None or pool.target is None:
        return OPEN
    if pool.target == 0:
        return FULL if after < FULL else OPEN
    return level(pool.held + pool.sold, pool.target, rules)


def _compare(decision: Decision, pool: Pool, taken: int, before: int, after: int) -> None:
    if after > before:
        kind = _RISEN[after]
    elif before == FULL and after < FULL:
        kind = CapacityAvailableAgain
    else:
        return
    assert pool.target is not None
    answer = decision.answer
    decision.events.append(
        kind(
            event_id=f"{answer.request_id}/{len(decision.events)}",
            occurrence_id=answer.occurrence_id,
            version=answer.version,
            occurred_at=answer.decided_at,
            pool=pool.key,
            sellable=pool.target,
            taken=taken,
        )
    )
