"""The command line as people and scripts use it: `holdgate up` in one terminal, everything else in a second."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.cli import COMMAND, Terminal, Up, data_folder, environment, running

from holdgate_schema.codec import encode
from holdgate_schema.commands.holds import Client, PlaceHold
from holdgate_schema.envelope import Properties
from holdgate_schema.routing import routing_key
from holdgate_schema.topology import DEAD_EXCHANGE, REQUESTS_EXCHANGE
from holdgate_workers.adapters.embedded.queue.publisher import EmbeddedPublisher
from holdgate_workers.adapters.embedded.server.server import find_running
from holdgate_workers.app.ports import Outgoing
from holdgate_workers.cli.output.formats import short
from holdgate_workers.cli.running.up import UP_ROLES
from holdgate_workers.ids import new_request_id, short_id

pytestmark = pytest.mark.slow

ADDRESS = "192.0.2.77"
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(scope="module")
def house() -> Iterator[tuple[Up, Terminal]]:
    with running() as both:
        yield both


@pytest.fixture(scope="module")
def terminal(house: tuple[Up, Terminal]) -> Terminal:
    return house[1]


@pytest.fixture
def occurrence(terminal: Terminal) -> str:
    """An occurrence of its own for each test: ten seats, four of them for children."""
    name = f"occ-{short_id()}"
    options = ["--starts", "2030-05-01T10:00", "--duration", "90", "--timezone", "Europe/Rome", "--capacity", "10"]
    tickets = [
        "--pool",
        "kids=4",
        "--ticket",
        "adult;label=Adult",
        "--ticket",
        "child;pools=kids",
        "--extra",
        "wine;max=2",
    ]
    answer = terminal.json("occurrence", "put", name, "--product", name, *options, *tickets)
    assert answer["outcome"] == "occurrence_stored"
    assert answer["created"]
    return name


def publish(house: tuple[Up, Terminal], message: Outgoing) -> None:
    url = find_running(house[0].data)
    assert url is not None
    publisher = EmbeddedPublisher(url, name="test")
    try:
        assert not publisher.publish([message]).wait(10)
    finally:
        publisher.close(1)


def letters(terminal: Terminal, number: int) -> list[dict[str, object]]:
    """The dead letters, once there are so many."""
    pause, found = threading.Event(), []
    for _ in range(50):
        found = terminal.json("dlq", "list")["letters"]
        if len(found) >= number:
            break
        pause.wait(0.1)
    assert len(found) == number
    return list(found)


def test_up_says_what_runs_where_and_is_ready(house: tuple[Up, Terminal]) -> None:
    said = house[0].said
    assert said["ready"] is True
    assert said["workers"] == list(UP_ROLES)
    with urllib.request.urlopen(f"{said['health_url']}/readyz", timeout=10) as response:
        assert json.load(response)["ok"] is True


def test_the_life_of_a_hold_from_a_second_terminal(terminal: Terminal, occurrence: str) -> None:
    held = terminal.json("hold", "place", occurrence, "adult=2", "child=1", "--extra", "wine=1", "--session", "S")
    assert held["outcome"] == "held"
    assert held["available"] == {"kids": 3, "total": 7}
    hold_id = held["hold"]["hold_id"]
    changed = terminal.json("hold", "change", hold_id, "adult=3")
    assert changed["hold"]["items"] == {"adult": 3}
    assert terminal.json("hold", "extend", short(hold_id))["extensions_left"] == 2
    assert terminal.json("hold", "show", short(hold_id))["state"] == "active"
    assert terminal.json("availability", occurrence)["pools"]["total"]["held"] == 3
    assert terminal.json("hold", "release", hold_id, "--session", "S")["outcome"] == "released"

    entries = terminal.json("history", "--hold", hold_id)["entries"]
    assert [entry["outcome"] for entry in entries] == ["held", "changed", "extended", "released"]
    assert [e["version"] for e in terminal.json("history", "--occurrence", occurrence)["entries"]] == [
        1,
        2,
        3,
        4,
        5,
    ]
    assert terminal.json("history", "--request", hold_id)["entries"][0]["reply"]["outcome"] == "held"


def test_a_hold_that_expired_shows_its_end_in_its_own_history(terminal: Terminal, occurrence: str) -> None:
    """The sweep is nobody's request, so only its events name the hold and, through it, the session."""
    session = f"s-{new_request_id()}"
    held = terminal.json("hold", "place", occurrence, "adult=1", "--session", session, "--ttl", "1")
    pause = threading.Event()
    for _ in range(100):
        if terminal.json("hold", "show", held["hold"]["hold_id"])["state"] == "expired":
            break
        pause.wait(0.1)
    for question in (("--hold", held["hold"]["hold_id"]), ("--session", session)):
        entries = terminal.json("history", *question)["entries"]
        assert [entry["kind"] for entry in entries] == ["hold.place.v1", "hold.sweep.v1"]


