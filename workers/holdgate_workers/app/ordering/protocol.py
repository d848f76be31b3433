"""The orders worker: how it looks at a booking and does what comes next.

Every task says only "look at this booking". What is true is read each time (`booking_saga.next_step`), so a task that
comes twice, late or out of order does no harm, and whoever goes on after a crash needs to know nothing else.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from holdgate_schema.commands.selling import Customer as Buyer
from holdgate_schema.values.quotes import Quote, is_intact
from holdgate_workers.app.ports import Outgoing
from holdgate_workers.app.seals import Seals, internal_message
from holdgate_workers.app.tasks.tasks import Task
from holdgate_workers.domain.bookings.booking import Booking

from .facts import CHANGING, Call, Facts, Result, Run, Saga, Terms, reference_of
from .next_step import Ask, Decide, Ended, Stuck, Tell, Wait, next_step
from .order_building import order_of
from .orders import Customer, InvalidOrder, NewOrder, Payment
from .results import after, begun, words
from .tasks import CREATE, WATCH

SOON_SECONDS = 5.0
"""Somebody else is at the same booking."""
STEPS_MAX = 12
"""So many in one look, which ends well within a task's lease; the next look goes on."""


# --- the protocol -------------------------------------------------------------------------------------------------


class Recorded(Struct, frozen=True, kw_only=True, gc=False):
    """The saga as it is written down, and the database's time. `rev` 0: nothing is yet."""

    saga: Saga
    now: datetime
    rev: int = 0
    begun_at: datetime | None = None
    quiet_until: datetime | None = None


class Look(Struct, frozen=True, kw_only=True, gc=False):
    """What is true of a booking. `quote` is None if it is not stored; `over_at`: when the occurrence ends."""

    booking: Booking
    hold_state: str | None
    recorded: Recorded
    buyer: Buyer | None = None
    quote: Quote | None = None
    over_at: datetime | None = None


class LookAt(Struct, frozen=True, gc=False):
    """Read what is true. Answered by `Look`, or None if there is no such booking."""

    booking_id: str


class Begin(Struct, frozen=True, gc=False):
    """Write down that a call begins, on top of what was read. Answered by `Recorded`, or None: somebody else has
    written meanwhile, and nothing is changed."""

    recorded: Recorded
    saga: Saga
    step: str


class AskShop(Struct, frozen=True, gc=False):
    """Ask the shop. Answered by the result."""

    call: Call


class Record(Struct, frozen=True, gc=False):
    """Write down what came of it. `quiet_seconds`: so long may what was sent still be at work. As `Begin`."""

    recorded: Recorded
    saga: Saga
    step: str
    result: str
    quiet_seconds: float = 0.0


class Send(Struct, frozen=True, gc=False):
    """Publish and wait for the confirms. Answered by None, or by what went wrong: some may have gone."""

    messages: Sequence[Outgoing]
    about: str


SagaEffect = LookAt | Begin | AskShop | Record | Send


class Looked(Struct, frozen=True, kw_only=True, gc=False):
    """What a look came to. `again_seconds`: look again; `stuck`: a person has to, and `is_new` if no other look at the
    booking says so."""

    again_seconds: float | None = None
    why: str = ""
    stuck: str = ""
    is_new: bool = False
    state: str = ""


class Errand(Struct, frozen=True, kw_only=True, gc=False):
    """Why somebody looks. `while_in`: only as long as the booking is in one of these states; empty: any.
    `asked_again_at`: when a person last wanted it tried again, what was refused too; empty: never."""

    booking_id: str
    answers: str | None = None
    reply_to: str | None = None
    correlation_id: str | None = None
    while_in: tuple[str, ...] = ()
    watches: bool = False
    asked_again_at: str = ""


def errand_of(task: Task) -> Errand:
    """What a task asks for."""
    state = task.payload["state"]
    states = {CREATE: ("converting", "confirmed"), WATCH: (state,)}
    return Errand(
        booking_id=task.payload["booking_id"],
        answers=task.payload.get("answers"),
        reply_to=task.reply_to,
        correlation_id=task.correlation_id,
        while_in=states.get(task.kind, ()),
        watches=task.kind == WATCH,
        asked_again_at=task.payload.get("asked_again_at", ""),
    )


