"""From a command to what is sent: checked against the contract here, so that a mistake costs no round trip."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from holdgate_schema.codec import decode_command, encode
from holdgate_schema.commands.holds import ChangeHold, Command, PlaceHold, type_name
from holdgate_schema.commands.selling import ConvertBooking, GetQuote, PlaceCart
from holdgate_schema.errors import FieldError, InvalidMessage

from .errors import InvalidRequest
from .ids import new_request_id
from .link import Request

C = TypeVar("C", bound=Command)


def command_of(kind: Callable[..., C], **fields: object) -> C:
    """The command with these fields, without those that are None, and with a new request id if none is given."""
    given: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
    given.setdefault("request_id", new_request_id())
    try:
        return kind(**given)
    except TypeError as exc:
        raise InvalidRequest([FieldError("body", str(exc))], request_id=str(given["request_id"])) from exc


def request_of(command: Command, traceparent: Callable[[], str | None] | None = None) -> Request:
    """The command as it will be sent. Raises `InvalidRequest`.

    It is read back with the decoder of the far side: what passes here is not refused there as malformed.
    """
    try:
        body = encode(command)
        read, _ = decode_command(body)
    except InvalidMessage as exc:
        raise InvalidRequest(exc.errors, request_id=exc.request_id) from exc
    except (TypeError, ValueError, OverflowError) as exc:
        raise InvalidRequest([FieldError("body", str(exc))]) from exc
    return Request(
        request_id=read.request_id,
        occurrence_id=read.occurrence_id,
        type=type_name(read),
        body=body,
        traceparent=traceparent() if traceparent is not None else None,
        answers=2 if has_second_answer(read) else 1,
    )


def has_second_answer(command: Command) -> bool:
    """Whether another answer follows the first one, unless that is a refusal."""
    if isinstance(command, PlaceHold | ChangeHold):
        return command.pricing is not None
    return isinstance(command, GetQuote | ConvertBooking | PlaceCart)
