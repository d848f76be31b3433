"""What the tests of the whole gate share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.events import EventTap
from tests.support.recount import Books
from tests.support.site import TestSite, kinds, open_test_site

from holdgate_producer.client.client import BookingClient


@pytest.fixture(scope="module", params=kinds())
def ground(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestSite]:
    """A database and a queue for the module: declaring hundreds of bindings takes seconds on RabbitMQ."""
    with open_test_site(request.param, tmp_path_factory.mktemp("ground")) as shared:
        yield shared


@pytest.fixture
def site(ground: TestSite, tmp_path: Path) -> Iterator[TestSite]:
    """A site without workers, on each kind of queue; whatever a test starts ends with it.

    The module's tests share the database and the queue, so each works on occurrences of its own.
    """
    ground.folder = tmp_path
    try:
        yield ground
    finally:
        ground.clear()


@pytest.fixture(scope="module", params=kinds())
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestSite]:
    """A site with two gates, expiry and relay; shared by the module's tests, each on occurrences of its own.

    When all is done its books are checked once more as a whole.
    """
    with open_test_site(request.param, tmp_path_factory.mktemp("house")) as shared:
        gates = [shared.start("gate", ready=False) for _ in range(2)]
        shared.start("expiry", "relay", HOLDGATE_SWEEP_INTERVAL_SECONDS="0.2")
        shared.wait_lines(*gates)
        yield shared
        assert Books(shared.database_url).problems() == []


@pytest.fixture(scope="module")
def client(house: TestSite) -> BookingClient:
    """A client of the house."""
    return house.client()


@pytest.fixture(scope="module")
def events(house: TestSite) -> EventTap:
    """What the house tells the world, from the first test that asks."""
    return EventTap(house)
