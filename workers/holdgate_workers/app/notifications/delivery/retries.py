"""When something is told again. A delivery is a value with its whole state; time and randomness are given.

    waiting ── begin ──▶ waiting (leased) ── settle ──▶ delivered
       │                     │                  └─────▶ waiting (later) … failed
       ├── past its use ────▶ lapsed
       └── withdraw ────────▶ withdrawn

An attempt is counted before it is made and leases the delivery for a while. Whoever dies in the middle costs one
attempt and the rest of the lease, and nothing can be attempted without end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from holdgate_workers.app.circuit_breaker import BackOff

from .outcomes import Delivered, Outcome

Status = Literal["waiting", "delivered", "failed", "lapsed", "withdrawn"]

ATTEMPTS_MIN = 3
BACK_OFF = BackOff(first_seconds=60.0, max_seconds=6 * 3600.0)
LOST_ATTEMPT = "the last attempt did not come back"


@dataclass(slots=True, frozen=True, kw_only=True)
class RetryPolicy:
    """How often, and with which pauses. The defaults make twelve attempts in 10 to 20 hours.

    No attempt may take as long as `lease_seconds`, or another one is begun beside it.
    """

    attempts_max: int = 12
    back_off: BackOff = BACK_OFF
    lease_seconds: float = 120.0

    def __post_init__(self) -> None:
        if self.attempts_max < ATTEMPTS_MIN:
            raise ValueError(f"attempts_max must be at least {ATTEMPTS_MIN}")
        if self.lease_seconds <= 0:
            raise ValueError("lease_seconds must be above 0")


@dataclass(slots=True, frozen=True, kw_only=True)
class Delivery:
    """One thing to tell one receiver, once. `key` is the same for the same thing, whoever asks for it how often.

    `due_at` is when something is to be done about it next; while an attempt is on its way, when it counts as lost.
    """

    key: str
    due_at: datetime
    useless_after: datetime | None = None
    attempts: int = 0
    status: Status = "waiting"
    detail: str = ""

    @property
    def is_over(self) -> bool:
        """Whether nothing will be attempted any more."""
        return self.status != "waiting"

    def begin(self, policy: RetryPolicy, now: datetime) -> Delivery:
        """Take it up: with one more attempt and a lease, or over. Only a delivery that waits and is due."""
        assert not self.is_over, "what is over is not begun again"
        assert self.due_at <= now, "what is not due is not begun"
        if self.useless_after is not None and now >= self.useless_after:
            return replace(self, status="lapsed", detail=self.detail or "too late to be of use")
        if self.attempts >= policy.attempts_max:
            return replace(self, status="failed", detail=LOST_ATTEMPT)
        return replace(
            self, attempts=self.attempts + 1, due_at=now + timedelta(seconds=policy.lease_seconds), detail=""
        )

    def settle(self, outcome: Outcome, policy: RetryPolicy, now: datetime, draw: float) -> Delivery:
        """Take in how the attempt ended; `draw` is random, from [0, 1). What arrived has arrived, even if it was
        withdrawn in the meantime."""
        if isinstance(outcome, Delivered):
            return replace(self, status="delivered", detail=outcome.detail)
        if self.is_over:
            return self
        detail = outcome.reason + (" (may have arrived)" if outcome.may_have_arrived else "")
        if outcome.is_final or self.attempts >= policy.attempts_max:
            return replace(self, status="failed", detail=detail)
        left = None if self.useless_after is None else (self.useless_after - now).total_seconds()
        told = outcome.retry_after_seconds
        wait = policy.back_off.seconds(self.attempts, draw, told, left_seconds=left)
        due_at = now + timedelta(seconds=wait)
        if self.useless_after is not None and due_at >= self.useless_after:
            return replace(self, status="lapsed", detail=detail)
        return replace(self, due_at=due_at, detail=detail)

    def postpone(self, until: datetime, reason: str) -> Delivery:
        """Wait without having tried, as while the receiver's circuit is open. Costs no attempt."""
        return self if self.is_over else replace(self, due_at=max(self.due_at, until), detail=reason)

    def withdraw(self, reason: str) -> Delivery:
        """Do not tell it any more. What is over stays as it is."""
        return self if self.is_over else replace(self, status="withdrawn", detail=reason)
