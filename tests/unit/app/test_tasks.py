"""Tasks: what follows from decisions, how often it is tried, and that whatever happens at a desk is written down."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from holdgate_workers.app.tasks.task_runner import HandlerDesk
from holdgate_workers.app.tasks.tasks import (
    ERROR_CHARS_MAX,
    Again,
    CancelTask,
    Dead,
    DecidedRow,
    Done,
    NewTask,
    Retries,
    Task,
    TaskOutcome,
    Unplannable,
    Wakeup,
    pause_seconds,
    plan,
    ruled,
)

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)
RETRIES = Retries(attempts_max=3, first_seconds=2.0, cap_seconds=10.0)


def row(number: int, **fields: Any) -> DecidedRow:
    values: dict[str, Any] = {
        "request_id": f"r{number}",
        "kind": "hold.place.v1",
        "outcome": "held",
        "occurrence_id": "occ",
        "version": number,
        "session_id": "s",
        "hold_id": "h",
        "events": (),
        "decided_at": NOON,
    }
    return DecidedRow(**(values | fields))


def task(key: str, **fields: Any) -> NewTask:
    return NewTask(role="pricing", kind="k", key=key, **fields)


# --- pauses -----------------------------------------------------------------------------------------------------


def test_pauses_double_up_to_the_cap_and_jitter_takes_away_up_to_half() -> None:
    longest = [pause_seconds(RETRIES, attempts, 1.0) for attempts in (1, 2, 3, 4, 5)]
    shortest = [pause_seconds(RETRIES, attempts, 0.0) for attempts in (1, 2, 3, 4, 5)]
    assert longest == [2, 4, 8, 10, 10]
    assert shortest == [1, 2, 4, 5, 5]


def test_a_pause_is_bounded_however_often_it_was_tried() -> None:
    assert pause_seconds(RETRIES, 10_000, 1.0) == 10


# --- what becomes of a task -------------------------------------------------------------------------------------


def test_again_without_a_time_gets_the_usual_pause_and_with_a_time_keeps_it() -> None:
    assert ruled(RETRIES, 2, Again(None, "no"), 1.0) == Again(4.0, "no")
    assert ruled(RETRIES, 2, Again(7.5, "no"), 1.0) == Again(7.5, "no")


def test_after_the_last_attempt_again_means_dead() -> None:
    assert ruled(RETRIES, 3, Again(1.0, "still no"), 0.0) == Dead("given up after 3 attempts: still no")


def test_done_is_done_and_dead_is_dead_at_every_attempt() -> None:
    for attempts in (1, 3, 4):
        assert ruled(RETRIES, attempts, Done(), 0.0) == Done()
        assert ruled(RETRIES, attempts, Dead("wrong"), 0.0) == Dead("wrong")


def test_an_error_is_cut_and_has_nothing_in_it_that_the_database_refuses() -> None:
    for outcome in (Again(1.0, "\0" * 5000), Dead("\0" * 5000)):
        kept = ruled(RETRIES, 1, outcome, 0.0)
        assert isinstance(kept, Again | Dead)
        assert kept.error == "\ufffd" * ERROR_CHARS_MAX


# --- what follows from decisions --------------------------------------------------------------------------------


def test_every_planner_is_asked_about_every_row_in_their_orders() -> None:
    asked: list[tuple[str, str]] = []

    def first(row: DecidedRow) -> Iterable[NewTask]:
        asked.append(("first", row.request_id))
        yield task(f"first-{row.request_id}")

    def second(row: DecidedRow) -> Iterable[NewTask]:
        asked.append(("second", row.request_id))
        return [task(f"second-{row.request_id}")]

    planned = plan([first, second], [row(1), row(2)])
    assert asked == [("first", "r1"), ("second", "r1"), ("first", "r2"), ("second", "r2")]
    assert [item.key for item in planned.open] == ["first-r1", "second-r1", "first-r2", "second-r2"]


def says(*said: list[NewTask | CancelTask]) -> Any:
    """A planner that says one list per row."""
    return lambda row: said[row.version]


def test_the_same_task_twice_is_one_and_the_first_word_counts() -> None:
    planned = plan([says([task("a", payload={"n": 1})], [task("a", payload={"n": 2})])], [row(0), row(1)])
    assert [item.payload for item in planned.open] == [{"n": 1}]


def test_what_is_cancelled_after_it_was_asked_for_is_never_open() -> None:
    planned = plan([says([task("a"), task("b")], [CancelTask("k", "a")])], [row(0), row(1)])
    assert [item.key for item in planned.open] == ["b"]
    assert [item.key for item in planned.stillborn] == ["a"]
    assert planned.cancelled == (CancelTask("k", "a"),)


def test_what_is_asked_for_after_it_was_cancelled_is_open_if_it_is_new() -> None:
    """If it is not new, the row in the table has been cancelled, and stays so."""
    planned = plan([says([CancelTask("k", "a")], [task("a")])], [row(0), row(1)])
    assert [item.key for item in planned.open] == ["a"]
    assert planned.cancelled == (CancelTask("k", "a"),)


def test_a_planner_that_raises_names_the_row_and_plans_nothing() -> None:
    def broken(row: DecidedRow) -> Iterable[NewTask]:
        yield task("a")
        raise KeyError(row.kind)

    with pytest.raises(Unplannable, match=r"request r7 \(hold.place.v1\): KeyError"):
        plan([broken], [row(7)])


def test_a_task_for_a_role_that_does_not_exist_is_refused() -> None:
    with pytest.raises(AssertionError):
        NewTask(role="porter", kind="k", key="a")


# --- at a desk --------------------------------------------------------------------------------------------------

CLAIMED = Task(
    id=1,
    role="pricing",
    kind="k",
    key="a",
    payload={},
    reply_to=None,
    correlation_id=None,
    created_at=NOON,
    due_at=NOON,
    last_error=None,
    attempts=1,
    claimed_by="me",
    claimed_until=NOON,
)


class Source:
    """One task in a table."""

    def __init__(self, task: Task | None, problem: Exception | None = None) -> None:
        self.task = task
        self.problem = problem
        self.settled: list[TaskOutcome] = []
        self.is_closed = False

    def claim(self, task_id: int, worker: str, lease_seconds: float) -> Task | None:
        return self.task

    def settle(self, task: Task, outcome: TaskOutcome) -> bool:
        if self.problem is not None:
            raise self.problem
        self.settled.append(outcome)
        return True

    def overdue(self, role: str, limit: int) -> list[Wakeup]:
        return []

    def close(self) -> None:
        self.is_closed = True


class Handles:
    kind = "k"

    def __init__(self, answer: TaskOutcome | Exception) -> None:
        self.answer = answer
        self.calls = 0
        self.is_closed = False

    def handle(self, task: Task) -> TaskOutcome:
        self.calls += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def close(self) -> None:
        self.is_closed = True


class Log:
    def __init__(self) -> None:
        self.said: list[object] = []

    def claimed(self, task: Task) -> None:
        self.said.append("claimed")

    def settled(self, task: Task, outcome: TaskOutcome, *, written: bool) -> None:
        self.said.append((outcome, written))

    def failed(self, task_id: int, problem: Exception) -> None:
        self.said.append(problem)


def desk(source: Source, handler: Handles, log: Log | None = None) -> HandlerDesk:
    return HandlerDesk(
        source,
        {"k": handler},
        worker="me",
        lease_seconds=60,
        jitter=lambda: 1.0,
        observer=log or Log(),
        retries={"k": RETRIES},
    )


def test_what_the_handler_says_is_written_down() -> None:
    source, log = Source(CLAIMED), Log()
    desk(source, Handles(Done()), log).work(1)
    assert source.settled == [Done()]
    assert log.said == ["claimed", (Done(), True)]


def test_a_task_that_cannot_be_claimed_is_not_handled() -> None:
    source, handler = Source(None), Handles(Done())
    desk(source, handler).work(1)
    assert handler.calls == 0
    assert source.settled == []


def test_whatever_a_handler_raises_means_again_with_its_words() -> None:
    source = Source(CLAIMED)
    desk(source, Handles(ZeroDivisionError("oh"))).work(1)
    assert source.settled == [Again(2.0, "ZeroDivisionError: oh")]


def test_a_kind_that_nobody_here_knows_is_left_to_others() -> None:
    source, handler = Source(replace(CLAIMED, kind="of.tomorrow")), Handles(Done())
    desk(source, handler).work(1)
    assert handler.calls == 0
    assert source.settled == [Again(30.0, "no handler for of.tomorrow")]


def test_a_task_that_kills_its_workers_does_not_do_so_for_ever() -> None:
    source, handler = Source(replace(CLAIMED, attempts=4, last_error="boom")), Handles(Done())
    desk(source, handler).work(1)
    assert handler.calls == 0
    assert source.settled == [Dead("no worker lived to finish it in 3 attempts, at last: boom")]


def test_a_table_that_cannot_be_reached_is_told_and_nothing_is_raised() -> None:
    problem = ConnectionError("gone")
    log = Log()
    desk(Source(CLAIMED, problem), Handles(Done()), log).work(1)
    assert log.said == ["claimed", problem]


def test_closing_a_desk_closes_its_handlers_and_its_table() -> None:
    source, handler = Source(None), Handles(Done())
    desk(source, handler).close()
    assert source.is_closed
    assert handler.is_closed
