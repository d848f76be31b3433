"""Carts: looking at one, doing what comes next, and what makes somebody look.

Every task says only "look at this cart". What is true is read from the rows each time, so a task that comes twice, late
or out of order does no harm, and whoever goes on after a crash needs to know nothing.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from holdgate_schema.commands.holds import type_name
from holdgate_schema.commands.selling import ReleaseCartLeg
from holdgate_schema.events.holds import HoldCreated, HoldExpired, HoldReleased
from holdgate_schema.events.selling import CartBegun, CartLegRefused, CartSettled
from holdgate_workers.app.ports import Outgoing, Publisher
from holdgate_workers.app.seals import Seals, internal_message
from holdgate_workers.app.tasks.tasks import (
    ORDERS,
    Again,
    CancelTask,
    Dead,
    DecidedRow,
    Done,
    NewTask,
    Retries,
    Task,
    TaskOutcome,
)

from .next_step import (
    Cart,
    CartState,
    Ended,
    GiveBack,
    Internal,
    Judge,
    Seen,
    Settle,
    TakeLeg,
    Verdict,
    commands,
    next_step,
    progress,
    settle_id_of,
)

ADVANCE = "cart.advance"
RECONCILE = "cart.reconcile"
RECONCILE_AFTER_SECONDS = 30.0
RECONCILE_RETRIES = Retries(attempts_max=300, first_seconds=30.0, cap_seconds=300.0)
"""For about a day. By then the holds of a cart that cannot be settled have long expired."""
CONFIRM_SECONDS = 10.0
"""Well within a task's lease."""
CLOSE_SECONDS = 2.0


# --- who looks when ---------------------------------------------------------------------------------------------


def cart_tasks(row: DecidedRow) -> Iterable[NewTask | CancelTask]:
    """The planner: a look after each decision about a cart, and looks from time to time until it is settled."""
    for event in row.events:
        match event:
            case CartBegun(cart_id=cart_id):
                yield _look(cart_id, cart_id)
                due_at = row.decided_at + timedelta(seconds=RECONCILE_AFTER_SECONDS)
                yield NewTask(
                    role=ORDERS, kind=RECONCILE, key=cart_id, payload={"cart_id": cart_id}, due_at=due_at
                )
            case CartSettled(cart_id=cart_id):
                yield CancelTask(RECONCILE, cart_id)
                yield _look(cart_id, f"{cart_id}/{row.request_id}")
            case HoldCreated(hold=hold) if hold.cart_id is not None:
                yield _look(hold.cart_id, f"{hold.cart_id}/{row.request_id}")
            case CartLegRefused(cart_id=cart_id):
                yield _look(cart_id, f"{cart_id}/{row.request_id}")
            case HoldReleased(hold=hold) | HoldExpired(hold=hold) if _is_given_back(row, hold.hold_id):
                yield _look(str(hold.cart_id), f"{hold.cart_id}/{row.request_id}")


def _is_given_back(row: DecidedRow, hold_id: str) -> bool:
    """Whether a cart's own release ended the hold; how it ends once the cart is settled is nobody's business here."""
    return row.kind == type_name(ReleaseCartLeg) and row.hold_id == hold_id


def _look(cart_id: str, key: str) -> NewTask:
    return NewTask(role=ORDERS, kind=ADVANCE, key=key, payload={"cart_id": cart_id})


# --- the protocol -----------------------------------------------------------------------------------------------


class LookAt(Struct, frozen=True, gc=False):
    """Read what is true of a cart. Answered by `Look`, or None if the journal has no such cart."""

    cart_id: str


class Look(Struct, frozen=True, gc=False):
    """A cart and what has become of it."""

    cart: Cart
    seen: Seen


class WriteVerdict(Struct, frozen=True, gc=False):
    """Write down how a cart ends, unless it is written already. Answered by the `Verdict` that stands."""

    cart: Cart
    verdict: Verdict


class Show(Struct, frozen=True, gc=False):
    """Write down how far a cart has come, for whoever looks. Answered by nothing."""

    cart: Cart
    state: CartState
    legs: Mapping[str, str]


class Send(Struct, frozen=True, gc=False):
    """Publish commands and wait for the confirms. Answered by None, or by what went wrong: some may have gone."""

    messages: Sequence[Outgoing]


CartEffect = LookAt | WriteVerdict | Show | Send


