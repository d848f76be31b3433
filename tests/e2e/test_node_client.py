"""A raw client in another language, written from the contract document alone, gets every answer there is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.support.site import open_test_site

pytestmark = [pytest.mark.services, pytest.mark.slow]

EXAMPLE = Path(__file__).parents[2] / "examples" / "node"
TIMEOUT_SECONDS = 180


@pytest.fixture(scope="module")
def node_modules() -> Path:
    """The example with its dependency installed."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed")
    if not (EXAMPLE / "node_modules" / "amqplib").is_dir():
        installed = subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund"], cwd=EXAMPLE, capture_output=True, text=True, timeout=180
        )
        if installed.returncode != 0:
            pytest.skip(f"npm could not install amqplib: {installed.stderr[-300:]}")
    return EXAMPLE


def test_a_node_client_gets_every_answer(node_modules: Path, tmp_path: Path) -> None:
    """It places, changes, extends and releases holds and is refused for every reason that a client can get."""
    with open_test_site("rabbit", tmp_path) as site:
        site.start()
        ran = subprocess.run(
            ["node", "scenario.mjs"],
            cwd=node_modules,
            env={**os.environ, "AMQP_URL": site.amqp_url or ""},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
        )
    steps = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
    wrong = [step for step in steps if step.get("ok") is False]
    assert ran.returncode == 0, f"{wrong}\n{ran.stderr[-2000:]}"
    assert len(steps) > 100
