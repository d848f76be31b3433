"""The pages of the contract, the slots and the rights on the broker say what the code does."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import get_args

import pytest
from jsonschema import Draft202012Validator

from holdgate_schema.answers.holds import Answer, NotOnSale, Reason
from holdgate_schema.codec import BODY_BYTES_MAX, decode_answer, decode_command, decode_event, encode
from holdgate_schema.commands.holds import Command, PutOccurrence
from holdgate_schema.commands.operations import INTERNAL, OPERATIONS
from holdgate_schema.contract.examples.holds import examples
from holdgate_schema.contract.installation import roles, slots_table
from holdgate_schema.contract.jsonschemas import ANSWERS, COMMANDS, EVENTS, MESSAGES, message_schema
from holdgate_schema.envelope import HEADERS_BYTES_MAX, HEADERS_MAX
from holdgate_schema.errors import ProblemCode
from holdgate_schema.events.holds import Event
from holdgate_schema.routing import TEST_VECTORS, routing_key, slot_of
from holdgate_schema.topology import (
    DEAD_EXCHANGE,
    DEAD_QUEUE,
    EVENTS_EXCHANGE,
    EXCHANGES,
    PARTITIONS_MAX,
    REQUESTS_EXCHANGE,
    bindings,
    installation_mark,
    may_reply_to,
    partitions_mark,
    queues,
    task_queues,
)
from holdgate_schema.values.quotes import NoPrice
from holdgate_workers.ids import new_request_id

ROOT = Path(__file__).parents[2]
PROSE = ROOT / "docs" / "contract.md"
PAGES = (PROSE, ROOT / "docs" / "contract-selling.md")
UNSHOWN = {*INTERNAL, "answer.cart_leg_released.v1"}
"""Nobody but our own workers sends these, or is answered with that."""
FENCED = re.compile(r"^```(\S+)(?: (\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def decoded(name: str, body: bytes) -> Command | Answer | Event:
    """The message by our own codec, with the decoder that its name asks for."""
    if name in COMMANDS:
        return decode_command(body)[0]
    return decode_answer(body) if name in ANSWERS else decode_event(body)


# --- slots and rights --------------------------------------------------------------------------------------------


def test_the_published_slots_are_those_of_the_code() -> None:
    table = slots_table()
    assert {(row["occurrence_id"], row["crc32"], row["slot"]) for row in table["vectors"]} >= set(TEST_VECTORS)
    for row in table["vectors"]:
        assert bytes.fromhex(row["utf8_hex"]).decode() == row["occurrence_id"]
        assert (row["slot"], row["routing_key"]) == (
            slot_of(row["occurrence_id"]),
            routing_key(row["occurrence_id"]),
        )
    assert {0, 255} <= {row["slot"] for row in table["vectors"]}
    assert any(0 < row["slot"] < 10 for row in table["vectors"]), "somebody will forget the leading zeros"


def test_each_role_has_the_rights_that_its_work_needs_and_no_others() -> None:
    """To declare is to configure, to publish to write, to consume to read, to bind to write to the queue and read
    the exchange."""
    by_name = {role.name: role for role in roles("shop")}

    def may(role: str, right: str, name: str) -> bool:
        return re.search(getattr(by_name[role], right), name) is not None

    names = [queue.name for queue in (*queues(PARTITIONS_MAX), *task_queues())]
    names += [exchange.name for exchange in EXCHANGES] + [
        partitions_mark(number) for number in (1, PARTITIONS_MAX)
    ]
    names += [installation_mark(new_request_id())]
    assert all(may("operator", "configure", name) for name in names)
    for binding in bindings(PARTITIONS_MAX):
        assert may("operator", "write", binding.queue)
        assert may("operator", "read", binding.exchange)
    for queue in (*queues(PARTITIONS_MAX), *task_queues()):
        dead_letter_exchange = queue.arguments.get("x-dead-letter-exchange")
        assert may("operator", "read", queue.name)
        assert dead_letter_exchange is None or may("operator", "write", str(dead_letter_exchange) or "amq.default")
    for queue in queues(PARTITIONS_MAX):
        assert may("worker gate", "read", queue.name) == (queue.name != DEAD_QUEUE)
        for stranger in ("producer", "listener"):
            assert not any(may(stranger, right, queue.name) for right in ("configure", "write", "read"))
    assert all(may("worker gate", "write", name) for name in ("amq.default", DEAD_EXCHANGE))
    workers = [name for name in by_name if name.startswith("worker ")]
    assert len(workers) == 7
    assert not any(may(worker, "configure", name) for worker in workers for name in names)
    assert [worker for worker in workers if may(worker, "write", EVENTS_EXCHANGE)] == ["worker relay"]
    assert may("producer", "write", REQUESTS_EXCHANGE)
    assert not any(may("producer", "write", name) for name in ("amq.default", EVENTS_EXCHANGE, DEAD_EXCHANGE))
    for right in ("configure", "read"):
        assert may("producer", right, "holdgate.reply.shop.1a2b")
        assert not may("producer", right, "holdgate.reply.shopkeeper.1a2b")
    assert may("listener", "read", EVENTS_EXCHANGE)
    assert not may("listener", "write", EVENTS_EXCHANGE)


# --- the prose ---------------------------------------------------------------------------------------------------


def fenced() -> list[tuple[str, str, str]]:
    """(language, tag, text) of every fenced block."""
    texts = (page.read_text(encoding="utf-8") for page in PAGES)
    return [(found[1], found[2] or "", found[3]) for text in texts for found in FENCED.finditer(text)]


TAGGED = [(tag, text) for language, tag, text in fenced() if language == "json"]


@pytest.mark.parametrize(
    ("name", "text"), TAGGED, ids=[f"{number}-{tag}" for number, (tag, _) in enumerate(TAGGED)]
)
def test_examples_in_the_prose_are_valid_messages(name: str, text: str) -> None:
    assert name in MESSAGES, "a JSON block must say which message it is: ```json hold.place.v1"
    Draft202012Validator(message_schema(name)).validate(json.loads(text))
    message = decoded(name, text.encode())
    assert json.loads(encode(message)) == json.loads(text), "shown as it is on the wire"


def test_the_prose_shows_every_message_and_names_every_reason() -> None:
    text = PROSE.read_text(encoding="utf-8")
    assert {tag for tag, _ in TAGGED} == set(MESSAGES) - UNSHOWN
    assert all(f"`{name}`" in text for name in INTERNAL)
    table = [line.split("`")[1] for line in text.splitlines() if re.match(r"\| [0-9]+ \| `", line)]
    assert table == [reason.value for reason in Reason], "in the order of the checks"
    for why in NotOnSale:
        assert f"`{why.value}`" in text


def test_the_prose_names_every_event_and_every_command_with_two_answers() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert all(f"`{name}`" in text for name in EVENTS)
    table = text[text.index("### Two answers") : text.index("## 5. The same request")]
    shown = {}
    for line in table.splitlines():
        names, _, answers = line.removeprefix("|").partition("|")
        shown.update(dict.fromkeys(re.findall(r"`([a-z_.0-9]+)`", names), answers))
    wanted = {name: operation.then.split(".")[1] for name, operation in OPERATIONS.items() if operation.then}
    assert {name for name in shown if name in COMMANDS} == set(wanted)
    assert all(f"`{then}`" in shown[name] for name, then in wanted.items())


def test_the_refusal_table_says_rightly_what_may_be_retried() -> None:
    rows = re.findall(r"^\| [0-9]+ \| `(\w+)` .*\| (no|\*\*yes\*\*) \|$", PROSE.read_text(encoding="utf-8"), re.M)
    assert {reason: retry == "**yes**" for reason, retry in rows} == {r.value: r.retryable for r in Reason}


def test_the_numbers_in_the_prose_are_those_of_the_code() -> None:
    text = PROSE.read_text(encoding="utf-8")
    for row in slots_table()["vectors"]:
        cells = [f"`{row['occurrence_id']}`", str(row["crc32"]), str(row["slot"]), f"`{row['routing_key']}`"]
        assert f"| {' | '.join(cells)} |" in text
    for role in roles():
        cells = [f"`{part.replace('|', chr(92) + '|')}`" for part in (role.configure, role.write, role.read)]
        assert f"| {role.name}: {role.does} | {' | '.join(cells)} |" in text
    assert f"| body | {BODY_BYTES_MAX} bytes |" in text
    assert f"| headers | {HEADERS_MAX} |" in text
    assert f"| headers together, names included | {HEADERS_BYTES_MAX} bytes |" in text
    assert may_reply_to("holdgate.reply." + "x" * 100)
    assert not may_reply_to("holdgate.reply." + "x" * 101)


def test_links_in_the_documents_lead_to_files() -> None:
    for page in (*PAGES, ROOT / "docs" / "lifecycle.md", *(ROOT / "docs" / "adr").glob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_javascript_in_the_prose_computes_the_published_routing_keys() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    (script,) = (text for language, _, text in fenced() if language == "js")
    given_ids = [row["occurrence_id"] for row in slots_table()["vectors"]]
    script += f"console.log(JSON.stringify({json.dumps(given_ids)}.map(routingKey)));\n"
    run = subprocess.run(
        [node, "--input-type=module", "--eval", script], capture_output=True, text=True, timeout=30, check=False
    )
    if "does not provide an export named 'crc32'" in run.stderr:
        pytest.skip("node is older than 20.15")
    assert json.loads(run.stdout) == [row["routing_key"] for row in slots_table()["vectors"]], run.stderr


def test_a_put_in_the_prose_spells_wall_times_without_an_offset() -> None:
    put = examples()["occurrence.put.v1"]
    assert isinstance(put, PutOccurrence)
    assert put.sales_open is not None
    assert put.sales_open.tzinfo is None


def test_the_prose_has_a_line_for_every_code_of_a_problem_and_no_other() -> None:
    text = PROSE.read_text(encoding="utf-8")
    listed = re.findall(
        r"^\| `([a-z_]+)` \| ", text[text.index("### `errors`") : text.index("`not_on_sale` says which")], re.M
    )
    assert [code for code in listed if code not in ("code", "field", "pointer", "reason")] == list(ProblemCode)
    selling = (ROOT / "docs" / "contract-selling.md").read_text(encoding="utf-8")
    assert all(f"`{code}`" in selling for code in get_args(NoPrice))
