"""Roles that are one loop: a round, a wait, a round."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod

import structlog

from holdgate_workers.roles.metrics.metrics import Metrics
from holdgate_workers.wiring.site import VERSION, worker_name

from .health import Check

STUCK_SECONDS = 60.0

log = structlog.get_logger("holdgate.loop")


class LoopWorker(ABC):
    """Runs `round` until stopped; each says how long to wait before the next."""

    role: str

    def __init__(self, name: str | None = None) -> None:
        self.name = name or worker_name(self.role)
        self.metrics = Metrics(version=VERSION, role=self.role)
        self.failure: BaseException | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=self.role, daemon=True)
        self._ticked_at = time.monotonic()
        self.problem: str | None = "has not started"

    @abstractmethod
    def round(self) -> float:
        """Do one round; returns the seconds to wait before the next. Sets `problem` if it could not."""

    @abstractmethod
    def close(self) -> None:
        """Close what was opened. Called once, after the last round."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()
        log.info("worker_started", worker=self.name)

    def stop(self) -> None:
        """Finish the round at hand and end. Idempotent."""
        self._stopping.set()
        self._thread.join(5)
        log.info("worker_stopped", worker=self.name)

    def pause(self, seconds: float) -> None:
        """Wait within a round; less if the worker is to stop."""
        self._stopping.wait(seconds)

    def alive(self) -> dict[str, Check]:
        """Whether the loop turns."""
        return {"loop": self._stuck}

    def ready(self) -> dict[str, Check]:
        """Whether the last round worked."""
        return {"round": lambda: self.problem}

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._ticked_at = time.monotonic()
                self._stopping.wait(self.round())
        except BaseException as exc:
            self.failure = exc
            log.exception("worker_failed", worker=self.name)
            raise
        finally:
            self.close()

    def _stuck(self) -> str | None:
        still = time.monotonic() - self._ticked_at
        return f"the loop has not turned for {still:.0f} s" if still > STUCK_SECONDS else None
