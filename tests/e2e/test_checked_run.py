"""A small on-sale, recorded from outside and judged by the independent checker."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from secrets import token_hex
from time import time_ns

import pytest
from tests.checker import record
from tests.checker.buyers import PATIENCE_SECONDS, Spec, Wire
from tests.checker.checker import check
from tests.checker.recording import CLIENTS, FINAL, NEMESIS, RUN, STREAM, TAP_EVENTS, TAP_REQUESTS, of_folder
from tests.support.private_servers import private_postgres
from tests.support.processes import ROOT
from tests.support.rabbit import eventually, fresh_vhost
from tests.support.site import PARTITIONS, TestSite

pytestmark = [pytest.mark.services, pytest.mark.slow]

PROCESSES = 4
REQUESTS = 1500
OCCURRENCES = ("opening-night", "matinée")


def setting_up(name: str, capacity: int, kids: int, minute: int) -> dict[str, object]:
    """What the operator puts on sale."""
    return {
        "type": "occurrence.put.v1",
        "request_id": f"00000000-0000-4000-8000-{minute:012d}",
        "occurrence_id": name,
        "product_id": "show",
        "starts_at": f"2099-06-01T18:{minute:02d}:00Z",
        "ends_at": "2099-06-01T22:00:00Z",
        "timezone": "Europe/Rome",
        "capacity": capacity,
        "overbooking_percent": 10,
        "buffer": 3,
        "ticket_types": [
            {"key": "adult"},
            {"key": "child", "pools": ["concession"]},
            {"key": "senior", "pools": ["concession"], "max_per_order": 4},
        ],
        "pools": [{"key": "concession", "capacity": kids}],
        "extras": [{"key": "guide", "stock": {"key": "guides", "cap": 60}}],
    }


@contextmanager
def operator(site: TestSite, folder: Path) -> Iterator[Wire]:
    """One more client with notes, in the test's own process."""
    assert site.amqp_url is not None
    spec = Spec("operator", site.amqp_url, str(folder / CLIENTS / "operator.jsonl"), (), 0, 0)
    with Path(spec.notes).open("w", encoding="utf-8", newline="\n") as file:
        wire = Wire(spec, file)
        try:
            yield wire
        finally:
            wire.close()
            file.write('{"end":true}\n')


def ask(wire: Wire, body: dict[str, object]) -> None:
    wire.send(body)
    wire.wait({str(body["request_id"])}, 30)
    assert wire.answers[str(body["request_id"])]["outcome"] == "occurrence_stored"


@contextmanager
def buyers(site: TestSite, folder: Path) -> Iterator[Sequence[subprocess.Popen[bytes]]]:
    assert site.amqp_url is not None
    started = []
    for number in range(PROCESSES):
        name = f"buyer-{number}"
        notes = str(folder / CLIENTS / f"{name}.jsonl")
        spec = Spec(name, site.amqp_url, notes, OCCURRENCES, REQUESTS // PROCESSES, 4000 + number)
        command = [sys.executable, "-m", "tests.checker.buyers", json.dumps(asdict(spec))]
        with Path(f"{folder}/{name}.log").open("wb") as log:
            started.append(subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_a_small_on_sale_with_a_killed_worker_is_valid_to_an_outsider(tmp_path: Path) -> None:
    """Duplicates, contradictions, nonsense, releases, short lives and a SIGKILL; everything that left a trace in
    the database, on the broker and at the clients fits together and follows the contract."""
    folder = tmp_path / "record"
    (folder / CLIENTS).mkdir(parents=True)
    # What runs as another account than root is kept elsewhere, by the path of its folder.
    data = tmp_path / f"postgres-{token_hex(4)}"
    with (
        private_postgres(data) as postgres,
        fresh_vhost() as amqp_url,
        closing(TestSite(postgres.url, amqp_url, tmp_path)) as site,
    ):
        run_on_sale(site, folder)
        record.write_final(amqp_url, folder / FINAL, PARTITIONS)
    report = check(of_folder(folder))
    print(report.table())
    print(report.last_line())
    assert report.verdict == "valid", report.table()
    assert report.figures["requests"] > REQUESTS // 2


def run_on_sale(site: TestSite, folder: Path) -> None:
    """Everything from the first put to the last line of the last recorder."""
    assert site.amqp_url is not None
    recorders = [
        record.ChangeStream(site.database_url, folder / STREAM),
        record.tap_requests(site.amqp_url, folder / TAP_REQUESTS),
        events := record.tap_events(site.amqp_url, folder / TAP_EVENTS),
    ]
    nemesis = record.Nemesis(folder / NEMESIS)
    for recorder in recorders:
        recorder.start()
    gates = [site.start("gate", ready=False) for _ in range(2)]
    site.start("expiry", "relay")
    site.wait_lines(*gates)
    with operator(site, folder) as wire:
        ask(wire, setting_up(OCCURRENCES[0], 400, 90, 1))
        ask(wire, setting_up(OCCURRENCES[1], 150, 30, 2))
        with buyers(site, folder) as crowd:
            victim = site.line_of(OCCURRENCES[0])[0]
            eventually(lambda: decided(site) > REQUESTS // 4, "the sale is under way", 60)
            broken_at = time_ns() / 1e9
            victim.kill()
            before = decided(site)
            eventually(lambda: decided(site) > before + 50, "the other one goes on", 60)
            nemesis.note("kill", victim.name, broken_at, time_ns() / 1e9, really_applied=not victim.is_running)
            site.start("gate")
            capacity = {"type": "occurrence.capacity.v1", "request_id": "00000000-0000-4000-8000-000000000009"}
            ask(wire, {**capacity, "occurrence_id": OCCURRENCES[0], "capacity": 120})
            for process in crowd:
                assert process.wait(PATIENCE_SECONDS + 30) == 0
    nemesis.close()
    finish(site, folder, events)
    for recorder in recorders:
        recorder.stop()


def decided(site: TestSite) -> int:
    """How many requests have their outcome."""
    count: int = site.value("SELECT count(*) FROM journal")
    return count


def finish(site: TestSite, folder: Path, events: record.Tap) -> None:
    """Wait until short-lived holds are expired and all events are told, and write down what was meant."""
    due = "SELECT count(*) FROM holds WHERE state = 'active' AND expires_at < clock_timestamp() + interval '10 s'"
    eventually(lambda: site.value(due) == 0, "short-lived holds are expired", 30)
    committed = "SELECT coalesce(sum(json_array_length(events)), 0) FROM journal"
    eventually(lambda: len(events.ids) >= site.value(committed), "all events are told", 30)
    run = {
        "clients": ["operator", *(f"buyer-{number}" for number in range(PROCESSES))],
        "faults": ["kill"],
        "expiry_late_seconds": 5,
        "drain_seconds": 20,
        "ended_at": str(site.value("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', "
                                   "'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")),
    }  # fmt: skip
    (folder / RUN).write_text(json.dumps(run), encoding="utf-8")
