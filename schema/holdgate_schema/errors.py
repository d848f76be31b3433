"""What can be wrong with a message, as data that can be answered and dead-lettered."""

from __future__ import annotations

from typing import NamedTuple


class FieldError(NamedTuple):
    """One thing that is wrong: where, and what would be right."""

    field: str
    reason: str


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
