"""What is known of the dealings with the shop about one booking, and the words for them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from holdgate_schema.values.views import BookedOrder
from holdgate_workers.domain.bookings.booking import Booking

from .orders import CancelResult, CreateResult, FindResult, NewOrder, NewRefund, RefundResult, ShopOrder

REFERENCE_PREFIX = "hg-"
REASON_CHARS_MAX = 100


# --- what is true -------------------------------------------------------------------------------------------------


class Verdict(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What the gate is told of the conversion. Written down first, so that each repetition has the same words.

    `refused`: the shop said no for good. `answers`: the request that gets its second answer by this.
    """

    outcome: Literal["ordered", "failed", "unknown"]
    order: BookedOrder | None = None
    reason: str = ""
    refused: bool = False
    answers: str | None = None


class Saga(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What is known of the dealings with the shop about one booking.

    `never_sent`: certainly nothing of ours was ever stored there. `order` is as it was last seen, `surplus` names
    further orders under our reference, one too many each. `refund` is fixed before it is first asked for, and has the
    amount that went back once it has an id; `refunds` and `given_back` count those that came to their end. `refused` is
    why the shop gave nothing back: it stays so until a person has it asked for again, and `asked_again_at` is the last
    time that a person did.
    """

    booking_id: str
    answers: str | None = None
    reply_to: str | None = None
    correlation_id: str | None = None
    never_sent: bool = True
    order: ShopOrder | None = None
    gateway: str = ""
    surplus: tuple[str, ...] = ()
    verdict: Verdict | None = None
    refund: NewRefund | None = None
    refund_id: str | None = None
    refunds: int = 0
    given_back: int = 0
    refused: str = ""
    asked_again_at: str = ""
    failures: int = 0


class Terms(Struct, frozen=True, kw_only=True, gc=False):
    """What the shop's gateway needs: how long one call may take, how long a request may be at work after it, whether
    the shop has to be asked how its orders are, and whether a refund there moves money."""

    gateway: str
    call_seconds: float
    settle_seconds: float
    is_watched: bool
    pays_back: bool = True


class Run(Struct, kw_only=True, gc=False):
    """What this look at the booking has done so far; forgotten at its end."""

    watches: bool = False
    is_fresh: bool = False
    is_gone: bool = False
    was_searched: bool = False
    told: tuple[str, ...] = ()
    trouble: str = ""
    trouble_seconds: float = 0.0
    refused: str = ""


class Facts(Struct, frozen=True, kw_only=True, gc=False):
    """What is true of a booking. `to_order` is what the shop is to charge, exactly; None, and then `why_not` says
    why, if the quote is not there as it was made."""

    now: datetime
    booking: Booking
    hold_state: str | None
    saga: Saga
    to_order: NewOrder | None
    over_at: datetime | None
    begun_at: datetime | None = None
    quiet_until: datetime | None = None
    why_not: str = ""


# --- what the shop is asked -----------------------------------------------------------------------------------------


class Create(Struct, frozen=True, gc=False):
    """Have the order there, once."""

    order: NewOrder
    sent_before: bool


class Find(Struct, frozen=True, gc=False):
    """Search the shop. `decides`: what it says is how the conversion ended; `is_last`: its time is up, so that nobody
    knows if it says nothing. `is_paid`: that there is no order is no end where money was taken. `order_id` is the
    booking's order, if it has one: any other is one too many."""

    reference: str
    decides: bool = False
    is_last: bool = False
    order_id: str | None = None
    is_paid: bool = False


class Get(Struct, frozen=True, gc=False):
    """Look at the order."""

    order_id: str


class Cancel(Struct, frozen=True, gc=False):
    """End an order."""

    order_id: str
    reason: str


class Refund(Struct, frozen=True, gc=False):
    """Give the money back."""

    order_id: str
    refund: NewRefund


Call = Create | Find | Get | Cancel | Refund
CHANGING = (Create, Cancel, Refund)
"""What is written down before it is asked for."""
Result = CreateResult | FindResult | CancelResult | RefundResult


# --- names --------------------------------------------------------------------------------------------------------


def reference_of(booking_id: str) -> str:
    """Our name for a booking's order, for ever."""
    return f"{REFERENCE_PREFIX}{booking_id}"


def is_given_back(order: ShopOrder, paid: int) -> bool:
    """Whether all that was paid went back. A shop says `refunded` when its own total did, which may be less; one that
    does not say how much is believed."""
    return order.status == "refunded" and not 0 < order.refunded < paid


def booking_id_of(reference: str) -> str:
    """Whose order it is; no booking has an empty id."""
    return reference.removeprefix(REFERENCE_PREFIX) if reference.startswith(REFERENCE_PREFIX) else ""


def booked(order: ShopOrder, gateway: str) -> BookedOrder:
    """The order as the booking has it."""
    return BookedOrder(gateway=gateway, order_id=order.order_id, status=order.status, changed_at=order.changed_at)


def new_verdict(saga: Saga, outcome: Literal["ordered", "failed", "unknown"], reason: str) -> Verdict:
    return Verdict(outcome=outcome, reason=cut(reason), answers=waiting_request(saga))


def waiting_request(saga: Saga) -> str | None:
    """The request that still waits for its second answer: it gets one, however often the story changes afterwards."""
    return saga.answers if saga.verdict is None else None


def cut(text: str) -> str:
    """As the language has labels."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return plain if len(plain) <= REASON_CHARS_MAX else f"{plain[: REASON_CHARS_MAX - 1]}…"
