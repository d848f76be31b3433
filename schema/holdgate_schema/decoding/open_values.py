"""Reading what a newer service sends: values that this version does not know are kept, not refused.

The types name the values that there are, which is right for who writes them. A reader meets new ones: a state, a way in
which a hold ended. What was refused because of one is read again with a value that is known in its place, and then
given what was sent.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from msgspec import Struct, inspect
from msgspec.structs import force_setattr

from .problems import shape_of

T = TypeVar("T")
Path = tuple[str | int, ...]


def read_open(decode: Callable[[bytes], T], body: bytes, kinds: Sequence[type[Struct]]) -> T:
    """The message, which is one of these kinds, with every unknown value in its place.

    Raises `LookupError` if it is of no such kind, and what `decode` raises if unknown values are not all.
    """
    plain = json.loads(body)
    kind = next((kind for kind in kinds if _is_tagged(plain, kind)), None)
    if kind is None:
        raise LookupError("the message is of no known kind")
    unknown = list(_unknown(plain, shape_of(kind), ()))
    for path, _, known in unknown:
        _at(plain, path[:-1])[path[-1]] = known
    message = decode(json.dumps(plain).encode())
    for path, sent, _ in unknown:
        owner = _within(message, path[:-1])
        if isinstance(owner, Struct):
            force_setattr(owner, str(path[-1]), sent)
        else:
            owner[path[-1]] = sent
    return message


def _is_tagged(plain: Any, kind: type[Struct]) -> bool:
    config = kind.__struct_config__
    return isinstance(plain, dict) and plain.get(config.tag_field) == config.tag


def _unknown(value: Any, kind: inspect.Type, path: Path) -> Iterator[tuple[Path, str, Any]]:
    """Where a text stands that is none of the values, the text, and a value that is one."""
    match kind:
        case inspect.Metadata():
            yield from _unknown(value, kind.type, path)
        case inspect.UnionType():
            for part in kind.types:
                yield from _unknown(value, part, path)
        case inspect.LiteralType() if isinstance(value, str) and value not in kind.values:
            yield path, value, kind.values[0]
        case inspect.StructType() if isinstance(value, dict):
            for field in kind.fields:
                if field.encode_name in value:
                    yield from _unknown(value[field.encode_name], field.type, (*path, field.encode_name))
        case inspect.ListType() if isinstance(value, list):
            for number, item in enumerate(value):
                yield from _unknown(item, kind.item_type, (*path, number))
        case inspect.DictType() if isinstance(value, dict):
            for name, item in value.items():
                yield from _unknown(item, kind.value_type, (*path, name))


def _at(plain: Any, path: Path) -> Any:
    for step in path:
        plain = plain[step]
    return plain


def _within(message: Any, path: Path) -> Any:
    for step in path:
        message = getattr(message, str(step)) if isinstance(message, Struct) else message[step]
    return message
