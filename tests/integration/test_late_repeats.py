"""A repeat that arrives long after its first answer, at a worker that did not give it, gets the same answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.drive import Station
from tests.support.postgres import migrated_database
from tests.support.requests import place_of, put_of

pytestmark = pytest.mark.services


@pytest.fixture
def station() -> Iterator[Station]:
    with migrated_database() as url:
        opened = Station(url)
        yield opened
        opened.close()


@pytest.mark.parametrize("items", [{"adult": 1}, {"adult": 9}], ids=["held", "refused"])
def test_a_new_worker_that_has_settled_in_answers_an_old_request_from_the_journal(
    station: Station, items: dict[str, int]
) -> None:
    """It no longer suspects that its messages were worked before, and remembers the occurrence as it is now."""
    station.work(put_of("occ", 5))
    old = place_of("occ", items)
    (first,) = station.work(old, by=station.worker("before"))
    after = station.worker("after")
    for _ in range(5):
        station.work(place_of("occ", {"senior": 9}), by=after)
    (again,) = station.work(old, by=after)
    assert again == first
    assert station.problems() == []
