"""Rooms that fill up are told of at the crossing of a threshold, and only there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from tests.support.domain import House, a_capacity, a_change, a_close, a_get, a_place, a_put, a_release, a_sweep

from holdgate_schema.answers.holds import Held, Reason
from holdgate_schema.commands.holds import AlertOverrides, Command, ExtraDefinition, PoolDefinition, TicketType
from holdgate_schema.events.holds import CapacityDeficit, event_type
from holdgate_schema.events.selling import CapacityAvailableAgain, CapacityFull, CapacityLow, CapacityNearlyFull
from holdgate_workers.domain.occurrences.alerts import Band, band
from holdgate_workers.domain.settings.settings import AlertRules, Settings, parse

ALERTS = CapacityLow | CapacityNearlyFull | CapacityFull | CapacityAvailableAgain
RULES = AlertRules(80, 95, 100)
TWENTY: dict[str, Any] = {"capacity": 20, "ticket_types": [TicketType(key="adult", max_per_order=50)]}
"""Low from 16 seats, nearly full from 19, full at 20."""


def told(house: House, command: Command) -> list[str]:
    """What the command tells of pools: `low total 16/20`."""
    seen = len(house.events)
    house.send(command)
    return [
        f"{event_type(event).split('.')[1]} {event.pool} {event.taken}/{event.sellable}"
        for event in house.events[seen:]
        if isinstance(event, ALERTS)
    ]


def a_house(taken: int = 0, **fields: Any) -> tuple[House, Held | None]:
    """A house with twenty seats of which so many are held by one who may change that."""
    house = House.with_occurrence(**(TWENTY | fields))
    return house, house.held(a_place(taken)) if taken else None


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (0, 15, []),
        (0, 16, ["low total 16/20"]),
        (15, 16, ["low total 16/20"]),
        (16, 18, []),
        (18, 19, ["nearly_full total 19/20"]),
        (19, 20, ["full total 20/20"]),
        (15, 19, ["nearly_full total 19/20"]),
        (1, 20, ["full total 20/20"]),
        (20, 19, ["available_again total 19/20"]),
        (20, 1, ["available_again total 1/20"]),
        (19, 18, []),
        (18, 1, []),
        (20, 20, []),
    ],
)
def test_a_pool_tells_the_highest_threshold_that_it_crosses(before: int, after: int, expected: list[str]) -> None:
    """One event however far it goes; downwards only that there are seats again."""
    house, held = a_house(before)
    assert told(house, a_change(held, after) if held else a_place(after)) == expected


def test_a_threshold_is_told_again_each_time_it_is_crossed() -> None:
    """Once per crossing: not while it stays there, and again when it comes back."""
    house, _ = a_house(15)
    for _ in range(2):
        assert told(house, a_place(1, session_id="bob")) == ["low total 16/20"]
        held = house.held(a_place(3, session_id="cy"))
        assert told(house, a_place(1, session_id="dan")) == ["full total 20/20"]
        house.refused(a_place(1, session_id="eve"), Reason.SOLD_OUT)
        assert told(house, a_release(held)) == ["available_again total 17/20"]
        for mine in [hold for hold in house.occurrence().holds.values() if hold.session_id in ("bob", "dan")]:
            assert told(house, a_release(mine.view())) == []


def test_the_event_says_where_it_stands() -> None:
    """As every event: its number in the request, the version, the instant of the decision."""
    house, _ = a_house()
    house.send(a_place(20))
    created, full = house.events[-2:]
    assert isinstance(full, CapacityFull)
    assert full.event_id == created.event_id.replace("/0", "/1")
    assert (full.version, full.occurred_at, full.occurrence_id) == (2, house.now, "occ-1")
    assert (full.pool, full.sellable, full.taken) == ("total", 20, 20)


def test_every_limited_pool_is_told_of_by_itself_and_an_unlimited_one_never() -> None:
    """Tickets and extras alike; each pool has its own share."""
    house = House.with_occurrence(
        capacity=100,
        ticket_types=[TicketType(key="vip", pools=["deck", "open"])],
        extras=[ExtraDefinition(key="lunch", pools=["meals"])],
        pools=[
            PoolDefinition(key="deck", capacity=5),
            PoolDefinition(key="meals", capacity=4),
            PoolDefinition(key="open", capacity=None),
        ],
    )
    assert told(house, a_place({"vip": 4}, {"lunch": 4})) == ["low deck 4/5", "full meals 4/4"]
    assert told(house, a_place({"vip": 1}, session_id="bob")) == ["full deck 5/5"]


def test_holds_that_end_by_themselves_tell_that_there_are_seats_again() -> None:
    """Whoever notices: the sweep, or somebody who needs the seats and fills the room again."""
    house, _ = a_house(20)
    house.wait(minutes=15)
    assert told(house, a_sweep()) == ["available_again total 0/20"]
    house.send(a_place(20))
    house.wait(minutes=15)
    assert told(house, a_place(20, session_id="bob")) == [], "it was full before and is full after"
    house.wait(minutes=15)
    assert told(house, a_place(17, session_id="cy")) == ["available_again total 17/20"]


def test_reads_and_refusals_tell_nothing() -> None:
    """They move no seats."""
    house, _ = a_house(20)
    for command in (a_get(), a_sweep(), a_place(1, session_id="bob"), a_close()):
        assert told(house, command) == []


# --- the catalogue -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("taken", "capacity", "expected"),
    [
        (10, 12, ["low total 10/12"]),
        (10, 10, ["full total 10/10"]),
        (10, 5, ["full total 10/5"]),
        (10, 100, []),
        (20, 25, ["available_again total 20/25"]),
        (20, 10, []),
        (16, 17, []),
    ],
)
def test_another_capacity_is_a_crossing_like_any_other(taken: int, capacity: int, expected: list[str]) -> None:
    """Below what is taken it is full; the deficit is told besides."""
    house, _ = a_house(taken)
    assert told(house, a_capacity(capacity)) == expected
    assert any(isinstance(event, CapacityDeficit) for event in house.events) == (capacity < taken)


def test_seats_that_come_back_to_a_lowered_capacity_do_not_make_it_available() -> None:
    """Only below the target there are seats again."""
    house, held = a_house(12)
    assert held is not None
    assert told(house, a_capacity(10)) == ["full total 12/10"]
    assert told(house, a_change(held, 11)) == []
    assert told(house, a_change(held, 10)) == []
    assert told(house, a_change(held, 9)) == ["available_again total 9/10"]


def test_overbooking_and_buffer_count() -> None:
    """The share is one of what may be sold, and not of the chairs."""
    house, _ = a_house(0, overbooking_percent=50, buffer=5)
    assert told(house, a_place(20)) == ["low total 20/25"]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([0], []),
        ([0, 40], ["available_again total 10/40"]),
        ([0, 10], ["full total 10/10"]),
        ([10, 0, 10], ["full total 10/10", "full total 10/10"]),
        ([10, 0, 40], ["full total 10/10", "available_again total 10/40"]),
    ],
)
def test_with_nothing_to_sell_nothing_is_told_until_there_is_something(
    sizes: Sequence[int], expected: list[str]
) -> None:
    """There is no share of nothing. What it comes to afterwards is told, so that nobody is left behind."""
    house, _ = a_house(10)
    assert [event for size in sizes for event in told(house, a_capacity(size))] == expected


@pytest.mark.parametrize("capacity", [0, 20])
def test_a_new_occurrence_tells_nothing(capacity: int) -> None:
    """Nothing has been crossed yet."""
    house = House()
    assert told(house, a_put(**(TWENTY | {"capacity": capacity}))) == []


def test_a_pool_that_gets_a_limit_is_as_one_that_was_empty() -> None:
    """And one that loses it is silent."""
    house = House.with_occurrence(
        capacity=100,
        ticket_types=[TicketType(key="adult", pools=["deck"])],
        pools=[PoolDefinition(key="deck", capacity=None)],
    )
    house.send(a_place(10))
    assert told(house, a_capacity(10, "deck")) == ["full deck 10/10"]
    assert told(house, a_capacity(None, "deck")) == []
    assert told(house, a_capacity(12, "deck")) == ["low deck 10/12"]


# --- thresholds --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (None, (80, 95, 100)),
        (AlertOverrides(), (80, 95, 100)),
        (AlertOverrides(low=50), (50, 95, 100)),
        (AlertOverrides(nearly_full=85, full=90), (80, 85, 90)),
        (AlertOverrides(low=1, nearly_full=2, full=3), (1, 2, 3)),
    ],
)
def test_thresholds_of_an_occurrence_stand_beside_the_houses(
    overrides: AlertOverrides | None, expected: tuple[int, int, int]
) -> None:
    """What it does not say is as the house has it; and it is kept with the occurrence."""
    rules = Settings().alerts_for(overrides)
    assert (rules.low, rules.nearly_full, rules.full) == expected
    kept = None if overrides == AlertOverrides() else overrides
    assert House.with_occurrence(alerts=overrides).occurrence().definition.alerts == kept


@pytest.mark.parametrize(
    ("overrides", "fields"),
    [
        (AlertOverrides(low=95), ["alerts.nearly_full"]),
        (AlertOverrides(full=95), ["alerts.full"]),
        (AlertOverrides(low=90, nearly_full=90), ["alerts.nearly_full"]),
        (AlertOverrides(low=90, nearly_full=80, full=70), ["alerts.nearly_full", "alerts.full"]),
    ],
)
def test_thresholds_of_an_occurrence_must_rise_with_the_houses(
    overrides: AlertOverrides, fields: list[str]
) -> None:
    """They are looked at as they will count: its own and, for the rest, the house's."""
    refused = House().refused(a_put(alerts=overrides), Reason.INVALID)
    assert [problem.field for problem in refused.errors] == fields


