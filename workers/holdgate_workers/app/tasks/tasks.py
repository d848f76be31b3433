"""Work that follows from decisions: price a hold, create an order, send a mail.

The truth about each piece of work is a row of the table `tasks`. A message only wakes a worker up: one that is lost,
late or there twice costs nothing, because the worker first claims the row, and what nobody has claimed is found.

Work is done at least once. A handler may be called again for a task that it has finished (its worker died before it
could say so), and must then come to the same end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from holdgate_schema.events.holds import Event

PRICING = "pricing"
ORDERS = "orders"
NOTIFICATIONS = "notifications"
TASK_ROLES = (PRICING, ORDERS, NOTIFICATIONS)

ERROR_CHARS_MAX = 1000
_EXPONENT_MAX = 30


# --- what is to be done ---------------------------------------------------------------------------------------------


@dataclass(slots=True, frozen=True, kw_only=True)
class NewTask:
    """Something to do. Another one with the same kind and key is the same task, whatever became of the first."""

    role: str
    kind: str
    key: str
    payload: dict[str, Any] = field(default_factory=dict)
    """What the handler needs: JSON values, dates and msgspec structs; it gets JSON values back."""
    due_at: datetime | None = None
    """Not to be done before; None: at once."""
    reply_to: str | None = None
    correlation_id: str | None = None

    def __post_init__(self) -> None:
        assert self.role in TASK_ROLES, self.role


@dataclass(slots=True, frozen=True)
class CancelTask:
    """Something that need not be done any more. Changes nothing if it has ended or never was."""

    kind: str
    key: str


@dataclass(slots=True, frozen=True, kw_only=True)
class Task:
    """A task in the hands of a worker. The last three say which claim this is: only it may settle the task."""

    id: int
    role: str
    kind: str
    key: str
    payload: dict[str, Any]
    reply_to: str | None
    correlation_id: str | None
    created_at: datetime
    due_at: datetime
    last_error: str | None
    attempts: int
    """How often it was claimed, this time included."""
    claimed_by: str
    claimed_until: datetime


@dataclass(slots=True, frozen=True, kw_only=True)
class TaskRow:
    """A task as people look at it."""

    id: int
    role: str
    kind: str
    key: str
    state: str
    attempts: int
    created_at: datetime
    due_at: datetime
    claimed_by: str | None
    claimed_until: datetime | None
    ended_at: datetime | None
    last_error: str | None
    reply_to: str | None
    correlation_id: str | None
    payload: dict[str, Any]


@dataclass(slots=True, frozen=True)
class Wakeup:
    """Tell a worker of this role that the task is due."""

    role: str
    task_id: int


# --- what became of it ----------------------------------------------------------------------------------------------


@dataclass(slots=True, frozen=True)
class Done:
    """It is done, or there is nothing to do any more."""


@dataclass(slots=True, frozen=True)
class Again:
    """Not yet: try once more after so many seconds, or, with None, after the usual pause."""

    after_seconds: float | None
    error: str


@dataclass(slots=True, frozen=True)
class Dead:
    """It cannot be done: a person has to look."""

    error: str


TaskOutcome = Done | Again | Dead


@dataclass(slots=True, frozen=True, kw_only=True)
class Retries:
    """How often a kind of task is tried, and the pauses in between: doubled each time, up to a cap."""

    attempts_max: int = 15
    first_seconds: float = 1.0
    cap_seconds: float = 900.0


USUAL = Retries()
"""About an hour from the first try to the last."""


def pause_seconds(retries: Retries, attempts: int, jitter: float) -> float:
    """How long to wait after attempt number `attempts` (from 1), with `jitter` evenly spread over [0, 1).

    Between half of the pause and all of it, so that what failed together does not come back together.
    """
    ceiling = min(retries.cap_seconds, retries.first_seconds * 2.0 ** min(attempts - 1, _EXPONENT_MAX))
    return ceiling * (0.5 + 0.5 * jitter)


def ruled(retries: Retries, attempts: int, outcome: TaskOutcome, jitter: float) -> TaskOutcome:
    """What becomes of a task after attempt number `attempts`: `Again` gets its pause, or an end after the last."""
    match outcome:
        case Again(error=error) if attempts >= retries.attempts_max:
            return Dead(_cut(f"given up after {attempts} attempts: {error}"))
        case Again(after_seconds=None, error=error):
            return Again(pause_seconds(retries, attempts, jitter), _cut(error))
        case Again(after_seconds=after_seconds, error=error):
            return Again(after_seconds, _cut(error))
        case Dead(error=error):
            return Dead(_cut(error))
    return outcome


def _cut(text: str) -> str:
    """Bounded, and without the one character that PostgreSQL does not take."""
    return text.replace("\0", "\ufffd")[:ERROR_CHARS_MAX]


class Handler(Protocol):
    """Does one kind of task.

    Called on the one thread that it was made for, so it may own connections. It must end within the lease of a task
    (its calls need time limits), and doing the same task twice must come to the same. What it raises counts as
    `Again`. Work that it asks of others should be one step that can be repeated, such as a command under a request id
    made from the task's key.
    """

    kind: str

    def handle(self, task: Task) -> TaskOutcome:
        """Do it."""

    def close(self) -> None:
        """Close what was opened. Called once, on the same thread, after the last task."""


# --- what follows from a decision -----------------------------------------------------------------------------------


@dataclass(slots=True, frozen=True, kw_only=True)
class DecidedRow:
    """One row of the journal, as a planner sees it."""

    request_id: str
    kind: str
    outcome: str
    occurrence_id: str
    version: int
    session_id: str | None
    hold_id: str | None
    events: Sequence[Event]
    decided_at: datetime
    reply_to: str | None = None
    """Where a second answer goes; None if nobody waits for one."""
    correlation_id: str | None = None
    wish: bytes | None = None
    """JSON: what is needed for the second answer and is nobody else's business."""


