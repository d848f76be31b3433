"""Wall times to instants, in the occurrence's own zone."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def zone_exists(name: str) -> bool:
    """Whether the IANA zone is known."""
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
    low = after.timestamp() - 86_400
    high = after.timestamp()
    new = datetime.fromtimestamp(high, tz).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, tz).utcoffset() == new:
            high = middle
        else:
            low = middle
    return datetime.fromtimestamp(high, UTC)
