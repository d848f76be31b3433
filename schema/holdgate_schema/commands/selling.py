"""Commands that turn holds into money: prices, bookings, carts, waiting lists.

Those that only Holdgate's own workers send (`INTERNAL_TYPES`) are sealed: the header `holdgate-seal` is an HMAC of the
body under the house's secret, and without it they are refused as `forbidden`. Where such a command brings the second
answer to a request, `answers` names that request, and the answer goes to the reply address that it came with.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from holdgate_schema.errors import ERRORS_MAX
from holdgate_schema.ids import UUID_PATTERN, HoldId, OccurrenceId, RequestId, SessionId, UserId
from holdgate_schema.values.characters import ID_CLASS
from holdgate_schema.values.currencies import CurrencyCode
from holdgate_schema.values.fields import (
    AMOUNT_MAX,
    TEXT_PATTERN,
    Amount,
    AwareTime,
    CommandBase,
    Extras,
    Items,
    Label,
    PaymentMethod,
    VoucherCode,
)
from holdgate_schema.values.quotes import PriceProblem, QuoteHash
from holdgate_schema.values.views import BookedOrder, FieldProblem, OrderStatus, QuoteView

CART_LEGS_MAX = 10

HashOfQuote = Annotated[QuoteHash, Meta(min_length=64, max_length=64)]
BookingId = Annotated[
    str, Meta(pattern=UUID_PATTERN, description="The id of the hold that the booking was made of")
]
Text = Annotated[str, Meta(max_length=200, pattern=TEXT_PATTERN)]
EMAIL_PATTERN = rf"^({ID_CLASS}+@{ID_CLASS}+)?$(?!\n)"
LOCALE_PATTERN = r"^([A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,3})?$(?!\n)"


class _Closed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """Base of what stands inside a command."""


# --- prices ------------------------------------------------------------------------------------------------------


class Pricing(_Closed, frozen=True, kw_only=True):
    """How a hold is to be priced. Whoever gives this gets a second answer, `priced`, on the same reply address.

    `quote_hash` names a quote that `quote.get` gave: while it is valid, the same basket has its price.
    """

    payment_method: PaymentMethod | None = None
    voucher: VoucherCode | None = None
    quote_hash: HashOfQuote | None = None


class GetQuote(CommandBase, frozen=True, kw_only=True, tag="quote.get.v1"):
    """Price a basket without holding it. Answered at once by `quoting`, then by `quoted` or a refusal."""

    items: Annotated[Items, Meta(min_length=1)]
    extras: Extras = {}
    payment_method: PaymentMethod | None = None
    voucher: VoucherCode | None = None


class PutQuote(CommandBase, frozen=True, kw_only=True, tag="quote.put.v1"):
    """Internal: the price that `quote.get` asked for, or why there is none."""

    answers: RequestId
    quote: QuoteView | None = None
    valid_until: AwareTime | None = None
    problems: Annotated[list[PriceProblem], Meta(max_length=200)] = []


class PriceHold(CommandBase, frozen=True, kw_only=True, tag="hold.price.v1"):
    """Internal: what a hold costs, or why it has no price. Counts only for the basket that it names.

    `voucher_uses_max` is how often the quote's voucher may be redeemed; `outdated_hash` the quote that was asked for
    and is no longer valid. `shares` is what one of each ticket type (`ticket.<key>`) and extra (`extra.<key>`) comes to
    of the total, fees and discounts included, rounded down: what is owed for one that is given back.
    """

    hold_id: HoldId
    items: Annotated[Items, Meta(min_length=1)]
    extras: Extras = {}
    answers: RequestId | None = None
    quote: QuoteView | None = None
    voucher: VoucherCode | None = None
    voucher_uses_max: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    outdated_hash: HashOfQuote | None = None
    shares: Annotated[dict[str, Amount], Meta(max_length=100)] = {}
    problems: Annotated[list[PriceProblem], Meta(max_length=200)] = []


# --- bookings ----------------------------------------------------------------------------------------------------


class PaymentNotice(_Closed, frozen=True, kw_only=True):
    """What the payment provider said. `reference` is its name for the payment."""

    method: PaymentMethod
    amount: Amount
    currency: CurrencyCode
    status: Literal["pending", "paid"]
    reference: Label = ""


class Customer(_Closed, frozen=True, kw_only=True):
    """Who buys, as far as they said. Kept with the booking, never in events, answers or the journal."""

    name: Text = ""
    email: Annotated[str, Meta(max_length=254, pattern=EMAIL_PATTERN)] = ""
    phone: Annotated[str, Meta(max_length=40, pattern=TEXT_PATTERN)] = ""
    locale: Annotated[
        str,
        Meta(pattern=LOCALE_PATTERN, description="Such as de-AT"),
    ] = ""


class ConvertBooking(CommandBase, frozen=True, kw_only=True, tag="booking.convert.v1"):
    """Turn a priced hold into an order. Answered at once by `converting`, then by `confirmed` or a refusal.

    The booking has the id of its hold. `quote_hash` is the price that the buyer agreed to, and `payment` says so, too.
    """

    session_id: SessionId
    hold_id: HoldId
    quote_hash: HashOfQuote
    payment: PaymentNotice
    customer: Customer | None = None


class SettleBooking(CommandBase, frozen=True, kw_only=True, tag="booking.settle.v1"):
    """Internal: how the conversion ended. `ordered` sells the seats, `failed` frees them, `unknown` parks it.

    `waiting` ends nothing: it was paid, its time is over, and the shop has not taken the order yet.
    """

    booking_id: BookingId
    outcome: Literal["ordered", "failed", "unknown", "waiting"]
    answers: RequestId | None = None
    order: BookedOrder | None = None
    reason: Label = ""


class CancelBooking(CommandBase, frozen=True, kw_only=True, tag="booking.cancel.v1"):
    """Give a booking's seats back, once. Not after the occurrence has started."""

    session_id: SessionId
    booking_id: BookingId
    reason: Label = ""


