"""Files with one JSON document, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO, TypeVar

import click

from holdgate_schema.errors import FieldError

from . import exits
from .failures import Failure, warn
from .output.output import Column, Output

T = TypeVar("T")

PROBLEMS_SHOWN = 20


def read_object(file: BinaryIO) -> dict[str, Any]:
    """The JSON object in the file, whatever program wrote it: UTF-8 with or without a mark, UTF-16, Windows-1252."""
    from holdgate_workers.domain.documents import decoded as document_of

    from .importing.reading.text import NotText, decoded

    try:
        text = decoded(file.read())
    except NotText as exc:
        raise Failure(f"{name_of(file)} {exc}", exits.USAGE) from exc
    if text.is_assumed:
        warn(f"{name_of(file)} is read as {text.encoding}, which nothing in it says; save it as UTF-8")
    try:
        document = document_of(text.content)
    except ValueError as exc:
        raise Failure(f"{name_of(file)} is not JSON: {exc}", exits.USAGE) from exc
    if not isinstance(document, dict):
        raise Failure(f"{name_of(file)} must hold one JSON object", exits.USAGE)
    return document


def name_of(file: BinaryIO) -> str:
    """What the file is called; a stream that has no name can only have been standard input."""
    return str(getattr(file, "name", "<stdin>"))


def read_definition(file: BinaryIO, read: Callable[[object], T], out: Output) -> T:
    """What `read` makes of the file; every problem is told by its field, and then the command ends."""
    from holdgate_workers.domain.documents import InvalidDocument

    try:
        return read(read_object(file))
    except InvalidDocument as exc:
        _tell_problems(out, name_of(file), exc.errors)
        raise click.exceptions.Exit(exits.USAGE) from exc


def _tell_problems(out: Output, name: str, problems: list[FieldError]) -> None:
    if out.is_json:
        out.json({"ok": False, "problems": [{"field": one.field, "reason": one.reason} for one in problems]})
        return
    shown = [(one.field, one.reason) for one in problems[:PROBLEMS_SHOWN]]
    out.table(["field", Column("problem", wrap=True)], shown)
    if len(problems) > len(shown):
        out.line(f"… and {len(problems) - len(shown)} more")
    number = f"{len(problems)} problem" + ("s" if len(problems) > 1 else "")
    out.line(f"{number} in {name}; nothing was stored.", style="bold red")
