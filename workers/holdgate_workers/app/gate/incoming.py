"""From a delivery to a request: decoded, checked, and never raising."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from holdgate_schema.codec import BODY_BYTES_MAX, decode_command
from holdgate_schema.commands.holds import (
    ChangeHold,
    Command,
    ExtendHold,
    GetHold,
    PlaceHold,
    ReleaseHold,
    type_name,
)
from holdgate_schema.commands.selling import (
    CancelBooking,
    ConvertBooking,
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
    ReduceBooking,
    ReleaseCartLeg,
    ResolveBooking,
    SettleBooking,
)
from holdgate_schema.envelope import property_errors
from holdgate_schema.errors import FieldError, InvalidMessage
from holdgate_schema.ids import HoldId
from holdgate_schema.topology import may_reply_to
from holdgate_workers.app.ports import Delivery

UNREADABLE = "unreadable"
"""The journal's kind of a request whose ids could be read and nothing else can be trusted."""


class Incoming(Struct, gc=False):
    """One delivery, read.

    With a command it can be decided. Without one but with ids it is refused as `invalid` under its own name;
    with neither it belongs to the dead letters.
    """

    delivery: Delivery
    request_id: str | None
    occurrence_id: str | None
    fingerprint: bytes
    command: Command | None
    errors: list[FieldError]
    reply_to: str | None
    received_at: float = 0.0
    """Monotonic seconds; set by whoever took it in, for measuring."""
    payment: tuple[str, PaymentNotice] | None = None
    """Of a conversion that could not be read: its hold and what was paid for it, if so much could."""

    @property
    def kind(self) -> str:
        """The command's type, or what to call it without one."""
        return type_name(self.command) if self.command is not None else UNREADABLE

    @property
    def has_good_body(self) -> bool:
        """Whether the body says a command, whatever the properties say."""
        return bool(self.fingerprint)

    @property
    def session_id(self) -> str | None:
        """The session that asks, if it says so."""
        return getattr(self.command, "session_id", None)


def read(delivery: Delivery) -> Incoming:
    """Decode and check a delivery. Whatever is wrong with it is in `errors`."""
    properties = delivery.properties
    reply_to = properties.reply_to
    if reply_to is not None and not may_reply_to(reply_to):
        reply_to = None
    if delivery.oversized is not None:
        size = delivery.oversized.size_bytes
        errors = [FieldError("body", f"is {size} bytes, at most {BODY_BYTES_MAX} are read")]
        return Incoming(delivery, None, None, b"", None, errors, reply_to)
    try:
        command, fingerprint = decode_command(delivery.body)
    except InvalidMessage as exc:
        read_so_far = delivery, exc.request_id, exc.occurrence_id, b"", None, exc.errors, reply_to
        return Incoming(*read_so_far, payment=_paid(delivery.body))
    errors = property_errors(properties, request_id=command.request_id, message_type=type_name(command))
    if errors:
        return Incoming(delivery, command.request_id, command.occurrence_id, fingerprint, None, errors, reply_to)
    return Incoming(delivery, command.request_id, command.occurrence_id, fingerprint, command, errors, reply_to)


class _Paid(Struct):
    """What must be readable of a broken conversion, so that the money is not forgotten."""

    type: Literal["booking.convert.v1"]
    hold_id: HoldId
    payment: PaymentNotice


_paid_decoder = msgspec.json.Decoder(_Paid)


def _paid(body: bytes) -> tuple[str, PaymentNotice] | None:
    if len(body) > BODY_BYTES_MAX or b"booking.convert" not in body:
        return None
    try:
        said = _paid_decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return said.hold_id, said.payment


_ANSWERED_TWICE = {GetQuote, ConvertBooking, PlaceCart}
_MAKES_HOLD = {PlaceHold, HoldCartLeg, JoinWaitlist}
_HOLD_FIELDS: dict[type[object], str] = {
    **dict.fromkeys(
        (ExtendHold, ReleaseHold, ChangeHold, GetHold, PriceHold, ConvertBooking, ReleaseCartLeg), "hold_id"
    ),
    LeaveWaitlist: "entry_id",
    GetWaitlistEntry: "entry_id",
}
_BOOKING_FIELDS: dict[type[object], str] = {
    ConvertBooking: "hold_id",
    **dict.fromkeys(
        (SettleBooking, CancelBooking, ReduceBooking, GetBooking, NoteOrder, ResolveBooking), "booking_id"
    ),
}
# Asked for every message: a look into a table is several times faster than `isinstance` with so many kinds.


def expects_second(command: Command | None) -> bool:
    """Whether a second answer follows the first, unless that is a refusal."""
    return type(command) in _ANSWERED_TWICE or getattr(command, "pricing", None) is not None


def booking_named(command: Command | None) -> str | None:
    """The booking that a command is about, if it names one: its id is that of the hold it was made of."""
    return _named(command, _BOOKING_FIELDS)


def hold_named(command: Command | None) -> str | None:
    """The hold that a command is about, if it names one; an offer from the waiting list has its entry's id."""
    return _named(command, _HOLD_FIELDS)


def hold_of(command: Command | None) -> str | None:
    """The hold that a command makes or is about; a booking and an offer from the waiting list have its id, too."""
    if type(command) in _MAKES_HOLD:
        return _text(command, "request_id")
    return _named(command, _HOLD_FIELDS) or _named(command, _BOOKING_FIELDS)


def _named(command: Command | None, fields: dict[type[object], str]) -> str | None:
    name = fields.get(type(command))
    return None if name is None else _text(command, name)


def _text(command: Command | None, name: str) -> str:
    value: str = getattr(command, name)
    return value
