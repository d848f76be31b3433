"""Bytes to messages and back: the size first, then strictly, with the field named where it fails."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from .errors import FieldError, InvalidMessage
from .events import Event
from .ids import OccurrenceId, RequestId
from .messages import Command, type_name
from .outcomes import Answer

T = TypeVar("T")

BODY_BYTES_MAX = 16 * 1024
FINGERPRINT_BYTES = 16
REASON_CHARS_MAX = 200
CONTENT_TYPE = "application/json"

_encoder = msgspec.json.Encoder(order="deterministic")
_command_decoder = msgspec.json.Decoder(Command)
_answer_decoder: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)
_event_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_IDENTITY = {"request_id", "occurrence_id"}
_PATH = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>[^`]*)`(?: in `(?P<of>[^`]*)`)?)?\Z", re.DOTALL)


class _Identity(Struct):
    """What must be readable for a broken message to be refused under its own name."""

    request_id: RequestId
    occurrence_id: OccurrenceId


_identity_decoder = msgspec.json.Decoder(_Identity)


def encode(message: Command | Answer | Event) -> bytes:
    """The canonical JSON of a message: fields in their order, map keys sorted, defaults left out."""
    return _encoder.encode(message)


def decode_command(body: bytes) -> tuple[Command, bytes]:
    """The command and its fingerprint; raises `InvalidMessage`.

    Two bodies have the same fingerprint if they say the same, however they are spaced and ordered.
    """
    if len(body) > BODY_BYTES_MAX:
        raise InvalidMessage([FieldError("body", f"is {len(body)} bytes, at most {BODY_BYTES_MAX} are read")])
    try:
        command = _command_decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise _explained(body, [_field_error(exc)]) from exc
    canonical = _encoder.encode(command)
    if canonical != body:
        repeated = _repeated_keys(body)
        if repeated:
            errors = [FieldError(name, "is given more than once") for name in sorted(repeated)]
            raise _explained(body, errors)
    return command, fingerprint(canonical)


def fingerprint(canonical: bytes) -> bytes:
    """What tells two bodies under one request id apart (BLAKE2b, 128 bit)."""
    return blake2b(canonical, digest_size=FINGERPRINT_BYTES).digest()


def decode_answer(body: bytes) -> Answer:
    """The answer; raises `InvalidMessage`. Unknown fields are ignored: old clients can read new workers."""
    return _decoded(_answer_decoder.decode, body)


def decode_event(body: bytes) -> Event:
    """The event; raises `InvalidMessage`."""
    return _decoded(_event_decoder.decode, body)


def _decoded(decode: Callable[[bytes], T], body: bytes) -> T:
    try:
        return decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise InvalidMessage([_field_error(exc)]) from exc


def _field_error(exc: Exception) -> FieldError:
    match = _PATH.match(str(exc))
    if match is None or not match["path"]:
        return FieldError("body", _printable(str(exc)))
    path = match["of"] or match["path"]
    return FieldError(path.removeprefix("$.").removeprefix("$") or "body", _printable(match["what"]))


def _printable(reason: str) -> str:
    """The reason fit for a log line and a database: it may quote what the sender wrote."""
    shown = "".join(char if char.isprintable() else "\ufffd" for char in reason[:REASON_CHARS_MAX])
    return shown if len(reason) <= REASON_CHARS_MAX else f"{shown}…"


def _explained(body: bytes, errors: list[FieldError]) -> InvalidMessage:
    """The error with as much of the sender's identity as can be read. One that is given twice cannot."""
    try:
        identity = _identity_decoder.decode(body)
        if _repeated_keys(body) & _IDENTITY:
            return InvalidMessage(errors)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return InvalidMessage(errors)
    return InvalidMessage(errors, request_id=identity.request_id, occurrence_id=identity.occurrence_id)


def _repeated_keys(body: bytes) -> set[str]:
    """JSON parsers disagree about repeated keys, so a body that has one says nothing certain."""
    repeated: set[str] = set()

    def note(pairs: list[tuple[str, Any]]) -> None:
        names = [name for name, _ in pairs]
        repeated.update(name for name in set(names) if names.count(name) > 1)

    text = body.decode(errors="replace")
    json.loads(text, object_pairs_hook=note, parse_int=str, parse_float=str)
    return repeated


__all__ = [
    "BODY_BYTES_MAX",
    "CONTENT_TYPE",
    "decode_answer",
    "decode_command",
    "decode_event",
    "encode",
    "fingerprint",
    "type_name",
]
