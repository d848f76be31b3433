"""Carts in memory: the real decisions, the real planner and the real protocol, around a queue for each occurrence, a
table of tasks, and workers that stop wherever a test likes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from tests.support.domain import House, a_put

from holdgate_schema.answers.holds import Answer, HoldState, Refused
from holdgate_schema.codec import decode_command
from holdgate_schema.commands.holds import Command, type_name
from holdgate_schema.commands.selling import CartLeg, PlaceCart, SettleCart
from holdgate_schema.events.holds import HoldReleased
from holdgate_schema.events.selling import CartBegun, CartSettled
from holdgate_workers.app.carts import next_step as carts
from holdgate_workers.app.carts import protocol as cart_saga
from holdgate_workers.app.carts.next_step import Answered, Verdict
from holdgate_workers.app.carts.protocol import (
    RECONCILE,
    Advanced,
    CartEffect,
    Look,
    LookAt,
    Send,
    Show,
    WriteVerdict,
    cart_tasks,
)
from holdgate_workers.app.seals import Seals
from holdgate_workers.app.tasks.tasks import CancelTask, DecidedRow, NewTask

SEALS = Seals(b"a secret that only this test house has")
TaskName = tuple[str, str]


def a_cart(name: str, *occurrence_ids: str, seats: int = 1, **fields: Any) -> PlaceCart:
    """A cart of one basket each, in the buyer's order; the name makes its id and its session."""
    return PlaceCart(
        request_id=str(uuid5(NAMESPACE_OID, name)),
        occurrence_id=occurrence_ids[0],
        legs=[CartLeg(occurrence_id=key, items={"adult": seats}) for key in occurrence_ids],
        **({"session_id": name} | fields),
    )


@dataclass
class Run:
    """A worker with a task in hand, on the brink of its next effect."""

    task: TaskName
    protocol: Generator[CartEffect, Any, Advanced]
    effect: CartEffect


