"""Every step of every protocol times every fault, with real processes, a real RabbitMQ and a real PostgreSQL.

Each case is a small on-sale, recorded from outside and judged by the independent checker. A few cases run every day;
the whole matrix with HOLDGATE_TEST_CRASH=all (`make crash`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.checker.verdict import Report
from tests.crash.cases import Case, chosen_cases
from tests.crash.faults import Untouched, check_the_living, strike
from tests.crash.ground import Ground, open_ground
from tests.crash.scenes import SCENES
from tests.crash.table import Row
from tests.support.recorded import now

pytestmark = [pytest.mark.services, pytest.mark.slow]

CASES = chosen_cases(whole=os.environ.get("HOLDGATE_TEST_CRASH") == "all")


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """The servers for all cases."""
    with open_ground(tmp_path_factory.mktemp("crash")) as ground:
        yield ground


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_whatever_breaks_there_the_history_is_valid(
    case: Case, ground: Ground, tmp_path: Path, crash_row: Row
) -> None:
    """The fault strikes, somebody goes on with the work, and to an outsider nothing has happened."""
    try:
        report = _played(case, ground, tmp_path / "first", crash_row)
    except Untouched:  # a case that did not come about says nothing
        report = _played(case, ground, tmp_path / "again", crash_row)
    crash_row.requests, crash_row.verdict = report.figures["requests"], report.last_line()
    assert report.verdict == "valid", report.table()


def _played(case: Case, ground: Ground, folder: Path, row: Row) -> Report:
    folder.mkdir()
    with ground.stage(folder) as stage:
        scene = SCENES[case.scene](stage, case)
        since = now()
        row.struck = strike(stage, scene, case)
        stage.run.broke(case.id, scene.victim.name, since, really_applied=True)
        stage.run.wait_buyers()
        report = stage.run.judge()
        check_the_living(stage, scene, case)
    return report
