"""`holdgate simulate` passes a sound gate, cleans up after itself, and finds a broken one. (B39)"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support.recount import Broken
from tests.support.site import TestSite, open_test_site

pytestmark = [pytest.mark.services, pytest.mark.slow]

SECONDS_MAX = 150
TABLES = ("occurrences", "pools", "holds", "journal", "shared_limits")
BROKEN = ("dedupe_off", "due_holds_still_counted", "limits_not_claimed")
"""The planted bugs that show without a crash or a second writer at just the wrong moment."""


def simulate(site: TestSite, *arguments: str) -> tuple[int, dict[str, Any]]:
    """The exit code and the verdict of a run against the site."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HOLDGATE_")}
    environment |= {"HOLDGATE_DATABASE_URL": site.database_url, "TMPDIR": str(site.folder)}
    if site.amqp_url is not None:
        environment["HOLDGATE_AMQP_URL"] = site.amqp_url
    command = [sys.executable, "-m", "holdgate_workers", "simulate", "--output", "json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_MAX, env=environment)
    assert done.returncode in (0, 1), done.stderr
    verdict = json.loads(done.stdout)
    assert f"verdict: {verdict['verdict']} requests={verdict['requests']} " in done.stderr
    return done.returncode, verdict


def test_a_sound_gate_passes_though_a_worker_is_killed_and_nothing_is_left(site: TestSite) -> None:
    gates = [site.start("gate", ready=False) for _ in range(2)]
    site.start("expiry", "relay")
    site.wait_lines(*gates)
    code, verdict = simulate(
        site, "--clients", "4", "--requests", "1200", "--capacity", "300", "--kill-after", "600"
    )
    assert [Broken(problem) for problem in verdict["problems"]] == []
    assert code == 0
    assert verdict["requests"] == verdict["answered"] >= 1200
    assert (verdict["lost"], verdict["oversold"]) == (0, 0)
    assert verdict["seats"]["total"]["peak"] > 290
    assert sum(gate.process.poll() is not None for gate in gates) == 1
    for table in TABLES:
        assert site.rows(f"SELECT count(*) FROM {table}") == [(0,)], table


@pytest.mark.parametrize("mutant", BROKEN)
def test_a_broken_gate_does_not_pass(tmp_path: Path, mutant: str) -> None:
    with open_test_site("embedded", tmp_path) as site:
        site.start(HOLDGATE_TEST_MUTANT=mutant)
        code, verdict = simulate(site, "--clients", "4", "--requests", "800", "--capacity", "200")
    assert code == 1
    assert verdict["problems"], "the harness believes a broken gate"
