"""One attempt to tell one receiver one thing, written down before and after.

The attempt is counted before it is made: whoever dies in the middle has used it up. What was sent and not written down
is sent again under the same id.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from holdgate_workers.app.circuit_breaker import within
from holdgate_workers.app.tasks.tasks import Again, Dead, Done, Task, TaskOutcome

from .outcomes import Delivered, Failed, Outcome
from .retries import Delivery, RetryPolicy

SOON_SECONDS = 1.0


# --- what is to be told ---------------------------------------------------------------------------------------------


@dataclass(slots=True, frozen=True)
class Ready:
    """Something to send."""

    send: Callable[[], Outcome]
    useless_after: datetime | None = None


@dataclass(slots=True, frozen=True)
class Dropped:
    """Nobody wants to hear it any more, and why."""

    reason: str


@dataclass(slots=True, frozen=True)
class Unfit:
    """It cannot be sent, ever, and why: a person has to look."""

    reason: str


Letter = Ready | Dropped | Unfit


# --- the ports ------------------------------------------------------------------------------------------------------


@dataclass(slots=True, frozen=True)
class Written:
    """A delivery before and after a step, and the database's time of it."""

    before: Delivery
    after: Delivery
    now: datetime


Step = Callable[[Delivery, datetime], Delivery]


class DeliveryLog(Protocol):
    """What became of each thing that was to be told, per receiver. One delivery for one task."""

    def change(self, task: Task, receiver: str, step: Step) -> Written:
        """Take a step with the delivery of this task, alone; one that was never touched waits and is due."""


@dataclass(slots=True, frozen=True)
class Entered:
    """Leave to tell the receiver; given back with what came of it."""

    receiver: str
    permit: object


@dataclass(slots=True, frozen=True)
class TurnedAway:
    """Not now: its circuit is open, or it has its share of the threads. `seconds`: when to ask again."""

    seconds: float
    reason: str


class Doors(Protocol):
    """Sees to it that a receiver that is down or slow costs the others nothing. Safe for several threads."""

    def enter(self, receiver: str) -> Entered | TurnedAway:
        """Leave to tell it something now, or not."""

    def leave(self, entered: Entered, outcome: Outcome | None) -> None:
        """Give the leave back; None: nothing was tried."""


# --- the use case ---------------------------------------------------------------------------------------------------


class Deliverer:
    """Makes attempts. `draw` is random, from [0, 1). Not for several threads: its log is not."""

    def __init__(
        self, log: DeliveryLog, doors: Doors, *, draw: Callable[[], float], policy: RetryPolicy | None = None
    ) -> None:
        self._log = log
        self._doors = doors
        self._draw = draw
        self._policy = policy or RetryPolicy()

    def deliver(self, task: Task, receiver: str, letter: Letter) -> TaskOutcome:
        """Try it once if it is to be tried now, and say what becomes of the task.

        The first time a task is taken in hand after somebody retried it, its delivery begins anew.
        """
        if not isinstance(letter, Ready):
            return _said(self._log.change(task, receiver, lambda delivery, _: _ended(delivery, letter)))
        entered = self._doors.enter(receiver)
        if isinstance(entered, TurnedAway):
            return self._postponed(task, receiver, letter, entered)
        outcome: Outcome | None = None
        try:
            begun = self._log.change(
                task, receiver, lambda delivery, now: self._begun(task, letter, delivery, now)
            )
            attempt = begun.after.attempts
            if not _is_ours(begun):
                return _said(begun)
            outcome = letter.send()
        finally:
            self._doors.leave(entered, outcome)
        return _said(
            self._log.change(task, receiver, lambda delivery, now: self._settled(delivery, attempt, outcome, now))
        )

    def _begun(self, task: Task, letter: Ready, delivery: Delivery, now: datetime) -> Delivery:
        delivery = replace(delivery, useless_after=letter.useless_after)
        if delivery.is_over:
            if task.attempts > 1 or delivery.status == "delivered":
                return delivery
            delivery = Delivery(key=task.key, due_at=now, useless_after=letter.useless_after)
        elif _is_on_its_way(delivery) and delivery.due_at > now:
            return delivery
        return replace(delivery, due_at=min(delivery.due_at, now)).begin(self._policy, now)

    def _settled(self, delivery: Delivery, attempt: int, outcome: Outcome, now: datetime) -> Delivery:
        if delivery.attempts != attempt and isinstance(outcome, Failed):
            return delivery  # another attempt was begun in the meantime, and will say for itself
        return delivery.settle(outcome, self._policy, now, self._draw())

    def _postponed(self, task: Task, receiver: str, letter: Ready, away: TurnedAway) -> TaskOutcome:
        def step(delivery: Delivery, now: datetime) -> Delivery:
            if delivery.is_over or _is_on_its_way(delivery):
                return delivery
            if letter.useless_after is not None and now >= letter.useless_after:
                return replace(delivery, status="lapsed", detail=delivery.detail or away.reason)
            return replace(delivery, detail=away.reason)

        written = self._log.change(task, receiver, step)
        if written.after.is_over:
            return _said(written)
        if letter.useless_after is None:
            return Again(away.seconds, away.reason)
        left = (letter.useless_after - written.now).total_seconds()
        return Again(within(away.seconds, left), away.reason)


def _is_on_its_way(delivery: Delivery) -> bool:
    """Whether an attempt has begun of which nothing was written down yet."""
    return delivery.attempts > 0 and not delivery.is_over and not delivery.detail


def _is_ours(begun: Written) -> bool:
    """Whether this step began an attempt."""
    if begun.after.is_over:
        return False
    return begun.before.is_over or begun.after.attempts > begun.before.attempts


def _ended(delivery: Delivery, letter: Dropped | Unfit) -> Delivery:
    if delivery.status == "delivered":
        return delivery
    return replace(delivery, status="withdrawn" if isinstance(letter, Dropped) else "failed", detail=letter.reason)


def _said(written: Written) -> TaskOutcome:
    delivery = written.after
    if delivery.status == "failed":
        return Dead(delivery.detail)
    if delivery.is_over:
        return Done()
    wait = (delivery.due_at - written.now).total_seconds()
    return Again(max(SOON_SECONDS, wait), delivery.detail or "an attempt is on its way")


def is_well(outcome: Outcome) -> bool:
    """Whether the receiver did its work: one that refuses something for good is well."""
    return isinstance(outcome, Delivered) or outcome.is_final
