"""A file against what is stored, through the queue: everything that a season's plan goes through in its life."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result
from tests.support.cli import COMMAND, COMMAND_SECONDS, environment, hear_ctrl_c
from tests.support.rabbit import eventually
from tests.support.site import PARTITIONS, TestSite

from holdgate_workers.cli import exits
from holdgate_workers.cli.main import cli
from holdgate_workers.ids import short_id

pytestmark = pytest.mark.slow

HEADING = "occurrence_id,product_id,starts_at,duration_minutes,timezone,capacity,tickets\n"
Row = tuple[str, str]


@dataclass
class Office:
    """Somebody with a file and a terminal."""

    house: TestSite
    folder: Path
    product: str

    @property
    def variables(self) -> dict[str, str]:
        queue = {} if self.house.amqp_url is None else {"HOLDGATE_AMQP_URL": self.house.amqp_url}
        return {
            "HOLDGATE_DATABASE_URL": self.house.database_url,
            "HOLDGATE_PARTITIONS": str(PARTITIONS),
            "HOLDGATE_CALENDAR_DOMAIN": "harbour.example",
        } | queue

    def __call__(self, *arguments: str | Path, given: str | None = None) -> Result:
        return CliRunner().invoke(cli, [str(item) for item in arguments], input=given, env=self.variables)

    def table(self, *rows: Row, name: str = "season.csv") -> Path:
        """A file with these dates: id and start."""
        file = self.folder / name
        lines = (
            f"{self.key(key)},{self.product},{start},30,Europe/Berlin,12,adult|child\n" for key, start in rows
        )
        file.write_text(HEADING + "".join(lines))
        return file

    def key(self, key: str) -> str:
        """The id of a date, which no other test has."""
        return f"{self.product}-{key}"

    def imports(self, file: Path, *options: str, code: int = 0) -> dict[str, Any]:
        """What an import says to programs."""
        done = self("occurrence", "import", file, *options, "--output", "json")
        assert done.exit_code == code, done.output
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def counts(self, file: Path, *options: str) -> dict[str, int]:
        """How many dates have become what."""
        return {name: number for name, number in self.imports(file, *options)["counts"].items() if number}

    def stored(self) -> dict[str, tuple[str, str]]:
        """Every date of the product: status, and start in UTC."""
        rows = self.house.rows(
            "SELECT id, status, to_char(starts_at AT TIME ZONE 'UTC', 'MM-DD HH24:MI') FROM occurrences"
            " WHERE product_id = %s ORDER BY starts_at, id",
            self.product,
        )
        return {row[0].removeprefix(f"{self.product}-"): (row[1], row[2]) for row in rows}

    def journal(self) -> int:
        """How many commands were decided about the product's dates."""
        number: int = self.house.value(
            "SELECT count(*) FROM journal WHERE occurrence_id LIKE %s", f"{self.product}-%"
        )
        return number


@pytest.fixture
def office(house: TestSite, tmp_path: Path) -> Office:
    return Office(house, tmp_path, f"tour-{short_id()}")


def day(*times: str) -> Sequence[Row]:
    """Dates t0, t1, … at these times of one day."""
    return [(f"t{number}", f"2030-05-01T{time}") for number, time in enumerate(times)]


def test_a_schedule_is_shifted_by_a_slot_in_one_pass(office: Office) -> None:
    office.imports(office.table(*day("10:00", "10:30", "11:00", "11:30", "12:00")))
    shifted = office.table(*day("10:30", "11:00", "11:30", "12:00", "12:30"))
    before = office.journal()
    assert office.counts(shifted, "--dry-run") == {"moved": 5}
    assert office.journal() == before
    assert office.counts(shifted) == {"moved": 5}
    assert office.stored() == {
        f"t{n}": ("active", f"05-01 {8 + (n + 1) // 2:02}:{(n + 1) % 2 * 30:02}") for n in range(5)
    }


def test_dates_swap_and_go_round_in_a_ring(office: Office) -> None:
    office.imports(office.table(*day("10:00", "11:00", "12:00", "13:00", "14:00")))
    turned = office.table(*day("11:00", "10:00", "13:00", "14:00", "12:00"))
    assert office.counts(turned) == {"moved": 5}
    assert [start for _, start in sorted(office.stored().items())] == [
        ("active", f"05-01 {hour:02}:00") for hour in (9, 8, 11, 12, 10)
    ]
    assert office.counts(turned) == {"unchanged": 5}


def test_what_the_file_does_not_say_stays_and_what_is_unchanged_is_left_alone(office: Office) -> None:
    file = office.table(*day("10:00", "11:00"))
    office.imports(file)
    assert office("occurrence", "close", office.key("t0")).exit_code == 0
    assert office("occurrence", "put", "--file", "-", given=_richer(office)).exit_code == 0
    before, decided = office.house.rows("SELECT id, definition, version FROM occurrences"), office.journal()
    assert office.counts(file) == {"unchanged": 2}
    bare = office.folder / "bare.csv"
    bare.write_text(
        f"occurrence_id,starts_at\n{office.key('t0')},2030-05-01T10:00\n{office.key('t1')},2030-05-01T11:00\n"
    )
    # The options speak for new dates only.
    assert office.counts(bare, "--capacity", "99", "--ticket", "senior", "--duration", "5") == {"unchanged": 2}
    assert (office.house.rows("SELECT id, definition, version FROM occurrences"), office.journal()) == (
        before,
        decided,
    )
    assert office.stored()["t0"][0] == "closed"


