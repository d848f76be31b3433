"""A message with every field that it may have, made from nothing but its type: a field that is added is in it."""

from __future__ import annotations

import re
from typing import Any

from msgspec import inspect

from holdgate_schema.contract.jsonschemas import MESSAGES
from holdgate_schema.decoding.problems import shape_of
from holdgate_schema.ids import REQUEST_ID_PATTERN, UUID_PATTERN

_UUID = "4f7d6b1e-0c55-4f0a-9a53-2f8f3f0f7c01"
_TEXTS = (
    _UUID,
    "adult",
    "WINTER-26",
    "EUR",
    "ines@example.org",
    "de-AT",
    "203.0.113.9",
    "12-24",
    "-12.5",
    "ab" * 32,
)
"""One of them fits each form of text."""


def fullest(name: str) -> Any:
    """The message of this name with all fields, as JSON, made afresh."""
    kind = shape_of(MESSAGES[name])
    assert isinstance(kind, inspect.StructType)
    return {kind.tag_field: kind.tag, **_value(kind)}


def _value(kind: inspect.Type) -> Any:
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    match kind:
        case inspect.UnionType():
            return _value(next(part for part in kind.types if not isinstance(part, inspect.NoneType)))
        case inspect.StructType():
            return {field.encode_name: _value(field.type) for field in kind.fields}
        case inspect.ListType():
            return [_value(kind.item_type) for _ in range(max(1, kind.min_length or 0))]
        case inspect.DictType():
            return {_value(kind.key_type): _value(kind.value_type)}
        case inspect.StrType():
            return _text(kind)
        case inspect.IntType() | inspect.FloatType():
            return kind.ge or 1
        case inspect.BoolType():
            return True
        case inspect.LiteralType():
            return kind.values[0]
        case inspect.EnumType():
            return next(iter(kind.cls)).value
        case inspect.DateTimeType():
            return "2026-12-05T10:00:00" if kind.tz is False else "2026-12-05T10:00:00Z"
    raise AssertionError(f"no example of {kind}")


def _text(kind: inspect.StrType) -> str:
    if kind.pattern in (UUID_PATTERN, REQUEST_ID_PATTERN):
        return _UUID
    pattern, shortest, longest = kind.pattern or "", kind.min_length or 0, kind.max_length or 200
    return next(text for text in _TEXTS if re.search(pattern, text) and shortest <= len(text) <= longest)
