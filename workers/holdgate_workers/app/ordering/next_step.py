"""What is to be done in the shop about a booking, from nothing but what is true. Pure. docs/bookings.md has the tables.

What was asked of the shop is written down before it is asked. So whoever goes on after a crash knows that something
may have been sent, waits until it can no longer be at work, and searches before anything is sent again.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from holdgate_schema.commands.selling import NoteOrder, ResolveBooking, SettleBooking
from holdgate_schema.values.views import BookedOrder
from holdgate_workers.domain.bookings.booking import Booking
from holdgate_workers.domain.pricing.money import shown
from holdgate_workers.ids import derived_id

from .facts import (
    Call,
    Cancel,
    Create,
    Facts,
    Find,
    Get,
    Refund,
    Run,
    Saga,
    Terms,
    Verdict,
    cut,
    is_given_back,
    new_verdict,
    reference_of,
)
from .orders import NewRefund, OrderStatus, ShopOrder

STAFF = "orders worker"

PARKED_SECONDS = 300.0
"""How often the shop is searched for the order of a booking that is parked because nobody knows."""
PENDING_SECONDS = 900.0
PAID_SECONDS = 6 * 3600.0
"""How often the shop is asked how a confirmed booking's order is: its webhooks are sent once, or not at all."""


# --- what comes next ----------------------------------------------------------------------------------------------


class Ask(Struct, frozen=True, gc=False):
    """Ask the shop."""

    call: Call


class Decide(Struct, frozen=True, gc=False):
    """Write down what the gate will be told."""

    verdict: Verdict


class Tell(Struct, frozen=True, gc=False):
    """Tell the gate; `follows`: what it decides then makes somebody look again, so there is nothing more to do."""

    command: SettleBooking | NoteOrder | ResolveBooking
    follows: bool = False


class Wait(Struct, frozen=True, gc=False):
    """Look again after so many seconds."""

    seconds: float
    why: str


class Ended(Struct, frozen=True, gc=False):
    """Nothing is left to do now."""


class Stuck(Struct, frozen=True, gc=False):
    """A person has to see to it. `is_new`: no other look at the booking says so."""

    why: str
    is_new: bool = False


Step = Ask | Decide | Tell | Wait | Ended | Stuck


def next_step(facts: Facts, terms: Terms, run: Run) -> Step:
    """What is to be done about a booking. To be asked again after every step, and at any time: asking twice does no
    harm, because everything rests on what is written down."""
    told = _untold(facts, run)
    if told is not None:
        return told
    if run.trouble:
        return Wait(run.trouble_seconds, run.trouble)
    step = _wanted(facts, terms, run)
    return step if not isinstance(step, Ask) else _when_quiet(facts, terms, step)


def _when_quiet(facts: Facts, terms: Terms, step: Ask) -> Step:
    """Nothing is asked while something that was sent may still be at work: the answer would be a guess."""
    until = facts.quiet_until
    if facts.begun_at is not None:
        crashed = facts.begun_at + timedelta(seconds=terms.call_seconds + terms.settle_seconds)
        until = crashed if until is None else max(until, crashed)
    if until is not None and until > facts.now:
        return Wait((until - facts.now).total_seconds(), "what was sent may still be at work in the shop")
    return step


def _wanted(facts: Facts, terms: Terms, run: Run) -> Step:
    if facts.saga.surplus:
        return Ask(Cancel(facts.saga.surplus[0], "ordered twice"))
    match facts.booking.state:
        case "converting":
            return _converting(facts)
        case "parked":
            return _parked(facts, run)
        case "confirmed":
            return _confirmed(facts, terms, run)
        case "refund_required" | "cancelled" | "failed":
            return _over(facts, terms, run)


