"""What is told of rooms that fill up is what happened to them, whatever happens."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.support.domain import (
    House,
    a_capacity,
    a_change,
    a_close,
    a_place,
    a_put,
    a_release,
    a_sweep,
    an_extend,
)
from tests.support.domain_strategies import POOLS, TICKETS, occurrences, some_extras, spans

from holdgate_schema.answers.holds import Held
from holdgate_schema.commands.holds import AlertOverrides, Command, PutOccurrence, TicketType
from holdgate_schema.events.holds import event_type
from holdgate_schema.events.selling import CapacityAvailableAgain, CapacityFull, CapacityLow, CapacityNearlyFull
from holdgate_workers.domain.occurrences.occurrence import Occurrence, Pool
from holdgate_workers.domain.settings.settings import Settings

PERCENT = st.integers(1, 100)
OVERRIDES = st.none() | st.builds(
    lambda given: AlertOverrides(low=given[0], nearly_full=given[1], full=given[2]),
    st.lists(PERCENT, min_size=3, max_size=3, unique=True).map(sorted),
)
ALERTS = CapacityLow | CapacityNearlyFull | CapacityFull | CapacityAvailableAgain
Share = Fraction | None
"""Percent of what may be sold; None where nothing may be, or no end of it."""


def thresholds(occurrence: Occurrence) -> tuple[int, ...]:
    own = occurrence.definition.alerts or AlertOverrides()
    return tuple(
        mine if mine is not None else house
        for mine, house in ((own.low, 80), (own.nearly_full, 95), (own.full, 100))
    )


def share(pool: Pool) -> Share:
    if pool.capacity is None:
        return None
    sellable = max(0, pool.capacity * (100 + pool.overbooking_percent) // 100 - pool.buffer)
    return Fraction(100 * (pool.held + pool.sold), sellable) if sellable else None


def crossed(before: Share, after: Share, old: tuple[int, ...], new: tuple[int, ...]) -> str | None:
    """By the rule: the highest threshold that is newly reached, or that it is no longer full."""
    assert before is not None
    assert after is not None
    was = sum(before >= threshold for threshold in old)
    now = sum(after >= threshold for threshold in new)
    if now > was:
        return ("low", "nearly_full", "full")[now - 1]
    return "available_again" if was == 3 > now else None


def step(data: st.DataObject, house: House, held: list[Held]) -> Command:
    """Anything that may happen to the occurrence next."""
    what = data.draw(
        st.sampled_from(["place"] * 6 + ["change", "extend", "release", "sweep", "capacity", "put", "close"])
    )
    house.now += data.draw(spans())
    if what == "put" or house.occurrence().definition.status == "closed":
        put = data.draw(occurrences())
        return a_put(**{name: getattr(put, name) for name in FIELDS}, alerts=data.draw(OVERRIDES))
    if what == "capacity":
        pool = data.draw(st.sampled_from(["total", *POOLS]))
        return a_capacity(data.draw(st.none() | st.integers(0, 16)), pool)
    if what == "sweep":
        return a_sweep(data.draw(st.sampled_from([1, 500])))
    if what == "close":
        return a_close()
    items: dict[str, int] = data.draw(st.dictionaries(st.sampled_from(TICKETS), st.integers(1, 6), min_size=1))
    if what == "place" or not held:
        return a_place(items, data.draw(some_extras()), session_id=None)
    hold = data.draw(st.sampled_from(held))
    if what == "change":
        return a_change(hold, items)
    return a_release(hold) if what == "release" else an_extend(hold)


FIELDS = (
    *("capacity", "overbooking_percent", "buffer", "ticket_types", "pools", "extras"),
    "hold",
)


@given(first=occurrences(), alerts=OVERRIDES, steps=st.integers(1, 25), data=st.data())
def test_each_decision_tells_the_crossings_that_it_made_and_nothing_else(
    first: PutOccurrence, alerts: AlertOverrides | None, steps: int, data: st.DataObject
) -> None:
    """Worked out again from the counters before and after, with fractions."""
    house = House()
    house.put(a_put(**{name: getattr(first, name) for name in FIELDS}, alerts=alerts))
    assert not any(isinstance(event, ALERTS) for event in house.events)
    held: list[Held] = []
    for _ in range(steps):
        command = step(data, house, held)
        old = thresholds(house.occurrence())
        before = {key: share(pool) for key, pool in house.occurrence().pools.items()}
        seen = len(house.events)
        answer = house.send(command)
        held += [answer] if isinstance(answer, Held) else []
        new = thresholds(house.occurrence())
        expected = {
            (name, key, pool.held + pool.sold)
            for key, pool in house.occurrence().pools.items()
            if before.get(key) is not None and share(pool) is not None
            if (name := crossed(before[key], share(pool), old, new))
        }
        told = [
            (event_type(event).split(".")[1], event.pool, event.taken)
            for event in house.events[seen:]
            if isinstance(event, ALERTS) and before.get(event.pool) is not None
        ]
        assert sorted(told) == sorted(expected)


@given(
    capacity=st.integers(1, 30),
    full=st.integers(3, 100),
    seats=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 12)), max_size=60),
)
def test_who_hears_the_events_alone_knows_what_is_full(
    capacity: int, full: int, seats: list[tuple[int, int]]
) -> None:
    """`full` and `available_again` take turns, and no event says what the one before it said already."""
    house = House(settings=Settings(alerts_low=1, alerts_nearly_full=2, alerts_full=full))
    house.put(a_put(capacity=capacity, ticket_types=[TicketType(key="adult", max_per_order=50)]))
    is_full, taken = False, 0
    for who, number in seats:
        mine = [hold for hold in house.occurrence().holds.values() if hold.session_id == str(who)]
        seen = len(house.events)
        house.send(a_release(mine[0].view()) if mine else a_place(number, session_id=str(who)))
        for event in (event for event in house.events[seen:] if isinstance(event, ALERTS)):
            if isinstance(event, CapacityAvailableAgain):
                assert is_full
                is_full = False
            else:
                assert not is_full
                is_full = isinstance(event, CapacityFull)
                assert event.taken > taken
        taken = house.pool().held
        assert is_full == (100 * taken >= full * capacity)


@given(
    low=PERCENT,
    nearly_full=PERCENT,
    full=PERCENT,
    overrides=st.fixed_dictionaries({}, optional=dict.fromkeys(("low", "nearly_full", "full"), PERCENT)),
)
def test_thresholds_never_fall_whatever_the_house_is_set_to_later(
    low: int, nearly_full: int, full: int, overrides: dict[str, Any]
) -> None:
    """The higher one counts: nobody is told `low` of a room that is full."""
    low, nearly_full, full = sorted((low, nearly_full, full))
    house = Settings(alerts_low=low, alerts_nearly_full=nearly_full, alerts_full=full)
    rules = house.alerts_for(AlertOverrides(**overrides))
    assert rules.low <= rules.nearly_full <= rules.full == overrides.get("full", full)
