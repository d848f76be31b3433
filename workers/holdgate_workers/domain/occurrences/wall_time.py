"""Wall times to instants, in the occurrence's own zone."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_LOCAL_NAMES = ("localtime", "posixrules")
_LOCAL_TREES = ("posix/", "right/")
"""Files that a machine may have beside the zones: they differ from machine to machine or count leap seconds."""


def zone_exists(name: str) -> bool:
    """Whether the IANA zone is known."""
    if name in _LOCAL_NAMES or name.startswith(_LOCAL_TREES):
        return False
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def instant_of(wall: datetime, zone: str) -> datetime:
    """The instant that a wall time names.

    A time that the clock shows twice means the first; a time that it skips means the instant just after the
    gap, the one at which a clock on the wall would first show something later.
    """
    aware = wall.replace(tzinfo=ZoneInfo(zone), fold=0)
    instant = aware.astimezone(UTC)
    if instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == wall:
        return instant
    return _end_of_gap(instant, zone)


def _end_of_gap(after: datetime, zone: str) -> datetime:
    """The transition itself: the last instant before which the zone's offset was the old one."""
    tz = ZoneInfo(zone)
    high = int(after.timestamp() // 1)
    low = high - 86_400
    new = datetime.fromtimestamp(high, tz).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, tz).utcoffset() == new:
            high = middle
        else:
            low = middle
    return datetime.fromtimestamp(high, UTC)
