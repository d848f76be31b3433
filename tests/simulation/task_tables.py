"""The rows of tasks, sagas, carts and quotes, as adapters/postgres/{task_feed,tasks,sagas,carts}.py keep them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from holdgate_schema.events.holds import Event
from holdgate_schema.events.selling import CartBegun
from holdgate_schema.values.quotes import Quote
from holdgate_workers.app.carts import protocol as cart_saga
from holdgate_workers.app.carts.next_step import Answered, Cart, Verdict, cart_of, hold_ids, seen_of, settle_id_of
from holdgate_workers.app.gate.effects import JournalRow, Unavailable
from holdgate_workers.app.ordering import protocol as converting
from holdgate_workers.app.ordering import tasks as order_tasks
from holdgate_workers.app.ordering.facts import Saga
from holdgate_workers.app.relay.relay import Position
from holdgate_workers.app.tasks.tasks import (
    Again,
    CancelTask,
    DecidedRow,
    Done,
    NewTask,
    Plan,
    Task,
    TaskOutcome,
    plan,
)

from .database import Database
from .tables import DOWN
from .world import World

LATE_SECONDS = 2.0
"""What a planner wants done later is done no later than this: a world does not last for a quarter of an hour."""
LEASE = timedelta(seconds=1.5)
PLANNERS = (order_tasks.order_tasks, cart_saga.cart_tasks)

_events = msgspec.json.Decoder(Event)
_WATCHES = ("booking.", "cart.", "quote.")


class TaskRow(Struct):
    """A row of `tasks`."""

    id: int
    task: NewTask
    due_at: datetime
    created_at: datetime
    state: str = "open"
    attempts: int = 0
    claimed_by: str | None = None
    claimed_until: datetime | None = None


class SagaRow(Struct):
    """A row of `sagas`."""

    rev: int
    saga: Saga
    begun_at: datetime | None
    quiet_until: datetime | None


class CartRow(Struct):
    """A row of `carts`."""

    verdict: Verdict | None = None
    state: str = "placing"


class TaskTables:
    """What the workers behind the gate write and read. Each call is one statement or one transaction."""

    def __init__(self, world: World, database: Database) -> None:
        self.world = world
        self.database = database
        self.cursor = Position()
        self.tasks: dict[tuple[str, str], TaskRow] = {}
        self.sagas: dict[str, SagaRow] = {}
        self.carts: dict[str, CartRow] = {}
        self.quotes: dict[str, Quote] = {}
        self.fed: list[JournalRow] = []
        self._open: dict[int, TaskRow] = {}

    # --- the feeder ---------------------------------------------------------------------------------------------

    def feed(self, planners: Sequence[Any], rows_max: int, answer: Callable[[int | Unavailable], None]) -> None:
        """Plan the next rows of the journal and move the cursor, in one transaction."""
        if self.database.down:
            answer(DOWN)
            return
        rows, end = self.database.rows_after(self.cursor, rows_max)
        decided = [row for row in map(decided_row, rows) if row.events]
        if decided:
            self.keep(plan(planners, decided))
        self.move(end)
        answer(len(rows))

    def keep(self, planned: Plan) -> None:
        """Write down what is to be done; what is there already stays as it is."""
        for name in planned.cancelled:
            self._end(self.tasks.get((name.kind, name.key)), "cancelled")
        for state, tasks in (("open", planned.open), ("cancelled", planned.stillborn)):
            for task in tasks:
                if (task.kind, task.key) not in self.tasks:
                    self._insert(task, state)

    def move(self, end: Position) -> None:
        """The cursor moves on."""
        self.cursor = end

    def _insert(self, task: NewTask, state: str) -> None:
        now = self.database.clock()
        due_at = now
        if task.due_at is not None:
            watches = task.kind == order_tasks.WATCH
            due_at = task.due_at if watches else min(task.due_at, now + timedelta(seconds=LATE_SECONDS))
        row = TaskRow(len(self.tasks) + 1, task, due_at, now, state)
        self.tasks[task.kind, task.key] = row
        if state == "open":
            self._open[row.id] = row

    def _end(self, row: TaskRow | None, state: str) -> None:
        if row is not None and row.state == "open":
            row.state = state
            del self._open[row.id]

    # --- desks --------------------------------------------------------------------------------------------------

    def claim(self, role: str, worker: str, answer: Callable[[Task | Unavailable | None], None]) -> None:
        """Take something in hand that is due and in nobody's hands."""
        if self.database.down:
            answer(DOWN)
            return
        now = self.database.clock()
        for row in self._open.values():
            free = row.claimed_until is None or row.claimed_until <= now
            if row.task.role == role and row.due_at <= now and free:
                if row.claimed_by is not None:
                    self.world.sometimes("a task was taken over")
                row.claimed_by, row.claimed_until = worker, now + LEASE
                row.attempts += 1
                answer(_task(row))
                return
        answer(None)

    def settle(self, task: Task, outcome: TaskOutcome) -> None:
        """Write down what became of it, if the claim is still the one in force."""
        row = self.tasks[task.kind, task.key]
        if self.database.down or row.state != "open":
            return
        if (row.claimed_by, row.attempts) != (task.claimed_by, task.attempts):
            self.world.sometimes("a task was done by two at once")
            return
        row.claimed_by = row.claimed_until = None
        if isinstance(outcome, Again):
            row.due_at = self.database.clock() + timedelta(seconds=outcome.after_seconds or 0.2)
        else:
            self._end(row, "done" if isinstance(outcome, Done) else "dead")

    def is_at_rest(self, ordered: Callable[[str], bool]) -> bool:
        """Whether everything was planned, and nothing that is planned is due soon.

        A booking that was paid, and of which the shop has no order (`ordered`, by its id), waits for a person; until
        then the shop is searched again and again.
        """
        soon = self.database.clock() + timedelta(seconds=100)
        return self.database.is_at_the_end(self.cursor) and not any(
            row.due_at <= soon
            and row.task.kind != order_tasks.WATCH
            and not self._is_left_to_a_person(row, ordered)
            for row in self._open.values()
        )

    def _is_left_to_a_person(self, row: TaskRow, ordered: Callable[[str], bool]) -> bool:
        if row.task.kind != order_tasks.CHECK:
            return False
        booking = self.database.bookings[row.task.payload["booking_id"]]
        return booking.state == "parked" and booking.kept > 0 and not ordered(booking.id)

    # --- sagas --------------------------------------------------------------------------------------------------

    def look(self, booking_id: str) -> converting.Look | None:
        """As `SagaBook.look`."""
        database = self.database
        booking = database.bookings.get(booking_id)
        if booking is None:
            return None
        hold, row = database.holds.get(booking.hold_id), self.sagas.get(booking_id)
        return converting.Look(
            booking=msgspec.structs.replace(booking, customer=None),
            hold_state=None if hold is None else hold.state,
            recorded=self._recorded(row or SagaRow(0, Saga(booking_id=booking_id), None, None)),
            quote=self.quotes.get(booking.quote.hash),
            over_at=database.heads[booking.occurrence_id].definition.ends_at,
        )

    def begin(self, effect: converting.Begin) -> converting.Recorded | None:
        """As `SagaBook.begin`."""
        return self._write(effect.recorded, effect.saga, self.database.clock(), None)

    def record(self, effect: converting.Record) -> converting.Recorded | None:
        """As `SagaBook.record`."""
        quiet = self.database.clock() + timedelta(seconds=effect.quiet_seconds)
        return self._write(effect.recorded, effect.saga, None, quiet)

    def _write(
        self, before: converting.Recorded, saga: Saga, begun_at: datetime | None, quiet: datetime | None
    ) -> converting.Recorded | None:
        row = self.sagas.get(saga.booking_id)
        if row is not None and row.rev != before.rev:
            self.world.sometimes("two were at the same booking")
            return None
        rev = 1 if row is None else row.rev + 1
        row = self.sagas[saga.booking_id] = SagaRow(rev, saga, begun_at, quiet)
        return self._recorded(row)

    def _recorded(self, row: SagaRow) -> converting.Recorded:
        return converting.Recorded(
            saga=row.saga,
            now=self.database.clock(),
            rev=row.rev,
            begun_at=row.begun_at,
            quiet_until=row.quiet_until,
        )

    # --- carts --------------------------------------------------------------------------------------------------

    def look_at_cart(self, cart_id: str) -> cart_saga.Look | None:
        """As `CartBook.look`."""
        database = self.database
        found = database.journal.get(cart_id)
        if found is None or found.row.outcome != "cart_started":
            return None
        events = (_events.decode(body) for _, body in found.row.events)
        begun = next(event for event in events if isinstance(event, CartBegun))
        follow_up, row = database.follow_ups[cart_id], self.carts.get(cart_id)
        cart = cart_of(
            begun,
            reply_to=follow_up.reply_to,
            correlation_id=follow_up.correlation_id,
            verdict=None if row is None else row.verdict,
        )
        ids = list(hold_ids(cart).values())
        answers = {
            key: Answered(recording.row.outcome, recording.row.reason or "")
            for key in (*ids, settle_id_of(cart_id))
            if (recording := database.journal.get(key)) is not None
        }
        holds = {key: database.holds[key].state for key in ids if key in database.holds}
        return cart_saga.Look(cart, seen_of(cart, answers, holds))

    def write_verdict(self, cart: Cart, verdict: Verdict) -> Verdict:
        """As `CartBook.write_verdict`."""
        row = self.carts.setdefault(cart.id, CartRow())
        if row.verdict is None:
            row.verdict = verdict
        return row.verdict

    def show(self, cart: Cart, state: str) -> None:
        """As `CartBook.show`."""
        row = self.carts.setdefault(cart.id, CartRow())
        if row.state == "placing":
            row.state = state


