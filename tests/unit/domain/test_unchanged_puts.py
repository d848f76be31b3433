"""What is stored already is no news: the answer says so, and nothing is told, by which calendars and customers would
take it for a change."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.support.domain import STARTS, House, a_capacity, a_close, a_place, a_put, got

from holdgate_schema.answers.holds import OccurrenceStored
from holdgate_schema.commands.holds import (
    AlertOverrides,
    Command,
    ExtraDefinition,
    HoldOverrides,
    PoolDefinition,
    TicketType,
)
from holdgate_schema.events.holds import OccurrenceChanged

TICKETS = [TicketType(key="adult"), TicketType(key="child", pools=["kids"])]
GIVEN: dict[str, Any] = {
    "capacity": 10,
    "ticket_types": TICKETS,
    "pools": [PoolDefinition(key="kids", capacity=4)],
    "extras": [ExtraDefinition(key="lunch"), ExtraDefinition(key="guide")],
    "timezone": "Europe/Rome",
}
OTHER: list[dict[str, Any]] = [
    {"starts_at": STARTS + timedelta(minutes=1)},
    {"ends_at": STARTS + timedelta(hours=9)},
    {"timezone": "Europe/Paris"},
    {"capacity": 11},
    {"overbooking_percent": 5},
    {"buffer": 1},
    {"ticket_types": list(reversed(TICKETS))},
    {"ticket_types": [TicketType(key="adult", label="Grown-up"), TICKETS[1]]},
    {"pools": [PoolDefinition(key="kids", capacity=5)]},
    {"extras": [ExtraDefinition(key="lunch")]},
    {"status": "closed"},
    {"cutoff_minutes": 5},
    {"hold": HoldOverrides(ttl_minutes=20)},
    {"alerts": AlertOverrides(low=10)},
    {"yields_start": True},
]


def told(house: House, command: Command) -> tuple[bool, list[str]]:
    """What the answer says of it, and which kinds of events there were."""
    before = len(house.events)
    answer = got(OccurrenceStored, house.send(command))
    kinds = [type(event).__name__ for event in house.events[before:]]
    assert answer.changed == ("OccurrenceChanged" in kinds)
    return answer.changed, kinds


def test_a_put_of_what_is_stored_changes_nothing_and_tells_nobody() -> None:
    house = House.with_occurrence(**GIVEN)
    house.held(a_place(2))
    assert told(house, a_put(**GIVEN)) == (False, [])
    assert house.held(a_place(8, session_id="another")).available["total"] == 0


def test_settings_that_say_nothing_are_as_good_as_none() -> None:
    house = House.with_occurrence(**GIVEN)
    assert told(house, a_put(**GIVEN, hold=HoldOverrides(), alerts=AlertOverrides())) == (False, [])


@pytest.mark.parametrize("other", OTHER, ids=lambda other: next(iter(other)))
def test_whatever_is_different_is_stored_and_told_once(other: dict[str, Any]) -> None:
    house = House.with_occurrence(**GIVEN)
    assert told(house, a_put(**GIVEN | other)) == (True, ["OccurrenceChanged"])
    assert told(house, a_put(**GIVEN | other)) == (False, [])
    assert told(house, a_put(**GIVEN)) == (True, ["OccurrenceChanged"])


def test_a_capacity_and_a_status_that_were_so_already_are_no_news() -> None:
    house = House.with_occurrence(**GIVEN)
    assert told(house, a_capacity(10)) == (False, [])
    assert told(house, a_capacity(12)) == (True, ["OccurrenceChanged"])
    assert told(house, a_capacity(12)) == (False, [])
    assert told(house, a_close("closed")) == (True, ["OccurrenceChanged"])
    assert told(house, a_close("closed")) == (False, [])


def test_a_deficit_that_was_told_is_not_told_again_and_stays_in_the_answer() -> None:
    house = House.with_occurrence(**GIVEN)
    house.held(a_place(8))
    assert told(house, a_capacity(5)) == (True, ["CapacityDeficit", "OccurrenceChanged", "CapacityFull"])
    assert told(house, a_capacity(5)) == (False, [])
    assert got(OccurrenceStored, house.send(a_capacity(5))).deficit == {"total": 3}


def test_what_is_put_again_raises_the_version_as_every_decision_does() -> None:
    house = House.with_occurrence(**GIVEN)
    first = got(OccurrenceStored, house.send(a_put(**GIVEN)))
    second = got(OccurrenceStored, house.send(a_put(**GIVEN)))
    assert (first.version, second.version) == (2, 3)
    assert not any(isinstance(event, OccurrenceChanged) and not event.created for event in house.events)
