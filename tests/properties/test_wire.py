"""What is written can be read again, and nothing that can be sent breaks the reader."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.support.domain_strategies import any_message

from holdgate_schema.answers.holds import ANSWER_TYPES, Answer
from holdgate_schema.codec import decode_answer, decode_command, decode_event, encode, fingerprint
from holdgate_schema.commands.holds import COMMAND_TYPES, Command
from holdgate_schema.errors import InvalidMessage
from holdgate_schema.events.holds import EVENT_TYPES, Event

COMMANDS: st.SearchStrategy[Command] = st.one_of(*(any_message(kind) for kind in COMMAND_TYPES))
ANSWERS: st.SearchStrategy[Answer] = st.one_of(*(any_message(kind) for kind in ANSWER_TYPES))
EVENTS: st.SearchStrategy[Event] = st.one_of(*(any_message(kind) for kind in EVENT_TYPES))
NASTY = st.sampled_from(
    [
        *(b"NaN", b"Infinity", b"1e999", b"-0", b"1.0", b"9" * 5000, b"true", b"null", b'""', b"[]", b"{}", b"["),
        *(
            rb'"\ud800"',
            rb'"\u0000"',
            b'"\xff"',
            b"\x00",
            b"\xed\xa0\x80",
            b"[" * 5000,
            b'{"a":' * 2000,
            b"}",
            b'"',
        ),
        *(
            b",",
            b":",
            b'"type":"hold.place.v1",',
            b'"request_id":"x",',
            b"\xef\xbb\xbf",
            b"\\",
            b"/*",
            b" " * 17_000,
        ),
    ]
)


@given(COMMANDS)
def test_a_command_reads_as_it_was_written(command: Command) -> None:
    """And its fingerprint is that of its canonical form."""
    body = encode(command)
    assert decode_command(body) == (command, fingerprint(body))
    assert encode(decode_command(body)[0]) == body


@given(ANSWERS)
def test_an_answer_reads_as_it_was_written(answer: Answer) -> None:
    """Every kind, every field."""
    assert decode_answer(encode(answer)) == answer


@given(EVENTS)
def test_an_event_reads_as_it_was_written(event: Event) -> None:
    """Every kind, every field."""
    assert decode_event(encode(event)) == event


@given(COMMANDS, st.data())
def test_spacing_order_and_escapes_do_not_change_the_fingerprint(command: Command, data: st.DataObject) -> None:
    """Any JSON library may have written the body."""
    value = json.loads(encode(command))
    shuffled = _shuffled(value, data)
    ascii_only, indent = data.draw(st.booleans()), data.draw(st.sampled_from([None, 0, 3]))
    body = json.dumps(shuffled, ensure_ascii=ascii_only, indent=indent).encode()
    if len(body) <= 16 * 1024:
        assert decode_command(body) == (command, fingerprint(encode(command)))


@given(COMMANDS, COMMANDS)
def test_another_command_has_another_fingerprint(one: Command, other: Command) -> None:
    """If it differs in anything."""
    same = decode_command(encode(one))[1] == decode_command(encode(other))[1]
    assert same == (encode(one) == encode(other))


@given(st.binary(max_size=300))
def test_random_bytes_are_invalid_and_nothing_worse(body: bytes) -> None:
    """For every reader."""
    for decode in (decode_command, decode_answer, decode_event):
        _survives(decode, body)


@given(st.one_of(COMMANDS, ANSWERS, EVENTS), st.data())
def test_mutated_bodies_are_invalid_or_valid_and_nothing_worse(message: Any, data: st.DataObject) -> None:
    """Bytes changed, cut, doubled and replaced by nasty ones, several times over."""
    body = encode(message)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(body)))
        end = min(len(body), start + data.draw(st.integers(0, 12)))
        insert = data.draw(st.one_of(NASTY, st.binary(max_size=3), st.just(body[start:end] * 2), st.just(b"")))
        body = body[:start] + insert + body[end:]
    for decode in (decode_command, decode_answer, decode_event):
        _survives(decode, body)


@given(COMMANDS, st.data())
def test_values_replaced_by_strange_ones_are_invalid_or_valid_and_nothing_worse(
    command: Command, data: st.DataObject
) -> None:
    """Still JSON, with the wrong thing in some place; the identity is kept if it was not touched."""
    value = json.loads(encode(command))
    place, key = _somewhere(value, data)
    strange = st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
        ),
        max_leaves=5,
    )
    place[key] = data.draw(strange)
    body = json.dumps(value).encode(errors="surrogatepass")
    error = _survives(decode_command, body)
    finite = b"NaN" not in body and b"Infinity" not in body
    if error is not None and finite and len(body) <= 16 * 1024 and key not in ("request_id", "occurrence_id"):
        assert error.request_id == command.request_id
        assert error.occurrence_id == command.occurrence_id


def _survives(decode: Any, body: bytes) -> InvalidMessage | None:
    error: InvalidMessage | None = None
    message: Any = None
    try:
        message = decode(body)
    except InvalidMessage as caught:
        error = caught
    if error is not None:
        assert error.errors
        assert all(item.field and item.reason.isprintable() for item in error.errors)
        return error
    if decode is decode_command:
        command, mark = message
        assert decode_command(encode(command)) == (command, mark)
    return None


def _shuffled(value: Any, data: st.DataObject) -> Any:
    if isinstance(value, dict):
        keys = data.draw(st.permutations(list(value)))
        return {key: _shuffled(value[key], data) for key in keys}
    if isinstance(value, list):
        return [_shuffled(item, data) for item in value]
    return value


def _somewhere(value: Any, data: st.DataObject) -> tuple[Any, Any]:
    while True:
        key = data.draw(st.sampled_from(list(value) if isinstance(value, dict) else range(len(value))))
        inner = value[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            return value, key
        value = inner
