"""The worker processes of a run, as a supervisor sees them: what ends without being told to is started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from tests.chaos.network import Place
from tests.support.processes import ROOT
from tests.support.rabbit import eventually

READY_SECONDS = 60.0
STOP_SECONDS = 30.0
MUTANT = "HOLDGATE_TEST_MUTANT"
"""The setting that plants a bug into a worker."""
_HEALTH_PORT = 9464
_RESTART_SECONDS = 0.5


class Hand:
    """One worker: `holdgate worker ROLE`, in its place, with its log."""

    def __init__(self, place: Place, role: str, settings: Mapping[str, str], folder: Path, number: int) -> None:
        self.name, self.place = place.name, place
        self._port = _HEALTH_PORT if place.prefix else _HEALTH_PORT + 100 + number
        self.log_file = folder / f"{self.name}.log"
        # With a planted bug it is the tests' own worker, which is put together the same way.
        module = ["tests.support.worker_main"] if MUTANT in settings else ["holdgate_workers", "worker"]
        self._command = [*place.prefix, sys.executable, "-m", *module, role]
        self._environment = {name: text for name, text in os.environ.items() if not name.startswith("HOLDGATE_")}
        self._environment |= settings
        self._environment |= {
            "HOLDGATE_METRICS_HOST": place.address,
            "HOLDGATE_METRICS_PORT": str(self._port),
            "HOLDGATE_LOG_FORMAT": "json",
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.wanted = False
        """Whether it is to run; if not, it is nobody's business that it does not."""
        self.was_ready = False

    def start(self) -> None:
        """Start it; does not wait."""
        self.was_ready = False
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.wanted = True

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        assert self._process is not None
        return self._process.poll()

    @property
    def is_frozen(self) -> bool:
        """Whether the kernel has it stopped."""
        state = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii", errors="replace")
        return state.rpartition(")")[2].split()[0] == "T"

    def is_ready(self) -> bool:
        """Whether it says that it can work."""
        try:
            with urlopen(f"http://{self.place.address}:{self._port}/readyz", timeout=3) as page:
                ready = bool(page.status == 200)
        except HTTPError as answer:
            answer.close()
            return False
        except (URLError, OSError):
            return False
        self.was_ready = self.was_ready or ready
        return ready

    def signal(self, signum: signal.Signals) -> None:
        os.kill(self.pid, signum)

    def kill(self) -> None:
        """SIGKILL: no word to anybody."""
        self.wanted = False
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def terminate(self) -> float:
        """SIGTERM, and wait for its end; how many seconds that took."""
        self.wanted = False
        assert self._process is not None
        started = monotonic()
        self._process.terminate()
        self._process.wait(STOP_SECONDS)
        return monotonic() - started

    def dispose(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def tail(self) -> str:
        """The end of its log."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")[-3000:]

    def logged(self) -> Iterator[dict[str, Any]]:
        """Its log, over all its lives."""
        for line in self.log_file.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                continue


class Crew:
    """All workers, watched."""

    def __init__(self, hands: list[Hand]) -> None:
        self.hands = {hand.name: hand for hand in hands}
        self.fell: list[str] = []
        """Workers that ended by themselves although they had been ready."""
        self.could_not_start = 0
        """Starts that failed, as they must while the database is away."""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start(self) -> None:
        for hand in self.hands.values():
            hand.start()
        self._thread.start()

    def wait_ready(self) -> None:
        for hand in self.hands.values():
            eventually(hand.is_ready, f"{hand.name} is ready, see {hand.log_file}", READY_SECONDS)

    def events(self) -> Counter[str]:
        """How often what was logged, of which kind."""
        logged = (entry for hand in self.hands.values() for entry in hand.logged())
        return Counter(" ".join(str(entry[key]) for key in ("event", "kind") if key in entry) for entry in logged)

    def stop(self) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        for hand in self.hands.values():
            hand.dispose()

    def _watch(self) -> None:
        while not self._over.wait(_RESTART_SECONDS):
            for hand in self.hands.values():
                if hand.wanted and hand.exit_code is not None:
                    self._ended(hand)
                elif hand.wanted and not hand.was_ready:
                    hand.is_ready()

    def _ended(self, hand: Hand) -> None:
        if hand.was_ready:
            self.fell.append(f"{hand.name} ended by itself with {hand.exit_code}: {hand.tail()[-600:]}")
        else:
            self.could_not_start += 1
        hand.start()
