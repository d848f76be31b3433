"""Occurrences from an iCalendar file: one per VEVENT."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from hashlib import blake2b
from typing import Any

from icalendar import Calendar

from holdgate_schema.errors import FieldError
from holdgate_schema.ids import VISIBLE_PATTERN
from holdgate_workers.domain.calendar import instant_of, zone_exists

from . import specs
from .definition import InvalidDefinition, parsed, with_times
from .sources import Defaults, Entry, UnreadableFile

ID_CHARS_MAX = 64
DIGEST_BYTES = 6
PRODUCT, CAPACITY, ZONE = "X-HOLDGATE-PRODUCT", "X-HOLDGATE-CAPACITY", "X-WR-TIMEZONE"
TICKET, POOL, ALERTS = "X-HOLDGATE-TICKET", "X-HOLDGATE-POOL", "X-HOLDGATE-ALERTS"

_VISIBLE = re.compile(VISIBLE_PATTERN)
_UNFIT = re.compile(r"[\s\x00-\x1f\x7f-\x9f\ufffe\uffff]+")
_ESCAPED = re.compile(r"\\([\\;,nN])")
_BEGIN = re.compile(r"^BEGIN:VEVENT\s*$", re.IGNORECASE)
_NOT_A_SLUG = re.compile(r"[^a-z0-9]+")
_REPEATING = ("RRULE", "RDATE", "EXRULE")


def read(text: str, defaults: Defaults) -> Iterator[Entry]:
    """The events. Raises `UnreadableFile` where it is no calendar."""
    try:
        calendar = Calendar.from_ical(text)
    except (ValueError, IndexError, KeyError) as exc:
        raise UnreadableFile(1, f"is not an iCalendar file: {exc}") from exc
    lines = [number for number, line in enumerate(text.splitlines(), 1) if _BEGIN.match(line)]
    events = list(calendar.walk("VEVENT"))
    if not events:
        raise UnreadableFile(1, "has no events (VEVENT)")
    if len(lines) != len(events):
        raise UnreadableFile(lines[-1] if lines else 1, "has an event that does not end (END:VEVENT)")
    zone = defaults.timezone or _text(calendar, ZONE)
    for line, event in zip(lines, events, strict=True):
        yield _entry(line, event, zone, defaults)


def occurrence_id(uid: str) -> str:
    """The UID if it can be an occurrence id, else as much of it as fits and a digest of all of it."""
    if len(uid) <= ID_CHARS_MAX and _VISIBLE.match(uid):
        return uid
    digest = blake2b(uid.encode(), digest_size=DIGEST_BYTES).hexdigest()
    return f"{_UNFIT.sub('-', uid)[: ID_CHARS_MAX - len(digest) - 1]}-{digest}"


def _entry(line: int, event: Any, zone: str | None, defaults: Defaults) -> Entry:
    errors = [FieldError(name, f"cannot be read: {reason}") for name, reason in event.errors]
    errors += [
        FieldError(name, "is not supported: export the single dates") for name in _REPEATING if event.get(name)
    ]
    if errors:
        return Entry(line, {}, errors)
    document: specs.Document = {
        "occurrence_id": occurrence_id(_uid(event)) if event.get("UID") else "",
        "product_id": _text(event, PRODUCT) or defaults.product_id or _slug(_text(event, "SUMMARY")),
        "capacity": _capacity(event, defaults, errors),
        "ticket_types": _tickets(event, defaults, errors),
        "pools": _specs(event, POOL, specs.pool, errors),
        "alerts": parsed(errors, ALERTS, specs.alerts, _text(event, ALERTS)),
        "status": "closed" if (_text(event, "STATUS") or "").upper() == "CANCELLED" else "active",
    }
    for field, what in (
        ("occurrence_id", "UID is missing"),
        ("product_id", f"give {PRODUCT}, --product or a SUMMARY"),
    ):
        if not document[field]:
            errors.append(FieldError(field, what))
    starts = _time(event, "DTSTART", errors)
    ends = _time(event, "DTEND", errors) if event.get("DTEND") else _end(event, starts, defaults)
    document["timezone"] = _zone(event, zone, errors)
    if errors:
        return Entry(line, document, errors)
    try:
        return Entry(line, with_times(document, starts=starts, ends=ends, minutes=None))
    except InvalidDefinition as exc:
        return Entry(line, document, exc.errors)


def _uid(event: Any) -> str:
    """A changed date of a series has the series' UID; its own date tells it apart."""
    uid = str(event["UID"])
    again = event.get("RECURRENCE-ID")
    return uid if again is None else f"{uid}/{again.to_ical().decode()}"


