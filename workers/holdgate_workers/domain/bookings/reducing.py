"""Giving some tickets of a booking back: their seats are free, and their share of the price is owed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from msgspec.structs import replace

from holdgate_schema.answers.holds import Reason
from holdgate_schema.commands.selling import ReduceBooking, ResolveBooking
from holdgate_schema.errors import FieldError, ProblemCode
from holdgate_schema.events.selling import BookingReduced
from holdgate_workers.domain.decision import Decision
from holdgate_workers.domain.draft import Draft
from holdgate_workers.domain.interning import shared_counts
from holdgate_workers.domain.occurrences.occurrence import Hold, Occurrence
from holdgate_workers.domain.refusals import Refusal

from .booking import Booking
from .steps import booked, hold_of

Counts = dict[str, int]


class _Wanted(NamedTuple):
    """What the booking keeps, and what goes."""

    kept: tuple[Counts, Counts]
    gone: tuple[Counts, Counts]


def reduce(draft: Draft, occurrence: Occurrence, command: ReduceBooking) -> Decision:
    """The booking keeps what the command says. Its order stays, and so does its voucher."""
    booking = draft.context.bookings.get(command.booking_id)
    if booking is None or booking.occurrence_id != occurrence.id or booking.session_id != command.session_id:
        return Refusal(draft).booking_not_found(command.booking_id)
    wanted = _wanted(draft, booking, command)
    if not isinstance(wanted, _Wanted):
        return wanted
    if draft.context.now >= occurrence.definition.starts_at:
        return Refusal(draft).too_late(booking, occurrence.definition)
    amount = _share(draft, booking, wanted)
    if not isinstance(amount, int):
        return amount
    for key, quantity in command.items.items():
        ticket = occurrence.definition.ticket_types.get(key)
        if ticket is not None and quantity < ticket.min_per_order:
            limit = ticket.min_per_order
            return Refusal(draft).quantity(Reason.BELOW_MIN, key, limit=limit, requested=quantity)
    return _reduced(draft, occurrence, booking, wanted, amount)


def reduce_by_staff(draft: Draft, occurrence: Occurrence, booking: Booking, command: ResolveBooking) -> Decision:
    """The same at any time, and below what one order must have: limits that are made for buyers bind no person, who
    may also say how much goes back."""
    wanted = _wanted(draft, booking, command)
    if not isinstance(wanted, _Wanted):
        return wanted
    amount = command.refund_amount
    if amount is None:
        share = _share(draft, booking, wanted)
        if not isinstance(share, int):
            return share
        amount = share
    elif amount and amount >= _money_left(booking):
        less = (
            f"must be less than {_money_left(booking)}, what is left of the money; to give back all of it, cancel"
        )
        return Refusal(draft).invalid([FieldError("refund_amount", less)])
    return _reduced(draft, occurrence, booking, wanted, amount, reason=command.note)


def _wanted(draft: Draft, booking: Booking, command: ReduceBooking | ResolveBooking) -> _Wanted | Decision:
    errors = list(_errors(booking, command))
    if errors:
        return Refusal(draft).invalid(errors)
    if booking.state != "confirmed":
        return Refusal(draft).booking_final(booking)
    gone = _less(booking.items, command.items), _less(booking.extras, command.extras)
    return _Wanted((command.items, command.extras), gone)


def _share(draft: Draft, booking: Booking, wanted: _Wanted) -> int | Decision:
    """What the share of the price is of what goes."""
    if booking.quote.total and not booking.is_paid:
        return Refusal(draft).unpaid(booking)
    unknown = [name for name, _ in _named(*wanted.gone) if name not in booking.quote.shares]
    if unknown and booking.quote.total:
        return Refusal(draft).share_unknown(booking, unknown[0])
    share = sum(booking.quote.shares.get(name, 0) * number for name, number in _named(*wanted.gone))
    if share and share >= _money_left(booking):
        return Refusal(draft).share_gone(booking)
    return share


def _money_left(booking: Booking) -> int:
    """What would be left of the money. A booking of which all went back is over, whatever seats it has."""
    return booking.kept - booking.refund_due


def _reduced(
    draft: Draft, occurrence: Occurrence, booking: Booking, wanted: _Wanted, amount: int, *, reason: str = ""
) -> Decision:
    hold = hold_of(draft, occurrence, booking.hold_id)
    assert hold is not None, f"booking {booking.id} has no hold"
    kept = _kept(occurrence, hold, wanted)
    draft.give_back_some(hold, kept)
    after = replace(
        booking, items=kept.items, extras=kept.extras, seats=kept.seats, reason=reason or booking.reason
    )
    after = after.owing(booking.refund_due + amount)
    draft.bookings.append(after)
    items, extras = wanted.gone
    draft.events.append(
        BookingReduced(
            **draft.event_fields(),
            booking=after.view(),
            items=items,
            extras=extras,
            amount=after.refund_due - booking.refund_due,
        )
    )
    return booked(draft, after)


def _kept(occurrence: Occurrence, hold: Hold, wanted: _Wanted) -> Hold:
    """The hold with what is kept of it."""
    known = occurrence.definition

    def today(items: Counts, extras: Counts) -> tuple[Counts, Counts]:
        there = {key: number for key, number in extras.items() if key in known.extras}
        draws = occurrence.draws_of({key: n for key, n in items.items() if key in known.ticket_types}, there)
        return draws, occurrence.stock_of(there)

    items, extras = wanted.kept
    given, kept = today(*wanted.gone), today(items, extras)
    return replace(
        hold,
        items=shared_counts(items),
        extras=shared_counts(extras),
        draws=_left(hold.draws, given[0], kept[0]),
        stock=_left(hold.stock, given[1], kept[1]),
        seats=sum(items.values()),
    )


def _left(taken: Counts, given: Counts, kept: Counts) -> Counts:
    """How much stays taken. The catalogue may have changed since: then as much stays as either what goes or
    what is kept asks for, so that nothing is free that is still sat on. The rest is free when the booking ends."""
    left = {
        key: max(number - min(number, given.get(key, 0)), min(number, kept.get(key, 0)))
        for key, number in taken.items()
    }
    return {key: number for key, number in left.items() if number}


def _errors(booking: Booking, command: ReduceBooking | ResolveBooking) -> Iterator[FieldError]:
    for field, kept, had in (
        ("items", command.items, booking.items),
        ("extras", command.extras, booking.extras),
    ):
        for key, number in kept.items():
            if number > had.get(key, 0):
                most = f"must be at most {had.get(key, 0)}, which is what the booking has"
                yield FieldError(f"{field}.{key}", most, ProblemCode.OUT_OF_RANGE, f"/{field}/{key}")
    if not command.items:
        yield FieldError("items", "must have a ticket that is kept; to give all of them back, cancel")
    if (command.items, command.extras) == (booking.items, booking.extras):
        yield FieldError("items", "must be fewer than the booking has; nothing would be given back")


def _less(had: Counts, kept: Counts) -> Counts:
    return {key: number - kept.get(key, 0) for key, number in had.items() if number > kept.get(key, 0)}


def _named(items: Counts, extras: Counts) -> Iterator[tuple[str, int]]:
    """As a quote's shares name them."""
    yield from ((f"ticket.{key}", number) for key, number in items.items())
    yield from ((f"extra.{key}", number) for key, number in extras.items())
