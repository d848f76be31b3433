"""Bytes to messages and back: the size first, then strictly, with the field named where it fails."""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from itertools import islice
from typing import Any, NoReturn, TypeVar
from unicodedata import is_normalized

import msgspec
from msgspec import Struct

from .answers.holds import ANSWER_TYPES, Answer
from .commands.holds import COMMAND_TYPES, Command, type_name
from .decoding.open_values import read_open
from .decoding.problems import ROOT, SHOWN_CHARS_MAX, Place, printable, problems_of, shape_of, without_nulls
from .errors import ERRORS_MAX, FieldError, InvalidMessage, ProblemCode
from .events.holds import EVENT_TYPES, Event
from .ids import OccurrenceId, RequestId
from .values.characters import is_composed

T = TypeVar("T")

BODY_BYTES_MAX = 16 * 1024
FINGERPRINT_BYTES = 16
REASON_CHARS_MAX = 200
DIGITS_MAX = 20
CONTENT_TYPE = "application/json"

_encoder = msgspec.json.Encoder(order="deterministic")
_command_decoder = msgspec.json.Decoder(Command)
_answer_decoder: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)
_event_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_IDENTITY = ("/request_id", "/occurrence_id")
_KINDS = {type_name(kind): kind for kind in COMMAND_TYPES}
_BYTE = re.compile(r"\(byte (\d+)\)")
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
    """The command and its fingerprint; raises `InvalidMessage` with every problem there is.

    Two bodies have the same fingerprint if they say the same, however they are spaced and ordered, and whether what
    is optional is left out, null or written out.
    """
    if len(body) > BODY_BYTES_MAX:
        reason = f"is {len(body)} bytes, at most {BODY_BYTES_MAX} are read"
        raise InvalidMessage([FieldError("body", reason, ProblemCode.BODY_TOO_LARGE, "")])
    try:
        command = _command_decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        command = _second_look(body, exc)
    canonical = _encoder.encode(command)
    if canonical != body:
        repeated = _repetitions(body)
        if repeated:
            raise _explained(body, repeated)
    if not (canonical.isascii() or is_normalized("NFC", canonical.decode())):
        # Whatever is composed as a whole is composed in each of its parts. Otherwise it may still be only a name.
        errors = _problems(json.loads(canonical))
        if errors:
            raise _explained(body, errors)
    return command, fingerprint(canonical)


def fingerprint(canonical: bytes) -> bytes:
    """What tells two bodies under one request id apart (BLAKE2b, 128 bit)."""
    return blake2b(canonical, digest_size=FINGERPRINT_BYTES).digest()


def decode_answer(body: bytes) -> Answer:
    """The answer; raises `InvalidMessage`.

    Unknown fields are ignored, and unknown states and reasons are kept: old clients can read new workers.
    """
    return _decoded(_answer_decoder.decode, body, ANSWER_TYPES)


def decode_event(body: bytes) -> Event:
    """The event; raises `InvalidMessage`."""
    return _decoded(_event_decoder.decode, body, EVENT_TYPES)


def _decoded(decode: Callable[[bytes], T], body: bytes, kinds: Sequence[type[Struct]]) -> T:
    try:
        return decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        first = exc
    try:
        return read_open(decode, body, kinds)
    except (msgspec.MsgspecError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise InvalidMessage([_first_problem(first)]) from first


# --- when it did not decode --------------------------------------------------------------------------------------


def _second_look(body: bytes, exc: Exception) -> Command:
    """The command of a body with nulls where fields could be left out; raises `InvalidMessage` for any other."""
    try:
        plain = _plain(body)
    except (ValueError, RecursionError):
        raise _explained(body, [_not_json(body, exc)]) from exc
    kind = _KINDS.get(plain["type"]) if isinstance(plain, dict) and isinstance(plain.get("type"), str) else None
    if kind is not None:
        lean = without_nulls(plain, shape_of(kind))
        if lean is not plain:
            plain = lean
            try:
                command: Command = _command_decoder.decode(json.dumps(lean))
                return command
            except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError) as again:
                exc = again
    errors = _repetitions(body) + _problems(plain)
    raise _explained(body, errors or [_first_problem(exc)]) from exc


