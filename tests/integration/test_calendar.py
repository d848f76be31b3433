"""The occurrences of a product as calendar programs get them: from the command line and over HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import icalendar
import pytest
from click.testing import CliRunner
from tests.support.postgres import migrated_database
from tests.support.telling import OCCURRENCE, PRODUCT, TITLE, ZONE, Teller

from holdgate_workers.cli.main import cli
from holdgate_workers.entrypoints.calendar_page import CalendarPage
from holdgate_workers.entrypoints.health import HealthServer

pytestmark = pytest.mark.services

TOKEN = "a token that nobody guesses"
DOMAIN = "harbour.example"


@pytest.fixture
def teller() -> Iterator[Teller]:
    with migrated_database() as url, closing(Teller(url)) as teller:
        yield teller


@pytest.fixture
def port(teller: Teller) -> Iterator[int]:
    page = CalendarPage(teller.url, token=TOKEN, domain=DOMAIN)
    server = HealthServer([], host="127.0.0.1", port=0, alive={}, ready={}, page=page)
    yield server.port
    server.stop()


def ask(
    port: int,
    path: str = f"/calendar/{PRODUCT}.ics",
    *,
    token: str = TOKEN,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
) -> tuple[int, dict[str, str], bytes]:
    with closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request(method, f"{path}?token={token.replace(' ', '%20')}", headers=dict(headers or {}))
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()


def events(content: bytes) -> list[Any]:
    return list(icalendar.Calendar.from_ical(content).walk("VEVENT"))


def test_a_feed_has_the_occurrences_at_their_local_time(teller: Teller, port: int) -> None:
    status, headers, content = ask(port)
    assert (status, headers["Content-Type"]) == (200, "text/calendar; charset=utf-8")
    [event] = events(content)
    assert (str(event["UID"]), str(event["SUMMARY"])) == (f"{OCCURRENCE}@{DOMAIN}", TITLE)
    assert event["DTSTART"].dt == teller.starts_at.astimezone(ZoneInfo(ZONE))


def test_what_moves_keeps_its_id_and_has_a_later_sequence(teller: Teller, port: int) -> None:
    [before] = events(ask(port)[2])
    teller.put(starts_at=teller.starts_at + timedelta(days=1))
    [after] = events(ask(port)[2])
    assert (after["UID"], after["SEQUENCE"] > before["SEQUENCE"]) == (before["UID"], True)
    assert after["DTSTART"].dt == teller.starts_at.astimezone(ZoneInfo(ZONE))


def test_what_was_cancelled_stays_in_it_as_such(teller: Teller, port: int) -> None:
    teller.close_occurrence("cancelled")
    [event] = events(ask(port)[2])
    assert str(event["STATUS"]) == "CANCELLED"


def test_whoever_has_it_already_gets_nothing_until_it_changes(teller: Teller, port: int) -> None:
    """Holds come and go without anybody having to fetch it again."""
    _, headers, _ = ask(port)
    known = {"If-None-Match": headers["ETag"]}
    since = {"If-Modified-Since": headers["Last-Modified"]}
    teller.hold()
    for condition in (known, since):
        status, again, content = ask(port, headers=condition)
        assert (status, content, again["ETag"]) == (304, b"", headers["ETag"])
    teller.put(starts_at=teller.starts_at + timedelta(days=1))
    assert ask(port, headers=known)[0] == 200


def test_nobody_is_in_a_feed(teller: Teller, port: int) -> None:
    teller.sell()
    content = ask(port)[2].decode()
    assert not any(word in content for word in ("zoe", "Zoë", "session", "mailto"))


@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], TOKEN + "x"])
def test_without_the_token_there_is_nothing_to_see(port: int, token: str) -> None:
    for path in (f"/calendar/{PRODUCT}.ics", "/calendar/nothing.ics"):
        status, _, content = ask(port, path, token=token)
        assert (status, content) == (403, b"a token is needed\n")


def test_what_there_is_not_is_not_found(port: int) -> None:
    assert ask(port, "/calendar/nothing.ics")[0] == 404
    assert ask(port, "/calendar/")[0] == 404
    assert ask(port, "/calendar/a/b.ics")[0] == 404


def test_a_feed_can_only_be_read(port: int) -> None:
    assert ask(port, method="POST")[0] == 405
    status, headers, content = ask(port, method="HEAD")
    assert (status, content) == (200, b"")
    assert int(headers["Content-Length"]) > 0


def test_without_a_token_configured_there_are_no_feeds(teller: Teller) -> None:
    server = HealthServer([], host="127.0.0.1", port=0, alive={}, ready={})
    assert ask(server.port)[0] == 404
    server.stop()


def test_with_the_database_gone_it_says_when_to_come_again() -> None:
    page = CalendarPage("postgresql://127.0.0.1:1/nobody", token=TOKEN, domain=DOMAIN)
    server = HealthServer([], host="127.0.0.1", port=0, alive={}, ready={}, page=page)
    status, headers, content = ask(server.port)
    assert (status, headers["Retry-After"], content) == (503, "30", b"not now\n")
    server.stop()


def test_the_command_writes_the_same_feed(teller: Teller, tmp_path: Path, port: int) -> None:
    environment = {"HOLDGATE_DATABASE_URL": teller.url, "HOLDGATE_CALENDAR_DOMAIN": DOMAIN}
    printed = CliRunner().invoke(cli, ["calendar", "export", PRODUCT], env=environment)
    assert printed.stdout_bytes == ask(port)[2]
    file = tmp_path / "tour.ics"
    done = CliRunner().invoke(cli, ["calendar", "export", PRODUCT, "--output", str(file)], env=environment)
    assert (done.exit_code, file.read_bytes()) == (0, printed.stdout_bytes)


def test_the_command_says_that_there_is_no_such_product(teller: Teller) -> None:
    done = CliRunner().invoke(cli, ["calendar", "export", "nothing"], env={"HOLDGATE_DATABASE_URL": teller.url})
    assert done.exit_code != 0
    assert "there is no product 'nothing'" in done.stderr