class Advanced(Struct, frozen=True, gc=False):
    """What a look came to. `problem` is set if it has to be repeated, whatever else happens."""

    is_settled: bool = False
    is_known: bool = True
    waits_for: str = ""
    problem: str | None = None


def advance(cart_id: str, seals: Seals) -> Generator[CartEffect, Any, Advanced]:
    """Look at a cart once and do what comes next. May be done at any time, by several at once, and be cut off
    anywhere."""
    look: Look | None = yield LookAt(cart_id)
    if look is None:
        return Advanced(is_known=False)
    cart, seen = look.cart, look.seen
    step = next_step(cart, seen)
    if isinstance(step, Judge):
        verdict: Verdict = yield WriteVerdict(cart, step.verdict)
        cart = replace(cart, verdict=verdict)
        step = next_step(cart, seen)
    assert not isinstance(step, Judge), "a verdict was written and is not seen"
    yield Show(cart, step.verdict.outcome if isinstance(step, Ended) else "placing", progress(cart, seen))
    if isinstance(step, Ended):
        return Advanced(is_settled=True)
    problem: str | None = yield Send([_message(cart, command, seals) for command in commands(cart, step)])
    return Advanced(waits_for=_awaited(step), problem=problem)


def _message(cart: Cart, command: Internal, seals: Seals) -> Outgoing:
    """Only the last answer goes to the buyer."""
    if command.request_id != settle_id_of(cart.id):
        return internal_message(command, seals)
    return internal_message(command, seals, reply_to=cart.reply_to, correlation_id=cart.correlation_id)


def _awaited(step: TakeLeg | GiveBack | Settle) -> str:
    match step:
        case TakeLeg(leg):
            return f"waits for the hold on {leg.occurrence_id!r}"
        case GiveBack(legs):
            return f"waits for the release of {', '.join(repr(leg.occurrence_id) for leg in legs)}"
        case Settle():
            return "waits to be settled"


# --- the handler ------------------------------------------------------------------------------------------------


class CartRows(Protocol):
    """The rows of carts. Not thread-safe; every call may raise, and then nothing was changed or all of it."""

    def look(self, cart_id: str) -> Look | None:
        """What is true of a cart; None if the journal has no such cart."""

    def write_verdict(self, cart: Cart, verdict: Verdict) -> Verdict:
        """Write down how it ends; the first word stands, and is returned."""

    def show(self, cart: Cart, state: CartState, legs: Mapping[str, str]) -> None:
        """Write down how far it has come. What has ended is not changed any more."""

    def close(self) -> None:
        """Close the connection. Idempotent."""


class CartHandler:
    """`app.tasks.tasks.Handler` of the kinds `cart.advance` and `cart.reconcile`: one of them each."""

    def __init__(self, kind: str, rows: CartRows, publisher: Publisher, seals: Seals) -> None:
        assert kind in (ADVANCE, RECONCILE), kind
        self.kind = kind
        self._rows = rows
        self._publisher = publisher
        self._seals = seals

    def handle(self, task: Task) -> TaskOutcome:
        """Look at the cart once; a reconciling task goes on until the cart is settled."""
        advanced = self._advance(task.payload["cart_id"])
        if not advanced.is_known:
            return Dead("the journal has no such cart")
        if advanced.problem is not None:
            return Again(None, advanced.problem)
        if self.kind == RECONCILE and not advanced.is_settled:
            return Again(None, advanced.waits_for)
        return Done()

    def close(self) -> None:
        """Close the rows and the publisher, which belong to this thread."""
        self._rows.close()
        self._publisher.close(CLOSE_SECONDS)

    def perform(self, effect: CartEffect) -> Any:
        """Do one thing that the protocol asks for."""
        match effect:
            case LookAt(cart_id):
                return self._rows.look(cart_id)
            case WriteVerdict(cart, verdict):
                return self._rows.write_verdict(cart, verdict)
            case Show(cart, state, legs):
                return self._rows.show(cart, state, legs)
            case Send(messages):
                problems = self._publisher.publish(messages).wait(CONFIRM_SECONDS)
                return "; ".join(f"{problem.kind}: {problem.detail}" for problem in problems) or None

    def _advance(self, cart_id: str) -> Advanced:
        protocol = advance(cart_id, self._seals)
        answer = None
        while True:
            try:
                effect = protocol.send(answer)
            except StopIteration as end:
                advanced: Advanced = end.value
                return advanced
            answer = self.perform(effect)
