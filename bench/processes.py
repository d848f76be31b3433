"""Child processes of the benchmark, and how much processor time everybody takes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PROC = Path("/proc")
READY = b"ready\n"
STOP_SECONDS = 20.0
SERVERS = {"beam.smp": "broker", "postgres": "database", "mariadbd": "database", "redis-server": "database"}


class Child:
    """A Python module as a process of its own."""

    def __init__(self, module: str, *arguments: str, environment: dict[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def wait_ready(self) -> None:
        """Until it says that it is ready. Raises `RuntimeError` if it ends instead."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line == READY:
                return
        raise RuntimeError(f"{self._process.args!r} ended with {self._process.wait()} before it was ready")

    def go(self) -> None:
        """Tell one that is ready to begin."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")
        self._process.stdin.flush()

    def begin(self) -> Child:
        """Both."""
        self.wait_ready()
        self.go()
        return self

    def terminate(self) -> None:
        """SIGTERM, without waiting for the end."""
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.wait()

    def rss_bytes(self) -> int:
        """How much memory it has resident (Linux)."""
        pages = int((PROC / str(self.pid) / "statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def end(self) -> None:
        """It is gone afterwards."""
        if self._process.poll() is None:
            self.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()


@contextmanager
def children() -> Iterator[list[Child]]:
    """A list of processes that end with the block."""
    started: list[Child] = []
    try:
        yield started
    finally:
        for child in started:
            child.terminate()
        for child in started:
            child.end()


def say_ready_and_wait() -> None:
    """The child's side of `wait_ready` and `go`."""
    sys.stdout.buffer.write(READY)
    sys.stdout.flush()
    sys.stdin.readline()


def cpu_seconds() -> dict[str, float]:
    """Processor time so far: of the broker, the databases, the workers (our children) and the load (we ourselves).

    Empty where there is no /proc. Other programs of the machine are not counted.
    """
    found: dict[str, float] = {}
    ticks = os.sysconf("SC_CLK_TCK")
    for pid, name, parent, spent in _processes():
        group = SERVERS.get(name)
        if pid == os.getpid():
            group = "load"
        elif parent == os.getpid():
            group = "workers"
        if group is not None:
            found[group] = found.get(group, 0.0) + spent / ticks
    return found


def _processes() -> Iterator[tuple[int, str, int, int]]:
    """Process id, name, parent, and ticks in user and system mode."""
    for folder in PROC.glob("[0-9]*"):
        try:
            head, _, rest = (folder / "stat").read_text(errors="replace").rpartition(")")
        except OSError:
            continue  # it has just ended
        fields = rest.split()
        yield int(folder.name), head.partition("(")[2], int(fields[1]), int(fields[11]) + int(fields[12])


def per_request(before: dict[str, float], after: dict[str, float], requests: int) -> dict[str, float]:
    """Processor time per request between two looks, in µs, group by group."""
    return {group: round((after[group] - before.get(group, 0.0)) / requests * 1e6, 1) for group in sorted(after)}


def start_ready(count: int, module: str, arguments: Sequence[str]) -> list[Child]:
    """So many of the same, each of them ready to go."""
    started = [Child(module, *arguments) for _ in range(count)]
    for child in started:
        child.wait_ready()
    return started
