"""dramatiq's worker inside our process: its threads, each with a desk of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import dramatiq
from dramatiq.worker import ConsumerThread, WorkerThread

from holdgate_schema.topology import tasks_queue
from holdgate_workers.app.tasks.ports import Desk, DeskMaker

_log = logging.getLogger(__name__)

WAKE_MILLISECONDS = 200
"""How long dramatiq's threads wait at most before they look whether they are to stop."""


queue_name = tasks_queue


def actor_name(role: str) -> str:
    """What a wake-up calls for."""
    return f"holdgate.work.{role}"


def wakeup(role: str, task_id: int) -> dramatiq.Message[None]:
    """A message that tells of a task."""
    return dramatiq.Message(
        queue_name=queue_name(role), actor_name=actor_name(role), args=(task_id,), kwargs={}, options={}
    )


class _Desks(dramatiq.Middleware):
    """Gives each worker thread its desk, and closes it on that same thread."""

    def __init__(self, make: DeskMaker) -> None:
        self._make = make
        self._here = threading.local()

    def work(self, task_id: int) -> None:
        """What the actor does."""
        desk: Desk | None = getattr(self._here, "desk", None)
        if desk is None:
            desk = self._here.desk = self._make()
        desk.work(task_id)

    def before_worker_thread_shutdown(self, broker: dramatiq.Broker, thread: WorkerThread) -> None:  # noqa: ARG002
        """The thread's last word."""
        desk: Desk | None = getattr(self._here, "desk", None)
        if desk is not None:
            desk.close()


class DramatiqWorker:
    """`app.tasks.ports.TaskWorker`: takes one role's wake-ups from a broker that belongs to it alone."""

    def __init__(
        self,
        broker: dramatiq.Broker,
        role: str,
        desks: DeskMaker,
        *,
        threads: int,
        is_connected: Callable[[ConsumerThread | None], bool],
        on_stopped: Callable[[], None],
    ) -> None:
        self._role = role
        self._is_connected = is_connected
        self._on_stopped = on_stopped
        middleware = _Desks(desks)
        broker.add_middleware(middleware)

        def work(task_id: int) -> None:
            middleware.work(task_id)

        dramatiq.actor(actor_name=actor_name(role), queue_name=queue_name(role), broker=broker)(work)
        self._worker = dramatiq.Worker(broker, worker_timeout=WAKE_MILLISECONDS, worker_threads=threads)
        self._is_running = False

    def start(self) -> None:
        """Begin. Returns at once; dramatiq's consumers connect by themselves, every 3 s again if they must."""
        self._is_running = True
        self._worker.start()

    def stop(self, timeout_seconds: float) -> None:
        """Take nothing new, and wait so long for what is in hand. Idempotent."""
        if not self._is_running:
            return
        self._is_running = False
        self._worker.stop(int(timeout_seconds * 1000))
        self._on_stopped()

    def problem(self) -> str | None:
        """Why nothing comes in."""
        if not self._is_running:
            return "the worker does not run"
        if not self._is_connected(self._worker.consumers.get(queue_name(self._role))):
            return f"no connection to the queue {queue_name(self._role)}"
        return None
