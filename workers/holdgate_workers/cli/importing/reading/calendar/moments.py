"""Times of an iCalendar file: what a clock shows, and where that clock hangs."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo

from holdgate_workers.cli.importing.reading.rows import Length
from holdgate_workers.domain.occurrences.wall_time import instant_of

_TIME = re.compile(
    r"(?P<year>\d{4})-?(?P<month>\d{2})-?(?P<day>\d{2})"
    r"(?:[Tt ](?P<hour>\d{2}):?(?P<minute>\d{2})(?::?(?P<second>\d{2})(?:\.\d+)?)?(?P<utc>[Zz])?|[Zz])?"
)
_LENGTH = re.compile(
    r"(?P<sign>[+-]?)P(?:(?P<weeks>\d{1,4})W)?(?:(?P<days>\d{1,5})D)?"
    r"(?:T(?:(?P<hours>\d{1,6})H)?(?:(?P<minutes>\d{1,7})M)?(?:(?P<seconds>\d{1,9})S)?)?",
    re.IGNORECASE,
)


class Place(NamedTuple):
    """Where a clock hangs: in a zone, at an offset or by rules that have no IANA name, or nowhere (floating)."""

    zone: str | None = None
    rules: tzinfo | None = None

    @property
    def is_floating(self) -> bool:
        """Whether the file does not say."""
        return self.zone is None and self.rules is None


FLOATING = Place()
AT_UTC = Place(rules=UTC)


class Moment(NamedTuple):
    """What a clock shows at a place. `is_date`: only the day was said."""

    wall: datetime
    place: Place = FLOATING
    is_date: bool = False

    @property
    def time(self) -> datetime:
        """The instant; or the wall time, where the place is not known. Raises `ValueError`, `OverflowError`."""
        if self.place.zone is not None:
            return instant_of(self.wall, self.place.zone)
        if self.place.rules is not None:
            try:
                return self.wall.replace(tzinfo=self.place.rules).astimezone(UTC)
            except (TypeError, LookupError, AttributeError) as exc:
                raise ValueError(
                    "has a zone whose VTIMEZONE cannot be followed; --zone-map says which it is"
                ) from exc
        return self.wall

    def wall_at(self, place: Place) -> datetime:
        """What a clock at the other place shows then; the same, where one of the places is not known."""
        if self.is_date or self.place == place or self.place.is_floating or place.is_floating:
            return self.wall
        there = ZoneInfo(place.zone) if place.zone is not None else place.rules
        return self.time.astimezone(there).replace(tzinfo=None)

    @property
    def digits(self) -> str:
        """As a file would write it, `Z` in UTC."""
        if self.is_date:
            return f"{self.wall:%Y%m%d}"
        return f"{self.wall:%Y%m%dT%H%M%S}" + ("Z" if self.place.rules is UTC else "")


def moment(text: str, place: Place) -> Moment:
    """The time as it is written; with `Z` it is one of UTC and the place is where else it belongs.

    The 60th second of a minute is its 59th (RFC 5545, 3.3.12), 24:00 the next day. Raises `ValueError`.
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"is a time such as 20300501T100000, not {text.strip()[:40]!r}")
    try:
        day = datetime(int(match["year"]), int(match["month"]), int(match["day"]))  # noqa: DTZ001
    except ValueError as exc:
        raise ValueError(f"is not a date that exists: {text.strip()[:40]!r} ({exc})") from None
    if match["hour"] is None:
        return Moment(day, place, is_date=True)
    hours, minutes, seconds = int(match["hour"]), int(match["minute"]), int(match["second"] or 0)
    if hours > 24 or minutes > 59 or seconds > 60 or (hours == 24 and (minutes or seconds)):
        raise ValueError(f"is not a time that exists: {text.strip()[:40]!r}")
    try:
        wall = day + timedelta(hours=hours, minutes=minutes, seconds=min(seconds, 59))
    except OverflowError:
        raise ValueError(f"is beyond the last year: {text.strip()[:40]!r}") from None
    if match["utc"] is None:
        return Moment(wall, place)
    if place.zone is None:
        return Moment(wall, AT_UTC)
    local = wall.replace(tzinfo=UTC).astimezone(ZoneInfo(place.zone)).replace(tzinfo=None)
    return Moment(local, place)


def length(text: str) -> Length:
    """Weeks and days are days of the calendar, the rest is exact (RFC 5545, 3.3.6). Raises `ValueError`."""
    match = _LENGTH.fullmatch(text.strip())
    parts = match.groupdict(default="0") if match else {}
    if match is None or not any(match[name] for name in ("weeks", "days", "hours", "minutes", "seconds")):
        raise ValueError(f"is a duration such as PT90M or P1D, not {text.strip()[:40]!r}")
    if match["sign"] == "-":
        raise ValueError(f"is before its start: {text.strip()[:40]!r}")
    exact = timedelta(hours=int(parts["hours"]), minutes=int(parts["minutes"]), seconds=int(parts["seconds"]))
    return Length(int(parts["weeks"]) * 7 + int(parts["days"]), exact)
