"""What a file wants of each date. What it does not say is as it is stored; the options speak for new dates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from holdgate_schema.errors import FieldError
from holdgate_workers.cli.occurrences.definition import Checker, InvalidDefinition
from holdgate_workers.cli.occurrences.specs import Document
from holdgate_workers.domain.occurrences.wall_time import zone_exists
from holdgate_workers.domain.schedule.dates import StoredDate, WantedDate
from holdgate_workers.domain.schedule.steps import put_as_stored

from .reading.rows import Finding, Length, Reading, Row
from .reading.titles import products_of
from .sources import Defaults, completed, where_said

if TYPE_CHECKING:
    from holdgate_workers.adapters.postgres.reports.schedule import ScheduleBook, StoredSchedule

MARGIN = timedelta(days=2)
"""Wall times are compared with instants: more than the farthest zone."""


@dataclass(slots=True)
class Merged:
    """What the file wants, the stored dates it is to be compared with, and what is wrong with the file."""

    stored: StoredSchedule
    wanted: list[WantedDate] = field(default_factory=list)
    problems: list[Finding] = field(default_factory=list)


def merged(reading: Reading, defaults: Defaults, book: ScheduleBook, calendar_domain: str) -> Merged:
    """Every row with what is stored of it. With any problem nothing may be sent."""
    titles, _ = products_of(row for row in reading.rows if row.title is not None and row.product_id is None)
    named = {row.product_id for row in reading.rows} | {defaults.product_id} | set(titles.values())
    ids = [key for row in reading.rows for key in _possible_ids(row, calendar_domain)]
    stored = book.read(ids, (name for name in named if name), _first_start(reading.rows))
    result = Merged(stored, problems=list(reading.errors))
    rows = [_known_again(row, stored.dates, calendar_domain) for row in reading.rows]
    untitled = [row for row in rows if _has_no_product(row, stored.dates) and defaults.product_id is None]
    products, findings = products_of(row for row in untitled if row.title is not None)
    result.problems += findings
    broken = {finding.line for finding in findings}
    checker = Checker()
    for row in rows:
        if row.line in broken:
            continue
        product = row.product_id or defaults.product_id
        before = stored.dates.get(row.occurrence_id or "")
        if before is None:
            product = product or products.get(row.title or "")
        try:
            result.wanted.append(_wanted(row, product, before, defaults, stored, checker))
        except InvalidDefinition as exc:
            result.problems += [Finding(row.line, error.field, error.reason) for error in exc.errors]
    result.problems.sort(key=lambda problem: problem.line)
    return result


def _possible_ids(row: Row, calendar_domain: str) -> Iterable[str]:
    if row.occurrence_id is not None:
        yield row.occurrence_id
        own = row.occurrence_id.removesuffix(f"@{calendar_domain}")
        if own and own != row.occurrence_id:
            yield own


def _known_again(row: Row, stored: Mapping[str, StoredDate], calendar_domain: str) -> Row:
    """The row with the id that its date has here: in our own feeds the house's name is part of the UID."""
    known = [key for key in _possible_ids(row, calendar_domain) if key in stored]
    return replace(row, occurrence_id=known[0]) if known else row


def _has_no_product(row: Row, stored: Mapping[str, StoredDate]) -> bool:
    return row.product_id is None and row.occurrence_id not in stored


def _first_start(rows: Sequence[Row]) -> datetime | None:
    starts = [row.starts_at for row in rows if row.starts_at is not None]
    instants = [time if time.tzinfo is not None else time.replace(tzinfo=UTC) for time in starts]
    try:
        return min(instants).astimezone(UTC) - MARGIN if instants else None
    except OverflowError:
        return None


def _wanted(
    row: Row,
    product: str | None,
    before: StoredDate | None,
    defaults: Defaults,
    stored: StoredSchedule,
    checker: Checker,
) -> WantedDate:
    """Raises `InvalidDefinition`."""
    line, key = row.line, row.occurrence_id
    if row.status == "cancelled" and key is not None:
        _once(key, checker)
        return WantedDate(line=line, occurrence_id=key, product_id=product, is_cancelled=True)
    if before is None:
        document = completed(row, product or "", defaults, lambda name: zone_of(name, stored))
    elif product not in (None, before.definition.product_id):
        # It is stored as a date of another product, so that nothing of it is changed, whatever the row says besides.
        _once(before.occurrence_id, checker)
        return WantedDate(
            line=line, occurrence_id=before.occurrence_id, product_id=product, put=put_as_stored(before)
        )
    else:
        document = _overlaid(row, before, defaults)
    if before is not None and before.is_final:
        # What is over or off needs no start of its own.
        _once(before.occurrence_id, checker)
        put = Checker().command(document)
    else:
        put = checker.command(document)
    return WantedDate(line=line, occurrence_id=put.occurrence_id, product_id=product, put=put)


def _once(key: str, checker: Checker) -> None:
    if key in checker.ids:
        raise InvalidDefinition([FieldError("occurrence_id", f"{key!r} comes twice")])
    checker.ids.add(key)


def zone_of(product: str, stored: StoredSchedule) -> str | None:
    """The zone of the product's definition; without one that of its stored dates, if they all have the same."""
    if product in stored.zones:
        return stored.zones[product]
    zones = {date.definition.timezone for date in stored.dates.values() if date.definition.product_id == product}
    return zones.pop() if len(zones) == 1 else None


def _overlaid(row: Row, before: StoredDate, defaults: Defaults) -> Document:
    """What is stored, with what the file says over it. Raises `InvalidDefinition`."""
    document: dict[str, Any] = msgspec.to_builtins(put_as_stored(before), builtin_types=(datetime,))
    for name in ("type", "request_id"):
        document.pop(name, None)
    said = where_said(row)
    if row.capacity is not None:
        said["capacity"] = row.capacity
    if row.ticket_types is not None:
        said["ticket_types"] = list(row.ticket_types)
    for name in ("ticket_types", "pools", "extras"):
        if name in said:
            said[name] = _each_overlaid(document.get(name) or [], said[name])
    if "alerts" in said:
        said["alerts"] = (document.get("alerts") or {}) | said["alerts"]
    if said.keys() & {"cutoff_minutes", "sales_close"}:
        # Stored is when sales close and not why: whichever the file says takes the place of both.
        document |= {"cutoff_minutes": 0, "sales_close": None}
    return document | said | _times(row, before, defaults)


def _each_overlaid(stored: Sequence[Document], said: Sequence[Document]) -> list[Document]:
    """The things that the file names, each with what is stored of it where the file does not say."""
    known = {item["key"]: item for item in stored}
    return [known.get(item["key"], {}) | item for item in said]


def _times(row: Row, before: StoredDate, defaults: Defaults) -> Document:
    definition = before.definition
    if row.starts_at is not None and row.starts_at.tzinfo is not None:
        zone = row.timezone or definition.timezone
    else:
        zone = row.timezone or defaults.timezone or definition.timezone
    if not zone_exists(zone):
        raise InvalidDefinition([FieldError("timezone", f"is not a known IANA zone: {zone!r}")])
    if row.starts_at is None:
        raise InvalidDefinition([FieldError("starts_at", "is missing")])
    try:
        times = row.times(zone, Length(exact=definition.ends_at - definition.starts_at))
    except (OverflowError, ValueError) as exc:
        raise InvalidDefinition([FieldError("starts_at", f"cannot be used: {exc}")]) from exc
    return {"timezone": zone, "starts_at": times.starts_at, "ends_at": times.ends_at}
