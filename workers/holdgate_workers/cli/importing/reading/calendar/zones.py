"""What programs call a time zone, to the name that the IANA database has for it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

from holdgate_workers.domain.occurrences.wall_time import zone_exists

_OFFSET = re.compile(
    r"\(?\s*(?:UTC|GMT|Z)?\s*(?P<sign>[+\-−–])\s*(?P<hours>\d{1,2})(?:[:.]?(?P<minutes>\d{2}))?\s*\)?"
)
_WITH_PLACES = re.compile(
    r"\(?(?:UTC|GMT)\s*(?P<offset>[+\-−–]\s*\d{1,2}[:.]?\d{2})?\)?\s*[-/:]?\s*(?P<places>\S.*)",
    re.IGNORECASE,
)
_SEPARATED = re.compile(r"\s*[,;/&]\s*|\s+-\s+")
_SUMMER_AND_WINTER = (datetime(2030, 1, 15, 12, tzinfo=UTC), datetime(2030, 7, 15, 12, tzinfo=UTC))
_NO_PLACE = frozenset(
    ("utc", "z", "gmt", "uct", "zulu", "universal", "coordinated universal time", "tzone://microsoft/utc", "utc/gmt",
     "etc/utc", "etc/gmt", "etc/uct", "etc/zulu", "etc/universal",
     "(utc) coordinated universal time", "gmt0", "gmt+0", "gmt-0")
)  # fmt: skip


class Meant(NamedTuple):
    """What a name means: a zone, or only an offset from UTC. `is_concluded`: by more than the name."""

    zone: str | None = None
    offset: timedelta | None = None
    is_concluded: bool = False

    @property
    def fixed(self) -> timezone | None:
        """The offset, where it is no zone."""
        return None if self.offset is None else timezone(self.offset)


UNKNOWN = Meant()
IN_UTC = Meant(offset=timedelta())


class ZoneNames:
    """Names that the caller explains come first, then those that are known."""

    def __init__(self, explained: Mapping[str, str] | None = None) -> None:
        self._explained = {_folded(name): zone for name, zone in (explained or {}).items()}

    def meant(self, name: str) -> Meant:
        """The zone or the offset that the name stands for; `UNKNOWN` if it cannot be told."""
        folded = _folded(name)
        if folded in self._explained:
            return Meant(self._explained[folded])
        if folded in _NO_PLACE:
            return IN_UTC
        for candidate in _candidates(folded):
            if candidate in _NO_PLACE:
                return IN_UTC
            zone = _known().get(candidate)
            if zone is not None:
                return Meant(zone)
        offset = _offset(folded)
        if offset is not None:
            return Meant(offset=offset)
        return _by_places(folded)


def iana_name(name: str) -> str | None:
    """The zone's name as the database spells it, whatever the case."""
    if zone_exists(name):
        return name
    return _known().get(_folded(name))


def _folded(name: str) -> str:
    return " ".join(name.strip().strip("\"'").split()).casefold()


@cache
def _known() -> dict[str, str]:
    """IANA and Windows names in lower case to the name to use."""
    names = {name.casefold(): name for name in available_timezones() if zone_exists(name)}
    return {name.casefold(): zone for name, zone in WINDOWS_TO_OLSON.items()} | names


def _candidates(folded: str) -> Iterator[str]:
    """The name, and what is left of a path when the vendor's part is taken off, the longest first."""
    yield folded
    yield folded.replace(" ", "_")
    parts = [part for part in folded.split("/") if part]
    for start in range(len(parts)):
        # A single word would be any city's namesake, or an abbreviation.
        if len(parts) - start >= 2 or start == 0:
            yield "/".join(parts[start:])
    if folded.startswith("tzone://microsoft/"):
        yield folded.rpartition("/")[2]


def _offset(folded: str) -> timedelta | None:
    match = _OFFSET.fullmatch(folded.upper())
    if match is None:
        return None
    hours, minutes = int(match["hours"]), int(match["minutes"] or 0)
    if hours > 14 or minutes > 59:
        return None
    length = timedelta(hours=hours, minutes=minutes)
    return length if match["sign"] == "+" else -length


def _by_places(folded: str) -> Meant:
    """`(UTC+01:00) Amsterdam, Berlin, Bern`: the first place that is a zone with this offset in winter."""
    match = _WITH_PLACES.fullmatch(folded)
    if match is None:
        return UNKNOWN
    offset = _offset(match["offset"].replace(" ", "")) if match["offset"] else None
    if offset is None:
        return UNKNOWN
    for place in _SEPARATED.split(match["places"]):
        for zone in _cities().get(place.strip(" .()").replace(" ", "_"), ()):
            offsets = [moment.astimezone(ZoneInfo(zone)).utcoffset() for moment in _SUMMER_AND_WINTER]
            if min(item for item in offsets if item is not None) == offset:
                return Meant(zone, is_concluded=True)
    return UNKNOWN


@cache
def _cities() -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for name in sorted(available_timezones()):
        if "/" in name and not name.startswith("Etc/") and zone_exists(name):
            found.setdefault(name.rpartition("/")[2].casefold(), []).append(name)
    return {city: tuple(names) for city, names in found.items()}