def test_thresholds_of_an_occurrence_count_for_it() -> None:
    """And setting them anew is a crossing, too."""
    house, held = a_house(10, alerts=AlertOverrides(low=55))
    assert told(house, a_place(1, session_id="bob")) == ["low total 11/20"]
    overrides = AlertOverrides(low=20, nearly_full=30, full=55)
    assert told(house, a_put(**TWENTY, alerts=overrides)) == ["full total 11/20"]
    assert held is not None
    assert told(house, a_release(held)) == ["available_again total 1/20"]


def test_the_houses_thresholds_count_from_the_next_decision_on() -> None:
    """Setting them moves no seats and tells nothing by itself."""
    house, _ = a_house(10)
    house.settings = parse({"alerts.low": 50, "alerts.nearly_full": 60})
    assert told(house, a_place(1, session_id="bob")) == [], "ten of twenty is low by the settings of now"
    assert told(house, a_place(1, session_id="bob")) == ["nearly_full total 12/20"]


# --- bands -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("taken", "target", "expected"),
    [
        (0, 10, "open"),
        (799, 1000, "open"),
        (800, 1000, "low"),
        (949, 1000, "low"),
        (950, 1000, "nearly_full"),
        (999_999, 1_000_000, "nearly_full"),
        (1000, 1000, "full"),
        (5, 3, "full"),
        (0, 0, "full"),
        (7, None, "open"),
    ],
)
def test_a_band_is_not_rounded_into(taken: int, target: int | None, expected: Band) -> None:
    """One seat short of full is not full, however many there are."""
    assert band(taken, target, RULES) == expected
