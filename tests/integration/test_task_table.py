"""The table of tasks in PostgreSQL: fed exactly once, claimed by one, settled by the claim in force."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from threading import Barrier

import psycopg
import pytest
from tests.support.postgres import migrated_database
from tests.support.rabbit import PATIENCE_SECONDS, eventually
from tests.support.tasks import KIND, ROLE, decide, one_each

from holdgate_schema.codec import encode
from holdgate_schema.events.holds import OccurrenceChanged
from holdgate_workers.adapters.postgres.connection import DatabaseError
from holdgate_workers.adapters.postgres.cursor import Cursor
from holdgate_workers.adapters.postgres.tasks import table as tasks
from holdgate_workers.adapters.postgres.tasks.feed import TaskFeed
from holdgate_workers.adapters.postgres.tasks.table import TaskBook
from holdgate_workers.app.tasks.tasks import (
    Again,
    CancelTask,
    Dead,
    DecidedRow,
    Done,
    NewTask,
    Task,
    Unplannable,
    Wakeup,
)

pytestmark = pytest.mark.services

LEASE = 60.0


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A migrated database."""
    with migrated_database() as fresh:
        yield fresh


@pytest.fixture
def connection(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection
        connection.execute("TRUNCATE tasks, journal, relay_cursors CASCADE")


@pytest.fixture
def book(url: str, connection: psycopg.Connection) -> Iterator[TaskBook]:
    with closing(TaskBook(url)) as book:
        yield book


@pytest.fixture
def feed(url: str, connection: psycopg.Connection) -> Iterator[TaskFeed]:
    with closing(TaskFeed(url, [one_each])) as feed:
        yield feed


def tasks_in(connection: psycopg.Connection) -> list[tuple[int, str, str]]:
    return connection.execute("SELECT id, key, state FROM tasks ORDER BY id").fetchall()


def put(feed: TaskFeed, book: TaskBook, key: str = "a", **fields: object) -> int:
    """A new task; returns its id."""
    feed.add([NewTask(role=ROLE, kind=KIND, key=key, **fields)])  # type: ignore[arg-type]
    return next(row.id for row in book.find(["open"], 1000) if row.key == key)


def claimed(book: TaskBook, task_id: int, lease_seconds: float = LEASE, worker: str = "me") -> Task:
    task = book.claim(task_id, worker, lease_seconds)
    assert task is not None
    return task


def feed_all(feed: TaskFeed, rows: int, rows_max: int = 500) -> int:
    """Feed until so many rows were read, which may have to wait for other databases' transactions."""
    fed = 0

    def some() -> bool:
        nonlocal fed
        fed += feed.feed(rows_max).rows
        return fed >= rows

    eventually(some, f"{rows} rows are fed")
    return fed


# --- feeding ----------------------------------------------------------------------------------------------------


def test_what_follows_from_a_decision_is_in_the_table_with_all_that_was_said(
    connection: psycopg.Connection, feed: TaskFeed, book: TaskBook
) -> None:
    [request_id] = decide(connection, reply_to="amq.gen-1", correlation_id="c-1")
    feed_all(feed, 1)
    [row] = book.find(["open"], 10)
    assert (row.role, row.kind, row.key, row.state, row.attempts) == (ROLE, KIND, request_id, "open", 0)
    assert (row.payload, row.reply_to, row.correlation_id) == ({"version": 1}, "amq.gen-1", "c-1")
    task = claimed(book, row.id)
    assert (task.payload, task.reply_to, task.correlation_id) == ({"version": 1}, "amq.gen-1", "c-1")


def test_planners_get_the_events_as_they_were_told(url: str, connection: psycopg.Connection) -> None:
    noon = datetime(2030, 6, 1, 12, tzinfo=UTC)
    event = OccurrenceChanged(
        event_id="r/1",
        occurrence_id="occ",
        version=1,
        occurred_at=noon,
        product_id="p",
        status="active",
        starts_at=noon,
        ends_at=noon,
    )
    seen: list[DecidedRow] = []

    def planner(row: DecidedRow) -> Iterable[NewTask]:
        seen.append(row)
        return []

    decide(connection, events=f"[{encode(event).decode()}]")
    with closing(TaskFeed(url, [planner])) as feed:
        feed_all(feed, 1)
    assert [row.events for row in seen] == [(event,)]


def test_those_who_will_be_told_are_named_and_the_others_are_overdue_at_once(
    connection: psycopg.Connection, feed: TaskFeed, book: TaskBook
) -> None:
    decide(connection)
    told: list[Wakeup] = []
    eventually(lambda: told.extend(feed.feed(100, [ROLE]).wakeups) or told)
    assert book.overdue(ROLE, 10) == []
    decide(connection)
    feed_all(feed, 1)
    [found] = book.overdue(ROLE, 10)
    assert found not in told


def test_two_feeders_at_once_feed_each_row_once(url: str, connection: psycopg.Connection) -> None:
    check_two_feeders(url, connection)


def test_without_the_lock_the_cursor_itself_lets_only_one_through(
    url: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock saves work; that a page counts once rests on the transaction alone."""
    monkeypatch.setattr(Cursor, "_take", lambda *_: True)
    check_two_feeders(url, connection)


def check_two_feeders(url: str, connection: psycopg.Connection) -> None:
    keys = decide(connection, 300)
    start = Barrier(2)

    def run() -> int:
        fed = 0
        with closing(TaskFeed(url, [one_each])) as feed:
            start.wait(PATIENCE_SECONDS)

            def some() -> bool:
                nonlocal fed
                fed += feed.feed(7).rows
                return len(tasks_in(connection)) == len(keys)

            eventually(some, "all is fed")
        return fed

    with ThreadPoolExecutor(2) as pool:
        counts = [job.result() for job in [pool.submit(run), pool.submit(run)]]
    assert sum(counts) == len(keys)
    assert sorted(key for _, key, _ in tasks_in(connection)) == sorted(keys)


def test_a_second_feeder_takes_over_when_the_first_is_gone(
    url: str, connection: psycopg.Connection, feed: TaskFeed
) -> None:
    decide(connection)
    feed_all(feed, 1)
    with closing(TaskFeed(url, [one_each])) as second:
        decide(connection)
        assert second.feed(100).rows == 0
        feed.close()
        assert feed_all(second, 1) == 1


def test_a_row_that_commits_late_is_not_skipped(url: str, connection: psycopg.Connection, feed: TaskFeed) -> None:
    with psycopg.connect(url) as slow:
        [late] = decide(slow)
        [early] = decide(connection)
        assert feed.feed(100).rows == 0
        slow.commit()
        feed_all(feed, 2)
    assert [key for _, key, _ in tasks_in(connection)] == [late, early]


def test_tasks_and_cursor_are_one_transaction(connection: psycopg.Connection, feed: TaskFeed) -> None:
    """Whatever breaks between the two breaks both."""
    decide(connection, 3)
    connection.execute("""
        CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'broken'; END $$;
        CREATE TRIGGER broken BEFORE UPDATE ON relay_cursors FOR EACH ROW EXECUTE FUNCTION broken()""")
    try:
        with pytest.raises(DatabaseError, match="broken"):
            feed_all(feed, 3)
        assert tasks_in(connection) == []
    finally:
        connection.execute("DROP FUNCTION broken CASCADE")
    feed_all(feed, 3)
    assert len(tasks_in(connection)) == 3


def test_a_planner_that_raises_stops_the_feeding_and_loses_nothing(
    url: str, connection: psycopg.Connection, feed: TaskFeed
) -> None:
    def broken(row: DecidedRow) -> Iterable[NewTask]:
        raise ValueError("cannot")

    [request_id] = decide(connection)
    with closing(TaskFeed(url, [one_each, broken])) as other, pytest.raises(Unplannable, match=request_id):
        feed_all(other, 1)
    assert tasks_in(connection) == []
    feed_all(feed, 1)
    assert [key for _, key, _ in tasks_in(connection)] == [request_id]


def test_an_event_of_a_newer_version_stops_the_feeding_and_loses_nothing(
    connection: psycopg.Connection, feed: TaskFeed
) -> None:
    decide(connection, events='[{"type": "hold.teleported.v9"}]')
    with pytest.raises(Unplannable, match="newer version"):
        feed_all(feed, 1)


def test_a_character_that_the_database_does_not_take_does_not_stop_the_feeding(
    feed: TaskFeed, book: TaskBook
) -> None:
    text = "a\0b \\u0000 \\\0"
    task_id = put(feed, book, payload={"text": text})
    assert claimed(book, task_id).payload == {"text": text.replace("\0", "\ufffd")}


def test_what_is_cancelled_is_not_worked_any_more(
    url: str, connection: psycopg.Connection, feed: TaskFeed, book: TaskBook
) -> None:
    waiting, in_hand = put(feed, book, "waiting"), put(feed, book, "in hand")
    task = claimed(book, in_hand)

    def planner(row: DecidedRow) -> Iterable[NewTask | CancelTask]:
        yield NewTask(role=ROLE, kind=KIND, key="stillborn")
        for key in ("waiting", "in hand", "stillborn", "never there"):
            yield CancelTask(KIND, key)
        yield NewTask(role=ROLE, kind=KIND, key="waiting")

    decide(connection)
    with closing(TaskFeed(url, [planner])) as other:
        feed_all(other, 1)
    assert {(key, state) for _, key, state in tasks_in(connection)} == {
        ("waiting", "cancelled"),
        ("in hand", "cancelled"),
        ("stillborn", "cancelled"),
    }
    assert book.claim(waiting, "me", LEASE) is None
    assert not book.settle(task, Done())


# --- claiming and settling --------------------------------------------------------------------------------------


def test_of_many_workers_one_gets_the_task(url: str, feed: TaskFeed, book: TaskBook) -> None:
    task_id = put(feed, book)
    start = Barrier(8)

    def run(number: int) -> Task | None:
        with closing(TaskBook(url)) as mine:
            start.wait(PATIENCE_SECONDS)
            return mine.claim(task_id, f"worker-{number}", LEASE)

    with ThreadPoolExecutor(8) as pool:
        got = [task for task in pool.map(run, range(8)) if task is not None]
    assert len(got) == 1


def test_what_is_done_is_not_claimed_again(feed: TaskFeed, book: TaskBook) -> None:
    task_id = put(feed, book)
    assert book.settle(claimed(book, task_id), Done())
    assert book.claim(task_id, "me", LEASE) is None
    assert not book.retry(task_id)


def test_a_claim_that_was_overtaken_settles_nothing(feed: TaskFeed, book: TaskBook) -> None:
    """Also if it is the same worker that has the task again."""
    task_id = put(feed, book)
    old = claimed(book, task_id, 0.0)
    new = claimed(book, task_id)
    assert (old.attempts, new.attempts) == (1, 2)
    for outcome in (Done(), Again(1.0, "x"), Dead("x")):
        assert not book.settle(old, outcome)
    assert book.settle(new, Done())


def test_a_claim_from_before_a_retry_settles_nothing(feed: TaskFeed, book: TaskBook) -> None:
    """Attempts are counted anew then, so they are the same number."""
    task_id = put(feed, book)
    old = claimed(book, task_id, 0.0)
    assert book.retry(task_id)
    new = claimed(book, task_id)
    assert old.attempts == new.attempts == 1
    assert not book.settle(old, Done())
    assert book.settle(new, Done())


def test_a_claim_whose_lease_is_over_and_that_nobody_has_overtaken_still_counts(
    feed: TaskFeed, book: TaskBook
) -> None:
    assert book.settle(claimed(book, put(feed, book), 0.0), Done())


def test_again_lets_the_task_rest_and_keeps_the_error(
    connection: psycopg.Connection, feed: TaskFeed, book: TaskBook
) -> None:
    task_id = put(feed, book)
    assert book.settle(claimed(book, task_id), Again(3600.0, "not yet"))
    row = book.get(task_id)
    assert row is not None
    assert (row.state, row.last_error, row.claimed_by) == ("open", "not yet", None)
    assert book.claim(task_id, "me", LEASE) is None
    assert book.overdue(ROLE, 10) == []
    connection.execute("UPDATE tasks SET due_at = clock_timestamp(), wake_at = clock_timestamp()")
    assert book.overdue(ROLE, 10) == [Wakeup(ROLE, task_id)]
    assert claimed(book, task_id).attempts == 2


def test_a_task_of_the_future_waits_until_it_is_due(
    connection: psycopg.Connection, feed: TaskFeed, book: TaskBook
) -> None:
    task_id = put(feed, book, due_at=datetime.now(UTC) + timedelta(days=3))  # noqa: TID251 - a reminder
    assert book.overdue(ROLE, 10) == []
    assert book.claim(task_id, "me", LEASE) is None
    connection.execute(
        "UPDATE tasks SET due_at = due_at - interval '4 days', wake_at = wake_at - interval '4 days'"
    )
    assert book.overdue(ROLE, 10) == [Wakeup(ROLE, task_id)]
    claimed(book, task_id)


def test_what_is_overdue_is_told_of_once_in_a_while(url: str, feed: TaskFeed, book: TaskBook) -> None:
    task_id = put(feed, book)
    assert book.overdue(ROLE, 10) == [Wakeup(ROLE, task_id)]
    assert book.overdue(ROLE, 10) == []
    with closing(TaskBook(url, resend_seconds=0.0)) as hasty:
        other = put(feed, book, "b")
        assert hasty.overdue(ROLE, 10) == [Wakeup(ROLE, other)]
        assert hasty.overdue(ROLE, 10) == [Wakeup(ROLE, other)]
    assert book.overdue("orders", 10) == []


def test_what_is_in_hand_is_overdue_when_its_lease_is_over(feed: TaskFeed, book: TaskBook) -> None:
    task_id = put(feed, book)
    claimed(book, task_id)
    assert book.overdue(ROLE, 10) == []
    other = put(feed, book, "b")
    claimed(book, other, 0.0)
    assert book.overdue(ROLE, 10) == [Wakeup(ROLE, other)]


def test_many_reconcilers_find_each_task_once(url: str, feed: TaskFeed, book: TaskBook) -> None:
    feed.add([NewTask(role=ROLE, kind=KIND, key=str(number)) for number in range(200)])
    start = Barrier(4)

    def run(_: int) -> list[int]:
        found: list[int] = []
        with closing(TaskBook(url)) as mine:
            start.wait(PATIENCE_SECONDS)
            while some := mine.overdue(ROLE, 7):
                found += [wakeup.task_id for wakeup in some]
        return found

    with ThreadPoolExecutor(4) as pool:
        found = [task_id for ids in pool.map(run, range(4)) for task_id in ids]
    found += [wakeup.task_id for wakeup in book.overdue(ROLE, 200)]
    assert len(found) == len(set(found)) == 200


# --- for operators ----------------------------------------------------------------------------------------------


def test_the_dead_are_listed_first_and_counted(feed: TaskFeed, book: TaskBook) -> None:
    waiting, dying = put(feed, book, "waiting"), put(feed, book, "dying")
    assert book.settle(claimed(book, dying), Dead("cannot be"))
    assert [row.id for row in book.find(["dead", "open"], 10)] == [dying, waiting]
    assert [row.last_error for row in book.find(["dead"], 10, kind=KIND, role=ROLE)] == ["cannot be"]
    assert book.find(["dead"], 10, role="orders") == []
    [count] = book.open_counts()
    assert (count.open, count.overdue, count.dead) == (1, 1, 1)
    assert count.oldest_seconds > 0


def test_a_dead_task_is_retried_with_all_its_attempts(feed: TaskFeed, book: TaskBook) -> None:
    task_id = put(feed, book)
    assert book.settle(claimed(book, task_id), Dead("cannot be"))
    assert book.claim(task_id, "me", LEASE) is None
    assert book.retry(task_id)
    task = claimed(book, task_id)
    assert (task.attempts, task.last_error) == (1, "cannot be")


def test_what_is_in_hand_is_neither_retried_nor_dropped(feed: TaskFeed, book: TaskBook) -> None:
    task_id = put(feed, book)
    task = claimed(book, task_id)
    assert not book.retry(task_id)
    assert not book.drop(task_id)
    assert book.settle(task, Done())


def test_a_dropped_task_is_done_no_more_and_asked_for_again_it_stays_so(feed: TaskFeed, book: TaskBook) -> None:
    task_id = put(feed, book)
    assert book.drop(task_id)
    assert book.claim(task_id, "me", LEASE) is None
    assert feed.add([NewTask(role=ROLE, kind=KIND, key="a")], [ROLE]) == []
    assert book.retry(task_id)
    claimed(book, task_id)


def test_old_ended_tasks_are_deleted_in_bites_and_dead_ones_are_not(
    connection: psycopg.Connection, feed: TaskFeed, book: TaskBook
) -> None:
    for key in ("a", "b", "c"):
        assert book.settle(claimed(book, put(feed, book, key)), Done())
    assert book.settle(claimed(book, put(feed, book, "dead")), Dead("x"))
    put(feed, book, "open")
    connection.execute("UPDATE tasks SET ended_at = ended_at - interval '31 days' WHERE key <> 'c'")
    assert [book.tidy(30, 1), book.tidy(30, 10), book.tidy(30, 10)] == [1, 1, 0]
    assert {key for _, key, _ in tasks_in(connection)} == {"c", "dead", "open"}


def test_looking_for_what_is_due_does_not_read_what_is_not(connection: psycopg.Connection, book: TaskBook) -> None:
    """Reminders lie in the table by the hundred thousand; the look comes twice a second."""
    connection.execute("""
        INSERT INTO tasks (role, kind, key, payload, state, due_at, wake_at)
        SELECT 'notifications', 'mail', n::text, '{}', 'open', now() + interval '9 days', now() + interval '9 days'
        FROM generate_series(1, 20000) AS n""")
    connection.execute("ANALYZE tasks")
    values = {"role": "notifications", "limit": 10, "resend": 30.0}
    row = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {tasks._OVERDUE}", values).fetchone()
    assert row is not None
    plan = str(row[0])
    assert "tasks_wake_idx" in plan
    assert set(re.findall(r"'Rows Removed by Filter': (\d+)", plan)) <= {"0"}
    assert book.overdue("notifications", 10) == []