def test_a_refusal_teaches_and_ends_with_its_own_code(terminal: Terminal, occurrence: str) -> None:
    refused = terminal.json("hold", "place", occurrence, "child=5", code=1)
    assert (refused["reason"], refused["available"]["kids"]) == ("sold_out", 4)
    told = terminal("hold", "place", occurrence, "child=5")
    assert told.code == 1
    assert "sold_out" in told.out
    assert "ask for at most 4" in told.out
    assert terminal("hold", "place", "nowhere", "adult=1").code == 1
    assert terminal("history", "--session", "nobody-ever").code == 1
    assert terminal("occurrence", "show", "nowhere").code == 1


def test_the_same_request_id_gets_the_same_answer(terminal: Terminal, occurrence: str) -> None:
    place = ("hold", "place", occurrence, "adult=1", "--session", "S", "--request-id", new_request_id())
    assert terminal.json(*place) == terminal.json(*place)
    assert terminal.json("hold", "show", place[-1])["seats"] == 1


def test_the_catalogue_can_be_listed_resized_and_closed(terminal: Terminal, occurrence: str) -> None:
    assert terminal.json("occurrence", "capacity", occurrence, "3")["sellable"]["total"] == 3
    assert (
        terminal.json("occurrence", "capacity", occurrence, "unlimited", "--pool", "kids")["sellable"]["kids"]
        is None
    )
    (line,) = terminal.json("occurrence", "list", "--product", occurrence)["occurrences"]
    assert (line["occurrence_id"], line["capacity"], line["available"]) == (occurrence, 3, 3)
    shown = terminal.json("occurrence", "show", occurrence)
    assert shown["definition"]["timezone"] == "Europe/Rome"
    assert terminal("occurrence", "close", occurrence, "--status", "cancelled", given="n\n").code == 1
    assert terminal.json("occurrence", "close", occurrence)["status"] == "closed"
    assert terminal.json("hold", "place", occurrence, "adult=1", code=1)["not_on_sale"] == "closed"


def test_a_definition_can_come_from_standard_input(terminal: Terminal) -> None:
    document = {
        "occurrence_id": f"occ-{short_id()}",
        "product_id": new_request_id(),
        "starts_at": "2030-05-01T08:00:00Z",
        "ends_at": "2030-05-01T09:00:00Z",
        "timezone": "Europe/Rome",
        "capacity": 5,
        "ticket_types": [{"key": "adult"}],
    }
    assert terminal("occurrence", "put", "--file", "-", given=json.dumps(document)).code == 0
    wrong = terminal("occurrence", "put", "--file", "-", given=json.dumps(document | {"capacity": -1}))
    assert wrong.code == 2
    assert "capacity" in wrong.err


def test_statistics_count_what_the_rows_say(terminal: Terminal, occurrence: str) -> None:
    terminal.json("hold", "place", occurrence, "adult=8", "--session", "S")
    found = terminal.json("stats", "--occurrence", occurrence)
    (line,) = found["occurrences"]
    assert (line["held"], line["available"], line["utilisation_percent"], line["band"]) == (8, 2, 80.0, "low")
    assert found["totals"]["held"] == 8
    assert found["holds"]["active"] == 1
    assert found["holds"]["by_session"] == [{"id": "S", "holds": 1, "seats": 8}]
    assert terminal.json("stats")["totals"]["occurrences"] > 0


def test_a_price_follows_what_is_held_of_its_occurrence(terminal: Terminal, occurrence: str) -> None:
    product = {
        "product_id": occurrence,
        "currency": "EUR",
        "timezone": "Europe/Rome",
        "ticket_types": [{"key": "adult", "price": 7500, "counts_as": "adult"}],
        "rules": {"demand": [{"share_percent": 80, "percent": 20, "label": "Nearly sold out"}]},
    }
    assert terminal("product", "put", "-", given=json.dumps(product)).code == 0
    asked = ("product", "price", occurrence, "--ticket", "adult=1", "--at", occurrence)
    before = terminal.json(*asked)
    assert (before["taken"], before["sellable"], before["quote"]["tickets_total"]) == (0, 10, 7500)
    terminal.json("hold", "place", occurrence, "adult=8")
    assert terminal.json(*asked)["quote"]["tickets_total"] == 9000
    assert "Nearly sold out +20 %" in terminal(*asked, "--explain").out


