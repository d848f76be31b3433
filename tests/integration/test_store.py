"""What the store is given to make durable, and what it was given beforehand."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from tests.support.drive import Station
from tests.support.postgres import migrated_database
from tests.support.requests import put_of

from holdgate_workers.adapters.postgres.gate.store import PostgresStore
from holdgate_workers.app.gate.effects import Commit, Committed, Conflict, Fence

pytestmark = pytest.mark.services


@pytest.fixture
def url() -> Iterator[str]:
    """A database with an occurrence at version 1."""
    with migrated_database() as url:
        station = Station(url)
        station.work(put_of("occ", 5))
        station.close()
        yield url


@pytest.fixture
def store(url: str) -> Iterator[PostgresStore]:
    store = PostgresStore(url, name="store")
    yield store
    store.close()


def step(before: int, after: int) -> Commit:
    return Commit(fences=[Fence("occ", before, after)])


def version(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT version FROM occurrences WHERE id = 'occ'").fetchone()
    assert row is not None
    return int(row[0])


def test_what_was_made_ready_while_another_was_on_its_way_is_sent_when_it_is_asked_for(
    url: str, store: PostgresStore
) -> None:
    second = step(2, 3)
    store.commit(step(1, 2))
    store.prepare(second)
    assert isinstance(store.outcome(), Committed)
    assert version(url) == 2
    store.commit(second)
    assert isinstance(store.outcome(), Committed)
    assert version(url) == 3


def test_what_was_made_ready_is_not_sent_in_the_place_of_something_else(url: str, store: PostgresStore) -> None:
    """What it was decided upon was refused, and everything is decided anew."""
    store.commit(step(7, 8))
    store.prepare(step(1, 9))
    assert isinstance(store.outcome(), Conflict)
    for again in (step(1, 2), step(2, 3)):
        store.commit(again)
        assert isinstance(store.outcome(), Committed)
    assert version(url) == 3
