"""What a command may say, for every field of every command: nulls, and what is answered about what is wrong."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from msgspec import inspect
from tests.contract.fullest import fullest

from holdgate_schema.codec import decode_command
from holdgate_schema.contract.jsonschemas import COMMANDS, MESSAGES, message_schema
from holdgate_schema.decoding.problems import shape_of
from holdgate_schema.decoding.wording import IN_WORDS
from holdgate_schema.errors import ERRORS_MAX, InvalidMessage, ProblemCode
from holdgate_schema.ids import MAX_UUID, NIL_UUID

Path = tuple[str | int, ...]


def bare(kind: inspect.Type) -> inspect.Type:
    """The type without bounds, descriptions and None."""
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    if isinstance(kind, inspect.UnionType):
        (kind,) = (part for part in kind.types if not isinstance(part, inspect.NoneType))
        return bare(kind)
    return kind


def fields_of(value: Any, kind: inspect.Type, path: Path = ()) -> Iterator[tuple[Path, inspect.Field]]:
    """Every field of the objects in a message, with the path to it."""
    kind = bare(kind)
    if isinstance(kind, inspect.StructType):
        for field in kind.fields:
            yield (*path, field.encode_name), field
            if field.encode_name in value:
                yield from fields_of(value[field.encode_name], field.type, (*path, field.encode_name))
    elif isinstance(kind, inspect.ListType):
        for number, item in enumerate(value):
            yield from fields_of(item, kind.item_type, (*path, number))


def with_value(message: Any, path: Path, value: object) -> Any:
    """A copy of the message that has this value there."""
    changed = copy.deepcopy(message)
    inner = changed
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return changed


def without(message: Any, path: Path) -> Any:
    """A copy of the message that leaves the field out."""
    changed = with_value(message, path, None)
    inner = changed
    for step in path[:-1]:
        inner = inner[step]
    del inner[path[-1]]
    return changed


def body(message: object) -> bytes:
    return json.dumps(message).encode()


def pointed_at(message: Any, pointer: str) -> Any:
    """What an RFC 6901 pointer points at."""
    assert pointer == "" or pointer.startswith("/")
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        message = message[int(name)] if isinstance(message, list) else message[name]
    return message


FIELDS = [
    pytest.param(name, path, id=f"{name}-{'.'.join(map(str, path))}")
    for name in COMMANDS
    for path, field in fields_of(fullest(name), shape_of(MESSAGES[name]))
    if not field.required
]
"""Every optional field of every command, at every depth."""


@pytest.mark.parametrize(("name", "path"), FIELDS)
def test_null_for_an_optional_field_is_the_same_as_leaving_it_out(name: str, path: Path) -> None:
    left_out = without(fullest(name), path)
    null = with_value(fullest(name), path, None)
    assert decode_command(body(null)) == decode_command(body(left_out))
    Draft202012Validator(message_schema(name)).validate(null)


@pytest.mark.parametrize("name", COMMANDS)
def test_all_optional_fields_may_be_null_at_once(name: str) -> None:
    message, bare_one = fullest(name), fullest(name)
    for path, field in sorted(fields_of(fullest(name), shape_of(MESSAGES[name])), key=lambda item: -len(item[0])):
        if not field.required:
            message, bare_one = with_value(message, path, None), without(bare_one, path)
    assert decode_command(body(message)) == decode_command(body(bare_one))


def test_the_fullest_example_has_every_optional_field_of_every_command() -> None:
    """Otherwise the tests above would pass over one in silence."""
    for name in COMMANDS:
        message = fullest(name)
        for path, _ in fields_of(message, shape_of(MESSAGES[name])):
            inner = message
            for step in path:
                assert isinstance(inner, list) or step in inner, f"{name} lacks {path}"
                inner = inner[step]
        decode_command(body(message))


def test_null_for_a_required_field_is_refused_unless_it_has_a_meaning_of_its_own() -> None:
    for name in COMMANDS:
        for path, field in fields_of(fullest(name), shape_of(MESSAGES[name])):
            message = with_value(fullest(name), path, None)
            if field.required and field.encode_name != "capacity":
                with pytest.raises(InvalidMessage):
                    decode_command(body(message))
    assert decode_command(body(fullest("occurrence.capacity.v1") | {"capacity": None}))[0].capacity is None  # type: ignore[union-attr]


# --- what is wrong -----------------------------------------------------------------------------------------------


def test_every_pattern_of_a_message_has_its_words() -> None:
    kinds = [kind for name in COMMANDS for _, kind in _types(shape_of(MESSAGES[name]))]
    patterns = {kind.pattern for kind in kinds if isinstance(kind, inspect.StrType) and kind.pattern}
    assert patterns - IN_WORDS.keys() == set()


def _types(kind: inspect.Type) -> Iterator[tuple[None, inspect.Type]]:
    kind = bare(kind)
    yield None, kind
    if isinstance(kind, inspect.StructType):
        for field in kind.fields:
            yield from _types(field.type)
    elif isinstance(kind, inspect.ListType):
        yield from _types(kind.item_type)
    elif isinstance(kind, inspect.DictType):
        yield from _types(kind.key_type)
        yield from _types(kind.value_type)


def problems(message: object) -> list[tuple[str, str | None]]:
    with pytest.raises(InvalidMessage) as caught:
        decode_command(body(message))
    return [(error.code, error.pointer) for error in caught.value.errors]


def test_all_problems_are_told_at_once_each_with_its_code_and_its_place() -> None:
    message = {
        "type": "hold.place.v1",
        "request_id": "4f7d6b1e-0c55-4f0a-9a53-2f8f3f0f7c01",
        "occurrence_id": "tour-42",
        "items": {"adult": "2", "child": 0, "Senior": 1},
        "extras": [],
        "client": {"address": "here", "forwarded_for": ["::1", "a b"]},
        "ttl_second": 5,
        "ttl_seconds": 7201,
        "user_id": "a\u200bb",
        "session_id": "é".encode().decode() + "e\u0301",
        "pricing": {"voucher": "winter", "quote_hash": "ab"},
    }
    assert problems(message) == [
        ("wrong_type", "/items/adult"),
        ("out_of_range", "/items/child"),
        ("wrong_format", "/items/Senior"),
        ("wrong_type", "/extras"),
        ("wrong_format", "/client/address"),
        ("wrong_format", "/client/forwarded_for/1"),
        ("unknown_field", "/ttl_second"),
        ("out_of_range", "/ttl_seconds"),
        ("invisible_character", "/user_id"),
        ("not_normalized", "/session_id"),
        ("wrong_format", "/pricing/voucher"),
        ("wrong_length", "/pricing/quote_hash"),
        ("wrong_format", "/pricing/quote_hash"),
    ]


@pytest.mark.parametrize(
    ("text", "code", "pointer"),
    [
        ("", "not_json", ""),
        ("{", "not_json", ""),
        ("\ufeff{}", "not_json", ""),
        ("[]", "wrong_type", ""),
        ("{}", "required", "/type"),
        ('{"type": 1}', "wrong_type", "/type"),
        ('{"type": "hold.place.v2"}', "unknown_type", "/type"),
        ('{"type": "x", "type": "x"}', "repeated_key", "/type"),
        ("[" * 16000, "not_json", ""),
        ('{"x": "' + "y" * 20_000 + '"}', "body_too_large", ""),
    ],
    ids=lambda text: text[:12],
)
def test_a_body_that_is_no_command_says_which_way(text: str, code: str, pointer: str) -> None:
    with pytest.raises(InvalidMessage) as caught:
        decode_command(text.encode())
    assert (caught.value.errors[0].code, caught.value.errors[0].pointer) == (code, pointer)


def test_no_more_problems_are_told_than_an_answer_has_room_for() -> None:
    message = fullest("hold.place.v1") | {f"f{number}": 1 for number in range(500)}
    assert len(problems(message)) == ERRORS_MAX


@pytest.mark.parametrize("request_id", [NIL_UUID, MAX_UUID])
@pytest.mark.parametrize("name", COMMANDS)
def test_the_nil_and_the_max_uuid_name_no_request(name: str, request_id: str) -> None:
    message = fullest(name) | {"request_id": request_id}
    assert ("reserved_id", "/request_id") in problems(message)
    assert not Draft202012Validator(message_schema(name)).is_valid(message)


JARGON = re.compile(r"regex|Expected|`|\bstr\b|\bint\b|\bfloat\b|object of length|[$]|[(][?]|PyObject")
ANYTHING = st.sampled_from(
    [
        *(None, True, -1, 0, 10**30, 1.5, "", "A b", "\x00", "e\u0301", "\u202e", "x" * 300, "Z~/x"),
        *([], [[]], {}, {"a": {}}, {"a/b~c": 1}),
    ]
)


@given(st.data())
def test_whatever_the_decoder_refuses_is_explained_in_plain_words_and_points_at_its_place(
    data: st.DataObject,
) -> None:
    """The walker over the types and the decoder must agree: neither refuses what the other takes."""
    name = data.draw(st.sampled_from(COMMANDS))
    message = fullest(name)
    paths = [path for path, _ in fields_of(message, shape_of(MESSAGES[name]))]
    for path in data.draw(st.lists(st.sampled_from(paths), min_size=1, max_size=3)):
        try:
            message = with_value(message, path, data.draw(ANYTHING))
        except (KeyError, TypeError, IndexError):
            continue
    errors = []
    try:
        decode_command(body(message))
    except InvalidMessage as exc:
        errors = exc.errors
    for error in errors:
        assert error.code in set(ProblemCode)
        assert not JARGON.search(error.reason), error
        assert error.reason.isprintable()
        assert error.pointer is not None
        if error.code != ProblemCode.REQUIRED:
            pointed_at(message, error.pointer)
