"""When to try again, and when not to try at all: back-off and a circuit breaker for one target.

Both are sans-I/O. `now` is any clock that does not go back, in seconds; `draw` is a random number from 0 up to 1.
Neither is safe for several threads at once; whoever shares one puts a lock around it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

BreakerState = Literal["closed", "open", "half_open"]

PART_LEFT = 0.25
"""No wait is longer than this part of the time that is left, whatever was asked for: a shop that says ten minutes for
an update of three seconds would else be the end of what has ten minutes."""
SOON_SECONDS = 1.0
"""However little time is left, nobody is asked more often than that."""


@dataclass(slots=True, frozen=True)
class BackOff:
    """Waits that double from `first_seconds` up to `max_seconds`, each between half of that and all of it.

    Half fixed and half random: nobody comes back at once, and those that failed together do not come back together.
    """

    first_seconds: float = 1.0
    max_seconds: float = 300.0

    def seconds(
        self,
        failures: int,
        draw: float,
        told_seconds: float | None = None,
        *,
        left_seconds: float | None = None,
    ) -> float:
        """How long to wait after that many failures in a row.

        Not shorter than the target told (Retry-After), as far as that is no longer than our own longest wait; and a
        quarter of `left_seconds` at most, the time in which it is still of use.
        """
        assert failures >= 1, "nothing has failed"
        ceiling = min(self.max_seconds, self.first_seconds * 2.0 ** min(failures - 1, 60))
        wait = ceiling * (1 + draw) / 2
        if told_seconds is not None:
            wait = max(wait, min(told_seconds, self.max_seconds * 0.75) + draw * self.first_seconds)
            wait = min(wait, self.max_seconds)
        return wait if left_seconds is None else within(wait, left_seconds)


def within(wait_seconds: float, left_seconds: float) -> float:
    """The wait, or a quarter of the time that is left if that is less."""
    return min(wait_seconds, max(SOON_SECONDS, left_seconds * PART_LEFT))


@dataclass(slots=True, frozen=True)
class Permit:
    """Leave to call the target; its outcome is reported with it."""

    epoch: int


class CircuitBreaker:
    """Lets calls through to one target until it has failed several times in a row, then only a probe now and then.

    closed: all calls go through. open: none, for a while. half open: one probe; the circuit closes if it succeeds,
    else it opens again, for longer. A probe that nobody reports on is given up after `probe_seconds`. What is
    reported of calls from before the last change of state is old news and changes nothing.
    """

    def __init__(
        self,
        *,
        failures_max: int = 5,
        pause: BackOff = BackOff(first_seconds=10.0, max_seconds=300.0),
        probe_seconds: float = 60.0,
    ) -> None:
        self._failures_max = failures_max
        self._pause = pause
        self._probe_seconds = probe_seconds
        self._state: BreakerState = "closed"
        self._epoch = 0
        self._failures = 0
        self._openings = 0
        self._until = 0.0

    @property
    def state(self) -> BreakerState:
        """For metrics. An open circuit stays so until somebody asks to be admitted."""
        return self._state

    def admit(self, now: float) -> Permit | None:
        """Leave to call the target now, or none; then `wait_seconds` says how long there will be none."""
        if self._state != "closed":
            if now < self._until:
                return None
            self._enter("half_open", now + self._probe_seconds)
        return Permit(self._epoch)

    def wait_seconds(self, now: float) -> float:
        """How long nobody will be admitted, as far as is known now."""
        return 0.0 if self._state == "closed" else max(0.0, self._until - now)

    def succeeded(self, permit: Permit) -> None:
        """The target did its work, even if its answer was a no."""
        if permit.epoch != self._epoch:
            return
        self._failures = 0
        self._openings = 0
        if self._state != "closed":
            self._enter("closed", 0.0)

    def failed(self, permit: Permit, now: float, draw: float, told_seconds: float | None = None) -> None:
        """The target did not do its work. `told_seconds`: when it wants to be asked again, if it said so. It is left
        alone for no longer than the longest pause, so that probing goes on."""
        if permit.epoch != self._epoch:
            return
        self._failures += 1
        if self._state == "closed" and self._failures < self._failures_max:
            return
        self._openings += 1
        self._enter("open", now + self._pause.seconds(self._openings, draw, told_seconds))

    def _enter(self, state: BreakerState, until: float) -> None:
        self._state = state
        self._until = until
        self._epoch += 1
