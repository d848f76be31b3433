"""Thresholds of alerts as people write them: on the command line, in a file, in a calendar."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner

from holdgate_schema.commands.holds import AlertOverrides
from holdgate_workers.cli.importing.reading.files import HowToRead, read
from holdgate_workers.cli.importing.sources import Checked, Defaults, checked
from holdgate_workers.cli.main import cli
from holdgate_workers.cli.occurrences import specs
from holdgate_workers.cli.occurrences.definition import Checker, InvalidDefinition
from holdgate_workers.cli.output.formats import thresholds

DEFAULTS = Defaults("tour", "Europe/Rome", 12, 90, ("adult",))
DOCUMENT: dict[str, Any] = {
    "occurrence_id": "occ-1",
    "product_id": "tour",
    "starts_at": "2030-05-01T08:00:00Z",
    "ends_at": "2030-05-01T09:00:00Z",
    "timezone": "Europe/Rome",
    "capacity": 5,
    "ticket_types": [{"key": "adult"}],
}


def from_csv(cell: str) -> Checked:
    text = f"occurrence_id,starts_at,alerts\nocc-1,2030-05-01T10:00,{cell}\n"
    return checked(read(text.encode(), "season.csv", "csv", HowToRead()), DEFAULTS)


def from_calendar(*lines: str) -> Checked:
    event = ["BEGIN:VEVENT", "UID:occ-1", "DTSTART;TZID=Europe/Rome:20300501T100000", *lines, "END:VEVENT"]
    text = "\r\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:test", *event, "END:VCALENDAR", ""])
    return checked(read(text.encode(), "season.ics", "ics", HowToRead()), DEFAULTS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("low=70;nearly_full=90;full=99", AlertOverrides(low=70, nearly_full=90, full=99)),
        ("full=98", AlertOverrides(full=98)),
        (" low=50 ; nearly_full=60 ", AlertOverrides(low=50, nearly_full=60)),
    ],
)
def test_the_short_way_to_write_thresholds_is_the_same_everywhere(text: str, expected: AlertOverrides) -> None:
    """And what is not said is left to the house."""
    command = Checker().command(DOCUMENT | {"alerts": specs.alerts(text)})
    assert command.alerts == expected
    escaped = text.replace(";", "\\;")
    for found in (from_csv(text), from_calendar(f"X-HOLDGATE-ALERTS:{escaped}")):
        assert found.problems == []
        assert [request.command.alerts for request in found.requests] == [expected]
    for found in (from_csv(""), from_calendar()):
        assert [request.command.alerts for request in found.requests] == [None]


@pytest.mark.parametrize(
    "text", ["70", "low", "low=", "low=70 %", "high=3", "low=1;low=2", ";", "low=0", "full=101", "low=-1", "low=٧"]
)
def test_thresholds_that_are_none_are_named_with_their_line(text: str) -> None:
    """Nothing is sent then."""
    with pytest.raises((specs.InvalidSpec, InvalidDefinition)):
        Checker().command(DOCUMENT | {"alerts": specs.alerts(text)})
    found = from_csv(text)
    assert [(problem.line, problem.field.split(".")[0]) for problem in found.problems] == [(2, "alerts")]


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("low=97", True),
        ("low=98", True),
        ("low=99", False),
        ("full=3", True),
        ("full=2", False),
        ("nearly_full=1", False),
        ("nearly_full=100", False),
        ("low=50;full=51", False),
        ("low=50;full=52", True),
        ("low=60;nearly_full=50", False),
        ("low=60;nearly_full=61", True),
    ],
)
def test_only_what_no_house_can_have_is_refused_before_it_is_sent(text: str, fits: bool) -> None:
    """Which thresholds the house has is known to the gate alone."""
    assert (from_csv(text).problems == []) == fits


def test_the_command_line_says_what_is_wrong_with_them() -> None:
    """Before anything is sent, and in one line."""
    put = ("occurrence", "put", "occ-1", "--product", "tour", "--starts", "2030-05-01T18:00", "--duration", "90")
    put += ("--timezone", "Europe/Rome", "--capacity", "12", "--ticket", "adult", "--alerts")
    for text, said in (("low=99;full=98", "must be above"), ("lov=70", "'lov=70' is not one of full=, low=")):
        result = CliRunner().invoke(cli, [*put, text])
        assert result.exit_code == 2
        assert said in result.output


def test_thresholds_are_shown_as_percentages() -> None:
    """Those that the occurrence says itself."""
    assert thresholds(AlertOverrides(low=70, nearly_full=90)) == "low from 70 %, nearly full from 90 %"
