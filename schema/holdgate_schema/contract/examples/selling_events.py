"""An example of every event of prices, bookings, carts, waiting lists and rooms that fill up."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from holdgate_schema.commands.selling import CartLeg
from holdgate_schema.events.selling import (
    BookingCancelled,
    BookingChanged,
    BookingConfirmed,
    BookingConverting,
    BookingFailed,
    BookingParked,
    BookingReduced,
    CapacityAvailableAgain,
    CapacityFull,
    CapacityLow,
    CapacityNearlyFull,
    CartBegun,
    CartLegRefused,
    CartSettled,
    HoldPriced,
    PaymentRefused,
    QuoteRequested,
    SellingEvent,
    WaitlistJoined,
    WaitlistLeft,
    WaitlistOffered,
)

from .selling import CANCEL, CART, CART_SESSION, CONVERT, EVENING, EXTRAS, GET_QUOTE, ITEMS, JOIN, LEAVE, REDUCE
from .story import (
    CARD,
    NOW,
    OCCURRENCE,
    ORDER,
    PRODUCT,
    QUOTE_REF,
    QUOTE_VIEW,
    example_booking,
    example_hold,
    example_id,
)


def selling_events() -> list[SellingEvent]:
    """The events."""
    return [*_of_prices(), *_of_bookings(), *_of_rooms(), *_of_lines(), *_of_carts()]


def _head(request_id: str, version: int, number: int = 0, **later: float) -> dict[str, Any]:
    return {
        "event_id": f"{request_id}/{number}",
        "occurrence_id": OCCURRENCE,
        "version": version,
        "occurred_at": NOW + timedelta(**later),
    }


def _of_prices() -> list[SellingEvent]:
    return [
        QuoteRequested(
            **_head(GET_QUOTE, 2, minutes=-1),
            product_id=PRODUCT,
            items=ITEMS,
            extras=EXTRAS,
            payment_method=CARD,
        ),
        HoldPriced(**_head(example_id(81), 3, seconds=1), hold=example_hold(quote=QUOTE_REF), quote=QUOTE_VIEW),
    ]


def _of_bookings() -> list[SellingEvent]:
    cancelled = example_booking("cancelled", reason="The child is ill", refund="due", order=ORDER)
    reduced = replace(
        example_booking("confirmed", order=ORDER), items={"adult": 2}, seats=2, refund="due", refund_due=1185
    )
    repaid = example_booking("cancelled", reason="The child is ill", refund="done", order=ORDER)
    return [
        BookingConverting(**_head(CONVERT, 4, minutes=5), booking=example_booking("converting")),
        BookingConfirmed(
            **_head(example_id(82), 5, minutes=5, seconds=4), booking=example_booking("confirmed", order=ORDER)
        ),
        BookingFailed(
            **_head(example_id(82), 5, 1, minutes=5, seconds=4),
            booking=example_booking("failed", reason="The shop did not take the order: out of stock"),
        ),
        BookingCancelled(**_head(CANCEL, 9, days=2), booking=cancelled, refund="due"),
        BookingReduced(
            **_head(REDUCE, 8, days=1),
            booking=reduced,
            items={"child": 1},
            amount=1185,
        ),
        BookingParked(
            **_head(example_id(82), 5, minutes=15),
            booking=example_booking("parked", reason="Nobody knows whether there is an order"),
        ),
        BookingChanged(**_head(example_id(83), 10, days=2, minutes=1), booking=repaid),
        PaymentRefused(
            **_head(CONVERT, 4, minutes=5),
            hold_id=repaid.hold_id,
            payment=replace(repaid.payment, amount=repaid.payment.amount - 400),
            reason="payment_mismatch",
            message="payment.amount is not what the quote says",
            session_id=repaid.session_id,
        ),
    ]


def _of_rooms() -> list[SellingEvent]:
    return [
        CapacityLow(**_head(example_id(10), 12, 1, hours=4), pool="total", sellable=12, taken=10),
        CapacityNearlyFull(**_head(example_id(11), 13, 1, hours=4), pool="child-seats", sellable=20, taken=19),
        CapacityFull(**_head(example_id(12), 14, 1, hours=5), pool="total", sellable=12, taken=12),
        CapacityAvailableAgain(**_head(example_id(13), 15, 1, hours=6), pool="total", sellable=12, taken=9),
    ]


def _of_lines() -> list[SellingEvent]:
    session = f"hgs.{JOIN}.{'0' * 40}"
    return [
        WaitlistJoined(**_head(JOIN, 10, hours=2), entry_id=JOIN, session_id=session, seats=3, user_id="user-8"),
        WaitlistOffered(
            **_head(example_id(13), 15, 2, hours=6), entry_id=JOIN, hold=example_hold(hold_id=JOIN, minutes=390)
        ),
        WaitlistLeft(**_head(LEAVE, 11, hours=3), entry_id=JOIN, session_id=session),
    ]


def _of_carts() -> list[SellingEvent]:
    legs = [
        CartLeg(occurrence_id=OCCURRENCE, items={"adult": 2}),
        CartLeg(occurrence_id=EVENING, items={"adult": 2}, extras={"lunch": 2}),
    ]
    return [
        CartBegun(**_head(CART, 6, hours=1), cart_id=CART, session_id=CART_SESSION, legs=legs),
        CartLegRefused(
            **_head(example_id(89), 7, hours=1, seconds=1),
            cart_id=CART,
            reason="sold_out",
            message="Not enough is left; some may come back when holds end",
        ),
        CartSettled(
            **_head(example_id(87), 8, hours=1, seconds=1),
            cart_id=CART,
            outcome="held",
            hold_ids={OCCURRENCE: example_id(88), EVENING: example_id(85)},
        ),
    ]