def _problems(plain: object) -> list[FieldError]:
    """What is wrong with a body that is JSON, in all its parts."""
    if not isinstance(plain, dict):
        return [FieldError("body", "must be a JSON object", ProblemCode.WRONG_TYPE, "")]
    try:
        said = plain.get("type")
        kind = _KINDS.get(said) if isinstance(said, str) else None
        if kind is not None:
            return list(islice(problems_of(plain, shape_of(kind)), ERRORS_MAX))
        if "type" not in plain:
            about = FieldError("type", "is missing", ProblemCode.REQUIRED, "/type")
        elif isinstance(said, str):
            shown = printable(said, SHOWN_CHARS_MAX)
            about = FieldError("type", f"is no command: {shown!r}", ProblemCode.UNKNOWN_TYPE, "/type")
        else:
            about = FieldError("type", "must be text", ProblemCode.WRONG_TYPE, "/type")
        return [about, *problems_of(plain, shape_of(_Identity))]
    except RecursionError:
        return []


def _plain(body: bytes) -> Any:
    """The body as a JSON reader gives it. Raises `ValueError` if it is no JSON, `RecursionError` if it is too deep."""
    return json.loads(body.decode(), parse_int=_whole_number, parse_constant=_no_number)


def _whole_number(digits: str) -> int:
    """Any number that fits into no field stands for all of them: Python reads 4,300 digits, and a body has room."""
    return int(digits) if len(digits) <= DIGITS_MAX else int(digits[:1] + "9" * DIGITS_MAX)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


def _not_json(body: bytes, exc: Exception) -> FieldError:
    """Why the body cannot be read at all."""
    if body.startswith(BOM_UTF8):
        reason = "must not begin with a byte order mark"
    elif _utf8_ends(body) is not None:
        reason = f"is not UTF-8 (byte {_utf8_ends(body)})"
    elif isinstance(exc, RecursionError):
        reason = "is nested too deeply"
    else:
        place = _BYTE.search(str(exc))
        reason = f"is not JSON (byte {place[1]})" if place else "is not JSON: it ends too early"
    return FieldError("body", reason, ProblemCode.NOT_JSON, "")


def _utf8_ends(body: bytes) -> int | None:
    try:
        body.decode()
    except UnicodeDecodeError as exc:
        return exc.start
    return None


def _first_problem(exc: Exception) -> FieldError:
    """The decoder's own words, for what is nobody's business but ours: answers and events."""
    match = _PATH.match(str(exc))
    if match is None or not match["path"]:
        return FieldError("body", printable(str(exc), REASON_CHARS_MAX), ProblemCode.WRONG_FORMAT, "")
    path = (match["of"] or match["path"]).removeprefix("$.").removeprefix("$")
    return FieldError(path or "body", printable(match["what"], REASON_CHARS_MAX), ProblemCode.WRONG_FORMAT)


def _explained(body: bytes, errors: list[FieldError]) -> InvalidMessage:
    """The error with as much of the sender's identity as can be read. One that is given twice cannot."""
    errors = errors[:ERRORS_MAX]
    try:
        identity = _identity_decoder.decode(body)
        twice = any(error.pointer in _IDENTITY for error in _repetitions(body))
        if twice or not is_composed(identity.occurrence_id):
            return InvalidMessage(errors)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return InvalidMessage(errors)
    return InvalidMessage(errors, request_id=identity.request_id, occurrence_id=identity.occurrence_id)


def _repetitions(body: bytes) -> list[FieldError]:
    """The keys that come twice in one object. JSON parsers disagree about them, so such a body says nothing certain."""
    return [
        place.error(ProblemCode.REPEATED_KEY, "is given more than once")
        for place in _repeated(json.loads(body.decode(errors="replace"), object_pairs_hook=_Object, parse_int=str))
    ]


class _Object(dict[str, Any]):
    """A JSON object that remembers which of its keys came more than once."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        names = [name for name, _ in pairs] if len(self) != len(pairs) else []
        self.repeated = sorted({name for name in names if names.count(name) > 1})


def _repeated(value: object, place: Place = ROOT) -> Iterator[Place]:
    if isinstance(value, _Object):
        yield from (place.below(name) for name in value.repeated)
        for name, item in value.items():
            yield from _repeated(item, place.below(name))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _repeated(item, place.below(number))


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
