"""Any file of dates, read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from .calendar.zones import ZoneNames
from .rows import Reading, UnreadableFile, Window
from .text import NotText, decoded

Form = Literal["csv", "ics"]
FORMS: tuple[Form, ...] = ("csv", "ics")
FILE_BYTES_MAX = 64 * 1024 * 1024


@dataclass(slots=True, frozen=True, kw_only=True)
class HowToRead:
    """What a call says about the file itself. `now`: from then on series without an end are read, if nothing else is
    said."""

    zone_map: Mapping[str, str] = field(default_factory=dict)
    window: Window = field(default_factory=Window)
    now: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    encoding: str | None = None


def form_of(file: Path) -> Form | None:
    """The form by the file's name, None if that does not say."""
    ending = file.suffix.lower().lstrip(".")
    if ending in ("ics", "ical", "ifb", "icalendar"):
        return "ics"
    return "csv" if ending in ("csv", "tsv", "txt") else None


def read(data: bytes, name: str, form: Form, how: HowToRead) -> Reading:
    """All that the file says, and all that is wrong with it. Never raises for what is in the file."""
    reading = Reading(name)
    try:
        if len(data) > FILE_BYTES_MAX:
            raise UnreadableFile(0, f"is larger than {FILE_BYTES_MAX // 2**20} MiB", "import it in parts")
        text = decoded(data, how.encoding, may_lose=form == "ics")
        if text.lost:
            reading.notice(0, "file", f"has {text.lost} places that are not UTF-8; they are shown as \ufffd")
        if text.is_assumed:
            reading.notice(
                0, "file", f"is read as {text.encoding}, which nothing in it says", "--encoding says otherwise"
            )
        names = ZoneNames(how.zone_map)
        if form == "csv":
            from .table import table as tables

            tables.read(text.content, reading, names)
        else:
            from .calendar import calendar as calendars

            calendars.read(text.content, reading, names, how.window, how.now)
    except NotText as exc:
        reading.error(0, "file", str(exc))
    except UnreadableFile as exc:
        reading.error(exc.line, "file", str(exc), exc.advice)
    _cut(reading, how.window)
    return reading.ordered()


def _cut(reading: Reading, window: Window) -> None:
    """Leave out what is outside of the window, and say how much."""
    inside = [row for row in reading.rows if row.starts_at is None or window.has(row.starts_at, row.timezone)]
    if len(inside) < len(reading.rows):
        out = len(reading.rows) - len(inside)
        reading.notice(0, "file", f"has {out} more, outside of --from and --until")
    reading.rows = inside
