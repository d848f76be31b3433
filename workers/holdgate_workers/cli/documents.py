"""Files with one JSON document, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TextIO, TypeVar

import click

from holdgate_schema.errors import FieldError

from . import exits
from .failures import Failure
from .output import Column, Output

T = TypeVar("T")

PROBLEMS_SHOWN = 20


def read_object(file: TextIO) -> dict[str, Any]:
    """The JSON object in the file."""
    from holdgate_workers.domain.documents import decoded

    try:
        document = decoded(file.read())
    except ValueError as exc:
        raise Failure(f"{file.name} is not JSON: {exc}", exits.USAGE) from exc
    if not isinstance(document, dict):
        raise Failure(f"{file.name} must hold one JSON object", exits.USAGE)
    return document


def read_definition(file: TextIO, read: Callable[[object], T], out: Output) -> T:
    """What `read` makes of the file; every problem is told by its field, and then the command ends."""
    from holdgate_workers.domain.documents import InvalidDocument

    try:
        return read(read_object(file))
    except InvalidDocument as exc:
        _tell_problems(out, file.name, exc.errors)
        raise click.exceptions.Exit(exits.USAGE) from exc


def _tell_problems(out: Output, name: str, problems: list[FieldError]) -> None:
    if out.is_json:
        out.json({"ok": False, "problems": problems})
        return
    shown = problems[:PROBLEMS_SHOWN]
    out.table(["field", Column("problem", wrap=True)], shown)
    if len(problems) > len(shown):
        out.line(f"… and {len(problems) - len(shown)} more")
    number = f"{len(problems)} problem" + ("s" if len(problems) > 1 else "")
    out.line(f"{number} in {name}; nothing was stored.", style="bold red")