def look_after(errand: Errand, terms: Terms, seals: Seals, draw: float) -> Generator[SagaEffect, Any, Looked]:
    """Look at a booking once and do what comes next, step by step. May be done at any time, by several at once, and be
    cut off anywhere. `draw` is a random number from 0 up to 1."""
    look: Look | None = yield LookAt(errand.booking_id)
    if look is None:
        return Looked(stuck="there is no such booking")
    state = look.booking.state
    if errand.while_in and state not in errand.while_in:
        return Looked(state=state)
    recorded = _with_asker(look.recorded, errand)
    if recorded.saga.refused and errand.asked_again_at not in ("", recorded.saga.asked_again_at):
        # Certainly not done, so what is asked for now need not be the same: part of it may have gone back by hand. It
        # is written down with what is asked for: a look that comes to nothing uses up no person's word.
        again = replace(recorded.saga, refused="", refund=None, asked_again_at=errand.asked_again_at)
        recorded = replace(recorded, saga=again)
    run = Run(watches=errand.watches)
    for _ in range(STEPS_MAX):
        step = next_step(_facts(look, recorded), terms, run)
        match step:
            case Ask(call):
                written = yield from _ask(look.booking, recorded, run, call, terms, draw)
            case Decide(verdict):
                decided = replace(recorded.saga, verdict=verdict)
                saved: Recorded | None = yield Record(recorded, decided, verdict.outcome, verdict.reason)
                written = None if saved is None else (saved, run)
            case Tell(command, follows):
                message = _message(recorded.saga, command, seals)
                problem: str | None = yield Send([message], getattr(command, "outcome", ""))
                if problem is not None:
                    return Looked(again_seconds=SOON_SECONDS, why=problem, state=state)
                if follows:
                    return Looked(state=state)
                written = recorded, replace(run, told=(*run.told, command.request_id))
            case Wait(seconds, why):
                return Looked(again_seconds=seconds, why=why, state=state)
            case Stuck(why, is_new):
                return Looked(stuck=why, is_new=is_new, state=state)
            case Ended():
                return Looked(state=state)
        if written is None:
            return Looked(again_seconds=SOON_SECONDS, why="another worker is at this booking", state=state)
        recorded, run = written
    return Looked(again_seconds=SOON_SECONDS, why="there is more to do", state=state)


def _ask(
    booking: Booking, recorded: Recorded, run: Run, call: Call, terms: Terms, draw: float
) -> Generator[SagaEffect, Any, tuple[Recorded, Run] | None]:
    name = type(call).__name__.lower()
    if isinstance(call, CHANGING):
        noted: Recorded | None = yield Begin(recorded, begun(recorded.saga, call), name)
        if noted is None:
            return None
        recorded = noted
    result: Result = yield AskShop(call)
    left = _left_seconds(booking, recorded.now) if booking.state == "converting" else None
    known = after(recorded.saga, run, call, result, gateway=terms.gateway, draw=draw, left_seconds=left)
    quiet = 0.0 if known.is_quiet else terms.settle_seconds
    saved: Recorded | None = yield Record(recorded, known.saga, name, words(result), quiet)
    return None if saved is None else (saved, known.run)


def _left_seconds(booking: Booking, now: datetime) -> float:
    """What is left of the conversion's time. What waits longer, because it was paid, is asked for as if it had just
    begun: nobody is to wait for hours because a shop says so."""
    if now < booking.timeout_at:
        return (booking.timeout_at - now).total_seconds()
    return min(booking.tried_until - now, booking.timeout_at - booking.created_at).total_seconds()


def _with_asker(recorded: Recorded, errand: Errand) -> Recorded:
    """Whoever waits for the second answer is written down with the first thing that is."""
    if recorded.saga.answers is not None or errand.answers is None:
        return recorded
    saga = replace(
        recorded.saga,
        answers=errand.answers,
        reply_to=errand.reply_to,
        correlation_id=errand.correlation_id,
    )
    return replace(recorded, saga=saga)


def _message(saga: Saga, command: Any, seals: Seals) -> Outgoing:
    """Only the second answer goes to the buyer."""
    if getattr(command, "answers", None) is None:
        return internal_message(command, seals)
    return internal_message(command, seals, reply_to=saga.reply_to, correlation_id=saga.correlation_id)


def _facts(look: Look, recorded: Recorded) -> Facts:
    to_order, why_not = _to_order(look)
    return Facts(
        now=recorded.now,
        booking=look.booking,
        hold_state=look.hold_state,
        saga=recorded.saga,
        begun_at=recorded.begun_at,
        quiet_until=recorded.quiet_until,
        to_order=to_order,
        why_not=why_not,
        over_at=look.over_at,
    )


# --- the order ----------------------------------------------------------------------------------------------------


def _to_order(look: Look) -> tuple[NewOrder | None, str]:
    """What the shop charges: the quote that the buyer agreed to and nothing else, or nothing at all."""
    quote, booking = look.quote, look.booking
    if quote is None:
        return None, "its quote is not there any more"
    if not is_intact(quote) or quote.hash != booking.quote.hash or quote.total != booking.quote.total:
        return None, "its quote is not what the buyer agreed to"
    payment = Payment(
        method=booking.payment.method,
        reference=booking.payment.reference,
        is_paid=booking.payment.status == "paid",
    )
    try:
        order = order_of(
            quote,
            reference=reference_of(booking.id),
            payment=payment,
            customer=_customer(look.buyer),
            details={"booking": booking.id},
        )
    except InvalidOrder as exc:
        return None, f"its quote makes no order: {exc}"
    return order, ""


def _customer(buyer: Buyer | None) -> Customer | None:
    if buyer is None:
        return None
    first, _, last = buyer.name.strip().rpartition(" ")
    return Customer(
        first_name=first or last, last_name=last if first else "", email=buyer.email, phone=buyer.phone
    )
