"""Tasks for tests: journal rows that somebody plans, handlers that keep what they got, and a site around them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import psycopg
from prometheus_client import CollectorRegistry
from tests.support.rabbit import PATIENCE_SECONDS

from holdgate_workers.adapters.postgres.maintenance.installation import House
from holdgate_workers.app.ports import TransportError
from holdgate_workers.app.tasks.ports import TaskWorker, WakeupLine
from holdgate_workers.app.tasks.tasks import DecidedRow, Done, NewTask, Task, TaskOutcome, Wakeup
from holdgate_workers.config.environment import read_config
from holdgate_workers.wiring.site import Site, transport_of

KIND = "test.v1"
ROLE = "pricing"

_INSERT = """
WITH decided AS (
  INSERT INTO journal (request_id, fingerprint, occurrence_id, version, kind, outcome, reply, events, decided_at)
  SELECT gen_random_uuid(), '', 'occ', n, 'hold.place.v1', 'held', '{}', %(events)s, clock_timestamp()
  FROM generate_series(1, %(number)s) AS n RETURNING request_id),
expected AS (
  INSERT INTO follow_ups (request_id, reply_to, correlation_id, wish)
  SELECT request_id, %(reply_to)s, %(correlation_id)s, '{}' FROM decided WHERE %(reply_to)s::text IS NOT NULL)
SELECT request_id::text FROM decided"""


def decide(
    connection: psycopg.Connection[Any],
    number: int = 1,
    *,
    events: str | None = None,
    reply_to: str | None = None,
    correlation_id: str | None = None,
) -> list[str]:
    """Rows in the journal, of requests that expect a second answer if it says where; returns their request ids."""
    values = {"number": number, "events": events, "reply_to": reply_to, "correlation_id": correlation_id}
    return [row[0] for row in connection.execute(_INSERT, values).fetchall()]


def one_each(row: DecidedRow) -> Iterable[NewTask]:
    """A planner: one task for each row, with the request id for its key."""
    return [
        NewTask(
            role=ROLE,
            kind=KIND,
            key=row.request_id,
            payload={"version": row.version},
            reply_to=row.reply_to,
            correlation_id=row.correlation_id,
        )
    ]


class Recorder:
    """Makes handlers that keep the tasks they got and do what `answer` does. Safe to look at from the test's thread."""

    def __init__(self, answer: Callable[[Task], TaskOutcome] = lambda _: Done()) -> None:
        self.answer = answer
        self.tasks: list[Task] = []
        self._changed = threading.Condition()

    def __call__(self) -> dict[str, RecordingHandler]:
        """What a role wants: the handlers of one thread."""
        return {KIND: RecordingHandler(self)}

    def got(self, task: Task) -> TaskOutcome:
        with self._changed:
            self.tasks.append(task)
            self._changed.notify_all()
        return self.answer(task)

    def wait_for(self, number: int) -> list[Task]:
        """Wait until so many calls were made; fails the test otherwise."""
        with self._changed:
            came = self._changed.wait_for(lambda: len(self.tasks) >= number, PATIENCE_SECONDS)
        assert came, f"{len(self.tasks)} calls instead of {number}"
        return self.tasks

    @property
    def keys(self) -> list[str]:
        return [task.key for task in self.tasks]


class RecordingHandler:
    kind = KIND

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def handle(self, task: Task) -> TaskOutcome:
        return self._recorder.got(task)

    def close(self) -> None:
        """Nothing was opened."""


class UnreliableLine:
    """A line of wake-ups that loses, repeats or refuses them as it is told to."""

    def __init__(self, line: WakeupLine) -> None:
        self._line = line
        self.times = 1
        self.is_broken = False
        self.sent: list[Wakeup] = []

    def wake(self, wakeups: Sequence[Wakeup]) -> None:
        if self.is_broken and wakeups:
            raise TransportError("no broker today")
        self.sent += wakeups
        self._line.wake([wakeup for wakeup in wakeups for _ in range(self.times)])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._line, name)


@contextmanager
def site_at(url: str, amqp_url: str | None) -> Iterator[tuple[Site, UnreliableLine]]:
    """A site whose wake-ups are unreliable on demand."""
    from holdgate_workers.adapters.dramatiq.in_process import InProcessWakeups
    from holdgate_workers.adapters.dramatiq.rabbit import RabbitWakeups

    config = read_config(database_url=url, amqp_url=amqp_url)
    with closing(House(url)) as house:
        ours = house.installation()
    inner: WakeupLine = InProcessWakeups() if amqp_url is None else RabbitWakeups(amqp_url, ours)
    line = UnreliableLine(inner)
    transport = transport_of(config, url, 1, ours)
    transport.declare(1)
    with ExitStack() as open_things:
        open_things.callback(inner.close)
        yield Site(config, url, 1, ours, transport, lambda: line), line


class RecordingDesk:
    """A desk that keeps what it was asked, and on which threads."""

    def __init__(self, log: DeskLog) -> None:
        self._log = log
        self.thread = threading.get_ident()
        self.closed_on: int | None = None

    def work(self, task_id: int) -> None:
        assert threading.get_ident() == self.thread
        self._log.note(task_id)
        self._log.answer(task_id)

    def close(self) -> None:
        self.closed_on = threading.get_ident()


class DeskLog:
    """Makes such desks."""

    def __init__(self, answer: Callable[[int], None] = lambda _: None) -> None:
        self.answer = answer
        self.desks: list[RecordingDesk] = []
        self.ids: list[int] = []
        self._changed = threading.Condition()

    def __call__(self) -> RecordingDesk:
        desk = RecordingDesk(self)
        with self._changed:
            self.desks.append(desk)
        return desk

    def note(self, task_id: int) -> None:
        with self._changed:
            self.ids.append(task_id)
            self._changed.notify_all()

    def wait_for(self, number: int) -> list[int]:
        with self._changed:
            came = self._changed.wait_for(lambda: len(self.ids) >= number, PATIENCE_SECONDS)
        assert came, f"{len(self.ids)} calls instead of {number}"
        return self.ids


@contextmanager
def working(
    line: WakeupLine,
    log: DeskLog,
    *,
    role: str = ROLE,
    threads: int = 2,
    registry: CollectorRegistry | None = None,
) -> Iterator[TaskWorker]:
    """A worker that runs."""
    worker = line.worker(role, log, threads=threads, name="test", registry=registry or CollectorRegistry())
    worker.start()
    try:
        yield worker
    finally:
        worker.stop(5.0)
