"""What a newer service sends is read by an older client: new values of answers and events are kept as they come."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from msgspec import inspect
from tests.contract.fullest import fullest

from holdgate_schema.answers.holds import Reason, Refused
from holdgate_schema.codec import decode_answer, decode_event, encode
from holdgate_schema.contract.examples.holds import as_json, examples
from holdgate_schema.contract.examples.refusals import refusal
from holdgate_schema.contract.jsonschemas import ANSWERS, EVENTS, MESSAGES, message_schema
from holdgate_schema.decoding.problems import shape_of
from holdgate_schema.errors import InvalidMessage

Path = tuple[str | int, ...]


def listed(value: Any, kind: inspect.Type, path: Path = ()) -> Iterator[Path]:
    """Where in a message a value stands that is one of a list."""
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    match kind:
        case inspect.UnionType():
            for part in kind.types:
                yield from listed(value, part, path)
        case inspect.LiteralType() | inspect.EnumType():
            yield path
        case inspect.StructType():
            for field in kind.fields:
                if field.encode_name in value:
                    yield from listed(value[field.encode_name], field.type, (*path, field.encode_name))
        case inspect.ListType():
            for number, item in enumerate(value):
                yield from listed(item, kind.item_type, (*path, number))


PLACES = [
    pytest.param(name, path, id=f"{name}-{'.'.join(map(str, path))}")
    for name in (*ANSWERS, *EVENTS)
    for path in listed(fullest(name), shape_of(MESSAGES[name]))
]


@pytest.mark.parametrize(("name", "path"), PLACES)
def test_a_value_that_is_not_known_yet_is_kept_as_it_was_sent(name: str, path: Path) -> None:
    message = fullest(name)
    inner = message
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = "of_a_later_version"
    body = json.dumps(message).encode()
    read = decode_answer(body) if name in ANSWERS else decode_event(body)
    assert "of_a_later_version" in encode(read).decode()
    Draft202012Validator(message_schema(name)).validate(message)


def test_a_refusal_for_a_reason_that_is_not_known_yet_is_a_refusal() -> None:
    """And says what it is: programs pass it on, or look at `retryable`."""
    sent = as_json(refusal(Reason.NOT_ON_SALE)) | {"reason": "rained_off", "not_on_sale": "weather"}
    read = decode_answer(json.dumps(sent).encode())
    assert isinstance(read, Refused)
    assert (read.reason, read.reason.value, read.not_on_sale) == ("rained_off", "rained_off", "weather")
    assert read.reason not in list(Reason)
    assert json.loads(encode(read)) == sent


def test_what_is_wrong_beside_an_unknown_value_is_refused_all_the_same() -> None:
    sent = as_json(examples()["answer.held.v1"])
    sent["hold"] |= {"state": "of_a_later_version", "seats": "three"}
    with pytest.raises(InvalidMessage):
        decode_answer(json.dumps(sent).encode())


def test_no_list_of_values_is_closed_in_the_schemas_of_answers_and_events() -> None:
    for name in (*ANSWERS, *EVENTS):
        assert '"enum"' not in json.dumps(message_schema(name)), name
