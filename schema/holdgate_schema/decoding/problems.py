"""Every problem of a message at once, in words. For messages that were refused already: the decoder stops at the first.

The types are read through `msgspec.inspect`, so a field that is added is looked at without a line here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime
from functools import cache
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

from holdgate_schema.errors import FieldError, ProblemCode

from .wording import unfit

SHOWN_CHARS_MAX = 64
"""So much is shown of a name that the sender made up."""


class Place(NamedTuple):
    """Where in a message: for people (`legs[2].items.adult`) and as a JSON Pointer (`/legs/2/items/adult`)."""

    field: str
    pointer: str

    def below(self, name: str | int) -> Place:
        """A place inside this one."""
        if isinstance(name, int):
            return Place(f"{self.field}[{name}]", f"{self.pointer}/{name}")
        shown = printable(name, SHOWN_CHARS_MAX) or '""'
        token = shown.replace("~", "~0").replace("/", "~1")
        return Place(f"{self.field}.{shown}" if self.field else shown, f"{self.pointer}/{token}")

    def error(self, code: ProblemCode, reason: str) -> FieldError:
        """The problem here."""
        return FieldError(self.field or "body", reason, code, self.pointer)


ROOT = Place("", "")


def printable(text: str, chars_max: int) -> str:
    """The text fit for a log line, a database and a terminal: it may be what a sender wrote."""
    shown = "".join(char if char.isprintable() else "\ufffd" for char in text[:chars_max])
    return shown if len(text) <= chars_max else f"{shown}…"


@cache
def shape_of(kind: Any) -> inspect.Type:
    """The type as it is walked through."""
    return inspect.type_info(kind)


def problems_of(value: object, kind: inspect.Type, place: Place = ROOT) -> Iterator[FieldError]:
    """What is wrong with the value, wherever in it. `value` is what a JSON reader made of the body."""
    bare = _bare(kind)
    if isinstance(bare, inspect.UnionType):
        if value is None and any(isinstance(part, inspect.NoneType) for part in bare.types):
            return
        for part in bare.types:
            if not isinstance(part, inspect.NoneType):
                yield from problems_of(value, part, place)
    elif isinstance(bare, inspect.StructType):
        yield from _of_object(value, bare, place)
    elif isinstance(bare, inspect.DictType):
        yield from _of_map(value, bare, place)
    elif isinstance(bare, inspect.ListType):
        yield from _of_list(value, bare, place)
    else:
        yield from _of_scalar(value, bare, place)


def without_nulls(value: Any, kind: inspect.Type) -> Any:
    """The value without the optional fields that are null: null says what leaving the field out says.

    The value itself if there are none. Where null has a meaning of its own (`capacity`), the field is required.
    """
    bare = _bare(kind)
    if isinstance(bare, inspect.UnionType):
        for part in bare.types:
            value = without_nulls(value, part)
    elif isinstance(bare, inspect.StructType) and isinstance(value, dict):
        fields = {field.encode_name: field for field in bare.fields}
        lean = {
            name: without_nulls(item, fields[name].type) if name in fields else item
            for name, item in value.items()
            if item is not None or name not in fields or fields[name].required
        }
        return lean if _differs(lean, value) else value
    elif isinstance(bare, inspect.ListType) and isinstance(value, list):
        items = [without_nulls(item, bare.item_type) for item in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    elif isinstance(bare, inspect.DictType) and isinstance(value, dict):
        lean = {name: without_nulls(item, bare.value_type) for name, item in value.items()}
        return lean if _differs(lean, value) else value
    return value


def _differs(lean: dict[str, Any], value: dict[str, Any]) -> bool:
    return len(lean) != len(value) or any(lean[name] is not value[name] for name in lean)


def _bare(kind: inspect.Type) -> inspect.Type:
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    return kind


def _of_object(value: object, kind: inspect.StructType, place: Place) -> Iterator[FieldError]:
    if not isinstance(value, dict):
        yield place.error(ProblemCode.WRONG_TYPE, f"must be an object, not {_json_type(value)}")
        return
    fields = {field.encode_name: field for field in kind.fields}
    known = [*([kind.tag_field] if kind.tag_field else []), *fields]
    for name, item in value.items():
        if name in fields:
            yield from problems_of(item, fields[name].type, place.below(name))
        elif name != kind.tag_field and kind.forbid_unknown_fields:
            reason = f"is not a field here; there are: {', '.join(known)}"
            yield place.below(name).error(ProblemCode.UNKNOWN_FIELD, reason)
    for name, field in fields.items():
        if field.required and name not in value:
            yield place.below(name).error(ProblemCode.REQUIRED, "is missing")


def _of_map(value: object, kind: inspect.DictType, place: Place) -> Iterator[FieldError]:
    if not isinstance(value, dict):
        yield place.error(ProblemCode.WRONG_TYPE, f"must be an object, not {_json_type(value)}")
        return
    yield from _of_length(len(value), kind, "entries", place)
    for name, item in value.items():
        found = list(problems_of(name, kind.key_type, place.below(name)))
        yield from (error._replace(reason=f"is a name that {error.reason}") for error in found)
        yield from problems_of(item, kind.value_type, place.below(name))


def _of_list(value: object, kind: inspect.ListType, place: Place) -> Iterator[FieldError]:
    if not isinstance(value, list):
        yield place.error(ProblemCode.WRONG_TYPE, f"must be a list, not {_json_type(value)}")
        return
    yield from _of_length(len(value), kind, "entries", place)
    for number, item in enumerate(value):
        yield from problems_of(item, kind.item_type, place.below(number))


def _of_scalar(value: object, kind: inspect.Type, place: Place) -> Iterator[FieldError]:
    match kind:
        case inspect.StrType():
            yield from _of_text(value, kind, place)
        case inspect.IntType():
            if isinstance(value, bool) or not isinstance(value, int):
                yield place.error(ProblemCode.WRONG_TYPE, f"must be a whole number, not {_json_type(value)}")
            else:
                yield from _of_range(value, kind, place)
        case inspect.FloatType():
            if isinstance(value, bool) or not isinstance(value, int | float):
                yield place.error(ProblemCode.WRONG_TYPE, f"must be a number, not {_json_type(value)}")
            else:
                yield from _of_range(value, kind, place)
        case inspect.BoolType():
            if not isinstance(value, bool):
                yield place.error(ProblemCode.WRONG_TYPE, f"must be true or false, not {_json_type(value)}")
        case inspect.LiteralType():
            if value not in kind.values:
                allowed = ", ".join(str(item) for item in kind.values)
                code = ProblemCode.NOT_ALLOWED if isinstance(value, str) else ProblemCode.WRONG_TYPE
                yield place.error(code, f"must be one of: {allowed}")
        case inspect.DateTimeType() | inspect.DateType():
            yield from _of_time(value, kind, place)


def _of_text(value: object, kind: inspect.StrType, place: Place) -> Iterator[FieldError]:
    if not isinstance(value, str):
        yield place.error(ProblemCode.WRONG_TYPE, f"must be text, not {_json_type(value)}")
        return
    if not is_whole(value):
        yield place.error(ProblemCode.WRONG_FORMAT, "must not have half a character (an unpaired surrogate)")
        return
    if value or kind.pattern is None:
        yield from _of_length(len(value), kind, "characters", place)
    if kind.pattern is not None:
        found = unfit(value, kind.pattern, matches=re.search(kind.pattern, value) is not None)
        if found is not None:
            yield place.error(*found)


def _of_time(value: object, kind: inspect.DateTimeType | inspect.DateType, place: Place) -> Iterator[FieldError]:
    if isinstance(kind, inspect.DateType):
        wanted, tz = "a date such as 2026-12-05", None
    elif kind.tz is False:
        wanted, tz = "a wall time without an offset, such as 2026-12-05T10:00:00", False
    else:
        wanted, tz = "an instant with an offset, such as 2026-12-05T10:00:00Z or 2026-12-05T10:00:00+01:00", True
    if not isinstance(value, str):
        yield place.error(ProblemCode.WRONG_TYPE, f"must be {wanted}, not {_json_type(value)}")
        return
    try:
        decoder = _DATE if isinstance(kind, inspect.DateType) else _TIME
        found = decoder.decode(msgspec.json.encode(value))
    except (msgspec.MsgspecError, ValueError):
        yield place.error(ProblemCode.WRONG_FORMAT, f"must be {wanted}")
        return
    if tz is not None and (found.tzinfo is not None) is not tz:
        yield place.error(ProblemCode.WRONG_FORMAT, f"must be {wanted}")


def _of_length(length: int, kind: Any, what: str, place: Place) -> Iterator[FieldError]:
    lowest, highest = kind.min_length, kind.max_length
    if (lowest is not None and length < lowest) or (highest is not None and length > highest):
        yield place.error(ProblemCode.WRONG_LENGTH, f"must have {_span(lowest, highest)} {what}, not {length}")


def _of_range(value: float, kind: inspect.IntType | inspect.FloatType, place: Place) -> Iterator[FieldError]:
    too_low = (kind.ge is not None and value < kind.ge) or (kind.gt is not None and value <= kind.gt)
    too_high = (kind.le is not None and value > kind.le) or (kind.lt is not None and value >= kind.lt)
    if too_low or too_high:
        lowest = kind.ge if kind.gt is None else f"more than {kind.gt:g}"
        shown = f", not {value}" if len(str(value)) <= SHOWN_CHARS_MAX // 4 else ""
        yield place.error(ProblemCode.OUT_OF_RANGE, f"must be {_span(lowest, kind.le)}{shown}")


def _span(lowest: Any, highest: Any) -> str:
    if lowest is None:
        return f"at most {highest}"
    if highest is None:
        return f"at least {lowest}"
    return f"{lowest}" if lowest == highest else f"{lowest} to {highest}"


def is_whole(text: str) -> bool:
    """Whether the text has no half of a character, which JSON can spell and UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _json_type(value: object) -> str:
    """What a JSON value is, in JSON's own words."""
    names: dict[type, str] = {
        str: "text",
        bool: "true or false",
        int: "a number",
        float: "a number with a point or an exponent",
        list: "a list",
        dict: "an object",
    }
    return names.get(type(value), "null")


_TIME: msgspec.json.Decoder[Any] = msgspec.json.Decoder(datetime)
_DATE: msgspec.json.Decoder[Any] = msgspec.json.Decoder(date)

__all__ = ["ROOT", "Place", "is_whole", "printable", "problems_of", "shape_of", "without_nulls"]
