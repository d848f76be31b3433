"""Bytes become a command only if they say exactly one thing that the contract allows. Nothing is guessed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.domain import a_capacity, a_place, a_put, a_sweep, request_id

from holdgate_schema.answers.holds import Swept
from holdgate_schema.codec import (
    BODY_BYTES_MAX,
    FINGERPRINT_BYTES,
    REASON_CHARS_MAX,
    decode_answer,
    decode_command,
    decode_event,
    encode,
    fingerprint,
)
from holdgate_schema.commands.holds import COMMAND_TYPES, PlaceHold, PutOccurrence, type_name
from holdgate_schema.errors import InvalidMessage

PLACE: dict[str, Any] = {
    "type": "hold.place.v1",
    "request_id": request_id(1),
    "occurrence_id": "occ-1",
    "session_id": "ann",
    "items": {"adult": 1, "child": 2},
}
IDS = f'"request_id":"{request_id(1)}","occurrence_id":"occ-1"'


def _place(**fields: Any) -> bytes:
    return json.dumps(PLACE | fields).encode()


def _text(field: str, value: str) -> bytes:
    """A good place with one field written by hand."""
    return (json.dumps({k: v for k, v in PLACE.items() if k != field})[:-1] + f',"{field}":{value}}}').encode()


def _refused(body: bytes) -> InvalidMessage:
    with pytest.raises(InvalidMessage) as caught:
        decode_command(body)
    assert caught.value.errors
    for error in caught.value.errors:
        assert error.field
        assert error.reason.isprintable()
        assert len(error.reason) <= REASON_CHARS_MAX + 1
    return caught.value


def _refused_by_name(body: bytes, *fields: str) -> None:
    error = _refused(body)
    assert [item.field for item in error.errors] == list(fields)
    assert (error.request_id, error.occurrence_id) == (request_id(1), "occ-1")


def test_a_good_body_is_the_command() -> None:
    """And has a fingerprint of sixteen bytes."""
    command, mark = decode_command(_place())
    assert command == PlaceHold(
        request_id=request_id(1), occurrence_id="occ-1", session_id="ann", items={"adult": 1, "child": 2}
    )
    assert len(mark) == FINGERPRINT_BYTES == 16
    assert mark == fingerprint(encode(command))


def test_every_command_has_its_own_name_and_version() -> None:
    """The name is what the body's `type` says."""
    names = [type_name(kind) for kind in COMMAND_TYPES]
    assert len(set(names)) == len(names) == 27
    assert all(name.endswith(".v1") for name in names)


# --- numbers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "nan", "+1", "01", "1.", ".5", "0x1", "1_0"])
def test_what_json_has_no_word_for_is_refused(number: str) -> None:
    """Though many parsers take it."""
    _refused(_text("ttl_seconds", number))
    _refused(_text("items", f'{{"adult":{number}}}'))


@pytest.mark.parametrize(
    "number",
    [
        *("1e999", "-1e999", "1.0", "2e0", "1.5", "true", "false", "null", '"1"', "[1]", "{}", "0", "-1", "501"),
        *("9" * 19, "9" * 20, "9" * 5000, "-" + "9" * 5000, "1" + "0" * 5000 + ".0"),
    ],
    ids=lambda text: text[:8],
)
def test_a_quantity_is_a_whole_number_in_its_range_and_nothing_like_one(number: str) -> None:
    """No rounding, no truth values, no texts, and five thousand digits crash nobody."""
    _refused_by_name(_text("items", f'{{"adult":{number}}}'), "items.adult")


def test_a_number_of_five_thousand_digits_anywhere_crashes_nobody() -> None:
    """Also where no number belongs."""
    huge = "9" * 5000
    _refused_by_name(_text("ttl_seconds", huge), "ttl_seconds")
    _refused_by_name(_text("user_id", huge), "user_id")
    _refused_by_name(_text("surprise", huge), "surprise")
    _refused_by_name(_text("items", f'{{"adult":1,"adult":{huge}}}'), "items.adult", "items.adult")


# --- repeated keys ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (_text("session_id", '"ann","session_id":"bob"'), "session_id"),
        (_text("session_id", '"ann","session_id":"ann"'), "session_id"),
        (_text("session_id", '"ann","session\\u005fid":"bob"'), "session_id"),
        (_text("items", '{"adult":1,"adult":1}'), "items.adult"),
        (_text("items", '{"adult":1,"\\u0061dult":2}'), "items.adult"),
        (_text("items", '{"adult":1},"items":{"adult":2}'), "items"),
        (_text("client", '{"address":"::1","address":"::2"}'), "client.address"),
        (_text("type", '"hold.place.v1","type":"hold.place.v1"'), "type"),
    ],
)
def test_a_key_given_twice_says_nothing_certain(body: bytes, field: str) -> None:
    """At any depth, however it is escaped, even with the same value."""
    _refused_by_name(body, field)


