"""The plan of a list of dates, carried out step by step, stopped anywhere, and begun again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as changed
from tests.support.domain import a_put

from holdgate_schema.commands.holds import CloseOccurrence, PutOccurrence
from holdgate_workers.domain.occurrences.catalogue import defined
from holdgate_workers.domain.occurrences.occurrence import Occurrence
from holdgate_workers.domain.schedule.dates import Plan, Step, StoredDate, WantedDate
from holdgate_workers.domain.schedule.judging import plan

NOW = datetime(2030, 1, 1, tzinfo=UTC)
FIRST = datetime(2030, 5, 1, 8, tzinfo=UTC)
SLOT = timedelta(minutes=30)


def put(key: str, slot: int, **more: Any) -> PutOccurrence:
    starts_at = FIRST + slot * SLOT
    return a_put(key, product_id="tour", starts_at=starts_at, ends_at=starts_at + SLOT, timezone="UTC", **more)


class Shelf:
    """The stored dates, which take a step only as the gate and the database would."""

    def __init__(self) -> None:
        self.dates: dict[str, StoredDate] = {}
        self.shown: list[tuple[str, datetime]] = []
        """Every start that a date has had, in turn."""

    def do(self, command: PutOccurrence | CloseOccurrence) -> None:
        before = self.dates.get(command.occurrence_id)
        if isinstance(command, CloseOccurrence):
            assert before is not None
            definition = changed(before.definition, status=command.status)
            self.dates[command.occurrence_id] = replace(before, definition=definition)
        else:
            occurrence = (
                None if before is None else Occurrence(before.occurrence_id, before.definition, dict(before.pools))
            )
            definition, pools = defined(command, occurrence)
            if before is None or before.definition.starts_at != definition.starts_at:
                self.shown.append((command.occurrence_id, definition.starts_at))
            self.dates[command.occurrence_id] = StoredDate(
                occurrence_id=command.occurrence_id, definition=definition, pools=pools
            )
        claims = [date.definition.claim for date in self.dates.values() if date.definition.claim is not None]
        assert len(claims) == len(set(claims)), "two dates of a product have one start"

    def work(self, found: Plan, steps_max: int | None = None) -> int:
        """Do so many steps of the plan, all of a round before the next; how many were done."""
        steps = [step for steps in found.rounds for step in steps]
        _check_rounds(found)
        for step in steps[:steps_max]:
            self.do(step.command)
        return len(steps[:steps_max])

    def starts(self) -> dict[str, tuple[str, datetime]]:
        return {key: (date.definition.status, date.definition.starts_at) for key, date in self.dates.items()}


def _check_rounds(found: Plan) -> None:
    """What a step waits for has left its start in an earlier round."""
    left: set[str] = set()
    for steps in found.rounds:
        for step in steps:
            assert step.yields or found.after.get(step.occurrence_id) in (None, *left)
        left |= {step.occurrence_id for step in steps}


def wanted(command: PutOccurrence, line: int) -> WantedDate:
    return WantedDate(line=line, occurrence_id=command.occurrence_id, product_id="tour", put=command)


def cancelled(key: str, line: int) -> WantedDate:
    return WantedDate(line=line, occurrence_id=key, product_id="tour", is_cancelled=True)


@st.composite
def lists(draw: st.DrawFn) -> tuple[Shelf, list[WantedDate]]:
    """Dates that are stored, and a list that moves, cancels, adds and leaves out some; no two of it at one time."""
    number = draw(st.integers(2, 7))
    shelf = Shelf()
    for slot in range(number):
        shelf.do(put(f"t{slot}", slot, capacity=draw(st.sampled_from([5, 10]))))
        fate = draw(st.sampled_from(["active"] * 12 + ["closed", "cancelled", "yields"]))
        if fate == "yields":
            shelf.do(put(f"t{slot}", slot, yields_start=True))
        elif fate != "active":
            shelf.do(CloseOccurrence(request_id="x", occurrence_id=f"t{slot}", status=fate))
    # Mostly all of them, so that rows and rings come about; and two that are new.
    targets = draw(st.permutations(range(number + draw(st.integers(0, 2)))))
    named = [f"t{slot}" for slot in range(number + 2) if draw(st.integers(0, 19)) > 0]
    return shelf, [
        cancelled(key, line)
        if draw(st.integers(0, 14)) == 0
        else wanted(put(key, slot, capacity=draw(st.sampled_from([5, 10]))), line)
        for line, (key, slot) in enumerate(zip(named, targets, strict=False), 2)
    ]


@given(lists(), st.lists(st.integers(0, 12), max_size=3))
def test_a_plan_keeps_starts_apart_at_every_step_and_ends_as_the_list_says(
    drawn: tuple[Shelf, list[WantedDate]], stops: list[int]
) -> None:
    shelf, dates = drawn
    found = plan(dates, shelf.dates, NOW)
    if found.problems:
        assert not found.rounds, "all of it or nothing"
        return
    before, seen = shelf.starts(), len(shelf.shown)
    for stop in stops:
        shelf.work(plan(dates, shelf.dates, NOW), stop)
    again = plan(dates, shelf.dates, NOW)
    assert not again.problems, "what was begun can be ended"
    shelf.work(again)
    for date in dates:
        if date.put is not None and shelf.dates[date.occurrence_id].definition.status != "cancelled":
            assert shelf.dates[date.occurrence_id].definition.starts_at == date.put.starts_at
            assert not shelf.dates[date.occurrence_id].definition.yields_start
        elif date.is_cancelled and date.occurrence_id in shelf.dates:
            assert shelf.dates[date.occurrence_id].definition.status == "cancelled"
    for key in before.keys() - {date.occurrence_id for date in dates}:
        assert shelf.starts()[key] == before[key], "what the list does not name stays"
    told = [key for key, _ in shelf.shown[seen:]]
    assert len(told) == len(set(told)), "nobody is told of a move twice"
    last = plan(dates, shelf.dates, NOW)
    assert not last.rounds
    assert {date.verdict for date in last.dates} <= {"unchanged", "skipped"}


def test_a_schedule_that_moves_by_one_slot_is_moved_from_its_end() -> None:
    shelf = Shelf()
    for slot in range(5):
        shelf.do(put(f"t{slot}", slot))
    found = plan([wanted(put(f"t{slot}", slot + 1), slot) for slot in range(5)], shelf.dates, NOW)
    assert [date.verdict for date in found.dates] == ["moved"] * 5
    assert [[step.occurrence_id for step in steps] for steps in found.rounds] == [
        [f"t{n}"] for n in (4, 3, 2, 1, 0)
    ]


def test_of_two_that_swap_the_first_yields() -> None:
    shelf = Shelf()
    for slot in range(2):
        shelf.do(put(f"t{slot}", slot))
    found = plan([wanted(put("t0", 1), 2), wanted(put("t1", 0), 3)], shelf.dates, NOW)
    assert [[(step.occurrence_id, step.yields) for step in steps] for steps in found.rounds] == [
        [("t0", True)],
        [("t1", False)],
        [("t0", False)],
    ]


def test_a_long_schedule_is_planned_at_once() -> None:
    """Ten thousand dates in a row, each in the place of the one before."""
    shelf = Shelf()
    dates = {}
    for slot in range(10_000):
        definition, pools = defined(put(f"t{slot}", slot), None)
        dates[f"t{slot}"] = StoredDate(occurrence_id=f"t{slot}", definition=definition, pools=pools)
    shelf.dates = dates
    found = plan([wanted(put(f"t{slot}", slot + 1), slot) for slot in range(10_000)], shelf.dates, NOW)
    assert len(found.rounds) == 10_000
    assert isinstance(found.rounds[0][0], Step)
    assert found.rounds[0][0].occurrence_id == "t9999"


def test_what_stays_keeps_its_start_from_the_list() -> None:
    shelf = Shelf()
    shelf.do(put("kept", 0))
    shelf.do(put("t0", 1))
    shelf.do(put("t1", 2))
    found = plan([wanted(put("t0", 0), 2), wanted(put("t1", 1), 3)], shelf.dates, NOW)
    assert [(date.verdict, "'kept'" in date.why, "'t0'" in date.why) for date in found.dates] == [
        ("clashing", True, False),
        ("clashing", False, True),
    ]
    assert not found.rounds


def test_a_stored_date_is_never_moved_to_another_product() -> None:
    shelf = Shelf()
    shelf.do(put("t0", 0))
    other = WantedDate(line=2, occurrence_id="t0", product_id="walk", put=changed(put("t0", 0), product_id="walk"))
    [date] = plan([other], shelf.dates, NOW).dates
    assert (date.verdict, date.why) == ("clashing", "is stored as a date of 'tour', which it stays")


def test_what_the_list_does_not_name_is_missing_and_can_be_closed() -> None:
    shelf = Shelf()
    for slot in range(3):
        shelf.do(put(f"t{slot}", slot))
    shelf.do(CloseOccurrence(request_id="x", occurrence_id="t2", status="closed"))
    dates = [wanted(put("t0", 0), 2)]
    assert [date.occurrence_id for date in plan(dates, shelf.dates, NOW).missing] == ["t1"]
    assert not plan(dates, shelf.dates, NOW, until=FIRST + SLOT).missing
    found = plan(dates, shelf.dates, NOW, close_missing=True)
    assert ([date.verdict for date in found.dates], found.missing) == (["unchanged", "closed"], [])
    shelf.work(found)
    assert shelf.starts()["t1"][0] == "closed"


def test_what_was_not_looked_for_is_not_missing() -> None:
    """A bound without an offset is what the date's own clock shows, as where the list was read."""
    shelf = Shelf()
    for number, zone in enumerate(("Europe/Rome", "America/New_York")):
        # 00:30 of the second of May in Rome, the evening of the first in New York.
        starts_at = datetime(2030, 5, 1, 22, 30 + number, tzinfo=UTC)
        ends_at = starts_at + SLOT
        shelf.do(a_put(zone, product_id="tour", starts_at=starts_at, ends_at=ends_at, timezone=zone))
    listed = [wanted(put("t0", 0), 2)]
    second = datetime(2030, 5, 2)  # noqa: DTZ001
    missing = {date.occurrence_id for date in plan(listed, shelf.dates, NOW, until=second).missing}
    assert missing == {"America/New_York"}
    missing = {date.occurrence_id for date in plan(listed, shelf.dates, NOW, since=second).missing}
    assert missing == {"Europe/Rome"}
    in_utc = second.replace(tzinfo=UTC)
    assert plan(listed, shelf.dates, NOW, since=in_utc).missing == []
