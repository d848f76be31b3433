"""What the command line makes of a call or a file before anything is running."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.support.cli import Terminal

from holdgate_workers.cli import exits
from holdgate_workers.cli.dead_letters.masking import masked_body, masked_text
from holdgate_workers.cli.main import SECTIONS, WHERE, cli

HEADING = "occurrence_id,product_id,starts_at,ends_at,timezone,capacity,tickets\n"
ROW = "{},tour,{},2030-05-01T12:00,Europe/Rome,12,adult;max=6\n"


@pytest.fixture(autouse=True)
def nothing_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOLDGATE_DATA_DIR", str(tmp_path / "data"))
    for name in ("HOLDGATE_DATABASE_URL", "HOLDGATE_AMQP_URL", "HOLDGATE_DEBUG", "HOLDGATE_OUTPUT"):
        monkeypatch.delenv(name, raising=False)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments))


@pytest.mark.parametrize("name", [name for commands in SECTIONS.values() for name, _ in commands])
def test_every_command_explains_itself(name: str) -> None:
    result = call(name, "--help")
    assert result.exit_code == exits.OK
    assert result.output.startswith("Usage: ")
    assert name in WHERE


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("hold", "place", "occ-1"),
        ("hold", "place", "occ-1", "adult"),
        ("hold", "place", "occ-1", "adult=0"),
        ("hold", "place", "occ-1", "adult=1", "adult=2"),
        ("hold", "place", "occ-1", "adult=1", "--ttl", "0"),
        ("hold", "show", "xyz"),
        ("history",),
        ("history", "--session", "a", "--occurrence", "b"),
        ("history", "--hold", "nonsense"),
        ("dlq", "replay"),
        ("dlq", "replay", "1", "--all"),
        ("settings", "set", "hold.ttl_minutes"),
        ("occurrence", "put", "occ-1", "--product", "tour"),
        ("occurrence", "capacity", "occ-1", "many"),
        ("worker", "cook"),
        ("contract", "nonsense"),
    ],
)
def test_a_wrong_call_does_nothing_and_says_what_would_be_right(arguments: tuple[str, ...]) -> None:
    result = call(*arguments)
    assert result.exit_code == exits.USAGE
    assert "rror" in result.output
    assert "Traceback" not in result.output


def test_without_anything_running_every_command_says_how_to_start_it() -> None:
    for arguments in (("stats",), ("hold", "place", "occ-1", "adult=1"), ("dlq", "list"), ("settings", "list")):
        result = call(*arguments)
        assert result.exit_code == exits.NOT_RUNNING
        assert "holdgate up" in result.output
        assert len(result.output.strip().splitlines()) == 1


def test_the_doctor_without_anything_running_says_what_to_start() -> None:
    result = call("doctor")
    assert result.exit_code == exits.NOT_RUNNING
    assert "holdgate up" in result.output


def test_a_database_that_refuses_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDGATE_DATABASE_URL", "postgresql://nobody:secret@127.0.0.1:1/nothing")
    result = call("stats")
    assert result.exit_code == exits.NOT_RUNNING
    assert len(result.output.strip().splitlines()) == 1
    assert "secret" not in result.output


def test_a_wrong_environment_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDGATE_PARTITIONS", "many")
    result = call("stats")
    assert result.exit_code == exits.USAGE
    assert "HOLDGATE_PARTITIONS" in result.output


def imported(tmp_path: Path, name: str, text: str, *options: str) -> Result:
    file = tmp_path / name
    file.write_bytes(text.encode())
    return call("occurrence", "import", str(file), "--dry-run", *options)


def test_a_good_csv_passes_whatever_made_it(tmp_path: Path) -> None:
    """A byte order mark, blank lines, quoted cells with line breaks, columns in another order."""
    text = (
        "\ufeff"
        + HEADING
        + ROW.format("a", "2030-05-01T10:00")
        + "\n"
        + ROW.format('"b"', "2030-05-01T11:00+02:00")
    )
    assert imported(tmp_path, "season.csv", text).exit_code == exits.OK


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("", 1, "empty"),
        (HEADING.replace("capacity", "capasity") + ROW.format("a", "2030-05-01T10:00"), 1, "capasity"),
        (HEADING + "a,tour\n", 2, "cells"),
        (HEADING + ROW.format("a", "yesterday"), 2, "starts_at"),
        (HEADING + ROW.format("a", "2030-05-01T13:00"), 2, "ends_at"),
        (HEADING + ROW.format("", "2030-05-01T10:00"), 2, "occurrence_id"),
        (HEADING + ROW.format("a b", "2030-05-01T10:00"), 2, "occurrence_id"),
        (HEADING + ROW.format("a", "2030-05-01T10:00") + ROW.format("a", "2030-05-01T11:00"), 3, "twice"),
        (HEADING + ROW.format("a", "2030-05-01T10:00") + ROW.format("b", "2030-05-01T10:00"), 3, "taken"),
        (HEADING + ROW.format("a", "2030-05-01T10:00").replace("Rome", "Atlantis"), 2, "timezone"),
        (HEADING + ROW.format("a", "2030-05-01T10:00").replace(",12,", ",-1,"), 2, "capacity"),
        (HEADING + ROW.format("a", "2030-05-01T10:00").replace("max=6", "most=6"), 2, "tickets"),
        (HEADING + '"a,tour\n', 2, "CSV"),
    ],
)
def test_a_bad_csv_is_refused_as_a_whole_by_line(tmp_path: Path, text: str, line: int, word: str) -> None:
    result = imported(tmp_path, "season.csv", text)
    assert result.exit_code == exits.USAGE
    assert "nothing was sent" in result.output
    assert any(row.split()[:1] == [str(line)] and word in row for row in result.output.splitlines())


def event(*lines: str, uid: str = "1") -> str:
    return "\r\n".join(["BEGIN:VEVENT", f"UID:{uid}", *lines, "END:VEVENT", ""])


def ics(*events: str) -> str:
    return "BEGIN:VCALENDAR\r\nVERSION:2.0\r\n" + "".join(events) + "END:VCALENDAR\r\n"


GOOD = ("DTSTART;TZID=Europe/Rome:20300501T100000", "DTEND;TZID=Europe/Rome:20300501T110000", "SUMMARY:Tour")
OPTIONS = ("--capacity", "5", "--ticket", "adult")


@pytest.mark.parametrize(
    "events",
    [
        event(*GOOD),
        event("DTSTART:20300501T080000Z", "DURATION:PT1H", "SUMMARY:In UTC"),
        event("DTSTART;TZID=W. Europe Standard Time:20300501T100000", "DURATION:PT1H", "SUMMARY:Outlook"),
        event("DTSTART;VALUE=DATE:20300501", "X-HOLDGATE-PRODUCT:day", "X-HOLDGATE-CAPACITY:3"),
        event(
            *GOOD,
            "X-HOLDGATE-TICKET:adult\\;label=Big\\, tall",
            "X-HOLDGATE-TICKET:child;max=2",
            "STATUS:CANCELLED",
        ),
    ],
)
def test_what_calendars_say_is_understood(tmp_path: Path, events: str) -> None:
    assert (
        imported(tmp_path, "tours.ics", ics(events), *OPTIONS, "--timezone", "Europe/Rome").exit_code == exits.OK
    )


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("hello", "iCalendar"),
        (ics(), "no events"),
        ("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\n", "cut off"),
        (ics(event(*GOOD, "RRULE:FREQ=SECONDLY")), "RRULE"),
        (ics(event("DTSTART:nonsense", "SUMMARY:Tour")), "DTSTART"),
        (ics(event("SUMMARY:Tour")), "DTSTART"),
        (ics(event(GOOD[0], "SUMMARY:Tour")), "ends_at"),
        (ics(event("DTSTART;TZID=Atlantis:20300501T100000", "DURATION:PT1H", "SUMMARY:Tour")), "Atlantis"),
        (ics(event(*GOOD[:2])), "product_id"),
        (ics(event(*GOOD, "X-HOLDGATE-CAPACITY:many")), "CAPACITY"),
        (ics(event(*GOOD), event(*GOOD, "X-HOLDGATE-CAPACITY:3")), "twice"),
    ],
)
def test_a_bad_calendar_is_refused_as_a_whole(tmp_path: Path, text: str, word: str) -> None:
    result = imported(tmp_path, "tours.ics", text, *OPTIONS)
    assert result.exit_code == exits.USAGE, result.output
    assert "nothing was sent" in result.output
    assert word in result.output
    assert "internal" not in result.output


def test_a_uid_that_is_no_id_becomes_one_and_always_the_same() -> None:
    from holdgate_workers.cli.importing.reading.calendar.event import occurrence_id

    assert occurrence_id("tour-1@example.org") == "tour-1@example.org"
    long = occurrence_id("x" * 100)
    assert len(long) == 64
    assert long == occurrence_id("x" * 100) != occurrence_id("x" * 101)
    assert occurrence_id("a b") != occurrence_id("a  b")


def test_people_are_masked_wherever_they_stand() -> None:
    body = b'{"request_id":"r","client":{"address":"192.0.2.1"},"user_id":"ada","note":"from 2001:db8::1 at 10:00:00"}'
    text = masked_body(body)
    assert "192.0.2.1" not in text
    assert "ada" not in text
    assert "2001:db8" not in text
    assert "10:00:00" in text
    assert (
        masked_text("died at 2030-05-01T10:00:00.123Z, version 1.2.3")
        == "died at 2030-05-01T10:00:00.123Z, version 1.2.3"
    )
    assert "192.0.2.1" not in masked_body(b'{"client": "192.0.2.1')


def test_the_front_door_of_a_checkout_is_the_same_command(tmp_path: Path) -> None:
    import subprocess
    import sys

    root = Path(__file__).parents[2]
    command = [sys.executable, root / "cli.py", "--version"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, cwd=tmp_path)
    assert said.stdout == Terminal(tmp_path / "data")("--version").out
