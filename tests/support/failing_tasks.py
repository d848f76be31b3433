"""Roles of tasks that fail where they are told to: at the rows of tasks, at what they ask of others, in the feeder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from tests.support.failpoints import failpoints

from holdgate_workers.app.ports import Publisher
from holdgate_workers.app.pricing.tasks import PricingHandler
from holdgate_workers.app.tasks.ports import Desk
from holdgate_workers.app.tasks.task_runner import HandlerDesk
from holdgate_workers.app.tasks.tasks import CancelTask, DecidedRow, Handler, NewTask, Planner, Wakeup
from holdgate_workers.roles.feeder import FeederWorker
from holdgate_workers.roles.orders import OrdersRole
from holdgate_workers.roles.tasks import TaskRole
from holdgate_workers.wiring.pricing import pricing_handlers
from holdgate_workers.wiring.site import Site
from holdgate_workers.wiring.tasks import planners


class _Failing:
    """Stands before something, and fails at some of its calls: `claim="Claim"`."""

    def __init__(self, there: Any, **steps: str) -> None:
        self._there, self._steps = there, steps

    def __getattr__(self, name: str) -> Any:
        found, step = getattr(self._there, name), self._steps.get(name)
        return found if step is None else lambda *args: failpoints.around(step, partial(found, *args))


def _failing(there: Any, **steps: str) -> Any:
    return _Failing(there, **steps)


class FailingFeeder(FeederWorker):
    """A feeder that fails: within a transaction in which there is something to plan, and where it wakes others."""

    def __init__(self, site: Site, **fields: Any) -> None:
        self._planned: list[NewTask | CancelTask] = []
        super().__init__(site, [self._failing(planner) for planner in planners(site)], **fields)
        cursor: Any = _FailingCursor(self._feed._cursor, self._planned)
        self._feed._cursor = cursor

    def _failing(self, planner: Planner) -> Planner:
        def plan(row: DecidedRow) -> Sequence[NewTask | CancelTask]:
            wanted = list(planner(row))
            if wanted:
                failpoints.around("Plan", partial(self._planned.extend, wanted))
            return wanted

        return plan

    def _wake(self, wakeups: Sequence[Wakeup], why: str) -> None:
        work = partial(super()._wake, wakeups, why)
        if wakeups:
            failpoints.around("Wake", work)
        else:
            work()


class _FailingCursor(_Failing):
    def __init__(self, there: Any, planned: list[NewTask | CancelTask]) -> None:
        super().__init__(there)
        self._planned = planned

    def advance(self, *args: Any) -> Any:
        work = partial(self._there.advance, *args)
        done = failpoints.around("Advance", work) if self._planned else work()
        self._planned.clear()
        return done


class FailingTasks(TaskRole):
    """A role of tasks that fails where one is claimed and settled."""

    def _desk(self) -> Desk:
        desk = super()._desk()
        assert isinstance(desk, HandlerDesk)
        desk._source = _failing(desk._source, claim="Claim", settle="Settle")
        return desk


class FailingOrdersRole(FailingTasks, OrdersRole):
    """The same for the role `orders`."""


def failing_pricing(site: Site) -> Callable[[], Mapping[str, Handler]]:
    """Handlers of prices that fail at what they ask of others."""
    make = pricing_handlers(site)

    def made() -> Mapping[str, Handler]:
        handlers = make()
        for handler in handlers.values():
            assert isinstance(handler, PricingHandler)
            handler._rows = _failing(handler._rows, look="Look", keep="Keep")
            handler._publisher = _failing(handler._publisher, publish="Publish")
        return handlers

    return made


class NamedTransport:
    """A transport whose publishers say which process is theirs."""

    def __init__(self, transport: Any, process: str) -> None:
        self._transport, self._process = transport, process

    def publisher(self, *, name: str) -> Publisher:
        publisher: Publisher = self._transport.publisher(name=f"{self._process}.{name}")
        return publisher

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
