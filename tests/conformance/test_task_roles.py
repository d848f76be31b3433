"""Feeder and workers together, with RabbitMQ and inside one process: each task is done, whatever its message did."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from prometheus_client import CollectorRegistry
from tests.support.postgres import migrated_database
from tests.support.processes import ROOT
from tests.support.rabbit import PATIENCE_SECONDS, eventually, fresh_vhost, rabbitmqctl, vhost_of
from tests.support.tasks import KIND, ROLE, DeskLog, Recorder, UnreliableLine, decide, one_each, site_at

from holdgate_workers.adapters.postgres.tasks.table import TaskBook
from holdgate_workers.app.tasks.tasks import Again, Dead, Done, Handler, Retries, Task, TaskOutcome
from holdgate_workers.config.environment import read_config
from holdgate_workers.roles.feeder import FeederWorker
from holdgate_workers.roles.process.process import Worker
from holdgate_workers.roles.tasks import TaskRole
from holdgate_workers.wiring.site import Site

pytestmark = pytest.mark.services

RESEND_SECONDS = 0.3
QUICK = {KIND: Retries(attempts_max=3, first_seconds=0.01, cap_seconds=0.02)}


class Ground:
    """A database, a line of wake-ups, and workers on both."""

    def __init__(self, site: Site, line: UnreliableLine, url: str, amqp_url: str | None) -> None:
        self.site = site
        self.line = line
        self.url = url
        self.amqp_url = amqp_url
        self.open_things = ExitStack()
        self.connection = self.open_things.enter_context(psycopg.connect(url, autocommit=True))
        self.book = TaskBook(url)
        self.open_things.callback(self.book.close)

    def role(self, recorder: Recorder, *, name: str = "worker", lease_seconds: float = 60.0) -> TaskRole:
        """A role at work."""
        role = TaskRole(
            self.site,
            ROLE,
            recorder,
            retries=QUICK,
            name=name,
            lease_seconds=lease_seconds,
            resend_seconds=RESEND_SECONDS,
        )
        return self._started(role)

    def feeder(self) -> FeederWorker:
        """A feeder at work."""
        return self._started(FeederWorker(self.site, [one_each], resend_seconds=RESEND_SECONDS))

    def _started(self, worker):  # type: ignore[no-untyped-def]
        worker.start()
        self.open_things.callback(worker.stop)
        eventually(lambda: all(check() is None for check in worker.ready().values()), f"{worker.name} is ready")
        return worker

    def states(self) -> dict[str, str]:
        """The state of each task by its key."""
        return dict(self.connection.execute("SELECT key, state FROM tasks").fetchall())

    def wait_for_states(self, *states: str) -> None:
        """Wait until these are the states of all tasks."""
        eventually(lambda: sorted(self.states().values()) == sorted(states), f"{states}, not {self.states()}")


@contextmanager
def ground_at(amqp_url: str | None) -> Iterator[Ground]:
    with migrated_database() as url, site_at(url, amqp_url) as (site, line):
        ground = Ground(site, line, url, amqp_url)
        with ground.open_things:
            yield ground


@pytest.fixture(scope="module")
def vhost() -> Iterator[str]:
    with fresh_vhost() as url:
        yield url


@pytest.fixture(params=["in_process", "rabbit"])
def ground(request: pytest.FixtureRequest) -> Iterator[Ground]:
    amqp_url = request.getfixturevalue("vhost") if request.param == "rabbit" else None
    with ground_at(amqp_url) as ground:
        yield ground


def metric(worker: Worker, name: str, **labels: str) -> float:
    return worker.metrics.registry.get_sample_value(name, labels) or 0.0


def test_what_follows_from_decisions_is_done_once_each(ground: Ground) -> None:
    recorder = Recorder()
    role, feeder = ground.role(recorder), ground.feeder()
    keys = decide(ground.connection, 100)
    ground.wait_for_states(*["done"] * 100)
    assert sorted(recorder.keys) == sorted(keys)
    assert metric(feeder, "holdgate_tasks_fed_total", kind=KIND) == 100
    assert metric(role, "holdgate_tasks_claimed_total", kind=KIND) == 100
    eventually(lambda: metric(role, "holdgate_tasks_settled_total", kind=KIND, outcome="done") == 100)
    assert metric(role, "holdgate_task_seconds_count", kind=KIND) == 100


def test_a_role_works_at_as_many_tasks_at_once_as_the_setting_says(ground: Ground) -> None:
    """No handler goes on before so many are in one, and no more threads than that have ever been in one."""
    together, threads = threading.Barrier(3), set()

    def meet(_: Task) -> TaskOutcome:
        threads.add(threading.get_ident())
        together.wait(PATIENCE_SECONDS)
        return Done()

    ground.site = replace(ground.site, config=read_config(task_threads=3))
    ground.role(Recorder(meet))
    ground.feeder()
    decide(ground.connection, 30)
    ground.wait_for_states(*["done"] * 30)
    assert len(threads) == 3


def test_a_wakeup_that_is_lost_is_sent_again(ground: Ground) -> None:
    recorder = Recorder()
    ground.role(recorder)
    ground.line.times = 0
    feeder = ground.feeder()
    eventually(lambda: feeder._told)
    [key] = decide(ground.connection)
    eventually(lambda: ground.line.sent)
    ground.line.times = 1
    ground.wait_for_states("done")
    assert recorder.keys == [key]


def test_a_task_whose_wakeup_comes_ten_times_is_done_once(ground: Ground) -> None:
    recorder = Recorder()
    role = ground.role(recorder)
    ground.line.times = 10
    ground.feeder()
    keys = decide(ground.connection, 5)
    ground.wait_for_states(*["done"] * 5)
    labels = {"queue_name": "holdgate.tasks.pricing", "actor_name": "holdgate.work.pricing"}
    eventually(lambda: metric(role, "dramatiq_messages_total", **labels) >= 50, "all messages came")
    assert sorted(recorder.keys) == sorted(keys)


def test_a_handler_that_raises_is_asked_again(ground: Ground) -> None:
    def answer(task: Task) -> TaskOutcome:
        if task.attempts == 1:
            raise ConnectionResetError("by peer")
        return Done()

    recorder = Recorder(answer)
    role = ground.role(recorder)
    ground.feeder()
    decide(ground.connection)
    ground.wait_for_states("done")
    assert [task.last_error for task in recorder.tasks] == [None, "ConnectionResetError: by peer"]
    eventually(lambda: metric(role, "holdgate_tasks_settled_total", kind=KIND, outcome="done") == 1)
    assert metric(role, "holdgate_tasks_settled_total", kind=KIND, outcome="again") == 1


def test_after_its_last_attempt_a_task_is_dead_and_listed_and_a_retry_revives_it(ground: Ground) -> None:
    answers: list[TaskOutcome] = [Again(None, "no room")]
    recorder = Recorder(lambda _: answers[-1])
    ground.role(recorder)
    ground.feeder()
    decide(ground.connection)
    ground.wait_for_states("dead")
    assert len(recorder.tasks) == 3
    [row] = ground.book.find(["dead"], 10)
    assert row.last_error == "given up after 3 attempts: no room"
    answers.append(Done())
    assert ground.book.retry(row.id)
    ground.wait_for_states("done")
    assert len(recorder.tasks) == 4


def test_a_dead_task_stops_no_other(ground: Ground) -> None:
    keys = decide(ground.connection, 10)
    ground.role(Recorder(lambda task: Dead("never") if task.key == keys[0] else Done()))
    ground.feeder()
    ground.wait_for_states("dead", *["done"] * 9)


def test_a_worker_that_hangs_is_overtaken_and_its_late_word_counts_for_nothing(ground: Ground) -> None:
    go_on = threading.Event()

    def hang_at_first(task: Task) -> TaskOutcome:
        if task.attempts > 1:
            return Done()
        go_on.wait(PATIENCE_SECONDS)
        return Dead("the word of a zombie")

    recorder = Recorder(hang_at_first)
    role = ground.role(recorder, lease_seconds=0.5)
    ground.feeder()
    [key] = decide(ground.connection)
    ground.wait_for_states("done")
    go_on.set()
    eventually(lambda: metric(role, "holdgate_tasks_settled_total", kind=KIND, outcome="overtaken") == 1)
    assert ground.states() == {key: "done"}
    assert [task.attempts for task in recorder.tasks] == [1, 2]


def test_a_handler_that_does_not_come_back_fails_the_liveness_check(ground: Ground) -> None:
    go_on = threading.Event()

    def hang(_: Task) -> TaskOutcome:
        go_on.wait(PATIENCE_SECONDS)
        return Done()

    role = ground.role(Recorder(hang), lease_seconds=0.05)
    ground.feeder()
    assert role.alive()["pricing.handlers"]() is None
    decide(ground.connection)
    eventually(lambda: KIND in str(role.alive()["pricing.handlers"]()), "it says which task")
    go_on.set()


def test_a_worker_that_is_killed_in_mid_task_is_taken_over_from(ground: Ground, tmp_path: Path) -> None:
    ground.feeder()
    note = tmp_path / "note"
    with victim(ground, note) as kill:
        [key] = decide(ground.connection)
        eventually(note.exists, "it has the task in hand", 30.0)
        kill()
    recorder = Recorder()
    ground.role(recorder)
    ground.wait_for_states("done")
    assert recorder.keys == [key]
    assert recorder.tasks[0].attempts >= 2


@contextmanager
def victim(ground: Ground, note: Path) -> Iterator[Callable[[], None]]:
    """A worker process that hangs in its first task."""
    environment = {**os.environ, "HOLDGATE_DATABASE_URL": ground.url, "HOLDGATE_METRICS_PORT": "0"}
    environment.pop("HOLDGATE_AMQP_URL", None)
    if ground.amqp_url is not None:
        environment["HOLDGATE_AMQP_URL"] = ground.amqp_url
    command = [sys.executable, "-m", "tests.support.task_main", str(note), "1.0"]
    with (note.parent / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)

    def kill() -> None:
        process.kill()
        process.wait(10)

    try:
        yield kill
    finally:
        kill()


def test_stopping_finishes_what_is_in_hand(ground: Ground) -> None:
    go_on, woke = threading.Event(), threading.Event()

    def slow(_: Task) -> TaskOutcome:
        woke.set()
        go_on.wait(PATIENCE_SECONDS)
        return Done()

    role = ground.role(Recorder(slow))
    ground.feeder()
    decide(ground.connection)
    assert woke.wait(PATIENCE_SECONDS)
    stopper = threading.Thread(target=role.stop)
    stopper.start()
    stopper.join(0.3)
    assert stopper.is_alive()
    go_on.set()
    stopper.join(PATIENCE_SECONDS)
    assert list(ground.states().values()) == ["done"]


def test_a_planner_with_a_fault_makes_the_feeder_unready_and_stops_no_worker(ground: Ground) -> None:
    def broken(_: object) -> list[object]:
        raise ValueError("a fault")

    recorder = Recorder()
    ground.role(recorder)
    feeder = FeederWorker(ground.site, [broken])  # type: ignore[list-item]
    feeder.start()
    try:
        decide(ground.connection)
        eventually(lambda: "a fault" in str(feeder.ready()["round"]()), "it says so")
        assert all(check() is None for check in feeder.alive().values())
    finally:
        feeder.stop()
    ground.feeder()
    ground.wait_for_states("done")


def test_a_broker_that_takes_nothing_does_not_stop_the_feeding(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdgate_workers.roles.feeder.UNREACHABLE_SECONDS", 0.1)
    feeder = ground.feeder()
    eventually(lambda: ground.site.is_embedded or feeder._told)
    ground.line.is_broken = True
    role = ground.site.wakeups.worker(ROLE, DeskLog(), threads=1, name="idle", registry=CollectorRegistry())
    decide(ground.connection)
    eventually(lambda: "no broker today" in str(feeder.ready()["round"]()), "it says so")
    decide(ground.connection, 10)
    eventually(lambda: len(ground.states()) == 11)
    role.stop(1.0)
    ground.line.is_broken = False
    ground.role(Recorder())
    ground.wait_for_states(*["done"] * 11)


def test_handlers_that_cannot_be_made_make_the_role_unready(ground: Ground) -> None:
    def broken() -> dict[str, Handler]:
        raise OSError("no such file")

    ground.feeder()
    role = TaskRole(ground.site, ROLE, broken, resend_seconds=RESEND_SECONDS)
    role.start()
    try:
        decide(ground.connection)
        eventually(lambda: "no such file" in str(role.ready()["pricing.round"]()), "it says so")
    finally:
        role.stop()
    assert list(ground.states().values()) == ["open"]


def test_open_overdue_and_dead_tasks_are_gauges(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdgate_workers.roles.feeder.COUNT_SECONDS", 0.05)
    feeder = ground.feeder()
    labels = {"role": ROLE, "kind": KIND}
    decide(ground.connection, 2)
    eventually(lambda: metric(feeder, "holdgate_tasks_open", **labels) == 2)
    eventually(lambda: metric(feeder, "holdgate_tasks_overdue", **labels) == 2)
    assert metric(feeder, "holdgate_tasks_oldest_seconds", **labels) > 0
    ground.connection.execute(
        "UPDATE tasks SET state = 'dead', ended_at = now() WHERE id = (SELECT min(id) FROM tasks)"
    )
    eventually(lambda: metric(feeder, "holdgate_tasks_dead", **labels) == 1)
    ground.connection.execute("DELETE FROM tasks")
    eventually(lambda: metric(feeder, "holdgate_tasks_dead", **labels) == 0)


def test_no_more_wakeups_are_sent_than_the_queue_may_hold(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """A role that is down for a day must not fill the broker: its tasks wait in the table."""
    monkeypatch.setattr("holdgate_workers.roles.feeder.WAITING_MAX", 20)
    # It is there, but it does not run.
    ground.site.wakeups.worker("orders", DeskLog(), threads=1, name="idle", registry=CollectorRegistry())
    ground.connection.execute("""
        INSERT INTO tasks (role, kind, key, payload, state, due_at, wake_at)
        SELECT 'orders', 'k', n::text, '{}', 'open', now(), now() FROM generate_series(1, 100) AS n""")
    feeder = ground.feeder()
    eventually(lambda: ground.site.wakeups.waiting("orders") == 20)
    feeder._reconcile_at = 0.0
    decide(ground.connection)
    eventually(lambda: len(ground.states()) == 101, "the feeder has had another round")
    assert ground.site.wakeups.waiting("orders") == 20
    assert metric(feeder, "holdgate_task_wakeups_sent_total", role="orders", why="overdue") == 20


def test_without_rabbitmq_a_worker_in_another_process_looks_for_itself() -> None:
    with ground_at(None) as ground, site_at(ground.url, None) as (elsewhere, _):
        ground.feeder()
        recorder = Recorder()
        role = TaskRole(elsewhere, ROLE, recorder, name="elsewhere")
        role.start()
        try:
            [key] = decide(ground.connection)
            ground.wait_for_states("done")
        finally:
            role.stop()
        assert recorder.keys == [key]
        assert ground.line.sent == []


def test_a_worker_whose_connections_are_cut_comes_back(vhost: str) -> None:
    with ground_at(vhost) as ground:
        recorder = Recorder()
        role = ground.role(recorder)
        ground.feeder()
        decide(ground.connection)
        ground.wait_for_states("done")
        rabbitmqctl("close_all_connections", "--vhost", vhost_of(vhost), "for a test")
        eventually(lambda: any(check() for check in role.ready().values()), "it notices")
        decide(ground.connection, 3)
        ground.wait_for_states(*["done"] * 4)
        eventually(lambda: all(check() is None for check in role.ready().values()), "it is ready again")