@dataclass
class CartWorld:
    """A house with a few occurrences. Nothing moves by itself."""

    house: House = field(default_factory=House)
    queues: dict[str, deque[Command]] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    """The journal: request -> its first answer."""
    begun: dict[str, CartBegun] = field(default_factory=dict)
    settled: dict[str, list[Answer]] = field(default_factory=dict)
    tasks: dict[TaskName, str] = field(default_factory=dict)
    """Kind and key -> open, done or cancelled."""
    cart_ids: dict[TaskName, str] = field(default_factory=dict)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    shown: dict[str, tuple[str, Mapping[str, str]]] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)

    @classmethod
    def with_seats(cls, **seats: int) -> CartWorld:
        """Occurrences by their names, with so many seats each."""
        world = cls()
        for key, capacity in seats.items():
            world.house.put(a_put(key, capacity=capacity))
            world.queues[key] = deque()
        return world

    # --- the gate -------------------------------------------------------------------------------------------------

    def ask(self, command: Command) -> None:
        """Put a request into its occurrence's queue."""
        self.queues[command.occurrence_id].append(command)

    def deliver(self, occurrence_id: str) -> None:
        """Have the first request of a queue decided, recorded, and what follows from it planned. Once per request."""
        command = self.queues[occurrence_id].popleft()
        if command.request_id in self.answers:
            return
        if isinstance(command, SettleCart) and command.outcome == "refused":
            left = self.holds_of(command.answers, "active")
            assert not left, f"cart {command.answers} is told to be refused and still has {left}"
        told = len(self.house.events)
        answer = self.house.send(command)
        self.answers[command.request_id] = answer
        events = self.house.events[told:]
        for event in events:
            if isinstance(event, CartBegun):
                self.begun[event.cart_id] = event
            elif isinstance(event, CartSettled):
                self.settled.setdefault(event.cart_id, []).append(answer)
        self._plan(command, answer, events)

    def _plan(self, command: Command, answer: Answer, events: Iterable[Any]) -> None:
        row = DecidedRow(
            request_id=command.request_id,
            kind=type_name(command),
            outcome=str(answer.__struct_config__.tag),
            occurrence_id=command.occurrence_id,
            version=answer.version,
            session_id=None,
            hold_id=getattr(command, "hold_id", None),
            events=tuple(events),
            decided_at=answer.decided_at,
        )
        for wanted in cart_tasks(row):
            name = (wanted.kind, wanted.key)
            if isinstance(wanted, CancelTask):
                if self.tasks.get(name) == "open":
                    self.tasks[name] = "cancelled"
            else:
                self._add(name, wanted)

    def _add(self, name: TaskName, task: NewTask) -> None:
        if name not in self.tasks:
            self.tasks[name] = "open"
            self.cart_ids[name] = task.payload["cart_id"]

    # --- the workers ----------------------------------------------------------------------------------------------

    def open_tasks(self) -> list[TaskName]:
        """What may be taken in hand; also what a worker has in hand that was given up for dead."""
        return [name for name, state in self.tasks.items() if state == "open"]

    def start(self, task: TaskName) -> Run:
        """A worker takes a task in hand."""
        protocol = cart_saga.advance(self.cart_ids[task], SEALS)
        run = Run(task, protocol, next(protocol))
        self.runs.append(run)
        return run

    def step(self, run: Run) -> None:
        """A worker does its next effect, and gets to the one after."""
        try:
            run.effect = run.protocol.send(self.perform(run.effect))
        except StopIteration as end:
            self.runs.remove(run)
            self._finish(run.task, end.value)

    def crash(self, run: Run, *, sent: int | None = None) -> None:
        """A worker dies before its effect, or, if that is to send, after so many of the messages. Its task stays."""
        if sent is not None and isinstance(run.effect, Send):
            self._send(run.effect, sent)
        run.protocol.close()
        self.runs.remove(run)

    def _finish(self, task: TaskName, advanced: Advanced) -> None:
        assert advanced.is_known
        is_over = advanced.problem is None and (task[0] != RECONCILE or advanced.is_settled)
        if is_over and self.tasks[task] == "open":
            self.tasks[task] = "done"

    def perform(self, effect: CartEffect) -> Any:
        """Do one thing that the protocol asks for."""
        match effect:
            case LookAt(cart_id):
                return self.look(cart_id)
            case WriteVerdict(cart, verdict):
                return self.verdicts.setdefault(cart.id, verdict)
            case Show(cart, state, legs):
                if self.shown.get(cart.id, ("placing", {}))[0] == "placing":
                    self.shown[cart.id] = state, legs
                return None
            case Send(messages):
                self._send(effect, len(messages))
                return None

    def _send(self, effect: Send, number: int) -> None:
        for message in effect.messages[:number]:
            command, _ = decode_command(message.body)
            assert SEALS.is_sealed(message.body, message.properties.headers["holdgate-seal"])
            self.ask(command)

    # --- looking --------------------------------------------------------------------------------------------------

    def look(self, cart_id: str) -> Look | None:
        """As the rows would say it."""
        begun = self.begun.get(cart_id)
        if begun is None:
            return None
        cart = carts.cart_of(begun, reply_to=None, correlation_id=None, verdict=self.verdicts.get(cart_id))
        return Look(
            cart, carts.seen_of(cart, {key: _answered(found) for key, found in self.answers.items()}, self.holds())
        )

    def holds(self) -> dict[str, HoldState]:
        """Every hold there ever was, and its state."""
        live = {hold.id: hold.state for item in self.house.occurrences.values() for hold in item.holds.values()}
        return {**{hold.id: hold.state for hold in self.house.ended.values()}, **live}

    def holds_of(self, cart_id: str, state: HoldState) -> list[str]:
        """The cart's holds in this state, by their occurrences."""
        every = [*self.house.ended.values()]
        every += [hold for item in self.house.occurrences.values() for hold in item.holds.values()]
        return sorted(hold.occurrence_id for hold in every if hold.cart_id == cart_id and hold.state == state)

    def given_back(self, cart_id: str) -> list[str]:
        """The occurrences on which one of the cart's holds was released to make up for another leg."""
        return [
            event.occurrence_id
            for event in self.house.events
            if isinstance(event, HoldReleased) and event.reason == "compensation" and event.hold.cart_id == cart_id
        ]

    # --- to the end -----------------------------------------------------------------------------------------------

    def run_to_the_end(self, turns_max: int = 200) -> None:
        """Nothing breaks any more: everything is delivered and done, reconciling tasks included, until all is quiet."""
        for _ in range(turns_max):
            while self.runs:
                self.step(self.runs[0])
            for key, queue in self.queues.items():
                while queue:
                    self.deliver(key)
            tasks = self.open_tasks()
            if not tasks:
                return
            for task in tasks:
                self.start(task)
        raise AssertionError(f"no end in sight: {self.open_tasks()}")


def _answered(answer: Answer) -> Answered:
    refused = answer if isinstance(answer, Refused) else None
    return Answered(
        str(answer.__struct_config__.tag),
        refused.reason.value if refused else "",
        refused.message if refused else "",
    )
