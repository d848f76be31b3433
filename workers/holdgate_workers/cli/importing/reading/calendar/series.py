"""The dates of a series, by the wall time of its zone, so that each is turned into an instant as any other time is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from itertools import islice

from dateutil.rrule import rrule, rruleset, rrulestr

from holdgate_workers.cli.importing.reading.rows import Window

from .moments import FLOATING, Moment, Place, moment

DATES_MAX = 2_000
"""Of one series within its window: five years of every day."""
LOOKED_AT_MAX = 50_000
"""Dates of one series that are gone through to reach the window."""
HORIZON = timedelta(days=366)
"""How far a series without an end is read if nothing says how far."""

_TOO_FINE = ("SECONDLY", "MINUTELY")
_FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", *_TOO_FINE)
_OF_AN_HOURLY = {"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYHOUR", "BYDAY"}
_PARTS = _OF_AN_HOURLY | {
    "BYSECOND", "BYMINUTE", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYMONTH", "BYSETPOS",
}  # fmt: skip
_DAYS_OF_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class InvalidSeries(ValueError):
    """The rule cannot be followed; the message says why and what to do."""


@dataclass(slots=True)
class Series:
    """Rules, further dates, and dates left out; all of them wall times at the start's place."""

    start: datetime
    place: Place
    is_date: bool = False
    zone: str | None = None
    """The calendar's, for a place that has none."""
    rules: list[str] = field(default_factory=list)
    rules_out: list[str] = field(default_factory=list)
    dates: list[datetime] = field(default_factory=list)
    dates_out: set[datetime] = field(default_factory=set)
    days_out: set[datetime] = field(default_factory=set)

    @property
    def has_end(self) -> bool:
        """Whether every rule ends by itself."""
        return all("COUNT" in (parts := _parts(rule)) or "UNTIL" in parts for rule in self.rules)

    def walls(self, window: Window) -> list[datetime]:
        """The dates in the window, in order. Raises `InvalidSeries` for what has too many or cannot be followed."""
        try:
            return self._walls(window)
        except (ValueError, TypeError, LookupError, ArithmeticError) as exc:
            if isinstance(exc, InvalidSeries):
                raise
            # The library finds some rules impossible only while it follows them.
            raise InvalidSeries("is not a rule that can be followed; export the single dates") from exc

    def _walls(self, window: Window) -> list[datetime]:
        found: list[datetime] = []
        looked = 0
        for wall in islice(self._all(window), LOOKED_AT_MAX + 1):
            looked += 1
            if window.has(Moment(wall, self.place).time, self.place.zone or self.zone):
                found.append(wall)
                if len(found) > DATES_MAX:
                    raise InvalidSeries(f"has more than {DATES_MAX:,} dates; choose some with --from and --until")
        if looked > LOOKED_AT_MAX:
            raise InvalidSeries("begins too long ago to be followed; export the single dates")
        return found

    def is_out(self, wall: datetime) -> bool:
        """Whether the date was left out by hand."""
        return wall in self.dates_out or datetime.combine(wall.date(), time()) in self.days_out

    def _all(self, window: Window) -> Iterator[datetime]:
        rules = rruleset()
        until = window.until.replace(tzinfo=None) + timedelta(days=2) if window.until is not None else None
        for text in self.rules:
            rules.rrule(self._rule(text, until))
        for text in self.rules_out:
            rules.exrule(self._rule(text, until))
        # A series that was called off as a whole ends before it begins.
        is_over = bool(self.rules) and all(self._is_over(text) for text in self.rules)
        for wall in self.dates if is_over else {self.start, *self.dates}:
            rules.rdate(wall)
        for wall in rules:
            if self.is_out(wall):
                continue
            if until is not None and wall > until:
                return
            yield wall

    def _rule(self, text: str, until: datetime | None) -> rrule:
        parts = _checked(_parts(text))
        end = parts.pop("UNTIL", None)
        if end is not None:
            last = self._until(end)
            until = last if until is None else min(last, until)
        if until is not None and "COUNT" not in parts:
            parts["UNTIL"] = f"{until:%Y%m%dT%H%M%S}"
        if until is not None and until < self.start:
            parts["COUNT"] = "0"
            parts.pop("UNTIL", None)
        try:
            rule = rrulestr(";".join(f"{name}={value}" for name, value in parts.items()), dtstart=self.start)
        except (ValueError, TypeError, LookupError, ArithmeticError) as exc:
            raise InvalidSeries(f"is not a rule that can be followed: {exc}; export the single dates") from exc
        assert isinstance(rule, rrule)
        return rule

    def _is_over(self, text: str) -> bool:
        end = _parts(text).get("UNTIL")
        return end is not None and self._until(end) < self.start

    def _until(self, text: str) -> datetime:
        """The last moment, as a wall time. A day alone is meant to its end."""
        try:
            last = moment(text, FLOATING)
            if last.is_date:
                return last.wall + timedelta(days=1, seconds=-1)
            return last.wall if self.is_date else last.wall_at(self.place)
        except (ValueError, OverflowError) as exc:
            raise InvalidSeries(f"has an UNTIL that {exc}; export the single dates") from exc


def _parts(text: str) -> dict[str, str]:
    """The rule's parts; those of other programs (`X-…`), empty ones, and a COUNT below zero, which some write for none,
    left out."""
    found: dict[str, str] = {}
    for part in text.split(";"):
        name, _, value = part.partition("=")
        values = [item.strip() for item in value.split(",") if item.strip()]
        if name.strip() and values and not name.strip().upper().startswith("X-"):
            found[name.strip().upper()] = ",".join(values)
    if found.get("COUNT", "").startswith("-"):
        del found["COUNT"]
    return found


def _checked(parts: dict[str, str]) -> dict[str, str]:
    frequency = parts.get("FREQ", "").upper()
    unknown = sorted(set(parts) - _PARTS)
    if frequency not in _FREQUENCIES or unknown:
        what = (
            f"has a part that is not known: {unknown[0]}"
            if unknown
            else f"has no FREQ that is known: {frequency!r}"
        )
        raise InvalidSeries(f"{what}; export the single dates")
    if frequency in _TOO_FINE:
        raise InvalidSeries(f"repeats {frequency.lower()}, which no schedule does; export the single dates")
    if frequency == "HOURLY" and not _OF_AN_HOURLY.issuperset(parts):
        raise InvalidSeries("repeats by the hour under further conditions; export the single dates")
    for name in ("INTERVAL", "COUNT"):
        value = parts.get(name, "1")
        if not value.isascii() or not value.isdigit() or not int(value[:9]) or len(value) > 6:
            raise InvalidSeries(f"has {name}={value[:40]}, which is no number of times; export the single dates")
    if _never(parts, frequency):
        raise InvalidSeries("names days that do not exist, so that it has no dates; export the single dates")
    return parts


def _never(parts: dict[str, str], frequency: str) -> bool:
    """Whether no day can be what the rule asks for: the search for one would go on to the end of all years."""
    months, days = _numbers(parts.get("BYMONTH", "")), _numbers(parts.get("BYMONTHDAY", ""))
    if (
        months
        and days
        and not any(abs(day) <= _DAYS_OF_MONTH[(month - 1) % 12] for month in months for day in days)
    ):
        return True
    positions = _numbers(parts.get("BYSETPOS", ""))
    return frequency == "DAILY" and bool(positions) and not {1, -1} & set(positions)


def _numbers(text: str) -> Iterable[int]:
    found = []
    for part in text.split(","):
        try:
            found.append(int(part))
        except ValueError:
            return ()
    return found
