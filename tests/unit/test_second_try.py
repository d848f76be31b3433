"""What failed is tried once more in CI, but never what a judge has said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TWICE = """
import itertools
from tests.support.recount import Broken

tries = itertools.count(1)

def test_it():
    {first}
"""
RULES = (
    ("assert next(tries) > 1, 'it did not happen within 60 s'", 0),
    ("assert [Broken('a seat was sold twice')] * (next(tries) < 2) == []", 1),
    ("assert ('valid' if next(tries) > 1 else 'invalid') == 'valid'", 1),
    ("assert 'ok' if next(tries) > 1 else False, 'verdict: FAILED requests=9'", 1),
)


@pytest.mark.parametrize(("first", "code"), RULES)
def test_only_what_no_judge_has_said_is_tried_again(tmp_path: Path, first: str, code: int) -> None:
    test = tmp_path / "test_it.py"
    test.write_text(TWICE.format(first=first), encoding="utf-8")
    rules = [
        "--reruns",
        "1",
        "-c",
        str(ROOT / "pyproject.toml"),
        "--rootdir",
        str(tmp_path),
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *rules, str(test)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == code, done.stdout
