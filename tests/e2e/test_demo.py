"""`holdgate demo` does what it promises, in a process of its own and without any service."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SECONDS_MAX = 150
SEATS = 500


def demo(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HOLDGATE_")}
    # What is set for another installation must not matter, nor must it be touched.
    environment |= {
        "HOLDGATE_DATABASE_URL": "postgresql://nobody@192.0.2.1/no",
        "HOLDGATE_AMQP_URL": "amqp://192.0.2.1",
    }
    environment["TMPDIR"] = str(tmp_path)
    return subprocess.run(
        [sys.executable, "-m", "holdgate_workers", "demo", "--plain", *arguments],
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        env=environment,
        cwd=tmp_path,
    )


def numbers(line: str) -> dict[str, int]:
    return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", line)}


def test_the_demo_ends_well_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = demo(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith("verdict: ok "), done.stdout
    counted = numbers(last)
    assert list(counted) == [
        *("requests", "answered", "held", "denied", "duplicates", "lost", "oversold"),
        *("bookings", "mails"),
    ]
    assert counted["mails"] >= counted["bookings"] > 10
    assert counted["requests"] == counted["answered"] >= 2000
    assert counted["duplicates"] > 0
    assert counted["denied"] > 0
    assert (counted["lost"], counted["oversold"]) == (0, 0)
    assert "imported 12 occurrences" in done.stdout
    assert "SIGKILL" in done.stdout
    assert re.search(r"holds now .*expired \d+", done.stdout)
    assert re.search(r"holds now .*released \d+", done.stdout)
    assert re.search(rf"seats +\d+ taken at the end, {SEATS} at most, {SEATS} on sale", done.stdout)
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []
    assert str(tmp_path) not in _command_lines()


def _command_lines() -> str:
    """What runs on this machine; empty where that cannot be seen."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(process.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return "\n".join(found)
