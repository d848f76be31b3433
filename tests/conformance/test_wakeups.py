"""Waking workers up, with RabbitMQ and inside one process: nothing is invented, and every thread has its own desk."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry
from tests.support.rabbit import PATIENCE_SECONDS, channel, eventually, fresh_vhost
from tests.support.tasks import ROLE, DeskLog, working

from holdgate_schema.topology import task_queues
from holdgate_workers.adapters.dramatiq.in_process import InProcessWakeups
from holdgate_workers.adapters.dramatiq.rabbit import RabbitWakeups
from holdgate_workers.adapters.rabbit.topology import declare
from holdgate_workers.app.tasks.ports import WakeupLine
from holdgate_workers.app.tasks.tasks import Wakeup

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def vhost() -> Iterator[str]:
    with fresh_vhost() as url:
        yield url


@pytest.fixture(params=["in_process", "rabbit"])
def line(request: pytest.FixtureRequest) -> Iterator[WakeupLine]:
    if request.param == "in_process":
        yield InProcessWakeups()
        return
    url = request.getfixturevalue("vhost")
    declare(url, 1)
    line = RabbitWakeups(url)
    yield line
    line.close()
    with channel(url) as raw:
        for queue in task_queues():
            raw.queue_delete(queue.name)


def wake(line: WakeupLine, *task_ids: int, role: str = ROLE) -> None:
    line.wake([Wakeup(role, task_id) for task_id in task_ids])


def test_each_wakeup_comes_to_a_desk(line: WakeupLine) -> None:
    log = DeskLog()
    with working(line, log):
        wake(line, *range(1, 51))
        assert sorted(log.wait_for(50)) == list(range(1, 51))


def test_a_repeated_wakeup_comes_again(line: WakeupLine) -> None:
    """It is the table that makes sure that a task is done once."""
    log = DeskLog()
    with working(line, log):
        wake(line, 7, 7, 7)
        assert log.wait_for(3) == [7, 7, 7]


def test_roles_do_not_get_one_anothers_wakeups(line: WakeupLine) -> None:
    pricing, orders = DeskLog(), DeskLog()
    with working(line, pricing), working(line, orders, role="orders"):
        wake(line, 1, 2)
        wake(line, 3, role="orders")
        assert sorted(pricing.wait_for(2)) == [1, 2]
        assert orders.wait_for(1) == [3]
        wake(line, 4)
        assert sorted(pricing.wait_for(3)) == [1, 2, 4]
    assert orders.ids == [3]


def test_each_thread_makes_its_own_desk_and_closes_it(line: WakeupLine) -> None:
    both = threading.Barrier(2)
    log = DeskLog(lambda _: void(both.wait(PATIENCE_SECONDS)))
    with working(line, log):
        wake(line, 1, 2)
        log.wait_for(2)
    assert len({desk.thread for desk in log.desks}) == len(log.desks) == 2
    assert all(desk.closed_on == desk.thread for desk in log.desks)


def void(_: object) -> None:
    """For a lambda that returns nothing."""


def test_a_desk_that_raises_does_not_stop_its_thread(line: WakeupLine) -> None:
    def answer(task_id: int) -> None:
        if task_id == 1:
            raise RuntimeError("broken")

    log = DeskLog(answer)
    with working(line, log, threads=1):
        wake(line, 1, 2)
        assert log.wait_for(2) == [1, 2]


def test_stopping_waits_for_what_is_in_hand(line: WakeupLine) -> None:
    go_on, finished = threading.Event(), threading.Event()

    def answer(_: int) -> None:
        go_on.wait(PATIENCE_SECONDS)
        finished.set()

    log = DeskLog(answer)
    with working(line, log) as worker:
        wake(line, 1)
        log.wait_for(1)
        stopper = threading.Thread(target=worker.stop, args=(PATIENCE_SECONDS,))
        stopper.start()
        go_on.set()
        stopper.join(PATIENCE_SECONDS)
        assert finished.is_set()
        assert not stopper.is_alive()


def test_stopping_does_not_wait_for_ever(line: WakeupLine) -> None:
    go_on, finished = threading.Event(), threading.Event()

    def answer(_: int) -> None:
        go_on.wait()
        finished.set()

    log = DeskLog(answer)
    with working(line, log) as worker:
        wake(line, 1)
        log.wait_for(1)
        worker.stop(0.2)
        assert not finished.is_set()
        go_on.set()
        assert finished.wait(PATIENCE_SECONDS)


def test_what_waits_is_counted(line: WakeupLine) -> None:
    log = DeskLog()
    worker = line.worker(ROLE, log, threads=1, name="test", registry=CollectorRegistry())
    wake(line, 1, 2, 3)
    assert line.waiting(ROLE) == 3
    assert ROLE in line.reachable()
    worker.start()
    log.wait_for(3)
    eventually(lambda: line.waiting(ROLE) == 0)
    worker.stop(5.0)


def test_a_worker_says_whether_anything_can_come_in(line: WakeupLine) -> None:
    worker = line.worker(ROLE, DeskLog(), threads=1, name="test", registry=CollectorRegistry())
    assert worker.problem()
    worker.start()
    eventually(lambda: worker.problem() is None)
    worker.stop(5.0)
    worker.stop(5.0)
    assert worker.problem()


def test_dramatiqs_own_metrics_are_in_our_registry(line: WakeupLine) -> None:
    registry = CollectorRegistry()

    def answer(task_id: int) -> None:
        if task_id == 2:
            raise RuntimeError("broken")

    labels = {"queue_name": "holdgate.tasks.pricing", "actor_name": "holdgate.work.pricing"}
    with working(line, DeskLog(answer), registry=registry):
        wake(line, 1, 2, 3)
        eventually(lambda: registry.get_sample_value("dramatiq_messages_total", labels) == 3)
        assert registry.get_sample_value("dramatiq_message_errors_total", labels) == 1
        assert registry.get_sample_value("dramatiq_messages_inprogress", labels) == 0
        assert registry.get_sample_value("dramatiq_message_duration_milliseconds_count", labels) == 3
