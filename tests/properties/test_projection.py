"""Whatever state an occurrence is in, its entry of the read side is the gate's own answer."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import msgspec
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.support.domain_strategies import baskets, occurrences, some_extras
from tests.support.postgres import migrated_database
from tests.support.projection import SOON, ReadSideStage, get, new_id
from tests.support.rabbit import eventually

from holdgate_schema.commands.holds import CloseOccurrence, Command, PlaceHold, PutOccurrence, SetCapacity
from holdgate_schema.commands.selling import JoinWaitlist
from holdgate_workers.adapters.postgres.projection.rows import ProjectionRows
from holdgate_workers.app.projection.effects import ReadRows
from holdgate_workers.app.projection.entries import Rows, comparable, entries_of

pytestmark = pytest.mark.services

NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def stage() -> Iterator[ReadSideStage]:
    with migrated_database() as url:
        made = ReadSideStage(url, "redis://127.0.0.1:1/0")
        yield made
        made.close()


def commands() -> st.SearchStrategy[Command]:
    """What makes states: holds short and long, a line of those who wait, other capacities, an end of sales."""
    sessions = st.sampled_from([None, None, "ann", "bob"])
    places = st.builds(
        PlaceHold,
        request_id=st.builds(new_id),
        occurrence_id=st.just(""),
        items=baskets(),
        extras=some_extras(),
        session_id=sessions,
        ttl_seconds=st.sampled_from([None, 1, 60, 600]),
    )
    joins = st.builds(
        JoinWaitlist,
        request_id=st.builds(new_id),
        occurrence_id=st.just(""),
        items=baskets(),
        extras=some_extras(),
        session_id=sessions,
    )
    capacities = st.builds(
        SetCapacity, request_id=st.builds(new_id), occurrence_id=st.just(""), capacity=st.integers(0, 20)
    )
    closes = st.builds(
        CloseOccurrence,
        request_id=st.builds(new_id),
        occurrence_id=st.just(""),
        status=st.sampled_from(["closed", "cancelled", "completed"]),
    )
    return st.one_of(places, places, places, places, joins, joins, capacities, closes)


@settings(max_examples=40)
@given(definition=occurrences(), story=st.lists(commands(), max_size=8), overdue=st.integers(0, 3))
def test_the_entry_is_what_availability_get_answers(
    stage: ReadSideStage, definition: PutOccurrence, story: list[Command], overdue: int
) -> None:
    name = f"occ-{next(NUMBERS)}"
    put = replace(
        definition,
        request_id=new_id(),
        occurrence_id=name,
        product_id=f"product-of-{name}",
        starts_at=SOON,
        ends_at=SOON.replace(hour=22),
    )
    gate = stage.station.worker(name)
    stage.station.work(
        put, *(replace(command, request_id=new_id(), occurrence_id=name) for command in story), by=gate
    )
    gate.die()
    with psycopg.connect(stage.station.url) as connection:
        connection.execute(
            "UPDATE holds SET expires_at = clock_timestamp() - interval '1 second' "
            "WHERE id IN (SELECT id FROM holds WHERE occurrence_id = %s ORDER BY id LIMIT %s)",
            [name, overdue],
        )
    gate = stage.station.worker(name)
    reader = ProjectionRows(stage.station.url)

    def same() -> bool:
        (answer,) = stage.station.work(get(name), by=gate)
        rows = reader.rows(ReadRows([name]))
        assert isinstance(rows, Rows)
        entry, _ = entries_of(rows)
        # A hold's time may be over between the one and the other.
        return comparable(msgspec.json.encode(answer)) == comparable(entry.body)

    try:
        eventually(same, "the entry is the gate's answer")
    finally:
        reader.close()
        gate.die()