def _richer(office: Office) -> str:
    """The date as the file has it, and all that the file cannot say."""
    document = {
        "occurrence_id": office.key("t1"),
        "product_id": office.product,
        "starts_at": "2030-05-01T09:00:00Z",
        "ends_at": "2030-05-01T09:30:00Z",
        "timezone": "Europe/Berlin",
        "capacity": 12,
        "overbooking_percent": 5,
        "ticket_types": [
            {"key": "adult", "label": "Adult", "max_per_order": 4, "pools": ["deck"]},
            {"key": "child"},
        ],
        "pools": [{"key": "deck", "capacity": None}],
        "extras": [{"key": "wine", "stock": {"key": office.key("cellar"), "cap": 40}}],
        "sales_open": "2030-01-01T09:00:00",
        "sales_close": "2030-04-30T18:00:00",
        "hold": {"ttl_minutes": 20},
        "alerts": {"low": 70},
    }
    return json.dumps(document)


def test_a_date_that_was_cancelled_does_not_occupy_its_start(office: Office) -> None:
    office.imports(office.table(*day("10:00", "11:00")))
    assert office("occurrence", "close", office.key("t1"), "--status", "cancelled", "--yes").exit_code == 0
    replaced = office.table(("t0", "2030-05-01T10:00"), ("t2", "2030-05-01T11:00"))
    assert office.counts(replaced) == {"created": 1, "unchanged": 1}
    both = office.table(("t0", "2030-05-01T10:00"), ("t1", "2030-05-01T11:00"), ("t2", "2030-05-01T11:00"))
    assert office.counts(both) == {"unchanged": 3}
    moved = office.table(("t1", "2030-05-01T15:00"))
    assert office.imports(moved, code=exits.REFUSED)["occurrences"][0]["why"] == (
        "is cancelled, which is final; a new date needs an id of its own"
    )


def calendar(office: Office, status: str, *, sequence: int, start: str = "20300801T100000") -> Path:
    file = office.folder / "walks.ics"
    lines = [
        "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//A walker//EN", "BEGIN:VEVENT", f"UID:{office.key('walk')}",
        f"SEQUENCE:{sequence}", f"STATUS:{status}", "SUMMARY:Walk", f"DTSTART;TZID=Europe/Berlin:{start}",
        "DURATION:PT1H", f"X-HOLDGATE-PRODUCT:{office.product}", "END:VEVENT", "END:VCALENDAR", "",
    ]  # fmt: skip
    file.write_text("\r\n".join(lines))
    return file


NEW = ("--capacity", "5", "--ticket", "adult")


def test_what_is_cancelled_in_its_source_is_cancelled_once_somebody_has_said_yes(office: Office) -> None:
    assert office.counts(calendar(office, "CONFIRMED", sequence=0), *NEW) == {"created": 1}
    assert office("occurrence", "close", office.key("walk")).exit_code == 0
    assert office.counts(calendar(office, "CONFIRMED", sequence=0), *NEW) == {"unchanged": 1}
    called_off = calendar(office, "CANCELLED", sequence=1)
    assert office.counts(called_off, "--dry-run") == {"cancelled": 1}
    asked = office("occurrence", "import", called_off, given="n\n")
    assert (asked.exit_code, "1 will be cancelled, which is final.\nGo on?" in asked.output) == (
        exits.REFUSED,
        True,
    )
    assert "nothing was sent" in asked.output
    assert office.stored()["walk"][0] == "closed"
    assert office.counts(called_off, "--yes") == {"cancelled": 1}
    assert office.stored()["walk"][0] == "cancelled"
    assert office.counts(called_off) == {"unchanged": 1}
    feed = office("calendar", "export", office.product).stdout
    assert "STATUS:CANCELLED" in feed


def test_what_was_cancelled_before_it_was_ever_stored_is_passed_over(office: Office) -> None:
    found = office.imports(calendar(office, "CANCELLED", sequence=1))
    assert [(date["outcome"], date["why"]) for date in found["occurrences"]] == [
        ("skipped", "is cancelled in the file and not stored")
    ]


def test_our_own_export_can_be_imported_again(office: Office) -> None:
    """With and without our own properties, which calendar programs drop. All is as it was, what was called off too."""
    dates = [(f"t{n}", f"2030-{month:02}-27T{time}") for n, (month, time) in enumerate(
        (month, time) for month in (3, 10) for time in ("01:30", "02:30", "03:30")
    )]  # fmt: skip
    office.imports(office.table(*dates))
    office("occurrence", "close", office.key("t0"))
    office("occurrence", "close", office.key("t1"), "--status", "cancelled", "--yes")
    file = office.folder / "feed.ics"
    assert office("calendar", "export", office.product, "--output", file).exit_code == 0
    before = office.journal()
    assert office.counts(file) == {"unchanged": 6}
    plain = office.folder / "plain.ics"
    plain.write_bytes(b"".join(line for line in file.read_bytes().splitlines(True) if b"X-HOLDGATE" not in line))
    assert office.counts(plain) == {"unchanged": 6}
    assert office.journal() == before


