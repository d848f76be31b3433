"""The published contract is current, sound, and says what the code does."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator, Draft202012Validator
from jsonschema.exceptions import ValidationError

from holdgate_schema.answers.holds import Reason
from holdgate_schema.codec import (
    CONTENT_TYPE,
    decode_answer,
    decode_command,
    decode_event,
    encode,
)
from holdgate_schema.commands.holds import ChangeHold, Client, Command, PlaceHold
from holdgate_schema.commands.operations import INTERNAL, OPERATIONS
from holdgate_schema.contract import published as contract
from holdgate_schema.contract.asyncapi import DEAD_LETTER, document
from holdgate_schema.contract.examples.holds import as_json, examples
from holdgate_schema.contract.examples.refusals import refusal
from holdgate_schema.contract.jsonschemas import ANSWERS, COMMANDS, EVENTS, MESSAGES, message_schema
from holdgate_schema.errors import InvalidMessage
from holdgate_schema.values.characters import hidden_in_id, is_composed

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"
PROSE = ROOT / "docs" / "contract.md"
SHOWN = examples()
FENCED = re.compile(r"^```(\S+)(?: (\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def decoded(name: str, body: bytes) -> Any:
    """The message by our own codec, with the decoder that its name asks for."""
    if name in COMMANDS:
        return decode_command(body)[0]
    return decode_answer(body) if name in ANSWERS else decode_event(body)


def validator(name: str) -> Draft202012Validator:
    """The validator of one message's published schema."""
    return Draft202012Validator(message_schema(name))


def accepts(name: str, message: object) -> bool:
    return bool(validator(name).is_valid(message))


# --- the generated files -----------------------------------------------------------------------------------------


def test_the_generated_files_are_current() -> None:
    assert contract.stale_files(ROOT) == []


def test_a_stale_missing_or_left_over_file_is_named_and_repaired(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / contract.ASYNCAPI_FILE).parent.mkdir(parents=True)
    contract.write_files(tmp_path)
    assert contract.stale_files(tmp_path) == []
    slots = contract.CONTRACT_FOLDER / "slots.json"
    (tmp_path / slots).write_text("{}")
    (tmp_path / contract.ASYNCAPI_FILE).unlink()
    left_over = contract.SCHEMA_FOLDER / "hold.place.v0.json"
    (tmp_path / left_over).write_text("{}")
    assert set(contract.stale_files(tmp_path)) == {slots, contract.ASYNCAPI_FILE, left_over}
    assert contract.main(["--check", "--root", str(tmp_path)]) == 1
    assert str(slots) in capsys.readouterr().err
    assert contract.main(["--write", "--root", str(tmp_path)]) == 0
    assert contract.main(["--check", "--root", str(tmp_path)]) == 0


