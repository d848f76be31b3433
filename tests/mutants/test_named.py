"""Bugs that neither the recount nor the simulation can see, and the tests that find them by name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.mutants.named import NAMED, PLANTED

pytestmark = [pytest.mark.services, pytest.mark.slow]

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", sorted(NAMED))
def test_a_planted_bug_is_found_by_the_test_that_is_named(name: str) -> None:
    _, test = NAMED[name]
    sound, broken = _run(test, ""), _run(test, name)
    assert " passed" in sound.stdout, sound.stdout
    assert sound.returncode == 0
    assert " failed" in broken.stdout, broken.stdout
    assert " error" not in broken.stdout
    assert broken.returncode == 1


def _run(test: str, name: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.mutants.named", "-p", "no:cacheprovider", test],
        cwd=ROOT,
        env={**os.environ, PLANTED: name},
        capture_output=True,
        text=True,
        check=False,
    )
