"""Which answers a command leads to, and which commands are ours alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .holds import type_name
from .selling import INTERNAL_TYPES

REFUSED = "answer.refused.v1"
"""What every command may be answered with instead."""

SEAL_HEADER = "holdgate-seal"
"""The AMQP header that an internal command is sealed with."""

INTERNAL = frozenset(type_name(kind) for kind in INTERNAL_TYPES)
"""The commands that only Holdgate's own workers may send."""


class Operation(NamedTuple):
    """What is asked for with one command: its name for programs, its answer, and the second answer if there is one.

    `or_else`: other answers that may come instead of the first.
    """

    name: str
    answer: str
    then: str | None = None
    or_else: tuple[str, ...] = ()

    @property
    def answers(self) -> tuple[str, ...]:
        """All that it may be answered with."""
        then = () if self.then is None else (self.then,)
        return (self.answer, *self.or_else, *then, REFUSED)


OPERATIONS: Mapping[str, Operation] = {
    "hold.place.v1": Operation("placeHold", "answer.held.v1", "answer.priced.v1"),
    "hold.change.v1": Operation("changeHold", "answer.changed.v1", "answer.priced.v1"),
    "hold.extend.v1": Operation("extendHold", "answer.extended.v1"),
    "hold.release.v1": Operation("releaseHold", "answer.released.v1"),
    "hold.get.v1": Operation("getHold", "answer.hold.v1"),
    "hold.sweep.v1": Operation("sweepHolds", "answer.swept.v1"),
    "availability.get.v1": Operation("getAvailability", "answer.availability.v1"),
    "occurrence.put.v1": Operation("putOccurrence", "answer.occurrence_stored.v1"),
    "occurrence.close.v1": Operation("closeOccurrence", "answer.occurrence_stored.v1"),
    "occurrence.capacity.v1": Operation("setCapacity", "answer.occurrence_stored.v1"),
    "quote.get.v1": Operation("getQuote", "answer.quoting.v1", "answer.quoted.v1"),
    "booking.convert.v1": Operation("convertBooking", "answer.converting.v1", "answer.confirmed.v1"),
    "booking.cancel.v1": Operation("cancelBooking", "answer.cancelled.v1"),
    "booking.reduce.v1": Operation("reduceBooking", "answer.booking.v1"),
    "booking.get.v1": Operation("getBooking", "answer.booking.v1"),
    "cart.place.v1": Operation("placeCart", "answer.cart_started.v1", "answer.cart_held.v1"),
    "waitlist.join.v1": Operation("joinWaitlist", "answer.waiting.v1"),
    "waitlist.leave.v1": Operation("leaveWaitlist", "answer.left_waitlist.v1"),
    "waitlist.get.v1": Operation("getWaitlistEntry", "answer.waitlist_entry.v1"),
    "quote.put.v1": Operation("putQuote", "answer.quoted.v1"),
    "hold.price.v1": Operation("priceHold", "answer.priced.v1"),
    "booking.settle.v1": Operation("settleBooking", "answer.confirmed.v1", or_else=("answer.booking.v1",)),
    "booking.note_order.v1": Operation("noteOrder", "answer.booking.v1", or_else=("answer.confirmed.v1",)),
    "booking.resolve.v1": Operation("resolveBooking", "answer.booking.v1", or_else=("answer.confirmed.v1",)),
    "cart.hold.v1": Operation("holdCartLeg", "answer.held.v1"),
    "cart.release.v1": Operation("releaseCartLeg", "answer.cart_leg_released.v1"),
    "cart.settle.v1": Operation("settleCart", "answer.cart_held.v1"),
}
"""For every command there is. A second answer to a hold is only sent if the request gave `pricing`."""
