"""What the tests of the whole gate share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.site import TestSite, kinds, open_test_site


@pytest.fixture(params=kinds())
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TestSite]:
    """A fresh site without workers, on each kind of queue."""
    with open_test_site(request.param, tmp_path) as fresh:
        yield fresh


@pytest.fixture(scope="module", params=kinds())
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestSite]:
    """A site with one process that does everything; shared by the module's tests, each on occurrences of its own."""
    with open_test_site(request.param, tmp_path_factory.mktemp("house")) as shared:
        shared.start()
        yield shared
