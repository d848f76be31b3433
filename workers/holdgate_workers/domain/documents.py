"""From a JSON document to a typed value, with every problem in it named by its field."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date, datetime
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from holdgate_schema.commands.holds import Label
from holdgate_schema.decoding.prepared import Prepared
from holdgate_schema.decoding.problems import Place, problems_of, shape_of, without_nulls
from holdgate_schema.errors import FieldError
from holdgate_schema.ids import NAME_PATTERN, VISIBLE_PATTERN

T = TypeVar("T")

_PATH = re.compile(r" - at `[^`]*`\Z")
_QUOTED_CHARS_MAX = 40
_IN_WORDS: dict[str | None, str] = {
    NAME_PATTERN: "1 to 50 of a-z, 0-9, '_', '.' and '-', a letter or a digit first",
    VISIBLE_PATTERN: "visible characters without blanks",
    get_args(Label)[1].pattern: "text on one line, without control characters",
}
_KIND = re.compile(r"`([^`]*)`")
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
    "date": "a date",
    "datetime": "a time",
}
"""What msgspec calls a kind of value, and what a person does."""
_EXAMPLES = {date: "a date such as 2030-05-01", datetime: "a time such as 2030-05-01T10:00:00+02:00"}


class InvalidDocument(ValueError):
    """The document is not what it must be; `errors` names each problem with its field, and is never empty."""

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__("; ".join(f"{error.field} {error.reason}" for error in errors))
        self.errors = errors


def decoded(text: str) -> Any:
    """The JSON text, read strictly: no field twice, no NaN, no half characters. Raises `ValueError` with the place."""
    try:
        document = json.loads(text, object_pairs_hook=_object, parse_constant=_no_number)
        json.dumps(document, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeEncodeError:
        raise ValueError("a text has half a character in it (an unpaired surrogate)") from None
    return document


def converted(document: object, kind: Prepared[T], where: str = "") -> T:
    """The document as a value of this type; raises `InvalidDocument` with all problems, their fields below `where`."""
    document = without_nulls(document, shape_of(kind.kind))
    try:
        found = kind.convert(document)
    except msgspec.ValidationError as exc:
        raise InvalidDocument(list(_problems(document, kind.kind, where))) from exc
    uncomposed = list(problems_of(document, shape_of(kind.kind), Place(where, "")))
    if uncomposed:  # the one thing that no pattern can say
        raise InvalidDocument(uncomposed)
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the field {twice!r} is given twice in one object")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _problems(value: object, kind: Any, where: str) -> Iterator[FieldError]:
    """msgspec stops at the first problem, so whatever does not convert is looked into part by part."""
    try:
        msgspec.convert(value, kind)  # laid out with the whole
    except msgspec.ValidationError as exc:
        yield from list(_inside(value, _bare(kind), where)) or [
            FieldError(where or "document", _reason(str(exc), value, kind))
        ]


def _inside(value: object, kind: Any, where: str) -> Iterator[FieldError]:
    if isinstance(kind, type) and issubclass(kind, Struct) and isinstance(value, dict):
        yield from _in_struct(value, kind, where)
    elif get_origin(kind) is list and isinstance(value, list):
        for place, item in enumerate(value):
            yield from _problems(item, get_args(kind)[0], f"{where}[{place}]")
    elif get_origin(kind) is dict and isinstance(value, dict):
        key_kind, item_kind = get_args(kind)
        for key, item in value.items():
            yield from _problems(key, key_kind, _below(where, key))
            yield from _problems(item, item_kind, _below(where, key))


def _in_struct(value: dict[str, Any], kind: type[Struct], where: str) -> Iterator[FieldError]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    tag_field, tag = kind.__struct_config__.tag_field, kind.__struct_config__.tag
    for name, item in value.items():
        if name == tag_field:
            if item != tag:
                yield FieldError(_below(where, name), f"must be {tag!r}, or be left out")
        elif name in fields:
            yield from _problems(item, fields[name].type, _below(where, name))
        else:
            yield FieldError(_below(where, name), f"is not known here; there are: {', '.join(fields)}")
    for name, field in fields.items():
        if field.required and name not in value:
            yield FieldError(_below(where, name), "is missing")


def _below(where: str, name: str) -> str:
    shown = name if name and name.isprintable() else ascii(name)
    return f"{where}.{shown}" if where else shown


def _bare(kind: Any) -> Any:
    """The type without its bounds and without None."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in (Union, UnionType):
        (kind,) = (part for part in get_args(kind) if part is not NoneType)
        return _bare(kind)
    return kind


def _bounds(kind: Any) -> Iterator[Meta]:
    """What is said about the type beside its name, the outermost first."""
    if get_origin(kind) is Annotated:
        inner, *bounds = get_args(kind)
        yield from (bound for bound in bounds if isinstance(bound, Meta))
        yield from _bounds(inner)
    elif get_origin(kind) in (Union, UnionType):
        for part in get_args(kind):
            yield from _bounds(part)


def _reason(said: str, value: object, kind: Any) -> str:
    """msgspec's words where they would help a person, otherwise ours."""
    bare = _bare(kind)
    about = next((bound.description for bound in _bounds(kind) if bound.description), "")
    what = _PATH.sub("", said)
    if " got " in what:
        wanted = _KIND.sub(lambda found: _KINDS.get(found[1], found[1]), what.partition(", got ")[0])
        return wanted.replace("Expected", "must be", 1) + (f" ({about})" if about else "")
    if get_origin(bare) is Literal:
        what = f"must be one of {', '.join(map(str, get_args(bare)))}"
    elif bare in _EXAMPLES and what.startswith("Invalid"):
        what = f"must be {_EXAMPLES[bare]}"
    elif "regex" in what:
        known = (_IN_WORDS[bound.pattern] for bound in _bounds(kind) if bound.pattern in _IN_WORDS)
        words = next(known, about)
        what, about = (f"must be {words}", "") if words else (what, about)
    shown = repr(value) if len(repr(value)) <= _QUOTED_CHARS_MAX else f"{repr(value)[:_QUOTED_CHARS_MAX]}…"
    return what.replace("Expected", "must be", 1) + f", not {shown}" + (f" ({about})" if about else "")
