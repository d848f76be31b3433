"""Catalogue files: every entry with the line on which it begins, and every problem with its line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from holdgate_schema.errors import FieldError
from holdgate_schema.messages import PutOccurrence

from .definition import Checker, InvalidDefinition
from .specs import Document


class Entry(NamedTuple):
    """One occurrence as the file has it, or what is wrong with it."""

    line: int
    document: Document
    errors: Sequence[FieldError] = ()


class Problem(NamedTuple):
    """One thing that is wrong with the file."""

    line: int
    field: str
    reason: str


class Request(NamedTuple):
    """One request, and the line that it comes from."""

    line: int
    command: PutOccurrence


@dataclass(slots=True, frozen=True)
class Defaults:
    """What the options say for entries that do not say it themselves."""

    product_id: str | None = None
    timezone: str | None = None
    capacity: int | None = None
    duration_minutes: int | None = None
    tickets: tuple[str, ...] = ()


class UnreadableFile(ValueError):
    """The file as a whole is not what its name says; `line` is where that shows."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


@dataclass(slots=True)
class Checked:
    """A file that was read to its end."""

    requests: list[Request] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def checked(entries: Iterable[Entry]) -> Checked:
    """Every entry checked as the gate will check it. With any problem nothing may be sent."""
    checker, result = Checker(), Checked()
    try:
        for entry in entries:
            errors: Sequence[FieldError] = entry.errors
            if not errors:
                try:
                    result.requests.append(Request(entry.line, checker.command(entry.document)))
                except InvalidDefinition as exc:
                    errors = exc.errors
            result.problems += [Problem(entry.line, error.field, error.reason) for error in errors]
    except UnreadableFile as exc:
        result.problems.append(Problem(exc.line, "file", str(exc)))
    return result
