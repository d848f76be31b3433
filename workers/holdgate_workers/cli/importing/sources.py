"""From rows to requests: what the file says, what the options say where it is silent, and what is wrong then."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

from holdgate_schema.commands.holds import PutOccurrence
from holdgate_schema.errors import FieldError
from holdgate_workers.cli.occurrences import specs
from holdgate_workers.cli.occurrences.definition import Checker, InvalidDefinition
from holdgate_workers.cli.occurrences.specs import Document
from holdgate_workers.domain.occurrences.wall_time import zone_exists

from .reading.rows import Finding, Length, Reading, Row
from .reading.titles import products_of

ZoneOfProduct = Callable[[str], str | None]
"""The zone of a product that is stored, None if there is none."""


class Request(NamedTuple):
    """One request, and the line that it comes from."""

    line: int
    command: PutOccurrence


@dataclass(slots=True, frozen=True)
class Defaults:
    """What the options say for rows that do not say it themselves."""

    product_id: str | None = None
    timezone: str | None = None
    capacity: int | None = None
    duration_minutes: int | None = None
    tickets: tuple[str, ...] = ()

    @property
    def length(self) -> Length | None:
        """The length that the options give."""
        return None if self.duration_minutes is None else Length(exact=timedelta(minutes=self.duration_minutes))


@dataclass(slots=True)
class Checked:
    """A file that was read to its end."""

    requests: list[Request] = field(default_factory=list)
    problems: list[Finding] = field(default_factory=list)
    notices: list[Finding] = field(default_factory=list)


def checked(reading: Reading, defaults: Defaults, zone_of_product: ZoneOfProduct = lambda _: None) -> Checked:
    """Every row checked as the gate will check it. With any problem nothing may be sent."""
    result = Checked(problems=reading.errors, notices=reading.notices)
    untitled = [row for row in reading.rows if row.product_id is None and defaults.product_id is None]
    products, findings = products_of(row for row in untitled if row.title is not None)
    result.problems += findings
    broken = {finding.line for finding in findings}
    checker = Checker()
    for row in reading.rows:
        if row.line in broken:
            continue
        product = row.product_id or defaults.product_id or products.get(row.title or "") or ""
        try:
            document = completed(row, product, defaults, zone_of_product)
            result.requests.append(Request(row.line, checker.command(document)))
        except InvalidDefinition as exc:
            result.problems += [Finding(row.line, error.field, error.reason) for error in exc.errors]
    result.problems.sort(key=lambda problem: problem.line)
    return result


def completed(row: Row, product: str, defaults: Defaults, zone_of_product: ZoneOfProduct) -> Document:
    """The row as an `occurrence.put` says it: the file first, then the options. Raises `InvalidDefinition`."""
    errors: list[FieldError] = []
    tickets = row.ticket_types or _tickets(defaults.tickets, errors)
    capacity = row.capacity if row.capacity is not None else defaults.capacity
    if row.occurrence_id is None:
        errors.append(FieldError("occurrence_id", "is missing"))
    if not product:
        errors.append(FieldError("product_id", "is missing; give it in the file, a SUMMARY, or --product"))
    if capacity is None:
        errors.append(FieldError("capacity", "is missing; give it in the file, or --capacity"))
    if not tickets and not errors_about(errors, "tickets"):
        errors.append(FieldError("tickets", "are missing; give them in the file, or --ticket"))
    zone = row.timezone or defaults.timezone or (zone_of_product(product) if product else None) or ""
    times = _times(row, zone, defaults, errors)
    if errors:
        raise InvalidDefinition(errors)
    return {
        "occurrence_id": row.occurrence_id,
        "product_id": product,
        "timezone": zone,
        "capacity": capacity,
        "ticket_types": list(tickets),
        **times,
        **where_said(row),
    }


def errors_about(errors: Iterable[FieldError], name: str) -> bool:
    """Whether one of them is about this field."""
    return any(error.field == name for error in errors)


def _times(row: Row, zone: str, defaults: Defaults, errors: list[FieldError]) -> Document:
    if row.starts_at is None:
        errors.append(FieldError("starts_at", "is missing"))
    if row.ends_at is None and row.length is None and defaults.length is None:
        errors.append(
            FieldError("ends_at", "is not said: the file gives neither end nor duration; give --duration")
        )
    if not zone:
        why = (
            "its times are in UTC, which is no place"
            if row.starts_at and row.starts_at.tzinfo
            else "no zone is said"
        )
        errors.append(
            FieldError("timezone", f"is missing: {why}; give --timezone, such as --timezone Europe/Rome")
        )
    elif not zone_exists(zone):
        errors.append(FieldError("timezone", f"is not a known IANA zone: {zone!r}"))
    if row.starts_at is None or not zone or errors_about(errors, "timezone"):
        return {}
    try:
        times = row.times(zone, defaults.length)
    except (OverflowError, ValueError) as exc:
        errors.append(FieldError("starts_at", f"cannot be used: {exc}"))
        return {}
    return {"starts_at": times.starts_at, "ends_at": times.ends_at}


def _tickets(texts: Sequence[str], errors: list[FieldError]) -> tuple[Document, ...]:
    found = []
    for text in texts:
        try:
            found.append(specs.ticket(text))
        except specs.InvalidSpec as exc:
            errors.append(FieldError("tickets", str(exc)))
    return tuple(found)


def where_said(row: Row) -> Document:
    """What may be left out, where the file says it. A cancelled date is off sale at least."""
    said = {
        "pools": list(row.pools) if row.pools is not None else None,
        "extras": list(row.extras) if row.extras is not None else None,
        "overbooking_percent": row.overbooking_percent,
        "buffer": row.buffer,
        "cutoff_minutes": row.cutoff_minutes,
        "sales_open": row.sales_open,
        "sales_close": row.sales_close,
        "status": "closed" if row.status == "cancelled" else row.status,
        "alerts": row.alerts,
    }
    return {name: value for name, value in said.items() if value is not None}
