"""Occurrences from a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import datetime
from io import StringIO

from holdgate_schema.errors import FieldError

from . import specs
from .definition import InvalidDefinition, parsed, with_times
from .sources import Defaults, Entry, UnreadableFile

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
    "status": "active or closed",
    "alerts": "low=70;nearly_full=90, where they differ from the settings",
}
_NUMBERS = ("overbooking_percent", "buffer", "cutoff_minutes")
_WALL_TIMES = ("sales_open", "sales_close")


def read(text: str, defaults: Defaults) -> Iterator[Entry]:
    """The rows. Raises `UnreadableFile` where it is no CSV or has a column that nobody knows."""
    reader = csv.reader(StringIO(text, newline=""), strict=True)
    try:
        names = [name.strip().lower() for name in next(reader, [])]
        _check_heading(names)
        before = reader.line_num
        for cells in reader:
            line, before = before + 1, reader.line_num
            if any(cell.strip() for cell in cells):
                yield _entry(line, names, cells, defaults)
    except csv.Error as exc:
        raise UnreadableFile(reader.line_num, f"is not CSV: {exc}") from exc


def _check_heading(names: list[str]) -> None:
    if not any(names):
        raise UnreadableFile(1, "is empty; the first line must name the columns")
    unknown = [name for name in names if name not in COLUMNS]
    if unknown:
        known = ", ".join(COLUMNS)
        raise UnreadableFile(1, f"has unknown columns: {', '.join(map(repr, unknown))}; there are: {known}")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UnreadableFile(1, f"names columns twice: {', '.join(twice)}")


def _entry(line: int, names: list[str], cells: list[str], defaults: Defaults) -> Entry:
    if len(cells) != len(names):
        return Entry(line, {}, [FieldError("row", f"has {len(cells)} cells, the heading {len(names)}")])
    row = {name: cell.strip() for name, cell in zip(names, cells, strict=True)}
    errors: list[FieldError] = []
    document = {
        "occurrence_id": row.get("occurrence_id", ""),
        "product_id": row.get("product_id") or defaults.product_id or "",
        "timezone": row.get("timezone") or defaults.timezone or "",
        "capacity": _number(row, "capacity", errors, defaults.capacity),
        "ticket_types": _several(row.get("tickets"), defaults.tickets, "tickets", specs.ticket, errors),
        "pools": _several(row.get("pools"), (), "pools", specs.pool, errors),
        "extras": _several(row.get("extras"), (), "extras", specs.extra, errors),
    }
    document |= {name: _number(row, name, errors, 0) for name in _NUMBERS}
    document |= {name: parsed(errors, name, _time, row.get(name)) for name in _WALL_TIMES}
    document |= {"status": row["status"]} if row.get("status") else {}
    document |= {"alerts": parsed(errors, "alerts", specs.alerts, row.get("alerts"))}
    errors += [
        FieldError(name, "is missing")
        for name in ("occurrence_id", "product_id", "capacity")
        if not _has(document, name)
    ]
    if not document["ticket_types"] and not any(error.field == "tickets" for error in errors):
        errors.append(FieldError("tickets", "is missing (or give --ticket)"))
    ends = parsed(errors, "ends_at", _time, row.get("ends_at"))
    minutes = None if ends else _number(row, "duration_minutes", errors, defaults.duration_minutes)
    starts = parsed(errors, "starts_at", _time, row.get("starts_at"))
    if errors:
        return Entry(line, document, errors)
    try:
        return Entry(line, with_times(document, starts=starts, ends=ends, minutes=minutes))
    except InvalidDefinition as exc:
        return Entry(line, document, exc.errors)


def _has(document: specs.Document, name: str) -> bool:
    return document[name] is not None and document[name] != ""


def _number(row: dict[str, str], name: str, errors: list[FieldError], default: int | None) -> int | None:
    text = row.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        errors.append(FieldError(name, f"is a whole number, not {text!r}"))
        return 0
    return int(text)


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"is a time such as 2030-05-01T10:00, not {text!r}") from None


def _several(
    text: str | None,
    default: tuple[str, ...],
    name: str,
    parse: specs.Parse,
    errors: list[FieldError],
) -> list[specs.Document]:
    parts = [part.strip() for part in text.split("|")] if text else list(default)
    found = [parsed(errors, name, parse, part) for part in parts]
    return [document for document in found if document is not None]