def _converting(facts: Facts) -> Step:
    """Has the order made, while there is time. What was paid never fails because the shop was not asked: it waits
    longer, and is then left to a person."""
    saga, booking = facts.saga, facts.booking
    if saga.verdict is not None:
        return Ended()  # the gate was told
    if facts.to_order is None:
        return Decide(new_verdict(saga, "unknown", facts.why_not))
    if facts.now < booking.tried_until:
        return Ask(Create(facts.to_order, sent_before=not saga.never_sent))
    is_paid = booking.kept > 0
    if saga.never_sent:
        if is_paid:
            return Decide(new_verdict(saga, "unknown", "it was paid, and the shop could not be asked in time"))
        return Decide(new_verdict(saga, "failed", "the shop could not be asked in time"))
    return Ask(Find(facts.to_order.reference, decides=True, is_last=True, is_paid=is_paid))


def _waiting(facts: Facts) -> Tell | None:
    """It was paid, its time is over, and it waits: said once, so that somebody can look why."""
    booking = facts.booking
    is_late = booking.state == "converting" and booking.timeout_at <= facts.now < booking.tried_until
    if not is_late or booking.reason or facts.saga.verdict is not None:
        return None
    command = SettleBooking(
        request_id=derived_id("booking.waiting", booking.id),
        occurrence_id=booking.occurrence_id,
        booking_id=booking.id,
        outcome="waiting",
        reason=f"paid, and without an order yet; waits until {booking.tried_until:%Y-%m-%d %H:%M} UTC",
    )
    return Tell(command)


def _parked(facts: Facts, run: Run) -> Step:
    """A person decides, unless the shop says in the meantime what became of the order."""
    saga = facts.saga
    if saga.never_sent or facts.hold_state != "converting":
        return Ended()
    if saga.verdict is not None and saga.verdict.outcome != "unknown":
        return Ended()  # the gate was told
    if run.was_searched:
        return Wait(PARKED_SECONDS, "the shop does not say whether there is an order")
    return Ask(Find(reference_of(facts.booking.id), decides=True, is_paid=facts.booking.kept > 0))


def _confirmed(facts: Facts, terms: Terms, run: Run) -> Step:
    saga, order = facts.saga, facts.booking.order
    if order is None:
        return _confirmed_without_order(facts)
    if facts.booking.refund_due and not run.watches:
        return _give_part_back(facts, order.order_id, terms, run)
    if not run.watches or not terms.is_watched or facts.over_at is None or facts.now >= facts.over_at:
        return Ended()
    if not run.is_fresh:
        return Ask(Get(order.order_id))
    if run.is_gone:
        # The shop sends nothing when an order is deleted for good, and what became of the money it does not say.
        return Stuck(
            f"order {order.order_id} of a confirmed booking was deleted in the shop for good", is_new=True
        )
    if not run.was_searched and not saga.never_sent:
        # What was sent and had no answer may have come after all, and waits to be paid a second time.
        return Ask(Find(reference_of(facts.booking.id), order_id=order.order_id))
    status = saga.order.status if saga.order is not None else order.status
    return Wait(PAID_SECONDS if status == "paid" else PENDING_SECONDS, "the shop is asked from time to time")


def _give_part_back(facts: Facts, order_id: str, terms: Terms, run: Run) -> Step:
    """Some tickets were given back: their share goes back, and the order lives on."""
    if run.is_gone:
        return Stuck("money has to be given back, and the order is gone")
    if not run.is_fresh or facts.saga.order is None:
        return Ask(Get(order_id))
    return _next_payment_back(facts, facts.saga.order, terms) or _debt_that_is_left(facts, facts.saga.order, terms)


def _confirmed_without_order(facts: Facts) -> Step:
    """Somebody fulfilled it by hand: it gets its order now."""
    saga = facts.saga
    if saga.verdict is not None and saga.verdict.refused:
        return Stuck(f"the shop refuses an order for a confirmed booking: {saga.verdict.reason}")
    if saga.verdict is not None and saga.verdict.outcome == "ordered":
        return Ended()  # the gate was told
    if facts.to_order is None:
        return Stuck(f"a confirmed booking gets no order: {facts.why_not}")
    return Ask(Create(facts.to_order, sent_before=not saga.never_sent))


