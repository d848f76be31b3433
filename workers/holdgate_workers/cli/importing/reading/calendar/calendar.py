"""Dates from an iCalendar file: one row for each event, and for each date of a series."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from holdgate_workers.cli.importing.reading.rows import Length, Reading, Row, UnreadableFile, Window

from .calendar_zones import CalendarZones
from .content_lines import Component, tree
from .event import Event, made_up_id, occurrence_id
from .moments import Moment
from .repeating import dates_of
from .zones import ZoneNames

_ANSWERS = ("REPLY", "COUNTER", "DECLINECOUNTER", "REFRESH")
_OTHERS = ("VTODO", "VJOURNAL", "VFREEBUSY")


def read(text: str, reading: Reading, names: ZoneNames, window: Window, now: datetime) -> None:
    """Add the rows. Raises `UnreadableFile` where it is no calendar or has no events.

    `now` is when series without an end begin to count, if the window does not say.
    """
    found = tree(text)
    calendars = list(found.root.walk("VCALENDAR"))
    outside = [item for item in found.root.inside if item.name in ("VEVENT", "VTIMEZONE")]
    if any(item.name == "VEVENT" for item in outside):
        reading.notice(
            outside[0].line, "VEVENT", "stands outside of BEGIN:VCALENDAR and END:VCALENDAR; it was read"
        )
        calendars.append(Component("VCALENDAR", 1, inside=outside))
    if not calendars:
        raise UnreadableFile(
            1, "is not an iCalendar file: it has no BEGIN:VCALENDAR", "export it again as iCalendar (.ics)"
        )
    events = [event for calendar in calendars for event in _events(calendar, reading, names)]
    if not events and not reading.errors:
        raise UnreadableFile(1, "has no events (VEVENT)" + _other_than_events(found.root), "export the events")
    for group in _by_uid(events):
        for row in _rows(group, reading, window, now):
            reading.rows.append(row)


def _events(calendar: Component, reading: Reading, names: ZoneNames) -> Iterator[Event]:
    method = (calendar.text("METHOD") or "").upper()
    if method in _ANSWERS:
        line = next(prop.line for prop in calendar.properties if prop.name == "METHOD")
        reading.error(
            line, "METHOD", f"{method} is an answer to an invitation and no calendar", "export the calendar itself"
        )
        return
    zones = CalendarZones(calendar, names, reading)
    for component in calendar.walk("VEVENT"):
        event = Event(component, zones, reading, is_cancelled_as_a_whole=method == "CANCEL")
        if not component.is_ended and not component.get("DTSTART"):
            event.error("VEVENT", "is cut off: it has neither its END nor a start", "export the file again")
            continue
        if not component.is_ended:
            event.notice("VEVENT", "has no END:VEVENT; what stands before the next BEGIN was read")
        yield event.read()
    others = _other_than_events(calendar)
    if others:
        reading.notice(calendar.line, "file", f"only events are read{others}")


def _other_than_events(component: Component) -> str:
    counted = [(name, sum(1 for _ in component.walk(name))) for name in _OTHERS]
    text = ", ".join(f"{number} {name}" for name, number in counted if number)
    return f"; left out: {text}" if text else ""


def _by_uid(events: Sequence[Event]) -> list[list[Event]]:
    """Events that are the same one or dates of the same series."""
    groups: dict[object, list[Event]] = {}
    for event in events:
        groups.setdefault(event.uid or id(event), []).append(event)
    return list(groups.values())


def _rows(group: list[Event], reading: Reading, window: Window, now: datetime) -> Iterator[Row]:
    if any(event.is_broken for event in group):
        return
    wholes = _last_states([event for event in group if event.again is None])
    changed = _last_states([event for event in group if event.again is not None])
    if len(wholes) > 1 or any(event.is_broken for event in group):
        return
    whole = wholes[0] if wholes else None
    if whole is not None and not whole.repeats and not changed:
        yield _row(whole, whole.starts, None)
        return
    for event, starts, series_date, length in dates_of(whole, changed, reading, window, now):
        yield _row(event, starts, series_date, length)


def _last_states(events: list[Event]) -> list[Event]:
    """Of several states of one event the last. Two that differ and do not say which is the last are an error."""
    last: dict[object, Event] = {}
    for event in events:
        key = event.again.digits if event.again is not None else None
        before = last.setdefault(key, event)
        if before is event:
            continue
        if before.said == event.said:
            event.notice("UID", f"is the same event as on line {before.line}; it is taken once")
        elif before.sequence != event.sequence:
            older, newer = sorted((before, event), key=lambda item: item.sequence)
            newer.notice("SEQUENCE", f"is a later state of the event on line {older.line}, which is left out")
            last[key] = newer
        else:
            event.error(
                "UID", f"comes twice: the event on line {before.line} has it, too", "give each event its own UID"
            )
    return list(last.values())


def _row(
    event: Event, starts: Moment | None, series_date: Moment | None, length: Length | Moment | None = None
) -> Row:
    """The row of an event, or of one date of it."""
    assert starts is not None
    ends: Moment | None = event.ends if length is None else None
    lasts = event.length if length is None else length
    if isinstance(lasts, Moment):
        ends, lasts = lasts, None
    uid = event.uid
    again = None if series_date is None else series_date.digits
    if again is None and event.own.get("OCCURRENCE"):
        identity = event.own["OCCURRENCE"]
    elif uid is None:
        event.notice("VEVENT", "has no UID; its id is made of title and start, so that a moved one is another one")
        identity = made_up_id(event.title, starts.wall)
    else:
        identity = occurrence_id(uid if again is None else f"{uid}/{again}")
    return Row(
        line=event.line,
        occurrence_id=identity,
        uid=uid,
        recurrence_id=again,
        title=event.title,
        starts_at=starts.time,
        ends_at=None if ends is None else ends.time,
        length=lasts,
        timezone=starts.place.zone or event.zones.of_calendar,
        **_own(event),
    )


def _own(event: Event) -> dict[str, Any]:
    own = event.own
    return {
        "product_id": own.get("PRODUCT"),
        "capacity": own.get("CAPACITY"),
        "ticket_types": own.get("TICKET"),
        "pools": own.get("POOL"),
        "extras": own.get("EXTRA"),
        "overbooking_percent": own.get("OVERBOOKING-PERCENT"),
        "buffer": own.get("BUFFER"),
        "cutoff_minutes": own.get("CUTOFF-MINUTES"),
        "sales_open": own.get("SALES-OPEN"),
        "sales_close": own.get("SALES-CLOSE"),
        "status": "cancelled" if event.status == "cancelled" else own.get("STATUS") or event.status,
        "alerts": own.get("ALERTS"),
    }
