"""What invitations and feeds have in common: the calendar around the events, and a slot as an event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from icalendar import Calendar, Event

from holdgate_workers.app.notifications.facts import Slot

from .zones import vtimezone

PRODUCT_ID = "-//Holdgate//Holdgate//EN"
MARGIN = timedelta(days=1)


def calendar(method: str, spans: Mapping[str, tuple[datetime, datetime]]) -> Calendar:
    """An empty calendar that knows these time zones, each from an instant to another one."""
    component = Calendar()
    component.add("PRODID", PRODUCT_ID)
    component.add("VERSION", "2.0")
    component.add("CALSCALE", "GREGORIAN")
    component.add("METHOD", method)
    for zone, (first, last) in sorted(spans.items()):
        if zone != "UTC":
            component.add_component(vtimezone(zone, first - MARGIN, last + MARGIN))
    return component


def span_of(slot: Slot) -> dict[str, tuple[datetime, datetime]]:
    """The zone that one slot needs, if any."""
    if _has_local_form(slot.local_start) or _has_local_form(slot.local_end):
        return {slot.timezone: (slot.starts_at, slot.ends_at)}
    return {}


def event(uid: str, slot: Slot, *, sequence: int, stamp: datetime, is_cancelled: bool) -> Event:
    """The slot as an event, at its own local time."""
    component = Event()
    component.add("UID", uid)
    component.add("SEQUENCE", sequence)
    component.add("DTSTAMP", stamp.astimezone(UTC).replace(microsecond=0))
    component.add("SUMMARY", slot.title)
    component.add("DTSTART", _wall(slot.local_start))
    component.add("DTEND", _wall(slot.local_end))
    component.add("STATUS", "CANCELLED" if is_cancelled else "CONFIRMED")
    component.add("TRANSP", "TRANSPARENT" if is_cancelled else "OPAQUE")
    if slot.place:
        component.add("LOCATION", slot.place)
    return component


def written(component: Calendar, events: Iterable[Event]) -> bytes:
    """The calendar with its events, as it goes over the wire."""
    for item in events:
        component.add_component(item)
    content: bytes = component.to_ical()
    return content


def _wall(local: datetime) -> datetime:
    """The local time, or UTC where a local time would not say which instant is meant."""
    return local if _has_local_form(local) else local.astimezone(UTC)


def _has_local_form(local: datetime) -> bool:
    """A time that the clock shows twice means the first to calendars; the second has no form but UTC."""
    return local.fold == 0 and str(local.tzinfo) != "UTC"
