"""Answers to the commands that turn holds into money.

`quoting`, `converting` and `cart_started` are first answers: another one follows under the same correlation id, and is
sent again when the request is repeated after it was given.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from holdgate_schema.values.views import AnswerBase, BookingView, HoldView, QuoteView, RefundState


class Quoting(AnswerBase, frozen=True, kw_only=True, tag="quoting"):
    """The price is being made; `quoted` or a refusal follows."""


class Quoted(AnswerBase, frozen=True, kw_only=True, tag="quoted"):
    """What the basket costs until `valid_until`, if it is then held with the quote's hash."""

    quote: QuoteView
    valid_until: datetime


class Priced(AnswerBase, frozen=True, kw_only=True, tag="priced"):
    """What the hold costs for as long as it lives unchanged."""

    hold: HoldView
    quote: QuoteView


class Converting(AnswerBase, frozen=True, kw_only=True, tag="converting"):
    """The hold can no longer expire; the order is being made. `confirmed` or a refusal follows."""

    booking: BookingView


class Confirmed(AnswerBase, frozen=True, kw_only=True, tag="confirmed"):
    """Sold: the seats belong to the booking."""

    booking: BookingView


class Cancelled(AnswerBase, frozen=True, kw_only=True, tag="cancelled"):
    """The booking's seats are free again. `refund`: what is to happen with the money."""

    booking: BookingView
    refund: RefundState


class Booked(AnswerBase, frozen=True, kw_only=True, tag="booking"):
    """The booking as it is."""

    booking: BookingView


class CartStarted(AnswerBase, frozen=True, kw_only=True, tag="cart_started"):
    """The legs are being taken one after another; `cart_held` or a refusal follows."""

    cart_id: str
    session_id: str
    occurrence_ids: list[str]


class CartHeld(AnswerBase, frozen=True, kw_only=True, tag="cart_held"):
    """Every leg is held: occurrence -> hold."""

    cart_id: str
    hold_ids: dict[str, str]


class CartLegReleased(AnswerBase, frozen=True, kw_only=True, tag="cart_leg_released"):
    """The leg's seats are free again."""

    cart_id: str
    hold_id: str


class Waiting(AnswerBase, frozen=True, kw_only=True, tag="waiting"):
    """In line. `position` is 1 for whoever is first; an offer comes as the event `waitlist.offered`."""

    entry_id: str
    session_id: str
    position: int
    seats: int


class LeftWaitlist(AnswerBase, frozen=True, kw_only=True, tag="left_waitlist"):
    """No longer in line; an offer that was made is given back."""

    entry_id: str


class WaitlistPlace(AnswerBase, frozen=True, kw_only=True, tag="waitlist_entry"):
    """An entry as it is. `waiting`: `position` says where, 1 is first. `offered`: `hold` is the offer, as it is now."""

    entry_id: str
    session_id: str
    state: Literal["waiting", "offered"]
    items: dict[str, int]
    seats: int
    extras: dict[str, int] = {}
    position: int | None = None
    hold: HoldView | None = None


SellingAnswer = (
    Quoting
    | Quoted
    | Priced
    | Converting
    | Confirmed
    | Cancelled
    | Booked
    | CartStarted
    | CartHeld
    | CartLegReleased
    | Waiting
    | LeftWaitlist
    | WaitlistPlace
)
SELLING_ANSWER_TYPES: tuple[type[SellingAnswer], ...] = (
    Quoting,
    Quoted,
    Priced,
    Converting,
    Confirmed,
    Cancelled,
    Booked,
    CartStarted,
    CartHeld,
    CartLegReleased,
    Waiting,
    LeftWaitlist,
    WaitlistPlace,
)