def test_settings_are_changed_all_or_none_and_remembered(terminal: Terminal, tmp_path: Path) -> None:
    terminal.json("settings", "set", "hold.ttl_minutes=20", "--by", "ada")
    assert terminal.json("settings", "get", "hold.ttl_minutes")["value"] == 20
    assert terminal("settings", "set", "hold.ttl_minutes=25", "hold.extensions_max=99").code == 2
    assert terminal.json("settings", "get", "hold.ttl_minutes")["value"] == 20
    terminal.json("settings", "reset", "hold.ttl_minutes", "--by", "bob")
    changes = terminal.json("settings", "history", "hold.ttl_minutes")["changes"]
    assert [(change["new_value"], change["changed_by"]) for change in changes[:2]] == [
        (None, "bob"),
        ("20", "ada"),
    ]
    legacy = tmp_path / "options.json"
    legacy.write_text(json.dumps({"stock_hold_duration": 30, "colour": "red"}))
    taken = terminal("settings", "import-legacy", legacy, "--output", "json")
    assert taken.json["settings"] == [{"name": "hold.ttl_minutes", "old": 15, "new": 30}]
    assert "colour" in taken.err
    terminal.json("settings", "reset", "hold.ttl_minutes")
    assert len(terminal.json("settings", "list")["settings"]) >= 8


