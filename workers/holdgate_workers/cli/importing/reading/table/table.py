"""Dates from a table: CSV in the forms that spreadsheets and shops write."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any, NamedTuple

from holdgate_schema.errors import FieldError
from holdgate_workers.cli.importing.reading.calendar.zones import ZoneNames
from holdgate_workers.cli.importing.reading.rows import Length, Reading, Row, UnreadableFile
from holdgate_workers.cli.importing.reading.text import lines_of
from holdgate_workers.cli.occurrences import specs
from holdgate_workers.cli.occurrences.definition import parsed

from . import cells

COLUMNS: dict[str, str] = {
    "occurrence_id": "up to 64 visible characters without blanks (required)",
    "product_id": "what it is a date of (or --product)",
    "starts_at": "2030-05-01T10:00, wall time of the zone; or with an offset (required)",
    "ends_at": "the same; or give duration_minutes",
    "duration_minutes": "instead of ends_at (or --duration)",
    "timezone": "IANA name, such as Europe/Rome (or --timezone)",
    "capacity": "seats of the pool 'total' (or --capacity)",
    "tickets": "adult;label=Adult;max=6 | child;pools=kids (or --ticket)",
    "pools": "kids=10 | terrace=unlimited",
    "extras": "wine;label=Wine;stock=cellar:40",
    "overbooking_percent": "0 to 100",
    "buffer": "seats never sold",
    "cutoff_minutes": "sales close so long before the start",
    "sales_open": "wall time of the zone, without an offset",
    "sales_close": "the same",
    "status": "active, closed or cancelled",
    "alerts": "low=70;nearly_full=90, where they differ from the settings",
}
SEPARATORS = (",", ";", "\t", "|")
_IN_WORDS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
# Excel's own first line, where a list separator is not the one of the country.
_SEPARATOR_LINE = re.compile(r"\s*\"?sep=(?P<separator>[^\"\r\n])\"?[,; \t]*(?:\r\n|\r|\n)", re.IGNORECASE)


class _Line(NamedTuple):
    """The cells of a row, and the line that it begins on."""

    number: int
    cells: list[str]


def read(text: str, reading: Reading, zones: ZoneNames) -> None:
    """Add the rows. Raises `UnreadableFile` where it is no table, or has a column that is not known."""
    lines = _lines(text)
    heading = next(lines, None)
    if heading is None:
        raise UnreadableFile(1, "is empty", "the first line must name the columns")
    names = [_column(cell) for cell in heading.cells]
    _check_heading(heading.number, names, heading.cells)
    for line in lines:
        row = _row(line, names, reading, zones)
        if row is not None:
            reading.rows.append(row)


def _lines(text: str) -> Iterator[_Line]:
    """The rows that have anything in them, by the separator that the file names or its first line shows."""
    said, skipped = _SEPARATOR_LINE.match(text), 0
    if said is not None:
        separator, text, skipped = said["separator"], text[said.end() :], 1
    else:
        separator = _separator(text)
    reader = csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True)
    before = 0
    try:
        for found in reader:
            line, before = before + 1, reader.line_num
            tidy = [cells.tidied(cell) for cell in found]
            if any(tidy):
                yield _Line(line + skipped, tidy)
    except csv.Error as exc:
        raise UnreadableFile(
            reader.line_num + skipped,
            f"is not CSV: {exc}",
            f"the separator was taken to be {_IN_WORDS.get(separator, separator)}; quotes in a cell are doubled",
        ) from exc


def _separator(text: str) -> str:
    """The one that divides the first line with anything on it into the most columns that are known."""
    heading = next((line for line in lines_of(text) if line.strip()), "")

    def known(separator: str) -> tuple[int, int]:
        names = [_column(cell) for cell in next(csv.reader([heading], delimiter=separator), [])]
        return sum(name in COLUMNS for name in names), len(names)

    return max(SEPARATORS, key=known)


def _column(cell: str) -> str:
    return cells.tidied(cell).strip("\"'").casefold().replace(" ", "_").replace("-", "_")


def _check_heading(line: int, names: list[str], said: list[str]) -> None:
    unknown = [cell for name, cell in zip(names, said, strict=True) if name and name not in COLUMNS]
    if unknown:
        known = ", ".join(COLUMNS)
        alone = " (columns are divided by a separator: comma, semicolon, tab or |)" if len(names) == 1 else ""
        raise UnreadableFile(
            line,
            f"has unknown columns: {', '.join(map(repr, unknown))}; there are: {known}{alone}",
            "rename or remove them",
        )
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise UnreadableFile(line, f"names columns twice: {', '.join(twice)}", "remove one of them")


def _row(line: _Line, names: list[str], reading: Reading, zones: ZoneNames) -> Row | None:
    found, errors = line.cells, list[FieldError]()
    while len(found) > len(names) and not found[-1]:
        found = found[:-1]
    if len(found) != len(names):
        reading.error(
            line.number,
            "row",
            f"has {len(found)} cells, the heading {len(names)}",
            "a cell that has the separator in it stands in quotes",
        )
        return None
    row = {name: cell for name, cell in zip(names, found, strict=True) if name and cell}
    for place, (name, cell) in enumerate(zip(names, found, strict=True), 1):
        if cell and not name:
            errors.append(FieldError(f"column {place}", f"has {cell!r} in it but no name in the first line"))
    said = _said(row, errors, zones)
    for error in errors:
        reading.error(line.number, error.field, error.reason)
    return None if errors else Row(line=line.number, **said)


def _said(row: dict[str, str], errors: list[FieldError], zones: ZoneNames) -> dict[str, Any]:
    """The row's fields that the file says."""
    minutes = parsed(errors, "duration_minutes", cells.whole_number, row.get("duration_minutes"))
    return {
        "occurrence_id": parsed(errors, "occurrence_id", cells.identifier, row.get("occurrence_id")),
        "product_id": parsed(errors, "product_id", cells.identifier, row.get("product_id")),
        "starts_at": parsed(errors, "starts_at", cells.time, row.get("starts_at")),
        "ends_at": (ends_at := parsed(errors, "ends_at", cells.time, row.get("ends_at"))),
        "length": None if minutes is None or ends_at else Length(exact=timedelta(minutes=minutes)),
        "timezone": parsed(errors, "timezone", lambda text: _zone(text, zones), row.get("timezone")),
        "sales_open": parsed(errors, "sales_open", cells.time, row.get("sales_open")),
        "sales_close": parsed(errors, "sales_close", cells.time, row.get("sales_close")),
        "status": parsed(errors, "status", cells.status, row.get("status")),
        "alerts": parsed(errors, "alerts", specs.alerts, row.get("alerts")),
        "ticket_types": _several(row, "tickets", specs.ticket, errors),
        "pools": _several(row, "pools", specs.pool, errors),
        "extras": _several(row, "extras", specs.extra, errors),
    } | {
        name: parsed(errors, name, cells.whole_number, row.get(name))
        for name in ("capacity", "overbooking_percent", "buffer", "cutoff_minutes")
    }


def _zone(text: str, zones: ZoneNames) -> str:
    meant = zones.meant(text)
    if meant.zone is not None:
        return meant.zone
    if meant.offset == timedelta():
        return "UTC"
    raise ValueError(
        f"is not a known IANA zone: {text!r}; give one such as Europe/Rome, or --zone-map '{text}=Area/City'"
    )


def _several(
    row: dict[str, str], name: str, parse: specs.Parse, errors: list[FieldError]
) -> tuple[specs.Document, ...] | None:
    if name not in row:
        return None
    found = [parsed(errors, name, parse, part) for part in row[name].split("|") if part.strip()]
    return tuple(document for document in found if document is not None)
