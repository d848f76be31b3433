"""Files as programs and people write them, each with what it says or with the word that helps.

Each line of `expected.txt` was checked by hand against what the file means (RFC 5545, the rules of the zones).
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from holdgate_workers.cli.importing.reading.files import HowToRead, form_of, read
from holdgate_workers.cli.importing.reading.rows import Reading, Row, Window
from holdgate_workers.cli.importing.sources import Checked, Defaults, checked

HERE = Path(__file__).parent
FILES = HERE / "files"
NEW_YEAR = datetime(2030, 1, 1, tzinfo=UTC)

REFUSED: dict[str, tuple[list[tuple[int, str]], str]] = {
    "capacity-of-a-half.csv": ([(2, "capacity")], "whole number"),
    "capacity-of-two-readings.csv": ([(2, "capacity")], "thousands or a fraction"),
    "cell-without-heading.csv": ([(2, "column 8")], "no name in the first line"),
    "columns-of-another-program.csv": ([(1, "file")], "rename or remove"),
    "comma-cyrillic-1251.csv": ([(0, "file")], "CSV UTF-8"),
    "comma-mac-roman.csv": ([(0, "file")], "--encoding"),
    "ends-before-it-starts.ics": ([(9, "DTEND")], "before the start"),
    "id-rounded.csv": ([(2, "occurrence_id")], "format text"),
    "method-reply.ics": ([(4, "METHOD")], "answer to an invitation"),
    "one-uid-two-events.ics": ([(12, "UID")], "line 4"),
    "semicolon-not-quoted.csv": ([(2, "row")], "separator"),
    "series-of-seconds.ics": ([(10, "RRULE")], "export the single dates"),
    "series-of-too-many.ics": ([(10, "RRULE")], "--until"),
    "series-on-no-day.ics": ([(10, "RRULE")], "do not exist"),
    "series-that-stands-still.ics": ([(10, "RRULE")], "INTERVAL=0"),
    "start-missing.ics": ([(4, "DTSTART")], "without a start"),
    "status-unknown.csv": ([(2, "status")], "active, closed or cancelled"),
    "three-things-wrong.csv": ([(2, "starts_at"), (2, "tickets"), (2, "capacity")], "lable"),
    "time-alone.csv": ([(2, "starts_at")], "no time of day"),
    "time-digits.csv": ([(2, "starts_at")], "no time of day"),
    "time-of-two-readings.csv": ([(2, "starts_at")], "year first"),
    "time-serial.csv": ([(2, "starts_at")], "yyyy-mm-dd hh:mm"),
    "time-that-does-not-exist.csv": ([(2, "starts_at")], "out of range"),
    "time-week.csv": ([(2, "starts_at")], "no time of day"),
    "year-zero.ics": ([(8, "DTSTART")], "not a date that exists"),
    "zone-unknown.ics": ([(8, "DTSTART")], "--zone-map 'Harbour Standard Time=Area/City'"),
}
NOTICED = {
    "comma-utf-16-big-without-mark.csv": "utf-16-be",
    "comma-windows-1252.csv": "windows-1252",
    "damaged-utf-8.ics": "2 places",
    "event-alone.ics": "outside",
    "event-without-end.ics": "END:VEVENT",
    "event-without-uid.ics": "no UID",
    "later-state.ics": "line 12",
    "other-components.ics": "1 VTODO, 1 VJOURNAL, 1 VFREEBUSY",
    "same-event-twice.ics": "taken once",
    "semicolon-windows-1252.csv": "windows-1252",
    "series-in-utc.ics": "changes with the clock",
    "series-with-dates-dropped.ics": "has no more; it is left out",
    "series-without-end.ics": "from 2030-01-01 until 2031-01-02",
    "windows-1252.ics": "windows-1252",
    "zone-by-places-without-quotes.ics": "Europe/Helsinki",
    "zone-by-places.ics": "Europe/Amsterdam",
}


def expected() -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for line in (HERE / "expected.txt").read_text("utf-8").splitlines():
        if not line.startswith("#"):
            name, row = line.split(None, 1)
            found[name].append(row)
    return found


EXPECTED = expected()


def reading_of(name: str, how: HowToRead | None = None) -> Reading:
    file = FILES / name
    form = form_of(file)
    assert form is not None
    return read(file.read_bytes(), name, form, how or HowToRead(now=NEW_YEAR))


def shown(row: Row) -> str:
    times = row.times(row.timezone or "Europe/Rome")
    ends = f"{times.ends_at:%Y-%m-%dT%H:%MZ}" if times.ends_at else "?"
    return (
        f"{row.occurrence_id} {times.starts_at:%Y-%m-%dT%H:%MZ} {ends} {row.timezone or '?'} {row.status or '-'}"
    )


def imported(name: str, defaults: Defaults | None = None, **zones: str) -> Checked:
    given = defaults or Defaults("walk", None, 12, 90, ("adult",))
    return checked(reading_of(name), given, zones.get)


def test_every_file_has_its_expectation() -> None:
    assert {file.name for file in FILES.iterdir()} == {*EXPECTED, *REFUSED, "series-without-end.ics"}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_file_says_what_it_says(name: str) -> None:
    found = reading_of(name)
    assert found.errors == []
    assert [shown(row) for row in found.rows] == EXPECTED[name]


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_named_with_its_line_and_the_way_out(name: str) -> None:
    places, word = REFUSED[name]
    errors = reading_of(name).errors
    assert [(error.line, error.field) for error in errors] == places
    assert any(word in error.text for error in errors)


@pytest.mark.parametrize("name", NOTICED)
def test_what_was_concluded_is_told(name: str) -> None:
    assert any(NOTICED[name] in notice.text for notice in reading_of(name).notices)


def test_labels_keep_their_letters_in_every_encoding() -> None:
    for file in FILES.glob("*.csv"):
        for row in reading_of(file.name).rows:
            (ticket,) = row.ticket_types or ({},)
            assert ticket.get("label", "Größe") in ("Größe", "Two lines"), file.name
    assert reading_of("windows-1252.ics").rows[0].title == "Führung durchs Château"
    assert reading_of("utf-16.ics").rows[0].title == "Führung"
    mac = HowToRead(encoding="mac_roman")
    assert (reading_of("comma-mac-roman.csv", mac).rows[0].ticket_types or ())[0]["label"] == "Größe"


def test_what_the_file_does_not_say_stays_open() -> None:
    (row,) = reading_of("meetup-in-utc.ics").rows
    assert (row.timezone, row.capacity, row.product_id, row.status) == (None, None, None, None)
    assert (row.ticket_types, row.pools, row.cutoff_minutes, row.alerts) == (None, None, None, None)
    (said,) = reading_of("own-properties.ics").rows
    assert (said.product_id, said.capacity, said.buffer) == ("walk", 8, 1)
    assert said.ticket_types == ({"key": "adult", "label": "Big, tall"}, {"key": "child", "max_per_order": 2})
    assert said.sales_open == datetime(2030, 1, 5, 9)  # noqa: DTZ001


@pytest.mark.parametrize("name", ["meetup-in-utc.ics", "google-export-in-utc.ics", "zone-not-said-in-utc.csv"])
def test_a_time_in_utc_takes_the_zone_of_the_product_or_asks(name: str) -> None:
    """UTC is where nobody lives: by it, a Saturday's price would count from Friday's evening on."""
    (problem,) = imported(name).problems
    assert problem.field == "timezone"
    assert "--timezone" in problem.text
    (request,) = imported(name, walk="Europe/Berlin").requests
    assert request.command.timezone == "Europe/Berlin"
    assert request.command.starts_at == datetime(2030, 7, 5, 22, 30, tzinfo=UTC)
    option = Defaults("walk", "Europe/Athens", 12, 90, ("adult",))
    (request,) = imported(name, option, walk="Europe/Berlin").requests
    assert request.command.timezone == "Europe/Athens"


def test_the_option_for_the_zone_counts_only_where_the_file_is_silent() -> None:
    option = Defaults("walk", "Asia/Tokyo", 12, 90, ("adult",))
    zones = {
        name: imported(name, option).requests[0].command.timezone
        for name in ("apple-floating.ics", "floating.ics")
    }
    assert zones == {"apple-floating.ics": "Europe/Paris", "floating.ics": "Asia/Tokyo"}


def test_a_name_of_a_zone_is_explained_by_the_caller() -> None:
    how = HowToRead(zone_map={"harbour standard time": "Europe/Lisbon"})
    assert [shown(row) for row in reading_of("zone-unknown.ics", how).rows] == [
        "w-1 2030-07-10T18:00Z 2030-07-10T19:30Z Europe/Lisbon -"
    ]


def test_the_length_by_option_is_exact_over_a_change_of_the_clock() -> None:
    found = imported("durations.ics", Defaults("night", None, 12, 480, ("adult",)))
    ends = {request.command.occurrence_id: request.command.ends_at for request in found.requests}
    assert ends["d"] == datetime(2030, 10, 27, 3, 30, tzinfo=UTC)
    assert ends["e"] == datetime(2030, 10, 27, 2, 30, tzinfo=UTC)


def test_a_series_without_an_end_has_a_horizon() -> None:
    """A year from today, or what the caller says; and it is known afterwards how far was read."""
    year = reading_of("series-without-end.ics")
    assert len(year.rows) == 12
    assert year.horizon == Window(NEW_YEAR, NEW_YEAR + timedelta(days=366))
    asked = Window(datetime(2030, 3, 4), datetime(2030, 5, 6))  # noqa: DTZ001
    march = reading_of("series-without-end.ics", HowToRead(window=asked, now=NEW_YEAR))
    assert [row.recurrence_id for row in march.rows] == ["20300304T100000", "20300401T100000"]


def test_a_window_counts_for_single_dates_too_and_says_what_it_left_out() -> None:
    window = Window(datetime(2030, 7, 11), None)  # noqa: DTZ001
    found = reading_of("not-for-sale.ics", HowToRead(window=window, now=NEW_YEAR))
    assert [row.occurrence_id for row in found.rows] == ["w-2", "w-3", "w-4"]
    assert any("1 more" in notice.text for notice in found.notices)


def test_a_bound_without_an_offset_is_a_time_on_the_clock_of_each_date() -> None:
    """A walk at 19:00 in Rome begins at 17:00 in UTC."""
    evening = Window(datetime(2030, 7, 10, 19), datetime(2030, 7, 10, 20))  # noqa: DTZ001
    assert len(reading_of("zone-in-lower-case.ics", HowToRead(window=evening, now=NEW_YEAR)).rows) == 1
    assert len(reading_of("zone-of-citadel.ics", HowToRead(window=evening, now=NEW_YEAR)).rows) == 1
    in_utc = Window(datetime(2030, 7, 10, 19, tzinfo=UTC), datetime(2030, 7, 10, 20, tzinfo=UTC))
    assert reading_of("zone-in-lower-case.ics", HowToRead(window=in_utc, now=NEW_YEAR)).rows == []
    assert reading_of("apple-floating.ics", HowToRead(window=in_utc, now=NEW_YEAR)).rows == []
    noon = Window(datetime(2030, 7, 2, 10), datetime(2030, 7, 2, 11))  # noqa: DTZ001
    (row,) = reading_of("series-until-utc.ics", HowToRead(window=noon, now=NEW_YEAR)).rows
    assert row.recurrence_id == "20300702T100000"


def test_titles_that_differ_are_never_one_product() -> None:
    untold = Defaults(None, None, 12, 90, ("adult",))
    found = imported("titles-that-differ.ics", untold)
    texts = {problem.line: problem.text for problem in found.problems}
    assert sorted(texts) == [11, 25]
    assert "'Wine! tasting' (line 4) would be one product" in texts[11]
    assert "has no letters a product id can be made of" in texts[25]
    assert all("--product" in text for text in texts.values())
    many = imported("titles-of-many-scripts.ics", untold)
    assert many.problems == []
    assert [request.command.product_id for request in many.requests] == [
        "дегустация-vip", "экскурсия-vip", "ξενάγηση", "führung", "fuhrung", "見学ツアー",
    ]  # fmt: skip