def calendar(product: str, number: int) -> str:
    """A calendar with one event a day."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:test"]
    for day in range(number):
        date = f"{2030 + day // 336}{day // 28 % 12 + 1:02d}{day % 28 + 1:02d}"
        lines += ["BEGIN:VEVENT", f"UID:{product} no {day}", f"DTSTART;TZID=Europe/Rome:{date}T100000"]
        lines += [
            "DURATION:PT90M",
            "SUMMARY:Harbour tour",
            "X-HOLDGATE-TICKET:adult;label=Adult;max=4",
            "END:VEVENT",
        ]
    return "\r\n".join([*lines, "END:VCALENDAR", ""])


def test_two_hundred_events_are_imported_and_imported_again(terminal: Terminal, tmp_path: Path) -> None:
    product = short_id()
    file = tmp_path / "season.ics"
    file.write_bytes(calendar(product, 200).encode())
    options = ("occurrence", "import", file, "--product", product, "--capacity", "12")
    assert len(terminal.json(*options, "--dry-run")["occurrences"]) == 200
    assert terminal.json("occurrence", "list", "--product", product)["occurrences"] == []
    first = terminal.json(*options)
    assert (first["sent"], first["counts"]["created"]) == (200, 200)
    second = terminal.json(*options)
    assert (second["sent"], second["counts"]["unchanged"]) == (0, 200)
    listed = terminal.json("occurrence", "list", "--product", product, "--limit", "500")["occurrences"]
    assert len(listed) == 200
    assert listed[0]["starts_at"] == "2030-01-01T09:00:00Z"


def test_a_line_that_clashes_with_what_is_stored_keeps_all_from_being_sent(
    terminal: Terminal, occurrence: str, tmp_path: Path
) -> None:
    """The start is taken by an occurrence that the file does not know."""
    file = tmp_path / "season.csv"
    file.write_text(
        "occurrence_id,starts_at,duration_minutes,capacity,tickets\n"
        f"{occurrence}-a,2030-06-01T10:00,60,5,adult;max=2|child\n"
        f"{occurrence}-b,2030-05-01T10:00,60,5,adult\n"
    )
    result = terminal.json(
        "occurrence", "import", file, "--product", occurrence, "--timezone", "Europe/Rome", code=1
    )
    assert [(row["line"], row["outcome"]) for row in result["occurrences"]] == [(2, "created"), (3, "clashing")]
    assert result["occurrences"][1]["why"] == f"{occurrence!r} has this start, and the file does not move it"
    assert result["sent"] == 0


def test_dead_letters_are_looked_at_masked_and_replayed_once(house: tuple[Up, Terminal], occurrence: str) -> None:
    terminal = house[1]
    client = Client(address=ADDRESS)
    command = PlaceHold(request_id=new_request_id(), occurrence_id=occurrence, items={"adult": 1}, client=client)
    # As if a worker had buried it, and one that no worker can read.
    publish(house, Outgoing(exchange=DEAD_EXCHANGE, routing_key="", body=encode(command), properties=Properties()))
    broken = b'{"client": "' + ADDRESS.encode()
    publish(
        house,
        Outgoing(
            exchange=REQUESTS_EXCHANGE, routing_key=routing_key(occurrence), body=broken, properties=Properties()
        ),
    )
    found = letters(terminal, 2)
    assert [letter["state"] for letter in found] == ["open", "unreadable"]
    assert ADDRESS not in json.dumps(found)
    first = str(found[0]["id"])
    assert ADDRESS not in terminal("dlq", "show", first).out
    assert ADDRESS in terminal("dlq", "show", first, "--reveal").out
    assert terminal("dlq", "replay", first, given="n\n").code == 1
    assert len(letters(terminal, 2)) == 2

    replayed = terminal.json("dlq", "replay", first, "--yes")
    assert replayed["letters"][0]["state"] == "decided"
    assert "held" in replayed["letters"][0]["result"]
    again = terminal("dlq", "replay", first, "--yes")
    assert again.code == 1
    assert "no dead letter" in again.err
    assert terminal.json("availability", occurrence)["pools"]["total"]["held"] == 1
    assert terminal.json("dlq", "replay", "--all", "--yes")["letters"][0]["state"] == "dead"
    letters(terminal, 1)


def test_the_doctor_finds_everything_well(terminal: Terminal) -> None:
    found = terminal.json("doctor")
    assert found["ok"]
    checks = {(check["area"], check["name"]): check for check in found["checks"]}
    assert not [check for check in found["checks"] if check["status"] == "fail"]
    for name in ("installation", "gate workers", "partitions", "round trip", "conservation", "settings", "expiry"):
        assert checks["house", name]["status"] == "ok"
    assert "257 bindings" in checks["queue", "topology"]["detail"]
    typo = terminal("doctor", "--no-probe", HOLDGATE_PARTITONS="4")
    assert typo.code == 0
    assert "HOLDGATE_PARTITONS" in typo.out


def test_the_other_commands_speak_json_too(terminal: Terminal) -> None:
    assert terminal.json("migrate")["partitions"] == 16
    assert terminal.json("migrate", "--check")["revision"]
    assert terminal.json("expiry", "resume")["clock_accepted"]
    assert "hold.place.v1" in terminal.json("contract")["documents"]
    assert json.loads(terminal("contract", "hold.place.v1").out)["type"] == "object"
    assert terminal("contract", "nonsense").code == 2


def test_a_second_gate_worker_joins_and_leaves_in_order(terminal: Terminal) -> None:
    command = [COMMAND, "worker", "gate", "--output", "json"]
    with subprocess.Popen(command, env=environment(terminal.data), stdout=-1, stderr=-1, text=True) as worker:
        assert worker.stdout is not None
        try:
            assert '"worker"' in worker.stdout.readline() + worker.stdout.readline()
        finally:
            worker.send_signal(signal.SIGTERM)
            worker.communicate(timeout=60)
    assert worker.returncode == 0


def test_on_a_terminal_tables_fit_its_width(terminal: Terminal, occurrence: str) -> None:
    terminal.json("hold", "place", occurrence, "adult=1", "--session", "S")
    for arguments in (
        ("availability", occurrence),
        ("history", "--occurrence", occurrence),
        ("stats",),
        ("settings", "list"),
        ("doctor",),
    ):
        text = _on_a_terminal(terminal.data, arguments)
        assert "\x1b[" in text
        lines = [ESCAPES.sub("", line) for line in text.splitlines()]
        assert max(map(len, lines)) <= 100


def _on_a_terminal(data: Path, arguments: tuple[str, ...]) -> str:
    ours, theirs = pty.openpty()
    try:
        variables = environment(data, COLUMNS="100", TERM="xterm")
        with subprocess.Popen([COMMAND, *arguments], env=variables, stdout=theirs, stderr=theirs) as process:
            os.close(theirs)
            text = b""
            try:
                while chunk := os.read(ours, 65_536):
                    text += chunk
            except OSError:  # the other end is closed
                pass
            assert process.wait(60) == 0
    finally:
        os.close(ours)
    return text.decode().replace("\r\n", "\n")


def test_up_stops_in_order_on_sigterm_and_finds_its_data_again() -> None:
    with data_folder() as data:
        terminal = Terminal(data)
        up = Up(data)
        terminal.json("settings", "set", "hold.ttl_minutes=30")
        code, err = up.stop(signal.SIGTERM)
        assert code == 0, err
        assert find_running(data) is None
        assert terminal("settings", "list").code == 3
        up = Up(data)
        try:
            assert terminal.json("settings", "get", "hold.ttl_minutes")["value"] == 30
        finally:
            assert up.stop(signal.SIGINT)[0] == 0
