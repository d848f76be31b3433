"""The README, typed line by line as a newcomer does: `holdgate up` in one terminal, the rest in a second one.

Installing is left to tests/packaging; here the commands find the installation of this environment in the PATH.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.cli import COMMAND, Up, data_folder, environment

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
USE_IT = README.partition("## Use it")[2].partition("\n## ")[0]
SECONDS_MAX = 120


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", USE_IT, re.DOTALL)


def test_the_first_block_ends_with_what_the_second_terminal_needs() -> None:
    lines = [line.partition("#")[0].strip() for line in blocks("sh")[0].splitlines()]
    assert lines == ["python3 -m venv venv", ". venv/bin/activate", "pip install '.[service]'", "holdgate up"]


def test_what_stands_under_use_it_works_line_by_line() -> None:
    with data_folder(".holdgate") as data:  # as `holdgate up` names it in the current folder
        here = data.parent
        (here / "examples").symlink_to(ROOT / "examples")
        up = Up(data)
        try:
            variables = {key: value for key, value in environment(data).items() if key != "HOLDGATE_DATA_DIR"}
            variables["PATH"] = f"{COMMAND.parent}{os.pathsep}{variables['PATH']}"
            said = []
            for block in blocks("sh")[1:]:
                script = "set -e\n" + block.replace(". venv/bin/activate\n", "")
                said.append(run(["bash", "-c", script], here, variables))
            assert "2 adult, 1 child" in said[0]
            assert "Total EUR" in said[1]
            (snippet,) = blocks("python")
            assert run([sys.executable, "-c", snippet], here, variables).startswith("held until 20")
        finally:
            up.stop()


def run(command: list[str], folder: Path, variables: dict[str, str]) -> str:
    done = subprocess.run(
        command, cwd=folder, env=variables, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )
    assert done.returncode == 0, (command[-1], done.stdout, done.stderr)
    return done.stdout
