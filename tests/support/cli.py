"""The real `holdgate` command in processes of its own, on an embedded installation in a temporary folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdgate_workers.adapters.embedded.server.server import EmbeddedServer, find_running, remove

COMMAND = Path(sys.executable).parent / "holdgate"
COMMAND_SECONDS = 120.0
START_SECONDS = 90.0
STOP_SECONDS = 60.0


@dataclass(frozen=True)
class Ran:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as one JSON document."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Terminal:
    """Somebody's second terminal: commands that share nothing with the first but the data folder."""

    data: Path

    def __call__(self, *arguments: str | Path, given: str | None = None, **variables: str) -> Ran:
        """Run one command to its end."""
        done = subprocess.run(
            [COMMAND, *arguments],
            env=environment(self.data, **variables),
            cwd=self.data.parent,
            input=given,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def json(self, *arguments: str | Path, code: int = 0) -> Any:
        """What a command says with `--output json`; it must end with this code."""
        ran = self(*arguments, "--output", "json")
        assert ran.code == code, ran
        return ran.json


def hear_ctrl_c() -> None:
    """For the child, before the command runs: a shell that starts the tests in the background has them, and so all
    their children, ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def environment(data: Path, **variables: str) -> dict[str, str]:
    """The environment without any Holdgate of the person who runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HOLDGATE_", "COLUMNS"))}
    return kept | {"HOLDGATE_DATA_DIR": str(data), "HOLDGATE_METRICS_PORT": "0"} | variables


class Up:
    """A running `holdgate up`."""

    def __init__(self, data: Path, **variables: str) -> None:
        self.data = data
        self.process = subprocess.Popen(
            [COMMAND, "up", "--output", "json"],
            env=environment(data, **variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=hear_ctrl_c,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate(timeout=START_SECONDS)[1]
        self.said: dict[str, Any] = json.loads(line)

    def stop(self, signum: int = signal.SIGINT) -> tuple[int, str]:
        """Signal it and wait; the exit code, and what it said on stderr."""
        if self.process.poll() is None:
            self.process.send_signal(signum)
        _, err = self.process.communicate(timeout=STOP_SECONDS)
        return self.process.returncode, err


@contextmanager
def data_folder(name: str = "data") -> Iterator[Path]:
    """A folder with a short path that every account can enter, and nothing left of it afterwards."""
    with tempfile.TemporaryDirectory(prefix="hg-") as folder:
        outer = Path(folder)
        outer.chmod(0o755)
        data = outer / name
        yield data
        if find_running(data) is not None:
            EmbeddedServer(data).__enter__().stop()
        remove(data)


@contextmanager
def running() -> Iterator[tuple[Up, Terminal]]:
    """`holdgate up` in one terminal, and a second one."""
    with data_folder() as data:
        up = Up(data)
        try:
            yield up, Terminal(data)
        finally:
            up.stop()
