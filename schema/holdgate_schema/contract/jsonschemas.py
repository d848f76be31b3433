"""The messages as JSON Schema 2020-12, generated from the code, for readers in any language.

What a schema accepts the service reads; it is stricter in places (times only in the spelling of RFC 3339).
Commands are closed objects. Answers and events are open: new fields may be added, and readers ignore them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from inspect import cleandoc
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.inspect import DateTimeType, Metadata, StructType, Type, UnionType, multi_type_info

from holdgate_schema.answers.holds import ANSWER_TYPES, NotOnSale, Reason, answer_type
from holdgate_schema.commands.holds import COMMAND_TYPES, type_name
from holdgate_schema.commands.selling import INTERNAL_TYPES
from holdgate_schema.events.holds import EVENT_TYPES, event_type

Json = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
NULLABLE = {"type": "null"}
AWARE_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$"
WALL_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?$"

MESSAGES: Mapping[str, type[Struct]] = {
    **{type_name(kind): kind for kind in COMMAND_TYPES},
    **{answer_type(kind): kind for kind in ANSWER_TYPES},
    **{event_type(kind): kind for kind in EVENT_TYPES},
}
"""Message name -> its type: the commands, then the answers, then the events."""

COMMANDS = tuple(type_name(kind) for kind in COMMAND_TYPES)
ANSWERS = tuple(answer_type(kind) for kind in ANSWER_TYPES)
EVENTS = tuple(event_type(kind) for kind in EVENT_TYPES)

_WALL = {"pattern": WALL_TIME}
_AWARE = {"format": "date-time", "pattern": AWARE_TIME}
_ENUMS: tuple[type[StrEnum], ...] = (Reason, NotOnSale)
_CODE_POINT = re.compile(r"\\u([0-9a-f]{4})|\\U([0-9a-f]{8})")
_LOOK_AHEAD = re.compile(r"\(\?![^)]*\)")
_ABOUT = ("description", "default")


def message_schema(name: str) -> Json:
    """The self-contained schema of one message, such as `hold.place.v1`. Raises `KeyError` for an unknown one."""
    kind = MESSAGES[name]
    components = component_schemas([kind], "#/$defs/{name}")
    root = components.pop(kind.__name__)
    schema: Json = {"$schema": DIALECT, "$id": f"urn:holdgate:schema:{name}", **root, "title": name}
    if components:
        schema["$defs"] = components
    return schema


def component_schemas(kinds: Sequence[type[Struct]], ref_template: str) -> Json:
    """The schemas of these types and of everything in them, by class name; `{name}` stands in the references."""
    _, components = msgspec.json.schema_components(kinds, ref_template=ref_template)
    nullable = _said_by_senders() | (_classes(kinds) if set(kinds) <= set(COMMAND_TYPES) else set())
    for struct in _structs(kinds):
        _say_times(struct, components[struct.cls.__name__])
        if struct.cls in nullable:
            _allow_nulls(struct, components[struct.cls.__name__])
        if not issubclass(struct.cls, COMMAND_TYPES) and struct.tag is not None:
            components[struct.cls.__name__].pop("additionalProperties", None)
    for enum in _ENUMS:
        if enum.__name__ in components:
            # In the order of the code, which is the order of the checks.
            components[enum.__name__] |= {"type": "string", "enum": [member.value for member in enum]}
    if not set(kinds) <= set(COMMAND_TYPES):
        told = {kind.__name__ for kind in (*_answered(), *_ENUMS)}
        components |= {name: _opened(components[name]) for name in components.keys() & told}
    tidied: Json = {name: _tidied(components[name]) for name in sorted(components)}
    return tidied


def portable(pattern: str) -> str:
    r"""A pattern of ours in the subset that ECMA-262, RE2 (Go), PCRE and Java read alike.

    `(?!\n)` is only needed where `$` also matches before a final newline, which ECMA-262 and RE2 rule out and
    RE2 has no look-ahead; what another one rules out, the schema says with `not`. `\uXXXX` becomes the character
    itself.
    """
    return _CODE_POINT.sub(lambda found: chr(int(found[1] or found[2], 16)), _LOOK_AHEAD.sub("", pattern))


def _tidied(node: Any) -> Any:
    if isinstance(node, list):
        return [_tidied(item) for item in node]
    if not isinstance(node, dict):
        return node
    tidy = {key: _tidied(value) for key, value in node.items()}
    if isinstance(tidy.get("description"), str):
        tidy["description"] = cleandoc(tidy["description"])
    if isinstance(tidy.get("pattern"), str):
        tidy["pattern"] = portable(tidy["pattern"])
    for tag in ("type", "outcome"):
        choice = tidy.get("properties", {}).get(tag, {})
        if len(choice.get("enum", ())) == 1:
            tidy["properties"][tag] = {"type": "string", "const": choice["enum"][0]}
    if "enum" in tidy and all(isinstance(value, str) for value in tidy["enum"]):
        tidy.setdefault("type", "string")
    return tidy


def _say_times(struct: StructType, schema: Json) -> None:
    """msgspec leaves out what it does not enforce; readers still want to know what a time looks like."""
    for field in struct.fields:
        part = next((part for part in _parts(field.type) if isinstance(part, DateTimeType)), None)
        if part is not None:
            said = schema["properties"][field.encode_name]
            said = next((branch for branch in said.get("anyOf", ()) if branch["type"] == "string"), said)
            said |= _WALL if part.tz is False else _AWARE


def _allow_nulls(struct: StructType, schema: Json) -> None:
    """In a command null says what leaving the field out says, whatever the default is."""
    for field in struct.fields:
        said = schema["properties"][field.encode_name]
        if not field.required and NULLABLE not in said.get("anyOf", ()):
            about = {key: said[key] for key in _ABOUT if key in said}
            bare = {key: value for key, value in said.items() if key not in _ABOUT}
            schema["properties"][field.encode_name] = {"anyOf": [bare, NULLABLE], **about}


def _opened(node: Any) -> Any:
    """The same without closed lists of values: in answers and events more may come, and readers take what they get."""
    if isinstance(node, list):
        return [_opened(item) for item in node]
    if not isinstance(node, dict):
        return node
    open_node = {
        key: _opened(value)
        if key != "properties"
        else {name: _opened_field(name, said) for name, said in value.items()}
        for key, value in node.items()
    }
    values = open_node.get("enum")
    if isinstance(values, list) and all(isinstance(value, str) for value in values):
        del open_node["enum"]
        open_node |= {"type": "string", "x-extensible-enum": values}
    return open_node


def _opened_field(name: str, said: Json) -> Json:
    return said if name in ("type", "outcome") and len(said.get("enum", ())) == 1 else _opened(said)


def _answered() -> set[type]:
    """What stands in answers and events."""
    return _classes([*ANSWER_TYPES, *EVENT_TYPES])


def _said_by_senders() -> set[type]:
    """What stands in the commands that upstream services send."""
    return _classes([kind for kind in COMMAND_TYPES if kind not in INTERNAL_TYPES])


def _classes(kinds: Sequence[type[Struct]]) -> set[type]:
    return {struct.cls for struct in _structs(kinds)}


def _parts(kind: Type) -> Iterator[Type]:
    """What a field's type may be, without annotations and alternatives."""
    if isinstance(kind, Metadata):
        yield from _parts(kind.type)
    elif isinstance(kind, UnionType):
        for member in kind.types:
            yield from _parts(member)
    else:
        yield kind


def _structs(kinds: Sequence[type[Struct]]) -> list[StructType]:
    """All object types in these types, each once."""
    found: dict[type, StructType] = {}
    todo: list[Any] = list(multi_type_info(kinds))
    while todo:
        item = todo.pop()
        if isinstance(item, StructType):
            if item.cls in found:
                continue
            found[item.cls] = item
            todo += [field.type for field in item.fields]
        elif isinstance(item, Type):
            for name in item.__struct_fields__:
                value = getattr(item, name)
                todo += value if isinstance(value, tuple) else [value]
    return list(found.values())