class ReduceBooking(CommandBase, frozen=True, kw_only=True, tag="booking.reduce.v1"):
    """Give some tickets or extras of a booking back. `items` and `extras` are what it keeps, as absolute numbers.

    Their share of the price is owed. Not after the occurrence has started; to give back all of it, cancel.
    """

    session_id: SessionId
    booking_id: BookingId
    items: Annotated[Items, Meta(min_length=1)]
    extras: Extras = {}
    reason: Label = ""


class GetBooking(CommandBase, frozen=True, kw_only=True, tag="booking.get.v1"):
    """A booking as it is now. A read: asked twice it is answered afresh."""

    session_id: SessionId
    booking_id: BookingId


class NoteOrder(CommandBase, frozen=True, kw_only=True, tag="booking.note_order.v1"):
    """Internal: the shop says how an order is now. Only what is newer than what is known counts."""

    booking_id: BookingId
    order_id: Label
    status: OrderStatus
    changed_at: AwareTime
    refunded: Annotated[int, Meta(ge=0, le=AMOUNT_MAX)] = 0


class ResolveBooking(CommandBase, frozen=True, kw_only=True, tag="booking.resolve.v1"):
    """Internal: what a person decided about a parked booking, or that a refund was made.

    `fulfil` sells the seats if they can be had; `refund` gives the money back and ends it; `refunded` notes that it
    was given back; `cancel` gives the seats of a confirmed booking back, also after the start; `reduce` gives some of
    them back: `items` and `extras` are what it keeps. `refund_amount` is what is to be given back by `refund`, `cancel`
    or `reduce`, in minor units: at most what was paid less what went back. Left out, it is all of that, or the share of
    what is given back.
    """

    booking_id: BookingId
    action: Literal["fulfil", "refund", "refunded", "cancel", "reduce"]
    by: Label
    note: Label = ""
    refund_amount: Annotated[int, Meta(ge=0, le=AMOUNT_MAX)] | None = None
    items: Extras = {}
    extras: Extras = {}


# --- carts -------------------------------------------------------------------------------------------------------


