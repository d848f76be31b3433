"""Where a process of the tests kills or stops itself, see tests/support/worker_main.py."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

STRUCK = ".struck"
_SIGNALS = {"kill": signal.SIGKILL, "pause": signal.SIGSTOP}


@dataclass(slots=True)
class Failpoint:
    """Strikes once."""

    file: Path
    when: str
    step: str
    countdown: int
    signum: signal.Signals

    @classmethod
    def read(cls, file: Path) -> Failpoint:
        when, step, number, action = file.read_text(encoding="utf-8").split(":")
        return cls(file, when, step, int(number), _SIGNALS[action])

    def meet(self, when: str, step: str) -> None:
        if (when, step) == (self.when, self.step):
            self.countdown -= 1
            if self.countdown == 0:
                self.file.rename(self.file.with_suffix(STRUCK))
                # To this thread, so that the process stops here and not a few statements later.
                signal.pthread_kill(threading.get_ident(), self.signum)


@cache
def _told() -> Path | None:
    """Asked when it is needed: what is imported may be another process by then."""
    file = os.environ.get("HOLDGATE_TEST_FAILPOINT_FILE")
    return None if file is None else Path(file)


class _Failpoints:
    """The one failpoint of this process, once it was told."""

    def __init__(self) -> None:
        self._failpoint: Failpoint | None = None
        self._lock = threading.Lock()

    def around(self, step: str, work: Callable[[], T]) -> T:
        """Do it, unless it is not lived to see."""
        self._meet("before", step)
        result = work()
        self._meet("after", step)
        return result

    def _meet(self, when: str, step: str) -> None:
        with self._lock:
            spent = self._failpoint is None or self._failpoint.countdown <= 0
            file = _told()
            if spent and file is not None and file.exists():
                self._failpoint = Failpoint.read(file)
            if self._failpoint is not None:
                self._failpoint.meet(when, step)


failpoints = _Failpoints()