def decided_row(row: JournalRow) -> DecidedRow:
    """A row of the journal with those of its events that some planner looks at."""
    return DecidedRow(
        request_id=row.request_id,
        kind=row.kind,
        outcome=row.outcome,
        occurrence_id=row.occurrence_id,
        version=row.version,
        session_id=row.session_id,
        hold_id=row.hold_id,
        events=[_events.decode(body) for kind, body in row.events if _matters(kind, body, row)],
        decided_at=row.decided_at,
        reply_to=row.reply_to,
        correlation_id=row.correlation_id,
        wish=row.wish,
    )


def _matters(kind: str, body: bytes, row: JournalRow) -> bool:
    return (
        kind.startswith(_WATCHES)
        or kind in ("hold.created.v1", "hold.changed.v1")
        or (row.kind == "cart.release.v1" and kind.startswith("hold."))
    )


def _task(row: TaskRow) -> Task:
    task = row.task
    assert row.claimed_by is not None
    assert row.claimed_until is not None
    return Task(
        id=row.id,
        role=task.role,
        kind=task.kind,
        key=task.key,
        payload=task.payload,
        reply_to=task.reply_to,
        correlation_id=task.correlation_id,
        created_at=row.created_at,
        due_at=row.due_at,
        last_error=None,
        attempts=row.attempts,
        claimed_by=row.claimed_by,
        claimed_until=row.claimed_until,
    )


def planned(rows: Iterable[JournalRow], planners: Sequence[Any]) -> set[CancelTask]:
    """The names of everything that these rows want done."""
    decided = [row for row in map(decided_row, rows) if row.events]
    found = plan(planners, decided)
    return {CancelTask(task.kind, task.key) for task in (*found.open, *found.stillborn)}
