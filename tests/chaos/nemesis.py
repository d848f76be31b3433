"""Does what was planned, territory by territory, and writes down what came of each fault."""

from __future__ import annotations

import threading
import traceback
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, time_ns

from tests.chaos.faults import WAYS, DidNotBite
from tests.chaos.ground import Ground
from tests.chaos.schedule import Fault
from tests.checker import record


@dataclass(slots=True)
class Done:
    """One fault that was done. Times in seconds since the start of the schedule."""

    fault: Fault
    began: float
    ended: float = 0.0
    proof: str = ""
    trouble: str = ""
    """Why it is as if it had never happened."""


class Nemesis:
    """Runs the schedule on one thread per territory. `failures` has what did not work again afterwards."""

    def __init__(self, ground: Ground, faults: Sequence[Fault], path: Path) -> None:
        self._ground = ground
        self._notes = record.Nemesis(path)
        self._faults: dict[str, list[Fault]] = defaultdict(list)
        for fault in faults:
            self._faults[fault.kind.territory].append(fault)
        self.done: list[Done] = []
        self.failures: list[str] = []
        self._lock = threading.Lock()
        self._broken = threading.Event()
        self._started = monotonic()

    def run(self) -> None:
        """Until everything was done, or something did not work again."""
        self._started = monotonic()
        threads = [
            threading.Thread(target=self._work, args=(faults,), daemon=True) for faults in self._faults.values()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._notes.close()
        self.done.sort(key=lambda done: done.began)

    def _work(self, faults: Sequence[Fault]) -> None:
        try:
            for fault in faults:
                if self._broken.wait(max(0.0, fault.at - self._now())):
                    return
                self._do(fault)
        except Exception as exc:  # noqa: BLE001 - told as a failure of the run
            why = str(exc) if isinstance(exc, AssertionError) else traceback.format_exc()
            self.failures.append(f"after {fault.kind.name} of {fault.target}: {why}")
            print(f"  WRONG: {self.failures[-1]}", flush=True)
            self._broken.set()

    def _do(self, fault: Fault) -> None:
        done = Done(fault, self._now())
        began = time_ns() / 1e9
        try:
            with WAYS[fault.kind.name](self._ground, fault) as proof:
                done.proof = proof
                self._broken.wait(fault.seconds)
        except DidNotBite as exc:
            done.trouble = str(exc)
        finally:
            done.ended = self._now()
            with self._lock:
                self.done.append(done)
                applied = bool(done.proof)
                self._notes.note(fault.kind.name, fault.target, began, time_ns() / 1e9, really_applied=applied)
                print(f"  {self._line(done)}", flush=True)

    def _line(self, done: Done) -> str:
        told = done.proof or f"DID NOT BITE: {done.trouble}"
        return f"{done.began:6.1f} to {done.ended:6.1f} s  {done.fault.kind.name:16} {done.fault.target:8} {told}"

    def _now(self) -> float:
        return monotonic() - self._started