def test_every_document_can_be_printed_and_an_unknown_one_is_refused_with_the_list(capsys: Any) -> None:
    for name in contract.names():
        assert contract.render(name).endswith("\n")
    assert contract.main(["--print", "schema", "hold.place.v1"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "hold.place.v1"
    assert contract.main(["--print", "schema", "hold.steal.v1"]) == 2
    assert "hold.place.v1" in capsys.readouterr().err


def test_the_document_is_written_as_yaml_that_reads_back_the_same() -> None:
    assert yaml.safe_load(contract.render("asyncapi")) == document()


# --- AsyncAPI ----------------------------------------------------------------------------------------------------

AMQP_KEYS = {
    "channels": {"is", "exchange", "queue", "bindingVersion"},
    "operations": {
        *("expiration", "userId", "cc", "priority", "deliveryMode", "mandatory", "bcc", "timestamp", "ack"),
        "bindingVersion",
    },
    "messages": {"contentEncoding", "messageType", "bindingVersion"},
}
NAME = re.compile(r"[A-Za-z0-9._-]+\Z")


def nodes(value: Any) -> Iterator[Any]:
    yield value
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(child)


def resolved(root: Any, ref: str) -> Any:
    assert ref.startswith("#/"), f"{ref} leads out of the document"
    node = root
    for part in ref[2:].split("/"):
        node = node[part.replace("~1", "/").replace("~0", "~")]
    return resolved(root, node["$ref"]) if isinstance(node, dict) and "$ref" in node else node


def test_the_document_has_what_asyncapi_3_requires() -> None:
    whole = document()
    assert whole["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= whole["info"].keys()
    assert all({"host", "protocol"} <= server.keys() for server in whole["servers"].values())
    extensions = {key for key in whole if key.startswith("x-")}
    known = {"asyncapi", "id", "info", "defaultContentType", "servers", "channels", "operations", "components"}
    assert whole.keys() - extensions == known
    for section in ("channels", "operations"):
        assert all(NAME.match(key) for key in whole[section])
    assert all(NAME.match(key) for part in whole["components"].values() for key in part)
    for channel in whole["channels"].values():
        named = set(re.findall(r"\{([^}]+)\}", channel["address"] or ""))
        assert named == set(channel.get("parameters", {}))
    for operation in whole["operations"].values():
        assert operation["action"] in ("send", "receive")
        assert operation["channel"]["$ref"].startswith("#/channels/")


def test_every_reference_in_the_document_leads_somewhere() -> None:
    whole = document()
    for node in nodes(whole):
        if isinstance(node, dict) and "$ref" in node:
            assert node.keys() == {"$ref"}, "what stands beside a $ref is ignored by Draft 7"
            resolved(whole, node["$ref"])


def test_operations_only_use_messages_of_their_own_channel() -> None:
    whole = document()
    for operation in whole["operations"].values():
        sides = [operation, *([operation["reply"]] if "reply" in operation else [])]
        for side in sides:
            prefix = side["channel"]["$ref"] + "/messages/"
            assert all(message["$ref"].startswith(prefix) for message in side["messages"])


def test_every_command_has_one_operation_whose_reply_is_its_answer_or_a_refusal() -> None:
    whole = document()
    seen = []
    for operation in whole["operations"].values():
        if "reply" not in operation:
            continue
        (command,) = (resolved(whole, message["$ref"])["name"] for message in operation["messages"])
        answers = [resolved(whole, message["$ref"])["name"] for message in operation["reply"]["messages"]]
        assert tuple(answers) == OPERATIONS[command].answers
        assert {OPERATIONS[command].answer, "answer.refused.v1"} <= set(answers)
        assert operation.get("x-internal", False) == (command in INTERNAL)
        assert operation["reply"]["address"] == {"location": "$message.header#/replyTo"}
        seen.append(command)
    assert sorted(seen) == sorted(COMMANDS)


def test_amqp_bindings_use_only_the_keys_of_version_0_3_0() -> None:
    whole = document()
    parts = {
        **{key: whole[key] for key in ("channels", "operations")},
        "messages": whole["components"]["messages"],
    }
    for section, allowed in AMQP_KEYS.items():
        for item in parts[section].values():
            binding = item.get("bindings", {}).get("amqp", {})
            assert binding.keys() <= allowed
            assert binding.get("bindingVersion", "0.3.0") == "0.3.0"
            if section == "channels":
                assert (binding["is"] == "routingKey") == ("exchange" in binding) == ("queue" not in binding)


def test_the_examples_in_the_document_validate_against_its_own_schemas() -> None:
    whole = document()
    schemas = {"components": {"schemas": whole["components"]["schemas"]}}
    messages = whole["components"]["messages"]
    assert messages.keys() == {*MESSAGES, DEAD_LETTER}
    for name, message in messages.items():
        if name == DEAD_LETTER:
            continue
        assert message["contentType"] == CONTENT_TYPE
        assert message["examples"]
        for example in message["examples"]:
            Draft7Validator({**schemas, **message["payload"]}).validate(example["payload"])
            Draft7Validator({**schemas, "allOf": [message["payload"]]}).validate(example["payload"])
            decoded(name, json.dumps(example["payload"]).encode())


# --- the schemas -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MESSAGES)
def test_each_schema_is_valid_self_contained_and_portable(name: str) -> None:
    schema = message_schema(name)
    Draft202012Validator.check_schema(schema)
    for node in nodes(schema):
        if isinstance(node, dict) and isinstance(node.get("$ref"), str):
            resolved(schema, node["$ref"])
        if isinstance(node, dict) and isinstance(node.get("pattern"), str):
            assert "(?" not in node["pattern"].replace("(?:", ""), "RE2 has no look-around"
            assert "\\u" not in node["pattern"]


@pytest.mark.parametrize("name", MESSAGES)
def test_each_schema_accepts_what_our_encoder_makes(name: str) -> None:
    validator(name).validate(as_json(SHOWN[name]))


@pytest.mark.parametrize("reason", Reason)
def test_the_schema_of_refusals_accepts_every_reason(reason: Reason) -> None:
    validator("answer.refused.v1").validate(as_json(refusal(reason)))


OPEN_PARTS = {"quote", "order", "errors"}
"""Of internal commands: what they carry into an answer is as open as answers are."""


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_are_closed_at_every_depth_for_the_schema_and_the_codec_alike(name: str) -> None:
    message = as_json(SHOWN[name])
    for path in _objects(message):
        if set(path) & OPEN_PARTS:
            continue
        spoilt = copy.deepcopy(message)
        _at(spoilt, path)["unheard-of"] = 0 if path[-1:] in (["items"], ["extras"]) else 1
        assert not accepts(name, spoilt)
        with pytest.raises(InvalidMessage):
            decode_command(json.dumps(spoilt).encode())


@pytest.mark.parametrize("name", [*ANSWERS, *EVENTS])
def test_answers_and_events_may_grow_fields(name: str) -> None:
    assert accepts(name, {**as_json(SHOWN[name]), "added_later": True})


@pytest.mark.parametrize("name", MESSAGES)
def test_a_missing_field_or_a_wrong_type_is_refused_by_the_schema_and_the_codec_alike(name: str) -> None:
    message = as_json(SHOWN[name])
    for field in message_schema(name)["required"]:
        for spoilt in (
            {key: value for key, value in message.items() if key != field},
            {**message, field: [[]]},
        ):
            assert not accepts(name, spoilt)
            with pytest.raises(InvalidMessage):
                decoded(name, json.dumps(spoilt).encode())


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("hold.place.v1", {"items": {}}),
        ("hold.place.v1", {"items": {"adult": 0}}),
        ("hold.place.v1", {"items": {"adult": 501}}),
        ("hold.place.v1", {"items": {"adult": "2"}}),
        ("hold.place.v1", {"items": {"adult": True}}),
        ("hold.place.v1", {"items": {"Adult": 2}}),
        ("hold.place.v1", {"request_id": "4F7D6B1E-0C55-4F0A-9A53-2F8F3F0F7C01"}),
        ("hold.place.v1", {"request_id": "4f7d6b1e0c554f0a9a532f8f3f0f7c01"}),
        ("hold.place.v1", {"occurrence_id": "two words"}),
        ("hold.place.v1", {"occurrence_id": "x" * 65}),
        ("hold.place.v1", {"session_id": ""}),
        ("hold.place.v1", {"ttl_seconds": 0}),
        ("hold.place.v1", {"type": "hold.place.v2"}),
        ("hold.place.v1", {"client": {"address": "localhost"}}),
        ("occurrence.put.v1", {"starts_at": "2026-12-05T10:00:00"}),
        ("occurrence.put.v1", {"starts_at": 1764928800}),
        ("occurrence.put.v1", {"sales_open": "2026-11-01T09:00:00Z"}),
        ("occurrence.put.v1", {"capacity": -1}),
        ("occurrence.put.v1", {"ticket_types": []}),
        ("occurrence.put.v1", {"status": "cancelled"}),
        ("occurrence.close.v1", {"status": "active"}),
    ],
)
def test_what_breaks_a_bound_is_refused_by_the_schema_and_the_codec_alike(
    name: str, change: dict[str, Any]
) -> None:
    spoilt = {**as_json(SHOWN[name]), **change}
    assert not accepts(name, spoilt)
    with pytest.raises(InvalidMessage):
        decode_command(json.dumps(spoilt).encode())


def test_the_schemas_refuse_with_an_error_that_names_the_field() -> None:
    spoilt = {**as_json(SHOWN["hold.place.v1"]), "ttl_seconds": 0}
    with pytest.raises(ValidationError) as caught:
        validator("hold.place.v1").validate(spoilt)
    assert list(caught.value.absolute_path) == ["ttl_seconds"]


def _objects(value: Any, path: list[Any] | None = None) -> Iterator[list[Any]]:
    path = path or []
    if isinstance(value, dict):
        yield path
    for key, child in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(child, dict | list):
            yield from _objects(child, [*path, key])


def _at(value: Any, path: list[Any]) -> Any:
    for key in path:
        value = value[key]
    return value


ids = st.uuids().map(str)
keys = st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,49}", fullmatch=True)
visible = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=64).filter(
    lambda text: is_composed(text) and hidden_in_id(text) is None
)
baskets = st.dictionaries(keys, st.integers(1, 500), min_size=1, max_size=5)
clients = st.builds(Client, address=st.ip_addresses().map(str), forwarded_for=st.just(["203.0.113.9"]))
commands: st.SearchStrategy[Command] = st.one_of(
    st.builds(
        PlaceHold,
        request_id=ids,
        occurrence_id=visible,
        items=baskets,
        extras=st.just({}) | baskets,
        session_id=st.none() | visible,
        user_id=st.none() | visible,
        client=st.none() | clients,
        ttl_seconds=st.none() | st.integers(1, 7200),
    ),
    st.builds(
        ChangeHold,
        request_id=ids,
        occurrence_id=visible,
        session_id=visible,
        hold_id=ids,
        items=baskets,
        extras=st.just({}) | baskets,
    ),
)


@given(commands)
def test_the_schema_accepts_every_command_that_our_encoder_makes_and_the_codec_reads_it_back(
    command: Command,
) -> None:
    body = encode(command)
    validator(json.loads(body)["type"]).validate(json.loads(body))
    assert decode_command(body)[0] == command


# --- the wire ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_messages_of_the_first_release_are_read_and_written_byte_for_byte(path: Path) -> None:
    """These files are what deployed programs send and stored answers are. They are added to, never changed."""
    body = path.read_bytes()
    name = next(name for name in MESSAGES if path.stem == name or path.stem.startswith(f"{name}."))
    assert encode(decoded(name, body)) == body
    validator(name).validate(json.loads(body))


def test_there_is_a_golden_message_of_every_type_and_every_reason() -> None:
    found = {path.stem for path in GOLDEN.glob("*.json")}
    wanted = (set(MESSAGES) - {"answer.refused.v1"}) | {f"answer.refused.v1.{reason}" for reason in Reason}
    assert wanted <= found
