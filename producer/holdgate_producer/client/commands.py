"""The commands behind the clients' methods, built once for both faces. Each raises `InvalidRequest`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from holdgate_producer.core.errors import InvalidRequest
from holdgate_producer.core.outgoing import command_of
from holdgate_schema.commands.holds import ChangeHold, Client, GetHold, PlaceHold
from holdgate_schema.commands.selling import (
    CancelBooking,
    CartLeg,
    ConvertBooking,
    Customer,
    GetBooking,
    GetQuote,
    GetWaitlistEntry,
    JoinWaitlist,
    LeaveWaitlist,
    PaymentNotice,
    PlaceCart,
    Pricing,
    ReduceBooking,
)
from holdgate_schema.errors import FieldError

Quantities = Mapping[str, int]


def place_hold(
    occurrence_id: str,
    items: Quantities,
    *,
    extras: Quantities | None = None,
    session_id: str | None = None,
    user_id: str | None = None,
    client: Client | None = None,
    ttl_seconds: int | None = None,
    pricing: Pricing | None = None,
    request_id: str | None = None,
) -> PlaceHold:
    """`hold.place`."""
    return command_of(
        PlaceHold,
        request_id=request_id,
        occurrence_id=occurrence_id,
        items=items,
        extras=extras,
        session_id=session_id,
        user_id=user_id,
        client=client,
        ttl_seconds=ttl_seconds,
        pricing=pricing,
    )


def change_hold(
    occurrence_id: str,
    session_id: str,
    hold_id: str,
    items: Quantities,
    *,
    extras: Quantities | None = None,
    pricing: Pricing | None = None,
    request_id: str | None = None,
) -> ChangeHold:
    """`hold.change`."""
    return command_of(
        ChangeHold,
        request_id=request_id,
        occurrence_id=occurrence_id,
        session_id=session_id,
        hold_id=hold_id,
        items=items,
        extras=extras,
        pricing=pricing,
    )


def get_quote(
    occurrence_id: str,
    items: Quantities,
    *,
    extras: Quantities | None = None,
    payment_method: str | None = None,
    voucher: str | None = None,
    request_id: str | None = None,
) -> GetQuote:
    """`quote.get`."""
    return command_of(
        GetQuote,
        request_id=request_id,
        occurrence_id=occurrence_id,
        items=items,
        extras=extras,
        payment_method=payment_method,
        voucher=voucher,
    )


def convert_booking(
    occurrence_id: str,
    session_id: str,
    hold_id: str,
    *,
    quote_hash: str,
    payment: PaymentNotice,
    customer: Customer | None = None,
    request_id: str | None = None,
) -> ConvertBooking:
    """`booking.convert`."""
    return command_of(
        ConvertBooking,
        request_id=request_id,
        occurrence_id=occurrence_id,
        session_id=session_id,
        hold_id=hold_id,
        quote_hash=quote_hash,
        payment=payment,
        customer=customer,
    )


def cancel_booking(
    occurrence_id: str, session_id: str, booking_id: str, *, reason: str = "", request_id: str | None = None
) -> CancelBooking:
    """`booking.cancel`."""
    ids = {"occurrence_id": occurrence_id, "session_id": session_id, "booking_id": booking_id}
    return command_of(CancelBooking, request_id=request_id, reason=reason, **ids)


def reduce_booking(
    occurrence_id: str,
    session_id: str,
    booking_id: str,
    items: Quantities,
    *,
    extras: Quantities | None = None,
    reason: str = "",
    request_id: str | None = None,
) -> ReduceBooking:
    """`booking.reduce`."""
    return command_of(
        ReduceBooking,
        request_id=request_id,
        occurrence_id=occurrence_id,
        session_id=session_id,
        booking_id=booking_id,
        items=items,
        extras=extras,
        reason=reason,
    )


def get_booking(
    occurrence_id: str, session_id: str, booking_id: str, *, request_id: str | None = None
) -> GetBooking:
    """`booking.get`."""
    ids = {"occurrence_id": occurrence_id, "session_id": session_id, "booking_id": booking_id}
    return command_of(GetBooking, request_id=request_id, **ids)


def place_cart(
    legs: Sequence[CartLeg],
    *,
    session_id: str | None = None,
    user_id: str | None = None,
    ttl_seconds: int | None = None,
    request_id: str | None = None,
) -> PlaceCart:
    """`cart.place`."""
    if not legs:
        raise InvalidRequest([FieldError("legs", "must name at least two occurrences")], request_id=request_id)
    return command_of(
        PlaceCart,
        request_id=request_id,
        occurrence_id=legs[0].occurrence_id,
        legs=list(legs),
        session_id=session_id,
        user_id=user_id,
        ttl_seconds=ttl_seconds,
    )


def join_waitlist(
    occurrence_id: str,
    items: Quantities,
    *,
    extras: Quantities | None = None,
    session_id: str | None = None,
    user_id: str | None = None,
    request_id: str | None = None,
) -> JoinWaitlist:
    """`waitlist.join`."""
    return command_of(
        JoinWaitlist,
        request_id=request_id,
        occurrence_id=occurrence_id,
        items=items,
        extras=extras,
        session_id=session_id,
        user_id=user_id,
    )


def get_hold(occurrence_id: str, session_id: str, hold_id: str, *, request_id: str | None = None) -> GetHold:
    """`hold.get`."""
    ids = {"occurrence_id": occurrence_id, "session_id": session_id, "hold_id": hold_id}
    return command_of(GetHold, request_id=request_id, **ids)


def get_waitlist_entry(
    occurrence_id: str, session_id: str, entry_id: str, *, request_id: str | None = None
) -> GetWaitlistEntry:
    """`waitlist.get`."""
    ids = {"occurrence_id": occurrence_id, "session_id": session_id, "entry_id": entry_id}
    return command_of(GetWaitlistEntry, request_id=request_id, **ids)


def leave_waitlist(
    occurrence_id: str, session_id: str, entry_id: str, *, request_id: str | None = None
) -> LeaveWaitlist:
    """`waitlist.leave`."""
    ids = {"occurrence_id": occurrence_id, "session_id": session_id, "entry_id": entry_id}
    return command_of(LeaveWaitlist, request_id=request_id, **ids)