def test_what_is_missing_is_listed_and_closed_when_asked(office: Office) -> None:
    office.imports(office.table(*day("10:00", "11:00", "12:00")))
    short = office.table(*day("10:00"))
    found = office.imports(short)
    assert [date["occurrence_id"] for date in found["missing"]] == [office.key("t1"), office.key("t2")]
    told = office("occurrence", "import", short).stdout
    assert "2 upcoming dates on sale are stored and not in the file; --close-missing takes them off sale:" in told
    bounded = office.imports(short, "--until", "2030-05-01T11:30:00+02:00")
    assert [date["occurrence_id"] for date in bounded["missing"]] == [office.key("t1")]
    assert office("occurrence", "import", short, "--close-missing", given="n\n").exit_code == exits.REFUSED
    assert office.counts(short, "--close-missing", "--yes") == {"closed": 2, "unchanged": 1}
    assert [status for status, _ in office.stored().values()] == ["active", "closed", "closed"]
    assert office.imports(short)["missing"] == []


def test_a_stored_date_is_never_moved_to_another_product(office: Office) -> None:
    """Neither by an option nor by a title that somebody rewrote."""
    file = calendar(office, "CONFIRMED", sequence=0)
    office.imports(file, *NEW)
    untitled = office.folder / "untitled.ics"
    untitled.write_text(
        file.read_text().replace(f"X-HOLDGATE-PRODUCT:{office.product}\n", "").replace("Walk", "VIP walk")
    )
    assert office.counts(untitled) == {"unchanged": 1}
    other = office.imports(untitled, "--product", "another", code=exits.REFUSED)
    assert [(date["outcome"], date["why"]) for date in other["occurrences"]] == [
        ("clashing", f"is stored as a date of {office.product!r}, which it stays")
    ]
    assert list(office.stored()) == ["walk"]


def test_all_of_two_thousand_and_one_hundred_dates_are_exported(office: Office) -> None:
    """Every half hour for six weeks; the first ones are the ones that people need."""
    file = office.folder / "slots.csv"
    first = datetime(2030, 1, 1, tzinfo=UTC)
    starts = [first + n * timedelta(minutes=30) for n in range(2100)]
    rows = [
        f"{office.key(f's{n}')},{office.product},{start.isoformat()},20,UTC,12,adult\n"
        for n, start in enumerate(starts)
    ]
    file.write_text(HEADING + "".join(rows))
    assert office.counts(file) == {"created": 2100}
    feed = office.folder / "slots.ics"
    assert office("calendar", "export", office.product, "--output", feed).exit_code == 0
    text = feed.read_text()
    assert (text.count("BEGIN:VEVENT"), "DTSTART:20300101T000000Z" in text) == (2100, True)
    assert office.counts(feed) == {"unchanged": 2100}


def test_ctrl_c_says_how_far_it_came_and_the_same_file_goes_on_from_there(office: Office) -> None:
    """A row that moves by a slot, one date after the other from its end; one in the middle is held up."""
    times = [f"2030-05-{1 + n // 24:02}T{n % 24:02}:00" for n in range(201)]
    office.imports(office.table(*((f"t{n}", times[n]) for n in range(200))))
    shifted = office.table(*((f"t{n}", times[n + 1]) for n in range(200)))
    before = office.journal()
    with psycopg.connect(office.house.database_url) as locker:
        locker.execute("SELECT 1 FROM occurrences WHERE id = %s FOR UPDATE", [office.key("t100")])
        process = subprocess.Popen(
            [COMMAND, "occurrence", "import", shifted],
            env=environment(office.folder / "data", **office.variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=hear_ctrl_c,
        )
        eventually(lambda: office.journal() > before + 20)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=COMMAND_SECONDS)
    assert process.returncode == exits.STOPPED, (out, err)
    assert "of 200 changes are known to be done" in err
    assert "Import the file again" in err
    again = office.counts(shifted)
    assert again["moved"] + again["unchanged"] == 200
    assert again["unchanged"] > 20
    assert office.counts(shifted) == {"unchanged": 200}


def test_a_plan_fits_on_a_screen(office: Office) -> None:
    office.imports(office.table(*day("10:00", "11:00", "12:00")))
    shown = office("occurrence", "import", office.table(*day("10:00", "11:30", "10:00")), "--dry-run")
    assert shown.exit_code == exits.USAGE, "two of the file's own dates have one start"
    shown = office("occurrence", "import", office.table(("t0", "2030-05-01T11:00")), "--dry-run")
    assert shown.exit_code == exits.REFUSED
    assert f"'{office.key('t1')}' has this start, and the file does not move it" in shown.stdout
    assert "1 date of" in shown.stdout
    assert "cannot be put like that; nothing was sent." in shown.stdout
