"""The service on its own small stage: two gates and one of each other role, as processes of this run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from holdgate_workers.app.partitions.membership import ranked

from .processes import Child, CrewError, worker
from .recount.rows import Ledger, Progress

ROLES = ("gate", "gate", "expiry", "relay", "feeder", "pricing", "orders", "notifications")
SETTLE_SECONDS_MAX = 40.0
POLL_SECONDS = 0.2


class Stage:
    """The workers. Put `children` under a `crew` so that they end with the run."""

    def __init__(self, folder: Path, told: dict[str, str]) -> None:
        self.children: list[Child] = []
        self._folder = folder
        self.told = told

    def start(self) -> None:
        """Start every role as a process."""
        for number, role in enumerate(ROLES, 1):
            self.children.append(worker(role, number, self._folder, self.told))

    def wait_settled(self, ledger: Ledger, partitions: int) -> None:
        """Wait until both gates stand in every line and the right one serves; raises `CrewError` if one dies."""
        pause = threading.Event()
        deadline = monotonic() + SETTLE_SECONDS_MAX
        while not self._is_settled(ledger.lines(partitions)):
            for child in self.children:
                if child.ended:
                    raise CrewError(f"{child.name} ended; its log is {child.log}")
            if monotonic() >= deadline:
                raise CrewError(f"the workers did not share out the partitions; their logs are in {self._folder}")
            pause.wait(POLL_SECONDS)

    def kill_server(self, note_killed: Callable[[str], None]) -> Callable[[Progress], str]:
        """What kills the gate that serves the occurrence, and says so."""

        def kill(progress: Progress) -> str:
            gates = {child.pid: child for child in self.children}
            for worker_id, _, pid in progress.line:
                if pid in gates and not gates[pid].ended:
                    gates[pid].kill()
                    note_killed(worker_id)
                    return f"killed the gate that serves the occurrence (pid {pid}, SIGKILL)"
            return "found no gate to kill"

        return kill

    def _is_settled(self, lines: dict[int, list[str]]) -> bool:
        workers = {worker for line in lines.values() for worker in line}
        return len(workers) == ROLES.count("gate") and all(
            len(line) == len(workers) and line[0] == ranked(partition, sorted(workers))[0]
            for partition, line in lines.items()
        )