def test_keys_given_twice_deep_inside_are_found_too() -> None:
    """In a list of objects of a put."""
    body = encode(a_put()).decode()
    assert body.count('"key":"adult"') == 1
    error = _refused(body.replace('"key":"adult"', '"key":"adult","key":"adult"').encode())
    assert [item.field for item in error.errors] == ["ticket_types[0].key"]


@pytest.mark.parametrize("good", [True, False])
@pytest.mark.parametrize("name", ["request_id", "occurrence_id", "request\\u005fid"])
def test_a_message_with_two_identities_is_refused_under_none(name: str, good: bool) -> None:
    """Whatever else is wrong with it: its sender would get an answer to another request."""
    value = request_id(2) if name.startswith("request") else "occ-2"
    body = _place(**({} if good else {"surprise": 1}))[:-1] + f',"{name}":"{value}"}}'.encode()
    error = _refused(body)
    assert (error.request_id, error.occurrence_id) == (None, None)


# --- text ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        *(r'"\ud800"', r'"\udc00"', r'"\ud800\ud800"', r'"\udc00\ud800"', r'"a\ud800b and more of it"'),
        *(r'"\ud83d\u0041"', r'"\x41"', r'"\u00"', '"\t"', '"a', r'"\"'),
    ],
)
def test_half_a_character_is_refused(text: str) -> None:
    """A lone surrogate decodes in many parsers and then cannot be encoded again."""
    _refused(_text("user_id", text))
    _refused(_text("surprise", text))
    _refused(_text("items", f"{{{text}:1}}"))


@pytest.mark.parametrize(
    "raw", [b"\xff", b"\xfe\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2\x82"]
)
def test_what_is_not_utf8_is_refused(raw: bytes) -> None:
    """In values, in keys, and where nothing is expected."""
    for body in (_text("user_id", '"RAW"'), _text("items", '{"RAW":1}'), _text("RAW", "1"), b"RAW" + _place()):
        _refused(body.replace(b"RAW", raw))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
def test_other_encodings_are_refused(encoding: str) -> None:
    """Bodies are plain UTF-8."""
    _refused(_place().decode().encode(encoding))


@pytest.mark.parametrize("char", ["\0", "\n", "\r", "\t", " ", "\x1b", "\x7f", "\x85", "\u2028", "\xa0", "\ufffe"])
def test_control_characters_and_spaces_are_in_no_name(char: str) -> None:
    """At the beginning, in the middle, at the end; the database takes no NUL and a log line no newline."""
    for value in (char, f"{char}a", f"a{char}b", f"a{char}"):
        for field in ("session_id", "user_id"):
            _refused_by_name(_place(**{field: value}), field)
        error = _refused(_place(items={value: 1}))
        assert [item.field.startswith("items.") for item in error.errors] == [True]
        _refused(_place(occurrence_id=value))
        _refused(_place(request_id=f"{request_id(1)}{char}"))


def test_a_label_may_have_spaces_and_no_controls() -> None:
    """It is for people."""
    good = encode(a_put()).decode()
    for label, fits in (
        ("Grown-up, 18 to 64", True),
        ("Erwachsene \u00fc", True),
        ("a\\nb", False),
        ("\\u0000", False),
    ):
        body = good.replace('"key":"adult"', f'"key":"adult","label":"{label}"').encode()
        if fits:
            assert isinstance(decode_command(body)[0], PutOccurrence)
        else:
            _refused(body)


def test_what_the_sender_wrote_is_quoted_short_and_printable() -> None:
    """A reason goes into logs, into the database and back over the wire."""
    for key in ("a\\u0000b", "a\\u001b[31mred", "x" * 15_000, "a\\nb", "\\u202eabc"):
        error = _refused((json.dumps(PLACE)[:-1] + f',"{key}":1}}').encode())
        assert error.request_id == request_id(1)
    error = _refused(_place(type="x" * 1000))
    assert error.errors[0].field == "type"


# --- size and depth --------------------------------------------------------------------------------------------


def test_a_body_over_the_bound_is_refused_before_it_is_read() -> None:
    """At the bound it is read; one byte more and not even its name is."""
    body = _place()
    fits = body + b" " * (BODY_BYTES_MAX - len(body))
    assert decode_command(fits) == decode_command(body)
    for size in (BODY_BYTES_MAX + 1, 17 * 1024, 1 << 20):
        error = _refused(body + b" " * (size - len(body)))
        assert str(size) in str(error)
        assert str(BODY_BYTES_MAX) in str(error)
        assert (error.request_id, error.occurrence_id) == (None, None)


