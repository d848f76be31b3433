"""From a delivery to a request: decoded, checked, and never raising."""

from __future__ import annotations

from msgspec import Struct

from holdgate_schema.codec import decode_command
from holdgate_schema.envelope import property_errors
from holdgate_schema.errors import FieldError, InvalidMessage
from holdgate_schema.messages import (
    ChangeHold,
    Command,
    ExtendHold,
    PlaceHold,
    ReleaseHold,
    type_name,
)
from holdgate_schema.topology import may_reply_to

from .ports import Delivery

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

    @property
    def kind(self) -> str:
        """The command's type, or what to call it without one."""
        return type_name(self.command) if self.command is not None else UNREADABLE

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
    try:
        command, fingerprint = decode_command(delivery.body)
    except InvalidMessage as exc:
        errors = exc.errors
        return Incoming(delivery, exc.request_id, exc.occurrence_id, b"", None, errors, reply_to)
    errors = property_errors(properties, request_id=command.request_id, message_type=type_name(command))
    if errors:
        return Incoming(delivery, command.request_id, command.occurrence_id, fingerprint, None, errors, reply_to)
    return Incoming(delivery, command.request_id, command.occurrence_id, fingerprint, command, errors, reply_to)


def hold_named(command: Command | None) -> str | None:
    """The hold that a command is about, if it names one."""
    if isinstance(command, ExtendHold | ReleaseHold | ChangeHold):
        return command.hold_id
    return None


def hold_of(command: Command | None) -> str | None:
    """The hold that a command makes or is about."""
    return command.request_id if isinstance(command, PlaceHold) else hold_named(command)
