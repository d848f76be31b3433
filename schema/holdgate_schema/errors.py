"""What can be wrong with a message, as data that can be answered and dead-lettered."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

ERRORS_MAX = 50
"""So many problems of one message are named."""


class ProblemCode(StrEnum):
    """What kind of thing is wrong, for programs. More may be added. `docs/contract.md` says what each one means."""

    NOT_JSON = "not_json"
    BODY_TOO_LARGE = "body_too_large"
    REPEATED_KEY = "repeated_key"
    REQUIRED = "required"
    UNKNOWN_FIELD = "unknown_field"
    UNKNOWN_TYPE = "unknown_type"
    WRONG_TYPE = "wrong_type"
    OUT_OF_RANGE = "out_of_range"
    WRONG_LENGTH = "wrong_length"
    WRONG_FORMAT = "wrong_format"
    NOT_ALLOWED = "not_allowed"
    INVISIBLE_CHARACTER = "invisible_character"
    NOT_NORMALIZED = "not_normalized"
    RESERVED_ID = "reserved_id"
    PROPERTY = "property"
    CONFLICT = "conflict"
    DUPLICATE = "duplicate"
    UNKNOWN_NAME = "unknown_name"
    SUPERSEDED = "superseded"


class FieldError(NamedTuple):
    """One thing that is wrong: where, what would be right, and of which kind it is.

    `pointer` is the place as a JSON Pointer (RFC 6901); None if `field` says it already, or it is not in the body.
    """

    field: str
    reason: str
    code: str = ProblemCode.CONFLICT
    pointer: str | None = None


_STEP = re.compile(r"\[(\d+)\]|[^.\[\]]+")


def pointer_of(error: FieldError) -> str | None:
    """Where in the body the problem is, as a JSON Pointer; None for what is not in the body."""
    if error.pointer is not None or error.code == ProblemCode.PROPERTY:
        return error.pointer
    if error.field == "body":
        return ""
    return "".join(f"/{found[1] or found[0]}" for found in _STEP.finditer(error.field))


class LanguageError(Exception):
    """Base of the errors that this package raises."""


class InvalidMessage(LanguageError):
    """The body or the properties do not say what the contract allows.

    `errors` is never empty. `request_id` and `occurrence_id` are there when both could be read in spite of
    the rest, so that the message can be refused under its own name.
    """

    def __init__(
        self,
        errors: list[FieldError],
        *,
        request_id: str | None = None,
        occurrence_id: str | None = None,
        message_type: str | None = None,
    ) -> None:
        super().__init__("; ".join(f"{error.field}: {error.reason}" for error in errors))
        self.errors = errors
        self.request_id = request_id
        self.occurrence_id = occurrence_id
        self.message_type = message_type