@pytest.mark.parametrize("opening", ["[", '{"a":', "[[", '[{"a":'], ids=["arrays", "objects", "pairs", "both"])
@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("field", ["", "surprise", "items", "ttl_seconds", "client", "type", "request_id"])
def test_deep_nesting_crashes_nobody(opening: str, closed: bool, field: str) -> None:
    """As deep as sixteen KiB can be, inside known fields, unknown ones, or alone; before and after the ids."""
    room = BODY_BYTES_MAX - 300
    closing = "".join({"[": "]", "{": "}"}[char] for char in reversed(opening) if char in "[{")
    times = room // len(opening + (closing if closed else ""))
    nest = opening * times + (f"1{closing * times}" if closed else "")
    if not field:
        _refused(nest.encode())
        return
    before = f'{{"{field}":{nest},' + json.dumps(PLACE)[1:]
    after = json.dumps(PLACE)[:-1] + f',"{field}":{nest}}}'
    for body in (before, after):
        assert len(body) <= BODY_BYTES_MAX
        _refused(body.encode())


@pytest.mark.parametrize("decode", [decode_answer, decode_event])
@pytest.mark.parametrize(
    "nest", [b"[" * 1_000_000, b'{"a":' * 300_000, b'{"outcome":"swept","x":' + b"[" * 1_000_000]
)
def test_deep_nesting_in_an_answer_or_event_crashes_nobody(decode: Any, nest: bytes) -> None:
    """Clients read what a worker wrote, but need not trust it."""
    with pytest.raises(InvalidMessage):
        decode(nest)


# --- shape -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"null",
        b"1",
        b'"x"',
        b"[]",
        b"{}",
        b"{",
        b"[{}]",
        b"\0",
        _place() + b"{}",
        _place() + b",",
        b"//" + _place(),
    ]
    + [_place()[:length] for length in (1, 20, 80, len(_place()) - 1)],
)
def test_what_is_not_one_object_is_refused(body: bytes) -> None:
    """Nothing before it, nothing after it."""
    _refused(body)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"surprise": 1}, "surprise"),
        ({"Items": {"adult": 1}}, "Items"),
        ({"client": {"address": "::1", "surprise": 1}}, "client.surprise"),
        ({"client": {}}, "client.address"),
        ({"client": {"address": "not an address"}}, "client.address"),
        ({"client": {"address": "::1", "forwarded_for": ["::1"] * 11}}, "client.forwarded_for"),
        ({"items": {}}, "items"),
        ({"items": {f"t{number}": 1 for number in range(51)}}, "items"),
        ({"items": {"Adult": 1}}, "items.Adult"),
        ({"items": [["adult", 1]]}, "items"),
        ({"items": "adult"}, "items"),
        ({"items": None}, "items"),
        ({"session_id": ""}, "session_id"),
        ({"session_id": "x" * 129}, "session_id"),
        ({"session_id": 7}, "session_id"),
        ({"user_id": "x" * 65}, "user_id"),
        ({"ttl_seconds": 0}, "ttl_seconds"),
        ({"ttl_seconds": 7201}, "ttl_seconds"),
        ({"ttl_seconds": 60.0}, "ttl_seconds"),
        ({"type": "hold.place.v2"}, "type"),
        ({"type": "HOLD.PLACE.V1"}, "type"),
        ({"type": None}, "type"),
        ({"type": 1}, "type"),
        ({"type": "hold.created.v1"}, "type"),
    ],
)
def test_a_wrong_field_is_named_and_the_identity_kept(fields: dict[str, Any], field: str) -> None:
    """So that the refusal can be sent under the request's own id."""
    _refused_by_name(_place(**fields), field)


@pytest.mark.parametrize("missing", ["type", "items", "request_id", "occurrence_id"])
def test_a_missing_field_is_refused(missing: str) -> None:
    """The identity is kept if it is whole."""
    error = _refused(json.dumps({key: value for key, value in PLACE.items() if key != missing}).encode())
    assert missing in str(error)
    assert (error.request_id is None) == (missing in ("request_id", "occurrence_id"))


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x",
        request_id(1).upper().replace("0", "A"),
        request_id(1)[:-1],
        f"{request_id(1)}0",
        f"{{{request_id(1)}}}",
        request_id(1).replace("-", ""),
        1,
        None,
        ["x"],
    ],
)
def test_a_request_id_that_is_none_cannot_be_answered_under(value: Any) -> None:
    """Lower-case UUIDs only, so that one request has one spelling."""
    error = _refused(_place(request_id=value))
    assert error.errors[0].field == "request_id"
    assert error.request_id is None


