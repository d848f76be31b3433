"""What happened to prices, bookings, carts, waiting lists and rooms that fill up."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from holdgate_schema.commands.selling import CartLeg
from holdgate_schema.values.views import BookingView, HoldView, Payment, QuoteView, RefundState


class EventBase(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", gc=False):
    """Base of the events. `event_id` is `<request id>/<number>`, unique and the same on every delivery."""

    event_id: str
    occurrence_id: str
    version: int
    occurred_at: datetime


class QuoteRequested(EventBase, frozen=True, kw_only=True, tag="quote.requested.v1"):
    """A price was asked for without a hold."""

    product_id: str
    items: dict[str, int]
    extras: dict[str, int] = {}
    payment_method: str | None = None


class HoldPriced(EventBase, frozen=True, kw_only=True, tag="hold.priced.v1"):
    """A hold has a price."""

    hold: HoldView
    quote: QuoteView


class BookingConverting(EventBase, frozen=True, kw_only=True, tag="booking.converting.v1"):
    """A hold is being turned into an order. `late`: it was paid after the hold had ended, and the seats were free."""

    booking: BookingView
    late: bool = False


class BookingConfirmed(EventBase, frozen=True, kw_only=True, tag="booking.confirmed.v1"):
    """A booking has its order and its seats."""

    booking: BookingView


class BookingFailed(EventBase, frozen=True, kw_only=True, tag="booking.failed.v1"):
    """There is no order; the seats were given back."""

    booking: BookingView


class BookingCancelled(EventBase, frozen=True, kw_only=True, tag="booking.cancelled.v1"):
    """A booking was sold and its seats are free again. `refund`: what is to happen with the money."""

    booking: BookingView
    refund: RefundState


class BookingReduced(EventBase, frozen=True, kw_only=True, tag="booking.reduced.v1"):
    """Some tickets or extras of a booking were given back: `items` and `extras` of them, for `amount` minor units."""

    booking: BookingView
    items: dict[str, int]
    extras: dict[str, int] = {}
    amount: int = 0


class BookingParked(EventBase, frozen=True, kw_only=True, tag="booking.parked.v1"):
    """A person has to decide, or money has to be given back (`booking.state` is `refund_required`)."""

    booking: BookingView


class BookingChanged(EventBase, frozen=True, kw_only=True, tag="booking.changed.v1"):
    """Something of a booking changed that moves no seats: its order's state, a refund that was made."""

    booking: BookingView


class PaymentRefused(EventBase, frozen=True, kw_only=True, tag="payment.refused.v1"):
    """A conversion was refused although it says that it was paid. `reason`: as in the answer."""

    hold_id: str
    payment: Payment
    reason: str
    message: str
    session_id: str | None = None


class _PoolEvent(EventBase, frozen=True, kw_only=True):
    """Base of what is told of a pool: `taken` is held and sold together."""

    pool: str
    sellable: int
    taken: int


class CapacityLow(_PoolEvent, frozen=True, kw_only=True, tag="capacity.low.v1"):
    """The share that is taken rose to the setting `alerts.low`."""


class CapacityNearlyFull(_PoolEvent, frozen=True, kw_only=True, tag="capacity.nearly_full.v1"):
    """The share that is taken rose to the setting `alerts.nearly_full`."""


class CapacityFull(_PoolEvent, frozen=True, kw_only=True, tag="capacity.full.v1"):
    """The share that is taken rose to the setting `alerts.full`."""


class CapacityAvailableAgain(_PoolEvent, frozen=True, kw_only=True, tag="capacity.available_again.v1"):
    """The share that is taken fell below the setting `alerts.full`."""


class WaitlistJoined(EventBase, frozen=True, kw_only=True, tag="waitlist.joined.v1"):
    """Somebody stands in line."""

    entry_id: str
    session_id: str
    seats: int
    user_id: str | None = None


class WaitlistOffered(EventBase, frozen=True, kw_only=True, tag="waitlist.offered.v1"):
    """Seats came free for somebody in line: the hold is the offer, and it ends like any other."""

    entry_id: str
    hold: HoldView


class WaitlistLeft(EventBase, frozen=True, kw_only=True, tag="waitlist.left.v1"):
    """An entry is over without an offer: its owner left, or the occurrence was cancelled or completed."""

    entry_id: str
    session_id: str
    reason: Literal["by_owner", "occurrence_ended"] = "by_owner"


class CartBegun(EventBase, frozen=True, kw_only=True, tag="cart.begun.v1"):
    """A cart over several occurrences is being taken."""

    cart_id: str
    session_id: str
    legs: list[CartLeg]
    user_id: str | None = None
    ttl_seconds: int | None = None


class CartLegRefused(EventBase, frozen=True, kw_only=True, tag="cart.leg_refused.v1"):
    """One leg of a cart could not be taken."""

    cart_id: str
    reason: str
    message: str


class CartSettled(EventBase, frozen=True, kw_only=True, tag="cart.settled.v1"):
    """A cart is held as a whole, or nothing of it is."""

    cart_id: str
    outcome: Literal["held", "refused"]
    hold_ids: dict[str, str] = {}
    reason: str = ""


SellingEvent = (
    QuoteRequested
    | HoldPriced
    | BookingConverting
    | BookingConfirmed
    | BookingFailed
    | BookingCancelled
    | BookingReduced
    | BookingParked
    | BookingChanged
    | PaymentRefused
    | CapacityLow
    | CapacityNearlyFull
    | CapacityFull
    | CapacityAvailableAgain
    | WaitlistJoined
    | WaitlistOffered
    | WaitlistLeft
    | CartBegun
    | CartLegRefused
    | CartSettled
)
SELLING_EVENT_TYPES: tuple[type[SellingEvent], ...] = (
    QuoteRequested,
    HoldPriced,
    BookingConverting,
    BookingConfirmed,
    BookingFailed,
    BookingCancelled,
    BookingReduced,
    BookingParked,
    BookingChanged,
    PaymentRefused,
    CapacityLow,
    CapacityNearlyFull,
    CapacityFull,
    CapacityAvailableAgain,
    WaitlistJoined,
    WaitlistOffered,
    WaitlistLeft,
    CartBegun,
    CartLegRefused,
    CartSettled,
)
