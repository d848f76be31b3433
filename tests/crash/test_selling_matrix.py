"""Every step of pricing, selling, carts, feeding and the read side times every fault, with real processes.

Each case is judged by its buyers' answers and a recount of all rows. A few run every day; all of them with
HOLDGATE_TEST_CRASH=all (`make crash`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import pytest
from tests.crash.cases import Case
from tests.crash.faults import strike_at
from tests.crash.ground import Ground, open_ground
from tests.crash.selling_cases import chosen_selling_cases
from tests.crash.selling_house import SellingHouse
from tests.crash.selling_judge import problems_of
from tests.crash.selling_scenes import Buyers, scene_of
from tests.crash.table import Row

pytestmark = [pytest.mark.services, pytest.mark.slow]

CASES = chosen_selling_cases(whole=os.environ.get("HOLDGATE_TEST_CRASH") == "all")


class Houses:
    """The house of the scene that is being played. One in which something went wrong is not used again."""

    def __init__(self, ground: Ground, folder: Path) -> None:
        self._ground, self._folder = ground, folder
        self._house: SellingHouse | None = None

    def of(self, scene: str) -> SellingHouse:
        """The house of this scene."""
        if self._house is None or self._house.scene != scene:
            self.close()
            self._house = SellingHouse(self._ground, self._folder / f"{scene}-{token_hex(3)}", scene)
        return self._house

    def close(self) -> None:
        """Have it gone."""
        house, self._house = self._house, None
        if house is not None:
            house.close()


@pytest.fixture(scope="module")
def houses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Houses]:
    """Where the cases are played."""
    folder = tmp_path_factory.mktemp("selling")
    with open_ground(folder) as ground:
        opened = Houses(ground, folder)
        try:
            yield opened
        finally:
            opened.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_whatever_breaks_there_everything_is_answered_and_every_row_adds_up(
    case: Case, houses: Houses, crash_row: Row
) -> None:
    """The fault strikes, somebody goes on with the work, and nobody is left without his answer, order or seat."""
    house = houses.of(case.scene)
    try:
        buyers = Buyers(house)
        victim, _ = house.crew()
        crash_row.struck = strike_at(house.ground, scene_of(buyers, case, victim), case)
        problems = problems_of(buyers)
        house.curtain(victim)
    except BaseException:
        houses.close()
        raise
    crash_row.requests = len(buyers.asked)
    crash_row.verdict = problems[0] if problems else "as it should be"
    if problems:
        houses.close()
    assert problems == []