def _over(facts: Facts, terms: Terms, run: Run) -> Step:
    """There is to be no order that is alive, and no money that is not ours."""
    saga, booking = facts.saga, facts.booking
    known = saga.order or booking.order
    if not saga.never_sent and not run.was_searched and (known is None or terms.is_watched):
        return Ask(Find(reference_of(booking.id), order_id=None if known is None else known.order_id))
    if known is None:
        return Stuck("money has to be given back, and there is no order") if booking.refund_due else Ended()
    if booking.ended_by == "order":
        return Ended()  # the shop ended it, and gives back what is to be given back
    if run.is_gone:
        return Stuck("money has to be given back, and the order is gone") if booking.refund_due else Ended()
    if not run.is_fresh or saga.order is None:
        return Ask(Get(known.order_id))
    return _end_order(facts, saga.order, terms, run)


def _end_order(facts: Facts, order: ShopOrder, terms: Terms, run: Run) -> Step:
    booking = facts.booking
    back = _next_payment_back(facts, order, terms)
    if back is not None:
        return back
    if not order.is_over:
        return Ask(Cancel(order.order_id, cut(booking.reason or f"the booking is {booking.state}")))
    if run.refused:
        return Stuck(f"the shop does not say how the order is: {run.refused}")
    return _debt_that_is_left(facts, order, terms)


def _next_payment_back(facts: Facts, order: ShopOrder, terms: Terms) -> Ask | None:
    refund = _next_refund(facts, order)
    if refund is None or not terms.pays_back or order.status not in ("paid", "cancelled"):
        return None
    return Ask(Refund(order.order_id, refund))


def _debt_that_is_left(facts: Facts, order: ShopOrder, terms: Terms) -> Step:
    """Nothing more can be asked of the shop: a person has to give back what is still owed."""
    saga, booking = facts.saga, facts.booking
    left = _left(facts)
    if not left or is_given_back(order, booking.payment.amount) or not terms.pays_back:
        return Ended()  # what is owed is listed until a person says that it was given back
    if saga.refused:
        return Stuck(f"the shop gives no money back: {saga.refused}")
    currency = booking.quote.currency
    words = f"{shown(left, currency)} of {shown(booking.payment.amount, currency)} {currency}"
    return Stuck(f"{words} cannot be given back through the shop: give it back by hand")


def _next_refund(facts: Facts, order: ShopOrder) -> NewRefund | None:
    """What is to be given back now: at most what the buyer paid less what went back, whatever the order says that it
    comes to. The shop may have taxed it, and people edit it."""
    saga, booking = facts.saga, facts.booking
    if saga.refused:
        return None
    if saga.refund is not None and saga.refund_id is None:
        # Fixed when it is first asked for: the same reference and another amount would be another refund.
        return saga.refund
    wanted = _left(facts)
    if _was_refused(saga) and order.status == "paid" and booking.refund != "done" and not saga.given_back:
        wanted = booking.payment.amount  # paid for an order that we never asked for like this, whoever took it
    amount = min(wanted, min(booking.payment.amount, order.total) - order.refunded)
    if amount < 1 or order.currency != booking.quote.currency:
        return None
    return NewRefund(
        reference=f"{reference_of(booking.id)}-r{saga.refunds + 1}",
        amount=amount,
        reason=cut(booking.reason or booking.state),
    )


def _left(facts: Facts) -> int:
    """What is owed, less a refund that the gate has not counted yet."""
    saga, booking = facts.saga, facts.booking
    if saga.refund is None or saga.refund_id is None or booking.refunded >= saga.given_back:
        return booking.refund_due
    return max(0, booking.refund_due - saga.refund.amount)


# --- what the gate is told ----------------------------------------------------------------------------------------


def _untold(facts: Facts, run: Run) -> Tell | None:
    for tell in (_settlement(facts), _waiting(facts), _resolution(facts), _note(facts, run)):
        if tell is not None and tell.command.request_id not in run.told:
            return tell
    return None


