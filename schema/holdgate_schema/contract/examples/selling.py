"""An example of every command and answer that turns holds into money."""

from __future__ import annotations

from datetime import timedelta

from holdgate_schema.answers.selling import (
    Booked,
    Cancelled,
    CartHeld,
    CartLegReleased,
    CartStarted,
    Confirmed,
    Converting,
    LeftWaitlist,
    Priced,
    Quoted,
    Quoting,
    SellingAnswer,
    Waiting,
    WaitlistPlace,
)
from holdgate_schema.commands.selling import (
    CancelBooking,
    CartLeg,
    ConvertBooking,
    Customer,
    GetBooking,
    GetQuote,
    GetWaitlistEntry,
    HoldCartLeg,
    JoinWaitlist,
    LeaveWaitlist,
    NoteOrder,
    PaymentNotice,
    PlaceCart,
    PriceHold,
    PutQuote,
    ReduceBooking,
    ReleaseCartLeg,
    ResolveBooking,
    SellingCommand,
    SettleBooking,
    SettleCart,
)

from .story import (
    CARD,
    HOLD,
    NOW,
    OCCURRENCE,
    ORDER,
    PAYMENT,
    QUOTE,
    QUOTE_REF,
    QUOTE_VIEW,
    SESSION,
    VOUCHER,
    example_booking,
    example_hold,
    example_id,
)

GET_QUOTE, CONVERT, CANCEL, GET_BOOKING = example_id(60), example_id(61), example_id(62), example_id(63)
REDUCE = example_id(69)
CART, JOIN, LEAVE = example_id(70), example_id(72), example_id(73)
CART_SESSION = "cart-2026-11-22-0017"
EVENING = "tour-43.2026-12-05T18"
VALID_UNTIL = NOW + timedelta(minutes=14)
ITEMS = {"adult": 2, "child": 1}
EXTRAS = {"audio-guide": 2}


def selling_commands() -> list[SellingCommand]:
    """The commands, those of upstream services first."""
    return [*_upstream(), *_internal()]


def _upstream() -> list[SellingCommand]:
    return [
        GetQuote(
            request_id=GET_QUOTE,
            occurrence_id=OCCURRENCE,
            items=ITEMS,
            extras=EXTRAS,
            payment_method=CARD,
            voucher=VOUCHER,
        ),
        ConvertBooking(
            request_id=CONVERT,
            occurrence_id=OCCURRENCE,
            session_id=SESSION,
            hold_id=HOLD,
            quote_hash=QUOTE.hash,
            payment=PaymentNotice(
                method=CARD, amount=QUOTE.total, currency="EUR", status="paid", reference=PAYMENT.reference
            ),
            customer=Customer(name="Inês Duarte", email="ines@example.org", locale="pt-PT"),
        ),
        CancelBooking(
            request_id=CANCEL,
            occurrence_id=OCCURRENCE,
            session_id=SESSION,
            booking_id=HOLD,
            reason="The child is ill",
        ),
        ReduceBooking(
            request_id=REDUCE,
            occurrence_id=OCCURRENCE,
            session_id=SESSION,
            booking_id=HOLD,
            items={"adult": 2},
            extras=EXTRAS,
            reason="The child is ill",
        ),
        GetBooking(request_id=GET_BOOKING, occurrence_id=OCCURRENCE, session_id=SESSION, booking_id=HOLD),
        PlaceCart(
            request_id=CART,
            occurrence_id=OCCURRENCE,
            legs=[
                CartLeg(occurrence_id=OCCURRENCE, items={"adult": 2}),
                CartLeg(occurrence_id=EVENING, items={"adult": 2}, extras={"lunch": 2}),
            ],
            session_id=CART_SESSION,
        ),
        JoinWaitlist(request_id=JOIN, occurrence_id=OCCURRENCE, items={"adult": 1, "child": 2}, user_id="user-8"),
        LeaveWaitlist(
            request_id=LEAVE, occurrence_id=OCCURRENCE, session_id=f"hgs.{JOIN}.{'0' * 40}", entry_id=JOIN
        ),
        GetWaitlistEntry(
            request_id=example_id(74), occurrence_id=OCCURRENCE, session_id=f"hgs.{JOIN}.{'0' * 40}", entry_id=JOIN
        ),
    ]