class CartLeg(_Closed, frozen=True, kw_only=True):
    """What a cart takes of one occurrence."""

    occurrence_id: OccurrenceId
    items: Annotated[Items, Meta(min_length=1)]
    extras: Extras = {}


class PlaceCart(CommandBase, frozen=True, kw_only=True, tag="cart.place.v1"):
    """Hold baskets of several occurrences, all or nothing. Goes to the queue of the first leg's occurrence.

    Answered at once by `cart_started`, then by `cart_held` or a refusal; the cart's id is the request id.
    """

    legs: Annotated[list[CartLeg], Meta(min_length=2, max_length=CART_LEGS_MAX)]
    session_id: SessionId | None = None
    user_id: UserId | None = None
    ttl_seconds: Annotated[int, Meta(ge=1, le=7200)] | None = None


class HoldCartLeg(CommandBase, frozen=True, kw_only=True, tag="cart.hold.v1"):
    """Internal: take one leg of a cart."""

    cart_id: RequestId
    items: Annotated[Items, Meta(min_length=1)]
    session_id: SessionId
    extras: Extras = {}
    user_id: UserId | None = None
    ttl_seconds: Annotated[int, Meta(ge=1, le=7200)] | None = None


class ReleaseCartLeg(CommandBase, frozen=True, kw_only=True, tag="cart.release.v1"):
    """Internal: give one leg of a cart back, because another one was refused."""

    cart_id: RequestId
    hold_id: HoldId
    session_id: SessionId


class SettleCart(CommandBase, frozen=True, kw_only=True, tag="cart.settle.v1"):
    """Internal: how the cart ended: every leg held, or none, and which one was refused and why."""

    answers: RequestId
    outcome: Literal["held", "refused"]
    hold_ids: Annotated[dict[OccurrenceId, HoldId], Meta(max_length=CART_LEGS_MAX)] = {}
    refused_occurrence_id: OccurrenceId | None = None
    reason: Label = ""
    message: Text = ""
    errors: Annotated[list[FieldProblem], Meta(max_length=ERRORS_MAX)] = []


# --- waiting lists -----------------------------------------------------------------------------------------------


class JoinWaitlist(CommandBase, frozen=True, kw_only=True, tag="waitlist.join.v1"):
    """Stand in line for a basket that is sold out. The offer is a hold, whose id is this request's."""

    items: Annotated[Items, Meta(min_length=1)]
    extras: Extras = {}
    session_id: SessionId | None = None
    user_id: UserId | None = None


class LeaveWaitlist(CommandBase, frozen=True, kw_only=True, tag="waitlist.leave.v1"):
    """Leave the line, before an offer or to decline one."""

    session_id: SessionId
    entry_id: RequestId


class GetWaitlistEntry(CommandBase, frozen=True, kw_only=True, tag="waitlist.get.v1"):
    """A place in line as it is now, or the offer that came of it. A read: asked twice it is answered afresh."""

    session_id: SessionId
    entry_id: RequestId


SellingCommand = (
    GetQuote
    | PutQuote
    | PriceHold
    | ConvertBooking
    | SettleBooking
    | CancelBooking
    | ReduceBooking
    | GetBooking
    | NoteOrder
    | ResolveBooking
    | PlaceCart
    | HoldCartLeg
    | ReleaseCartLeg
    | SettleCart
    | JoinWaitlist
    | LeaveWaitlist
    | GetWaitlistEntry
)
SELLING_TYPES: tuple[type[SellingCommand], ...] = (
    GetQuote,
    ConvertBooking,
    CancelBooking,
    ReduceBooking,
    GetBooking,
    PlaceCart,
    JoinWaitlist,
    LeaveWaitlist,
    GetWaitlistEntry,
)
"""What upstream services may send."""
INTERNAL_TYPES: tuple[type[SellingCommand], ...] = (
    PutQuote,
    PriceHold,
    SettleBooking,
    NoteOrder,
    ResolveBooking,
    HoldCartLeg,
    ReleaseCartLeg,
    SettleCart,
)
"""What only Holdgate's own workers send, under seal."""
