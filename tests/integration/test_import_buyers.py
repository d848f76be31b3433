"""Who is written to when a file moves or cancels dates: as many as the dry run said, once each, of the right time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import icalendar
import pytest
from click.testing import CliRunner
from msgspec.structs import replace
from tests.support.mail_server import Inbox, mail_server
from tests.support.postgres import migrated_database
from tests.support.telling import HOUSE, OCCURRENCE, PRODUCT, ZONE, Teller

from holdgate_workers.adapters.postgres.reports.schedule import ScheduleBook
from holdgate_workers.cli.importing.merging import merged
from holdgate_workers.cli.importing.reading.files import HowToRead, read
from holdgate_workers.cli.importing.sources import Defaults
from holdgate_workers.cli.main import cli
from holdgate_workers.domain.schedule.judging import plan
from holdgate_workers.ids import new_request_id

pytestmark = pytest.mark.services

OTHER = "occ-of-nobody"
HEADING = "occurrence_id,product_id,starts_at,status\n"


class House:
    """A date that three have booked, one of them without an address, and a date that nobody has."""

    def __init__(self, teller: Teller, inbox: Inbox, folder: Path) -> None:
        self.teller, self.inbox, self.folder = teller, inbox, folder
        self.starts_at = teller.starts_at
        for session in ("a", "b"):
            teller.sell(f"session-{session}")
        teller.sell("session-c", customer=None)
        teller.tell()
        self.before = len(inbox.messages())

    def file(self, *rows: tuple[str, datetime, str]) -> Path:
        file = self.folder / "season.csv"
        file.write_text(
            HEADING + "".join(f"{key},{PRODUCT},{at.isoformat()},{status}\n" for key, at, status in rows)
        )
        return file

    def dry(self, file: Path) -> dict[str, Any]:
        arguments = ["occurrence", "import", str(file), "--dry-run", "--output", "json"]
        done = CliRunner().invoke(cli, arguments, env={"HOLDGATE_DATABASE_URL": self.teller.url})
        assert done.exit_code == 0, done.output
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def work(self, file: Path) -> None:
        """Every step of the plan, decided by the gate; between them the mails are planned and sent."""
        reading = read(file.read_bytes(), file.name, "csv", HowToRead())
        book = ScheduleBook(self.teller.url)
        found = merged(reading, Defaults(), book, "harbour.example")
        book.close()
        assert not found.problems
        for steps in plan(found.wanted, found.stored.dates, found.stored.read_at).rounds:
            for step in steps:
                self.teller.do(replace(step.command, request_id=new_request_id()))
                self.teller.tell()

    def letters(self) -> list[tuple[str, datetime]]:
        """The method and the start of each calendar entry that was sent since."""
        found = []
        for message in self.inbox.messages()[self.before :]:
            [attachment] = list(message.iter_attachments())
            calendar = icalendar.Calendar.from_ical(attachment.get_content())
            [event] = calendar.walk("VEVENT")
            found.append((str(calendar["METHOD"]), event["DTSTART"].dt.astimezone(ZoneInfo(ZONE))))
        return found


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with ExitStack() as stack:
        url = stack.enter_context(migrated_database())
        inbox = Inbox()
        port = stack.enter_context(mail_server(inbox))
        teller = Teller(url, mail_url=f"smtp+plain://localhost:{port}", **HOUSE)
        stack.callback(teller.close)
        yield House(teller, inbox, tmp_path)


def test_a_moved_date_is_told_to_those_who_booked_it(house: House) -> None:
    later = house.starts_at + timedelta(hours=2)
    file = house.file((OCCURRENCE, later, ""))
    found = house.dry(file)
    assert (found["customers"], found["counts"]["moved"]) == (2, 1)
    assert house.letters() == []
    house.work(file)
    assert house.letters() == [("REQUEST", later), ("REQUEST", later)]
    assert house.dry(file)["customers"] == 0
    house.work(file)
    assert len(house.letters()) == 2


def test_a_date_that_is_cancelled_in_its_source_takes_itself_out_of_calendars(house: House) -> None:
    file = house.file((OCCURRENCE, house.starts_at, "cancelled"))
    found = house.dry(file)
    assert (found["customers"], found["counts"]["cancelled"]) == (2, 1)
    house.work(file)
    assert house.letters() == [("CANCEL", house.starts_at), ("CANCEL", house.starts_at)]


def test_those_who_booked_a_date_that_swaps_are_told_once_and_never_of_the_time_in_between(house: House) -> None:
    other = house.starts_at + timedelta(hours=5)
    house.teller.do(_copy(house, OTHER, other))
    for rows in (
        ((OCCURRENCE, other, ""), (OTHER, house.starts_at, "")),
        ((OTHER, other, ""), (OCCURRENCE, house.starts_at, "")),
    ):
        house.before = len(house.inbox.messages())
        file = house.file(*rows)
        assert house.dry(file)["customers"] == 2
        house.work(file)
        assert house.letters() == [("REQUEST", {key: at for key, at, _ in rows}[OCCURRENCE])] * 2


def _copy(house: House, key: str, starts_at: datetime) -> Any:
    from tests.support.domain import a_put

    return a_put(
        key,
        request_id=new_request_id(),
        product_id=PRODUCT,
        starts_at=starts_at,
        timezone=ZONE,
    )


def test_what_is_unchanged_raises_no_sequence_in_calendars(house: House) -> None:
    def feed() -> bytes:
        return (
            CliRunner()
            .invoke(cli, ["calendar", "export", PRODUCT], env={"HOLDGATE_DATABASE_URL": house.teller.url})
            .stdout_bytes
        )

    before = feed()
    house.work(house.file((OCCURRENCE, house.starts_at, "")))
    assert feed() == before
