"""Who is told things, as all threads of a process share them: each with a circuit breaker and a share of the threads.

A receiver that hangs keeps the threads that are with it, and then there are none for the others. So each has at most a
quarter of them at once, one that is doubtful (its last attempt failed) a single one, and all doubtful ones together
half of them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from holdgate_workers.app.circuit_breaker import BreakerState, CircuitBreaker, Permit
from holdgate_workers.app.notifications.delivery.delivering import Entered, TurnedAway, is_well
from holdgate_workers.app.notifications.delivery.outcomes import Failed, Outcome

FULL_SECONDS = 5.0
"""How long those wait who find a receiver with its share: long enough not to be asked about all the time."""
FULL, OPEN = "others are told before", "left alone after several failures"


@dataclass(slots=True)
class _Receiver:
    breaker: CircuitBreaker = field(default_factory=CircuitBreaker)
    busy: int = 0
    is_doubtful: bool = False


class Receivers:
    """The port `Doors`. `elapsed_seconds` is a clock that does not go back, `draw` a random number from 0 up to 1.

    `tried` is told of each attempt that ended, on its thread.
    """

    def __init__(
        self,
        *,
        threads: int,
        elapsed_seconds: Callable[[], float],
        draw: Callable[[], float],
        breaker: Callable[[], CircuitBreaker] = CircuitBreaker,
        tried: Callable[[str, Outcome], None] = lambda _receiver, _outcome: None,
    ) -> None:
        self._share = max(1, threads // 4)
        self._doubtful_share = max(1, threads // 2)
        self._elapsed_seconds = elapsed_seconds
        self._draw = draw
        self._breaker = breaker
        self._tried = tried
        self._receivers: dict[str, _Receiver] = {}
        self._lock = threading.Lock()

    def circuits(self) -> dict[str, BreakerState]:
        """How the circuits stand that were ever used."""
        with self._lock:
            return {name: receiver.breaker.state for name, receiver in self._receivers.items()}

    def enter(self, receiver: str) -> Entered | TurnedAway:
        """Leave to tell it something now, or not."""
        with self._lock:
            known = self._receivers.setdefault(receiver, _Receiver(self._breaker()))
            if self._is_full(known):
                return TurnedAway(self._spread(FULL_SECONDS), FULL)
            now = self._elapsed_seconds()
            permit = known.breaker.admit(now)
            if permit is None:
                return TurnedAway(self._spread(known.breaker.wait_seconds(now)), OPEN)
            known.busy += 1
            return Entered(receiver, permit)

    def leave(self, entered: Entered, outcome: Outcome | None) -> None:
        """Give the leave back."""
        permit = cast("Permit", entered.permit)
        if outcome is not None:
            self._tried(entered.receiver, outcome)
        with self._lock:
            known = self._receivers[entered.receiver]
            known.busy -= 1
            if outcome is None:
                return
            known.is_doubtful = not is_well(outcome)
            if known.is_doubtful:
                told = outcome.retry_after_seconds if isinstance(outcome, Failed) else None
                known.breaker.failed(permit, self._elapsed_seconds(), self._draw(), told)
            else:
                known.breaker.succeeded(permit)

    def _is_full(self, receiver: _Receiver) -> bool:
        if not receiver.is_doubtful:
            return receiver.busy >= self._share
        doubtful = sum(one.busy for one in self._receivers.values() if one.is_doubtful)
        return receiver.busy >= 1 or doubtful >= self._doubtful_share

    def _spread(self, seconds: float) -> float:
        """Those who wait for the same do not come back together."""
        return seconds * (1 + self._draw())