def _internal() -> list[SellingCommand]:
    return [
        PutQuote(
            request_id=example_id(80),
            occurrence_id=OCCURRENCE,
            answers=GET_QUOTE,
            quote=QUOTE_VIEW,
            valid_until=VALID_UNTIL,
        ),
        PriceHold(
            request_id=example_id(81),
            occurrence_id=OCCURRENCE,
            hold_id=HOLD,
            items=ITEMS,
            extras=EXTRAS,
            answers=HOLD,
            quote=QUOTE_VIEW,
            voucher=VOUCHER,
            voucher_uses_max=100,
        ),
        SettleBooking(
            request_id=example_id(82),
            occurrence_id=OCCURRENCE,
            booking_id=HOLD,
            outcome="ordered",
            answers=CONVERT,
            order=ORDER,
        ),
        NoteOrder(
            request_id=example_id(83),
            occurrence_id=OCCURRENCE,
            booking_id=HOLD,
            order_id=ORDER.order_id,
            status="refunded",
            changed_at=NOW + timedelta(days=2, minutes=1),
            refunded=QUOTE.total,
        ),
        ResolveBooking(
            request_id=example_id(84),
            occurrence_id=OCCURRENCE,
            booking_id=HOLD,
            action="refund",
            by="ada",
            note="Called the buyer",
        ),
        HoldCartLeg(
            request_id=example_id(85),
            occurrence_id=EVENING,
            cart_id=CART,
            items={"adult": 2},
            extras={"lunch": 2},
            session_id=CART_SESSION,
        ),
        ReleaseCartLeg(
            request_id=example_id(86),
            occurrence_id=OCCURRENCE,
            cart_id=CART,
            hold_id=example_id(88),
            session_id=CART_SESSION,
        ),
        SettleCart(
            request_id=example_id(87),
            occurrence_id=OCCURRENCE,
            answers=CART,
            outcome="held",
            hold_ids={OCCURRENCE: example_id(88), EVENING: example_id(85)},
        ),
    ]


def selling_answers() -> list[SellingAnswer]:
    """The answers. A second one has the id of the internal command that brought it."""
    return [*_of_prices(), *_of_bookings(), *_of_carts(), *_of_lines()]


def _of_prices() -> list[SellingAnswer]:
    return [
        Quoting(request_id=GET_QUOTE, occurrence_id=OCCURRENCE, version=2, decided_at=NOW - timedelta(minutes=1)),
        Quoted(
            request_id=example_id(80),
            occurrence_id=OCCURRENCE,
            version=3,
            decided_at=NOW - timedelta(seconds=59),
            quote=QUOTE_VIEW,
            valid_until=VALID_UNTIL,
        ),
        Priced(
            request_id=example_id(81),
            occurrence_id=OCCURRENCE,
            version=3,
            decided_at=NOW + timedelta(seconds=1),
            hold=example_hold(quote=QUOTE_REF),
            quote=QUOTE_VIEW,
        ),
    ]


def _of_bookings() -> list[SellingAnswer]:
    cancelled = example_booking("cancelled", reason="The child is ill", refund="due", order=ORDER)
    return [
        Converting(
            request_id=CONVERT,
            occurrence_id=OCCURRENCE,
            version=4,
            decided_at=NOW + timedelta(minutes=5),
            booking=example_booking("converting"),
        ),
        Confirmed(
            request_id=example_id(82),
            occurrence_id=OCCURRENCE,
            version=5,
            decided_at=NOW + timedelta(minutes=5, seconds=4),
            booking=example_booking("confirmed", order=ORDER),
        ),
        Cancelled(
            request_id=CANCEL,
            occurrence_id=OCCURRENCE,
            version=9,
            decided_at=NOW + timedelta(days=2),
            booking=cancelled,
            refund="due",
        ),
        Booked(
            request_id=GET_BOOKING,
            occurrence_id=OCCURRENCE,
            version=5,
            decided_at=NOW + timedelta(minutes=6),
            booking=example_booking("confirmed", order=ORDER),
        ),
    ]


def _of_carts() -> list[SellingAnswer]:
    return [
        CartStarted(
            request_id=CART,
            occurrence_id=OCCURRENCE,
            version=6,
            decided_at=NOW + timedelta(hours=1),
            cart_id=CART,
            session_id=CART_SESSION,
            occurrence_ids=[OCCURRENCE, EVENING],
        ),
        CartHeld(
            request_id=example_id(87),
            occurrence_id=OCCURRENCE,
            version=8,
            decided_at=NOW + timedelta(hours=1, seconds=1),
            cart_id=CART,
            hold_ids={OCCURRENCE: example_id(88), EVENING: example_id(85)},
        ),
        CartLegReleased(
            request_id=example_id(86),
            occurrence_id=OCCURRENCE,
            version=9,
            decided_at=NOW + timedelta(hours=1, seconds=2),
            cart_id=CART,
            hold_id=example_id(88),
        ),
    ]


def _of_lines() -> list[SellingAnswer]:
    return [
        Waiting(
            request_id=JOIN,
            occurrence_id=OCCURRENCE,
            version=10,
            decided_at=NOW + timedelta(hours=2),
            entry_id=JOIN,
            session_id=f"hgs.{JOIN}.{'0' * 40}",
            position=2,
            seats=3,
        ),
        LeftWaitlist(
            request_id=LEAVE,
            occurrence_id=OCCURRENCE,
            version=11,
            decided_at=NOW + timedelta(hours=3),
            entry_id=JOIN,
        ),
        WaitlistPlace(
            request_id=example_id(74),
            occurrence_id=OCCURRENCE,
            version=10,
            decided_at=NOW + timedelta(hours=2, minutes=30),
            entry_id=JOIN,
            session_id=f"hgs.{JOIN}.{'0' * 40}",
            state="waiting",
            items={"adult": 1, "child": 2},
            seats=3,
            position=2,
        ),
    ]