@pytest.mark.parametrize(
    ("field", "value", "fits"),
    [
        ("starts_at", "2026-07-01T18:00:00Z", True),
        ("starts_at", "2026-07-01T18:00:00+05:45", True),
        ("starts_at", "2026-07-01T18:00:00", False),
        ("starts_at", "2026-07-01", False),
        ("starts_at", "2026-02-30T18:00:00Z", False),
        ("starts_at", 1782928800, False),
        ("sales_open", "2026-06-01T10:00:00", True),
        ("sales_open", "2026-06-01T10:00:00Z", False),
        ("sales_open", "2026-06-01T10:00:00+02:00", False),
        ("sales_open", "2026-06-01T25:00:00", False),
    ],
)
def test_instants_have_an_offset_and_wall_times_have_none(field: str, value: Any, fits: bool) -> None:
    """Neither can be taken for the other."""
    body = json.dumps(json.loads(encode(a_put())) | {field: value}).encode()
    if fits:
        assert isinstance(decode_command(body)[0], PutOccurrence)
    else:
        assert _refused(body).errors[0].field == field


# --- the fingerprint -------------------------------------------------------------------------------------------


def test_the_same_meaning_has_the_same_fingerprint() -> None:
    """In any order, spacing and escaping, with defaults written out or left out."""
    command, mark = decode_command(_place())
    reversed_keys = dict(reversed(PLACE.items())) | {"items": {"child": 2, "adult": 1}}
    for body in (
        encode(command),
        json.dumps(PLACE, indent=4).encode(),
        json.dumps(reversed_keys, separators=(",", ":")).encode(),
        b"\r\n\t " + _place() + b"\n",
        _place(extras={}, user_id=None, client=None, ttl_seconds=None),
        _place()
        .replace(b"ann", rb"\u0061nn")
        .replace(b"child", rb"\u0063hild")
        .replace(b'"items', rb'"\u0069tems'),
        _place().replace(b"occ-1", rb"occ\u002d1"),
    ):
        assert decode_command(body) == (command, mark)


def test_the_fingerprint_does_not_depend_on_the_process() -> None:
    """It is stored and compared by other processes, later."""
    expected = fingerprint(
        b'{"type":"hold.place.v1","request_id":"00000000-0000-4000-8000-000000000001","occurrence_id":"occ-1",'
        b'"items":{"adult":1,"child":2},"session_id":"ann"}'
    )
    assert decode_command(_place())[1] == expected
    assert expected.hex() == "8929c253abd774e6cc012e3924365231"


@pytest.mark.parametrize(
    "fields",
    [
        {"items": {"adult": 2, "child": 1}},
        {"items": {"adult": 1}},
        {"items": {"adult": 1, "child": 2, "teen": 1}},
        {"session_id": "bob"},
        {"user_id": "ann"},
        {"extras": {"adult": 1}},
        {"ttl_seconds": 900},
        {"request_id": request_id(2)},
        {"occurrence_id": "occ-2"},
        {"client": {"address": "::1"}},
    ],
)
def test_another_body_has_another_fingerprint(fields: dict[str, Any]) -> None:
    """Whichever field differs."""
    assert decode_command(_place(**fields))[1] != decode_command(_place())[1]


def test_a_null_that_means_something_is_not_left_out() -> None:
    """A capacity of null is unlimited."""
    body = encode(a_capacity(None, "vip"))
    assert b'"capacity":null' in body
    assert decode_command(body)[0] == a_capacity(None, "vip")


def test_a_long_basket_is_read_in_any_order() -> None:
    """Fifty ticket types and fifty extras are allowed."""
    items = {f"ticket-{number:02d}": number + 1 for number in range(50)}
    command = a_place(items, items)
    assert decode_command(encode(command))[0] == command
    assert encode(command) == encode(a_place(dict(reversed(items.items())), dict(reversed(items.items()))))


# --- answers ---------------------------------------------------------------------------------------------------


def test_a_client_reads_answers_of_newer_workers() -> None:
    """Fields that it does not know are ignored; an outcome that it does not know is not."""
    answer = Swept(
        request_id=request_id(1), occurrence_id="occ-1", version=3, decided_at=a_put().starts_at, expired=2
    )
    newer = json.loads(encode(answer)) | {"surprise": {"deep": [1]}}
    assert decode_answer(json.dumps(newer).encode()) == answer
    with pytest.raises(InvalidMessage):
        decode_answer(json.dumps(newer | {"outcome": "surprise"}).encode())
    with pytest.raises(InvalidMessage):
        decode_answer(encode(a_sweep()))
