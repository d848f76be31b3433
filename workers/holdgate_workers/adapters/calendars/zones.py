"""VTIMEZONE components (RFC 5545, 3.6.5), exact for a span of time.

icalendar can make them as well (7.3.0 looked at), but puts the onset of daylight time an hour late and overlooks
observances of a few weeks, such as Morocco's in Ramadan.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from icalendar import Timezone, TimezoneDaylight, TimezoneStandard

STEP = timedelta(days=1)
"""No zone has changed its offset twice within a day."""


def vtimezone(zone: str, first: datetime, last: datetime) -> Timezone:
    """The zone between two instants: one observance for the beginning and one for each change of the clock."""
    tz = ZoneInfo(zone)
    component = Timezone()
    component.add("TZID", zone)
    start = first.astimezone(UTC).replace(microsecond=0)
    component.add_component(_observance(tz, start, start))
    for onset in _onsets(tz, start, last):
        component.add_component(_observance(tz, onset - timedelta(seconds=1), onset))
    return component


def _observance(tz: ZoneInfo, before: datetime, onset: datetime) -> TimezoneStandard | TimezoneDaylight:
    """What holds from the onset on. Its start is the time that a clock showed which was not yet changed."""
    offset_from, local = _offset(tz, before), onset.astimezone(tz)
    observance = TimezoneDaylight() if local.dst() else TimezoneStandard()
    observance.add("DTSTART", (onset + offset_from).replace(tzinfo=None))
    observance.add("TZOFFSETFROM", offset_from)
    observance.add("TZOFFSETTO", _offset(tz, onset))
    observance.add("TZNAME", local.tzname() or str(tz))
    return observance


def _onsets(tz: ZoneInfo, first: datetime, last: datetime) -> Iterator[datetime]:
    """The instants after the first at which the offset changes."""
    at = first
    while at < last:
        after = at + STEP
        if _offset(tz, at) != _offset(tz, after):
            yield _change_between(tz, at, after)
        at = after


def _change_between(tz: ZoneInfo, before: datetime, after: datetime) -> datetime:
    new = _offset(tz, after)
    while after - before > timedelta(seconds=1):
        middle = (before + (after - before) / 2).replace(microsecond=0)
        if _offset(tz, middle) == new:
            after = middle
        else:
            before = middle
    return after


def _offset(tz: ZoneInfo, instant: datetime) -> timedelta:
    offset = instant.astimezone(tz).utcoffset()
    assert offset is not None
    return offset
