"""Does what the conversion saga asks for: rows, shop and gate are ports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, assert_never

from holdgate_workers.app.ports import Publisher
from holdgate_workers.app.seals import Seals
from holdgate_workers.app.tasks.tasks import Again, Dead, Done, Retries, Task, TaskOutcome

from .facts import CHANGING, Call, Cancel, Create, Find, Get, Refund, Result, Terms
from .orders import OrderGateway, Unavailable
from .protocol import (
    AskShop,
    Begin,
    Look,
    LookAt,
    Looked,
    Record,
    Recorded,
    SagaEffect,
    Send,
    errand_of,
    look_after,
)
from .tasks import CONVERTING_SECONDS, ORDER_KINDS, WATCH

CONFIRM_SECONDS = 10.0
CLOSE_SECONDS = 2.0
LATE_SECONDS = 5.0
"""Whoever comes to the shop so long after it was written down (its process stood still) does not ask any more: by then
somebody else may have taken over."""

CLAIMS = Retries(attempts_max=1_000_000)
"""How often the shop is asked stands in the saga, and its end is the booking's; a task is claimed in vain any number
of times while the shop is down."""
ORDER_RETRIES = dict.fromkeys(ORDER_KINDS, CLAIMS)


class SagaRows(Protocol):
    """The rows of sagas. Not thread-safe; every call may raise, and then nothing was changed or all of it."""

    def look(self, booking_id: str) -> Look | None:
        """What is true of a booking; None if there is none."""

    def begin(self, effect: Begin) -> Recorded | None:
        """Write down that a call begins; None if somebody else has written meanwhile."""

    def record(self, effect: Record) -> Recorded | None:
        """Write down what came of it; None if somebody else has written meanwhile."""

    def close(self) -> None:
        """Close the connection. Idempotent."""


class OrderObserver(Protocol):
    """What wants to know how it goes. Must not raise."""

    def asked(self, call: str, result: str, seconds: float) -> None:
        """The shop was asked."""

    def settled(self, outcome: str) -> None:
        """The gate was told how a conversion ended; the same may be told again."""


class OrderHandler:
    """`app.tasks.tasks.Handler` of the kinds in `ORDER_KINDS`: one of them each."""

    def __init__(
        self,
        kind: str,
        rows: SagaRows,
        gateway: OrderGateway,
        publisher: Publisher,
        seals: Seals,
        terms: Terms,
        *,
        elapsed_seconds: Callable[[], float],
        draw: Callable[[], float],
        observer: OrderObserver,
    ) -> None:
        assert kind in ORDER_KINDS, kind
        self.kind = kind
        self._rows = rows
        self._gateway = gateway
        self._publisher = publisher
        self._seals = seals
        self._terms = terms
        self._elapsed_seconds = elapsed_seconds
        self._draw = draw
        self._observer = observer
        self._begun_at = 0.0

    def handle(self, task: Task) -> TaskOutcome:
        """Look at the booking once."""
        looked = self._look_after(task)
        if looked.stuck:
            # Whoever looks once more says it no second time.
            is_again = (self.kind == WATCH or task.payload.get("is_late")) and not looked.is_new
            return Done() if is_again else Dead(looked.stuck)
        if looked.again_seconds is not None:
            return Again(looked.again_seconds, looked.why)
        if self.kind == WATCH and looked.state == "converting":
            return Again(CONVERTING_SECONDS, "the conversion has not come to its end")
        return Done()

    def close(self) -> None:
        """Close what belongs to this thread; the gateway is shared."""
        self._rows.close()
        self._publisher.close(CLOSE_SECONDS)

    def perform(self, effect: SagaEffect) -> Any:
        """Do one thing that the saga asks for."""
        match effect:
            case LookAt(booking_id):
                return self._rows.look(booking_id)
            case Begin():
                self._begun_at = self._elapsed_seconds()
                return self._rows.begin(effect)
            case AskShop(call):
                return self._ask(call)
            case Record():
                return self._rows.record(effect)
            case Send(messages, about):
                problems = self._publisher.publish(messages).wait(CONFIRM_SECONDS)
                if about and not problems:
                    self._observer.settled(about)
                return "; ".join(f"{problem.kind}: {problem.detail}" for problem in problems) or None

    def _look_after(self, task: Task) -> Looked:
        saga = look_after(errand_of(task), self._terms, self._seals, self._draw())
        answer = None
        while True:
            try:
                effect = saga.send(answer)
            except StopIteration as end:
                looked: Looked = end.value
                return looked
            answer = self.perform(effect)

    def _ask(self, call: Call) -> Result:
        started = self._elapsed_seconds()
        if isinstance(call, CHANGING) and started - self._begun_at > LATE_SECONDS:
            return Unavailable("this process stood still for too long; it is begun anew")
        result = self._asked(call)
        name, came = type(call).__name__.lower(), type(result).__name__.lower()
        self._observer.asked(name, came, self._elapsed_seconds() - started)
        return result

    def _asked(self, call: Call) -> Result:
        match call:
            case Create(order, sent_before):
                return self._gateway.create(order, sent_before=sent_before)
            case Find(reference):
                return self._gateway.find(reference)
            case Get(order_id):
                return self._gateway.get(order_id)
            case Cancel(order_id, reason):
                return self._gateway.cancel(order_id, reason)
            case Refund(order_id, refund):
                return self._gateway.refund(order_id, refund)
            case other:
                assert_never(other)
