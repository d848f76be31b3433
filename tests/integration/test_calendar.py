"""The occurrences of a product as calendar programs get them: from the command line and over HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import icalendar
import psycopg
import pytest
from click.testing import CliRunner
from tests.support.postgres import migrated_database
from tests.support.telling import OCCURRENCE, PRODUCT, TITLE, ZONE, Teller

from holdgate_workers.cli.main import cli
from holdgate_workers.roles.process.health import HealthServer
from holdgate_workers.roles.web.calendar_page import CalendarPage

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
    more: str = "",
) -> tuple[int, dict[str, str], bytes]:
    with closing(HTTPConnection("127.0.0.1", port, timeout=120)) as connection:
        query = f"token={token.replace(' ', '%20')}{more}"
        connection.request(method, f"{path}?{query}", headers=dict(headers or {}))
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()


def with_dates(teller: Teller, number: int, first: datetime) -> None:
    """So many more dates of the product, half an hour apart."""
    with psycopg.connect(teller.url) as connection:
        connection.execute(
            "INSERT INTO occurrences (id, product_id, starts_at, ends_at, status, definition, version) "
            "SELECT 'slot-' || n, product_id, t, t + interval '20 minutes', 'active', definition "
            "  || jsonb_build_object('starts_at', to_json(t), 'ends_at', to_json(t + interval '20 minutes')), 1 "
            "FROM occurrences, generate_series(0, %s - 1) AS n, "
            "  LATERAL (SELECT %s::timestamptz + n * interval '30 minutes' AS t) AS s WHERE id = %s",
            [number, first, OCCURRENCE],
        )


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


def test_what_is_put_again_as_it_was_is_no_change_for_calendars(teller: Teller, port: int) -> None:
    _, headers, content = ask(port)
    [before] = events(content)
    teller.put()
    _, again, content = ask(port)
    [after] = events(content)
    assert (after["SEQUENCE"], after["DTSTAMP"], again["ETag"]) == (
        before["SEQUENCE"],
        before["DTSTAMP"],
        headers["ETag"],
    )


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
    assert printed.stderr == "1 occurrence of Harbour tour\n"
    file = tmp_path / "tour.ics"
    done = CliRunner().invoke(cli, ["calendar", "export", PRODUCT, "--output", str(file)], env=environment)
    assert (done.exit_code, file.read_bytes()) == (0, printed.stdout_bytes)


def test_the_command_says_that_there_is_no_such_product(teller: Teller) -> None:
    done = CliRunner().invoke(cli, ["calendar", "export", "nothing"], env={"HOLDGATE_DATABASE_URL": teller.url})
    assert done.exit_code != 0
    assert "there is no product 'nothing'" in done.stderr


def test_a_feed_has_every_date_however_many_there_are(teller: Teller, port: int) -> None:
    """A product with a date every half hour has two thousand in six weeks; the next ones are those that people need."""
    first = datetime(2030, 1, 1, 8, tzinfo=UTC)
    with_dates(teller, 2100, first)
    status, headers, content = ask(port)
    found = events(content)
    assert (status, len(found)) == (200, 2101)
    assert first in {event["DTSTART"].dt.astimezone(UTC) for event in found}
    assert "X-Holdgate-Left-Out" not in headers
    environment = {"HOLDGATE_DATABASE_URL": teller.url, "HOLDGATE_CALENDAR_DOMAIN": DOMAIN}
    printed = CliRunner().invoke(cli, ["calendar", "export", PRODUCT], env=environment)
    assert printed.stdout_bytes == content


def test_a_feed_begins_some_weeks_ago_and_says_what_it_leaves_out(teller: Teller, port: int) -> None:
    with_dates(teller, 3, datetime(2020, 1, 1, 8, tzinfo=UTC))
    _, headers, content = ask(port)
    assert len(events(content)) == 1
    assert headers["X-Holdgate-Left-Out"].startswith("3 that start before ")
    calendar = icalendar.Calendar.from_ical(content)
    assert str(calendar["X-HOLDGATE-LEFT-OUT"]) == headers["X-Holdgate-Left-Out"]
    assert len(events(ask(port, more="&from=2020-01-01")[2])) == 4
    _, headers, content = ask(port, more="&from=2020-01-01&until=2020-01-02")
    assert len(events(content)) == 3
    assert headers["X-Holdgate-Left-Out"] == (
        "1 that start before 2020-01-01T00:00:00Z or from 2020-01-02T00:00:00Z on"
    )
    assert ask(port, more="&from=May")[::2] == (400, b"from is a day such as 2030-05-01\n")


def test_an_export_has_past_dates_too_and_says_what_its_window_leaves_out(teller: Teller, tmp_path: Path) -> None:
    with_dates(teller, 3, datetime(2020, 1, 1, 8, tzinfo=UTC))
    environment = {"HOLDGATE_DATABASE_URL": teller.url}
    whole = CliRunner().invoke(cli, ["calendar", "export", PRODUCT], env=environment)
    assert (len(events(whole.stdout_bytes)), "LEFT-OUT" in whole.stdout) == (4, False)
    window = ["--from", "2020-01-01T08:30", "--until", "2020-01-01T09:00", "--output", str(tmp_path / "one.ics")]
    part = CliRunner().invoke(cli, ["calendar", "export", PRODUCT, *window], env=environment)
    assert len(events((tmp_path / "one.ics").read_bytes())) == 1
    assert "1 occurrence of Harbour tour in " in part.stderr
    assert "without 3 that start before 2020-01-01T08:30:00Z or from 2020-01-01T09:00:00Z on" in part.stderr


def test_an_export_that_cannot_be_written_leaves_the_file_as_it_was(teller: Teller, tmp_path: Path) -> None:
    file = tmp_path / "nowhere" / "tour.ics"
    done = CliRunner().invoke(
        cli, ["calendar", "export", PRODUCT, "--output", str(file)], env={"HOLDGATE_DATABASE_URL": teller.url}
    )
    assert done.exit_code == 2
    assert "cannot write" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_feed_is_another_one_once_its_title_is(teller: Teller, port: int) -> None:
    _, headers, _ = ask(port)
    with psycopg.connect(teller.url) as connection:
        connection.execute(
            "INSERT INTO products (id, version, definition, changed_by) "
            "SELECT id, version + 1, definition || '{\"label\": \"Bay tour\"}', 'x' FROM products WHERE id = %s",
            [PRODUCT],
        )
    status, _, content = ask(port, headers={"If-None-Match": headers["ETag"]})
    assert (status, b"SUMMARY:Bay tour" in content) == (200, True)
