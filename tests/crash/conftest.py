"""The table at the end of the run."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic

import pytest
from tests.crash.table import HEAD, Row

_ROWS = pytest.StashKey[list[Row]]()


@pytest.fixture
def crash_row(request: pytest.FixtureRequest) -> Iterator[Row]:
    """The line of this case."""
    row = Row(request.node.callspec.params["case"].id)
    request.config.stash.setdefault(_ROWS, []).append(row)
    started = monotonic()
    yield row
    row.seconds = monotonic() - started


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = config.stash.get(_ROWS, [])
    if rows:
        terminalreporter.section("crash matrix")
        terminalreporter.line(HEAD)
        for row in rows:
            terminalreporter.line(str(row))
