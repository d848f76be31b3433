"""Whose a start is: one date of a product at a time, through every way of moving them about."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from tests.support.drive import Station
from tests.support.postgres import migrated_database
from tests.support.requests import STARTS, place_of, put_of

from holdgate_schema.commands.holds import CloseOccurrence, PutOccurrence
from holdgate_workers.app.gate.effects import Commit
from holdgate_workers.ids import new_request_id

pytestmark = pytest.mark.services

HALF_HOUR = timedelta(minutes=30)


@pytest.fixture
def station() -> Iterator[Station]:
    with migrated_database() as url:
        station = Station(url)
        yield station
        assert not station.problems()
        station.close()


def at(occurrence_id: str, slot: int, **more: Any) -> PutOccurrence:
    """The date in this slot of the day."""
    starts_at = STARTS + slot * HALF_HOUR
    return put_of(occurrence_id, 5, starts_at=starts_at, ends_at=starts_at + HALF_HOUR, **more)


def close(occurrence_id: str, status: Any) -> CloseOccurrence:
    return CloseOccurrence(request_id=new_request_id(), occurrence_id=occurrence_id, status=status)


def starts(station: Station) -> dict[str, datetime]:
    with psycopg.connect(station.url) as connection:
        return dict(connection.execute("SELECT id, starts_at FROM occurrences").fetchall())


def outcomes(answers: list[dict[str, Any]]) -> list[str]:
    return [answer["outcome"] for answer in answers]


def test_a_schedule_moves_by_one_slot_in_one_batch(station: Station) -> None:
    """The last one first: each leaves its start to the one before it, in the same transaction."""
    station.work(*(at(f"t{slot}", slot) for slot in range(5)))
    moved = station.work(*(at(f"t{slot}", slot + 1) for slot in reversed(range(5))))
    assert outcomes(moved) == ["occurrence_stored"] * 5
    assert starts(station) == {f"t{slot}": STARTS + (slot + 1) * HALF_HOUR for slot in range(5)}


def test_a_new_date_takes_the_start_that_another_leaves_in_the_same_batch(station: Station) -> None:
    station.work(at("old", 0))
    assert outcomes(station.work(at("old", 1), at("new", 0))) == ["occurrence_stored"] * 2
    assert starts(station) == {"old": STARTS + HALF_HOUR, "new": STARTS}


def test_two_swap_their_starts_when_one_yields_its_own(station: Station) -> None:
    station.work(at("one", 0), at("two", 1))
    assert outcomes(station.work(at("one", 1))) == ["refused"]
    assert outcomes(station.work(at("one", 0, yields_start=True))) == ["occurrence_stored"]
    assert starts(station)["one"] == STARTS, "nobody is shown another time in between"
    assert outcomes(station.work(at("two", 0))) == ["occurrence_stored"]
    assert outcomes(station.work(at("one", 0))) == ["refused"], "its old start is another's now"
    assert outcomes(station.work(at("one", 1))) == ["occurrence_stored"]
    assert starts(station) == {"one": STARTS + HALF_HOUR, "two": STARTS}
    assert outcomes(station.work(at("three", 0))) == ["refused"]


def test_two_swap_their_starts_in_one_batch(station: Station) -> None:
    station.work(at("one", 0), at("two", 1))
    assert outcomes(station.work(at("one", 0, yields_start=True), at("two", 0), at("one", 1))) == (
        ["occurrence_stored"] * 3
    )
    assert starts(station) == {"one": STARTS + HALF_HOUR, "two": STARTS}


def test_what_was_cancelled_leaves_its_start(station: Station) -> None:
    station.work(at("gone", 0), at("kept", 1))
    station.work(close("gone", "cancelled"), close("kept", "closed"))
    assert outcomes(station.work(at("new", 0))) == ["occurrence_stored"]
    assert outcomes(station.work(at("newer", 1))) == ["refused"], "what is closed may be opened again"


def test_of_two_workers_that_put_a_date_at_the_same_start_one_is_refused(station: Station) -> None:
    """They do not see each other's batch; the database does, and the second decides again."""
    first, second = at("first", 0), at("second", 0)
    station.send(first)
    one = station.worker("one").take().until(Commit)
    station.send(second)
    two = station.worker("two").take().until(Commit)
    one.finish()
    two.finish()
    answers = [station.answers_to(command)[-1]["outcome"] for command in (first, second)]
    assert answers == ["occurrence_stored", "refused"]
    assert starts(station) == {"first": STARTS}


def test_the_database_has_the_last_word(station: Station) -> None:
    station.work(at("one", 0), at("two", 1))
    with psycopg.connect(station.url) as connection:
        connection.execute("UPDATE occurrences SET starts_at = %s", [STARTS])
        with pytest.raises(psycopg.errors.ExclusionViolation):
            connection.commit()


def test_what_somebody_has_taken_is_never_moved_to_another_product(station: Station) -> None:
    """It was bought as a date of this one, at its prices."""
    station.work(at("one", 0), at("free", 1), place_of("one"))
    [refused] = station.work(at("one", 0, product_id="walk"))
    assert [(error["field"], error["reason"]) for error in refused["errors"]] == [
        ("product_id", "stays 'tour': 1 are held and 0 sold")
    ]
    assert outcomes(station.work(at("free", 1, product_id="walk"))) == ["occurrence_stored"]
