"""One VEVENT: what of it a date is made of. What nobody needs is not looked at, so it can be as broken as it likes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from hashlib import blake2b
from typing import Any, TypeVar

from holdgate_schema.ids import VISIBLE_PATTERN
from holdgate_workers.cli.importing.reading.rows import Length, Reading, RowStatus
from holdgate_workers.cli.importing.reading.table import cells
from holdgate_workers.cli.occurrences import specs

from .calendar_zones import CalendarZones, UnknownZone
from .content_lines import Component, Property
from .moments import Moment, length, moment

T = TypeVar("T")

ID_CHARS_MAX = 64
DIGEST_BYTES = 6
OWN = "X-HOLDGATE-"
NEEDED = (
    "UID", "RECURRENCE-ID", "SEQUENCE", "SUMMARY", "DTSTART", "DTEND", "DURATION", "STATUS", "CLASS", "RRULE", "RDATE",
    "EXDATE", "EXRULE",
)  # fmt: skip

_VISIBLE = re.compile(VISIBLE_PATTERN)
_UNFIT = re.compile(r"[\s\x00-\x1f\x7f-\x9f\ufffe\uffff]+")
_NOT_FOR_SALE = {"PRIVATE": "is private", "CONFIDENTIAL": "is confidential"}
ONE_DAY = Length(days=1)


@dataclass(slots=True)
class Event:
    """What the component says, each value read; None where it does not say. `is_broken`: an error was noted."""

    component: Component
    zones: CalendarZones
    reading: Reading
    is_cancelled_as_a_whole: bool = False
    uid: str | None = None
    title: str | None = None
    starts: Moment | None = None
    ends: Moment | None = None
    length: Length | None = None
    again: Moment | None = None
    """The date of a series that this one replaces."""
    is_for_all_after: bool = False
    status: RowStatus | None = None
    own: dict[str, Any] = field(default_factory=dict)
    is_broken: bool = False

    @property
    def line(self) -> int:
        """Where it begins."""
        return self.component.line

    @property
    def sequence(self) -> int:
        """Which of several states of an event it is: the highest is the last one."""
        text = self.component.text("SEQUENCE") or "0"
        return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else 0

    @property
    def repeats(self) -> bool:
        """Whether it is a series."""
        return any(self.component.get(name) for name in ("RRULE", "RDATE"))

    @property
    def said(self) -> tuple[object, ...]:
        """All that is looked at, to see whether two events say the same."""
        return tuple(
            (item.name, tuple(sorted(item.params.items())), item.value.strip())
            for item in self.component.properties
            if item.name in NEEDED or item.name.startswith(OWN)
        )

    def read(self) -> Event:
        """Read every value, noting all that is wrong."""
        self.uid, self.title = self.component.text("UID"), self.component.text("SUMMARY")
        self.starts = self._moment("DTSTART")
        again = self.component.get("RECURRENCE-ID")
        if again is not None:
            self.again = self._parsed(again, self._in_place)
            self.is_for_all_after = again.params.get("RANGE", "").upper() == "THISANDFUTURE"
        if self.starts is None and not self.is_broken:
            self.error(
                "DTSTART", "is missing", "an event without a start cannot be sold; remove it or give it one"
            )
        self._read_end()
        self.status = self._status()
        self._read_own()
        return self

    def error(self, name: str, reason: str, advice: str = "") -> None:
        """Note what keeps it from being read, with the line of the property."""
        found = self.component.get(name)
        self.reading.error(found.line if found else self.line, name, reason, advice)
        self.is_broken = True

    def notice(self, name: str, reason: str, advice: str = "") -> None:
        """Note what its owner should know."""
        found = self.component.get(name)
        self.reading.notice(found.line if found else self.line, name, reason, advice)

    def moments(self, name: str) -> Iterator[tuple[Moment, Length | Moment | None]]:
        """The times of a property that has several, with the end or the length of those that are periods."""
        for prop in self.component.all(name):
            for text in prop.value.split(","):
                start, slash, end = text.partition("/")
                if not start.strip():
                    continue
                begins = self._parsed(prop, partial(self._in_place, text=start))
                if begins is None:
                    return
                yield begins, self._parsed(prop, partial(self._period_end, text=end)) if slash else None

    def _read_end(self) -> None:
        ends, lasts = self.component.get("DTEND"), self.component.get("DURATION")
        if ends is not None:
            self._read_dtend(ends)
        elif lasts is not None:
            self.length = self._parsed(lasts, lambda item: length(item.value))
            if self.length == Length():
                self.length = None
        elif self.starts is not None and self.starts.is_date:
            self.length = ONE_DAY

    def _read_dtend(self, prop: Property) -> None:
        ends = self._parsed(prop, self._in_place)
        starts = self.starts
        if ends is None or starts is None:
            return
        if ends.place.is_floating and not starts.place.is_floating:
            ends = ends._replace(place=starts.place)
        if starts.is_date and ends.is_date:
            days = (ends.wall - starts.wall).days
            self.length = Length(days=max(days, 1))
            if days < 0:
                self.error("DTEND", f"is before the start: {prop.value.strip()}", "correct it or leave it out")
            return
        same = starts.place == ends.place or starts.place.is_floating or ends.place.is_floating
        try:
            lasts = ends.wall - starts.wall if same else ends.time - starts.time
        except (ValueError, OverflowError) as exc:
            self.error("DTEND", f"cannot be used: {exc}", "correct it")
            return
        if lasts < timedelta():
            self.error("DTEND", f"is before the start: {prop.value.strip()}", "correct it or leave it out")
        elif lasts:
            self.ends = ends

    def _status(self) -> RowStatus | None:
        said = (self.component.text("STATUS") or "").upper()
        if said in ("CANCELLED", "CANCELED") or self.is_cancelled_as_a_whole:
            return "cancelled"
        access = (self.component.text("CLASS") or "").upper()
        advice = f"it is not put on sale; {OWN}STATUS:active does that"
        if access in _NOT_FOR_SALE:
            self.notice("CLASS", _NOT_FOR_SALE[access], advice)
            return "closed"
        if said == "TENTATIVE":
            self.notice("STATUS", "is tentative", advice)
            return "closed"
        return None

    def _read_own(self) -> None:
        """What is said about selling it, in properties of our own."""
        numbers = ("CAPACITY", "OVERBOOKING-PERCENT", "BUFFER", "CUTOFF-MINUTES")
        parsers: dict[str, Callable[[str], Any]] = dict.fromkeys(numbers, cells.whole_number)
        parsers |= {"OCCURRENCE": str, "PRODUCT": str, "STATUS": cells.status, "ALERTS": specs.alerts}
        parsers |= {"SALES-OPEN": cells.time, "SALES-CLOSE": cells.time}
        for name, parse in parsers.items():
            prop = self.component.get(OWN + name)
            if prop is not None:
                self.own[name] = self._parsed(prop, partial(_of_text, parse=parse))
        for name, parse in (("TICKET", specs.ticket), ("POOL", specs.pool), ("EXTRA", specs.extra)):
            found = [self._parsed(prop, partial(_of_text, parse=parse)) for prop in self.component.all(OWN + name)]
            if found:
                self.own[name] = tuple(found)

    def _moment(self, name: str) -> Moment | None:
        prop = self.component.get(name)
        return None if prop is None else self._parsed(prop, self._in_place)

    def _in_place(self, prop: Property, text: str | None = None) -> Moment:
        found = moment(prop.value if text is None else text, self.zones.place(prop))
        found.time  # noqa: B018  (a time that no clock can show is found here and not where it is used)
        return found

    def _period_end(self, prop: Property, text: str) -> Length | Moment:
        return length(text) if "P" in text.upper() else self._in_place(prop, text)

    def _parsed(self, prop: Property, parse: Callable[[Property], T]) -> T | None:
        try:
            return parse(prop)
        except (ValueError, OverflowError) as exc:
            self.is_broken = True
            if not isinstance(exc, UnknownZone):
                self.reading.error(prop.line, prop.name, str(exc))
            elif not exc.is_told:
                # One word about a name is enough, however many times have it.
                self.reading.error(prop.line, prop.name, str(exc), exc.advice)
                exc.is_told = True
            return None


def _of_text(prop: Property, parse: Callable[[str], T]) -> T:
    return parse(prop.text)


def occurrence_id(uid: str) -> str:
    """The UID if it can be an occurrence id, else as much of it as fits and a digest of all of it."""
    if len(uid) <= ID_CHARS_MAX and _VISIBLE.match(uid):
        return uid
    digest = blake2b(uid.encode(errors="surrogatepass"), digest_size=DIGEST_BYTES).hexdigest()
    return f"{_UNFIT.sub('-', uid)[: ID_CHARS_MAX - len(digest) - 1]}-{digest}"


def made_up_id(title: str | None, starts_at: datetime) -> str:
    """An id for an event that has no UID: the same as long as it keeps title and start."""
    return occurrence_id(f"{title or 'event'} {starts_at.isoformat()}" + " " * ID_CHARS_MAX)