def _settlement(facts: Facts) -> Tell | None:
    booking, verdict = facts.booking, facts.saga.verdict
    if verdict is None:
        return None
    match booking.state:
        case "converting":
            pass
        case "parked":
            if facts.hold_state != "converting" or verdict.outcome == "unknown":
                return None
        case "confirmed":
            if booking.order is not None or verdict.outcome != "ordered":
                return None
        case _:
            return None
    return Tell(_settle(booking, verdict))


def _settle(booking: Booking, verdict: Verdict) -> SettleBooking:
    order_id = "" if verdict.order is None else verdict.order.order_id
    return SettleBooking(
        request_id=derived_id("booking.settle", booking.id, verdict.outcome, order_id),
        occurrence_id=booking.occurrence_id,
        booking_id=booking.id,
        outcome=verdict.outcome,
        answers=verdict.answers,
        order=verdict.order,
        reason=cut(verdict.reason),
    )


def _resolution(facts: Facts) -> Tell | None:
    """The shop gave back all that is owed, or nothing ever was."""
    booking, saga = facts.booking, facts.saga
    if booking.state == "refund_required" and not booking.refund_due:
        note = "nothing was paid"
    elif saga.refund_id is not None and booking.refunded < saga.given_back and not _left(facts):
        note = f"refund {saga.refund_id}"
    else:
        return None
    command = ResolveBooking(
        request_id=derived_id("booking.refunded", booking.id, saga.refund_id or ""),
        occurrence_id=booking.occurrence_id,
        booking_id=booking.id,
        action="refunded",
        by=STAFF,
        note=cut(note),
        refund_amount=saga.given_back if saga.refund_id is not None else None,
    )
    return Tell(command)


def _note(facts: Facts, run: Run) -> Tell | None:
    """The shop says something else of the order than the gate knows."""
    booking, seen = facts.booking, facts.saga.order
    known = booking.order
    if not run.is_fresh or run.is_gone or seen is None or booking.state == "converting":
        return None
    if known is not None and known.order_id != seen.order_id:
        return None
    if is_known(booking, seen):
        return None
    if known is None and booking.state in ("parked", "confirmed"):
        return None  # it is told with how the conversion ended
    if seen.status == "paid" and (booking.refund_due or _was_refused(facts.saga)):
        return None  # it is given back
    if seen.status == "other":
        return None
    changed_at = told_after(known, seen, facts.now)
    return Tell(note_of(booking, seen, changed_at), follows=booking.state != "confirmed" and seen.status == "paid")


def is_known(booking: Booking, seen: ShopOrder) -> bool:
    """Whether the gate knows the order to be like that."""
    known = booking.order
    if known is None or known.order_id != seen.order_id:
        return False
    return known.status == _state(booking, seen) and seen.refunded <= booking.refunded


def told_after(known: BookedOrder | None, seen: ShopOrder, now: datetime) -> datetime:
    """The time of what we have seen ourselves. It is news whatever the shop's own time says, for we looked after we had
    heard the rest; that time orders the shop's words among themselves only, and it may have none."""
    if known is None or known.changed_at is None:
        return seen.changed_at or now
    after = known.changed_at + timedelta(microseconds=1)
    return after if seen.changed_at is None else max(seen.changed_at, after)


def note_of(booking: Booking, seen: ShopOrder, changed_at: datetime) -> NoteOrder:
    """What the shop says of an order, for the gate."""
    status = _state(booking, seen)
    said = (status, changed_at.isoformat(), str(seen.refunded))
    return NoteOrder(
        request_id=derived_id("booking.note_order", booking.id, seen.order_id, *said),
        occurrence_id=booking.occurrence_id,
        booking_id=booking.id,
        order_id=seen.order_id,
        status=status,
        changed_at=changed_at,
        refunded=seen.refunded,
    )


def _state(booking: Booking, seen: ShopOrder) -> OrderStatus:
    """An order whose own total went back, and that was less than was paid, is over and not given back."""
    is_short = seen.status == "refunded" and not is_given_back(seen, booking.payment.amount)
    return "cancelled" if is_short else seen.status


def _was_refused(saga: Saga) -> bool:
    """An order of another total is not to be taken for the one that was asked for."""
    return saga.verdict is not None and saga.verdict.refused