def _text(component: Any, name: str) -> str | None:
    value = component.get(name)
    if isinstance(value, list):
        value = value[0]
    return None if value is None else _unescaped(str(value)).strip() or None


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda match: " " if match[1] in "nN" else match[1], text)


def _slug(text: str | None) -> str:
    return _NOT_A_SLUG.sub("-", (text or "").lower()).strip("-")[:ID_CHARS_MAX]


def _capacity(event: Any, defaults: Defaults, errors: list[FieldError]) -> int | None:
    text = _text(event, CAPACITY)
    if text is None:
        if defaults.capacity is None:
            errors.append(FieldError("capacity", f"give {CAPACITY} or --capacity"))
        return defaults.capacity
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        errors.append(FieldError(CAPACITY, f"is a whole number, not {text!r}"))
        return None
    return int(text)


def _tickets(event: Any, defaults: Defaults, errors: list[FieldError]) -> list[specs.Document]:
    if not event.get(TICKET) and not defaults.tickets:
        errors.append(FieldError("ticket_types", f"give {TICKET} or --ticket"))
    return _specs(event, TICKET, specs.ticket, errors, defaults.tickets)


def _specs(
    event: Any, name: str, parse: specs.Parse, errors: list[FieldError], default: Sequence[str] = ()
) -> list[specs.Document]:
    """What a property says that may come several times."""
    own = event.get(name)
    texts = [_unescaped(str(value)) for value in (own if isinstance(own, list) else [own])] if own else []
    found = [parsed(errors, name, parse, text) for text in texts or default]
    return [document for document in found if document is not None]


def _time(event: Any, name: str, errors: list[FieldError]) -> datetime | None:
    """A date without a time is its midnight."""
    value = getattr(event.get(name), "dt", None)
    if isinstance(value, datetime):
        zone = _zone_name(event, name)
        if zone is None:
            return value
        if zone_exists(zone):
            # Not as the library reads it: gaps and repeated hours are to be treated as everywhere else.
            return instant_of(value.replace(tzinfo=None), zone)
        errors.append(FieldError(name, f"names a zone that is not known: {zone!r}"))
        return None
    if isinstance(value, date):
        return datetime.combine(value, time())
    errors.append(FieldError(name, "is missing"))
    return None


def _end(event: Any, starts: datetime | None, defaults: Defaults) -> datetime | None:
    """The end by DURATION, by `--duration`, or after one day for a date without a time."""
    if starts is None:
        return None
    length = getattr(event.get("DURATION"), "dt", None)
    if isinstance(length, timedelta):
        return starts + length
    if not isinstance(event["DTSTART"].dt, datetime):
        return starts + timedelta(days=1)
    return None if defaults.duration_minutes is None else starts + timedelta(minutes=defaults.duration_minutes)


def _zone_name(event: Any, name: str) -> str | None:
    """The IANA name of the zone that TZID means: itself, or the one that a Windows name stands for."""
    prop = event.get(name)
    said = getattr(prop, "params", {}).get("TZID") if prop is not None else None
    if said is None:
        return None
    return getattr(getattr(prop.dt, "tzinfo", None), "key", None) or str(said)


def _zone(event: Any, default: str | None, errors: list[FieldError]) -> str:
    """The zone of the start; a start in UTC or without a zone takes the default."""
    name = _zone_name(event, "DTSTART")
    if name is not None:
        return name
    value = getattr(event.get("DTSTART"), "dt", None)
    if default is None and isinstance(value, datetime) and value.tzinfo is not None:
        return "UTC"
    if default is None:
        errors.append(FieldError("timezone", f"give a TZID, {ZONE} or --timezone"))
    return default or ""
