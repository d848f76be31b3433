"""Worker processes of the tests: started, watched, and treated badly."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families
from tests.support.nursery import Child, can_fork, nursery
from tests.support.rabbit import eventually

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 30.0


def _started(
    roles: Sequence[str], environment: Mapping[str, str], log_file: Path
) -> subprocess.Popen[bytes] | Child:
    """A worker of the tests, forked where that makes no difference."""
    whole = {**os.environ, **environment}
    if can_fork(environment):
        return nursery().start(roles, whole, log_file)
    command = [sys.executable, "-m", "tests.support.worker_main", *roles]
    with log_file.open("wb") as log:
        return subprocess.Popen(command, cwd=ROOT, env=whole, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


class WorkerProcess:
    """One process of the service, seen from outside."""

    def __init__(self, name: str, roles: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.roles = tuple(roles)
        self._port_file = folder / f"{name}.port"
        self._failpoint_file = folder / f"{name}.failpoint"
        self.log_file = folder / f"{name}.log"
        ours = {
            "HOLDGATE_TEST_NAME": name,
            "HOLDGATE_TEST_PORT_FILE": str(self._port_file),
            "HOLDGATE_TEST_FAILPOINT_FILE": str(self._failpoint_file),
        }
        self.process = _started(roles, {**environment, **ours}, self.log_file)

    # --- life ---------------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_ready(self, timeout: float = READY_SECONDS) -> WorkerProcess:
        """Wait until it says that it can work."""
        try:
            eventually(self._is_ready, f"{self.name} is ready", timeout)
        except AssertionError as exc:
            raise AssertionError(f"{exc}; {self.get('/readyz')}; its log:\n{self._tail()}") from None
        return self

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}:\n{self._tail()}"
        return self.get("/readyz")[0] == 200

    def arm(self, failpoint: str) -> None:
        """Have it kill or stop itself: `<before|after>:<effect>:<n>:<kill|pause>`, counted from now. Once."""
        made = self._failpoint_file.with_suffix(".new")
        made.write_text(failpoint, encoding="utf-8")
        made.rename(self._failpoint_file)

    def kill(self) -> None:
        """SIGKILL: no word to anybody."""
        self.process.kill()
        self.process.wait(10)

    def pause(self) -> None:
        """SIGSTOP: every socket stays open, nothing moves."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def terminate(self, timeout: float = 15.0) -> float:
        """SIGTERM, and wait for the clean end. Returns how many seconds that took."""
        started = monotonic()
        self.process.terminate()
        code = self.process.wait(timeout)
        took = monotonic() - started
        assert code == 0, f"{self.name} ended with {code}:\n{self._tail()}"
        return took

    def wait_killed(self, timeout: float = 60.0) -> None:
        """Wait until its failpoint has killed it."""
        assert self.process.wait(timeout) == -signal.SIGKILL, self._tail()

    def wait_paused(self, timeout: float = 60.0) -> None:
        """Wait until its failpoint has stopped it."""
        try:
            eventually(lambda: self.is_paused, f"{self.name} stops itself", timeout)
        except AssertionError as exc:
            raise AssertionError(f"{exc}; its log:\n{self._tail()}") from None

    @property
    def has_struck(self) -> bool:
        """Whether it came to where it was armed to fail."""
        return not self._failpoint_file.exists()

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    @property
    def is_paused(self) -> bool:
        assert self.is_running, f"{self.name} ended with {self.process.returncode}:\n{self._tail()}"
        return _state(self.pid) == "T"

    def peak_bytes(self, *, since_now: bool = False) -> int:
        """The most memory it has had resident, since it was started or since it was last asked with `since_now`."""
        if since_now:
            Path(f"/proc/{self.pid}/clear_refs").write_text("5", encoding="ascii")
        for line in Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("the kernel does not tell VmHWM")

    def dispose(self) -> None:
        """Whatever state it is in, it is gone afterwards."""
        if self.is_running:
            self.process.kill()
            self.process.wait(10)

    # --- what it says -------------------------------------------------------------------------------------------

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of one of its pages; status 0 if it does not answer (yet)."""
        if not self._port_file.exists():
            return 0, ""
        port = self._port_file.read_text(encoding="utf-8")
        try:
            with urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as page:
                return page.status, page.read().decode()
        except HTTPError as answer:
            with answer:
                return answer.code, answer.read().decode()
        except (URLError, OSError):
            return 0, ""

    def metric(self, name: str, **labels: str) -> float:
        """A sample, summed over the labels that are not named; 0 if there is none."""
        return sum(
            sample.value
            for family in text_string_to_metric_families(self.get("/metrics")[1])
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def log(self) -> Iterator[dict[str, Any]]:
        """Its log, one dictionary a line; what is not JSON comes as {"text": line}."""
        for line in self.log_file.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                yield {"text": line}

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The log lines of one event."""
        return [entry for entry in self.log() if entry.get("event") == event]

    def _tail(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")[-4000:]


def _state(pid: int) -> str:
    """The kernel's letter for what a process does: T is stopped."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0]