class Planner(Protocol):
    """Says what follows from a decision: pure, quick, and with the same words each time it is asked.

    Planners are called in the journal's order. One that raises stops all feeding at that row: nothing may be lost.
    """

    def __call__(self, row: DecidedRow) -> Iterable[NewTask | CancelTask]:
        """What is to be done, and what need not be done any more, in this order."""


@dataclass(slots=True, frozen=True)
class Plan:
    """What follows from a page of the journal: first cancel, then add; some are cancelled as soon as they are there."""

    cancelled: Sequence[CancelTask]
    open: Sequence[NewTask]
    stillborn: Sequence[NewTask]


class Unplannable(Exception):
    """A planner raised, which is a fault in it. Names the row."""


def plan(planners: Sequence[Planner], rows: Iterable[DecidedRow]) -> Plan:
    """What all planners say to all rows, so folded that the result is as if it had been done one by one.

    Raises `Unplannable`.
    """
    cancelled: dict[CancelTask, None] = {}
    new: dict[CancelTask, NewTask] = {}
    stillborn: set[CancelTask] = set()
    for row in rows:
        for wanted in _wanted(planners, row):
            name = CancelTask(wanted.kind, wanted.key)
            if isinstance(wanted, NewTask):
                new.setdefault(name, wanted)
                continue
            cancelled[name] = None
            if name in new:
                stillborn.add(name)
    return Plan(
        tuple(cancelled),
        tuple(task for name, task in new.items() if name not in stillborn),
        tuple(new[name] for name in new if name in stillborn),
    )


def _wanted(planners: Sequence[Planner], row: DecidedRow) -> Iterable[NewTask | CancelTask]:
    for planner in planners:
        try:
            yield from list(planner(row))
        except Exception as exc:
            raise Unplannable(f"request {row.request_id} ({row.kind}): {type(exc).__name__}: {exc}") from exc


@dataclass(slots=True, frozen=True)
class Fed:
    """What one look at the journal came to."""

    rows: int = 0
    tasks: Sequence[tuple[str, int]] = ()
    """Per kind: how many are new."""
    wakeups: Sequence[Wakeup] = ()
    """What is due at once, and is the caller's to tell."""
    lag_seconds: float = 0.0
    """Age of the first row that was read; 0 if there was none or another process has the right to the cursor."""
