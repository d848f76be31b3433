"""Series of events: every date with the event that describes it, the changed ones by their own (RFC 5545, 3.8.4.4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from holdgate_workers.cli.importing.reading.rows import Length, Reading, Window

from .event import Event
from .moments import AT_UTC, Moment
from .series import HORIZON, InvalidSeries, Series


class Dated(NamedTuple):
    """One date: the event that describes it, when it begins, which date of the series it is, and its length or end
    where that is not the event's own."""

    event: Event
    starts: Moment
    series_date: Moment
    length: Length | Moment | None


def dates_of(
    whole: Event | None, changed: Sequence[Event], reading: Reading, window: Window, now: datetime
) -> Iterator[Dated]:
    """The dates. Without the event that the series is of, only those that were changed are known."""
    try:
        yield from _dates_of(whole, changed, reading, window, now)
    except (ValueError, OverflowError) as exc:
        event = whole or changed[0]
        event.error(
            "RECURRENCE-ID" if whole is None else "DTSTART", f"leads to a time that cannot be: {exc}", "correct it"
        )


def _dates_of(
    whole: Event | None, changed: Sequence[Event], reading: Reading, window: Window, now: datetime
) -> Iterator[Dated]:
    first = whole or changed[0]
    assert first.starts is not None
    start = first.starts
    moved = {_date_of(event, start): event for event in changed}
    if whole is None:
        for wall, event in sorted(moved.items(), key=lambda item: item[0]):
            yield _changed(event, start, wall)
        return
    series = _series(whole, start)
    if series is None:
        return
    if start.place == AT_UTC and series.rules:
        whole.notice(
            "DTSTART",
            "is in UTC and repeats, so that its time of day changes with the clock",
            "a TZID keeps it the same",
        )
    window = _window(whole, series, window, now, reading)
    try:
        walls = series.walls(window)
    except InvalidSeries as exc:
        whole.error("RRULE", str(exc))
        return
    try:
        periods = dict(_periods(whole, start))
        for wall in walls:
            if wall not in moved:
                yield _regular(whole, moved, start, wall, periods)
    except (ValueError, OverflowError) as exc:
        whole.error("RRULE", f"leads to a time that cannot be: {exc}", "export the single dates")
    # Those that were changed come whether the rule still has their date or not, as calendar programs show them, but for
    # those that a later state of the series has dropped.
    try:
        dates = set(series.walls(Window())) if any(item.sequence < whole.sequence for item in changed) else set()
    except InvalidSeries:
        dates = set(moved)
    for wall, event in sorted(moved.items(), key=lambda item: item[0]):
        zone = event.starts.place.zone if event.starts is not None else None
        if event.starts is None or not window.has(event.starts.time, zone or whole.zones.of_calendar):
            continue
        if series.is_out(wall):
            event.notice(
                "RECURRENCE-ID", f"is of a date that the series on line {whole.line} leaves out; so is this"
            )
        elif event.sequence < whole.sequence and wall not in dates:
            event.notice(
                "RECURRENCE-ID", f"is of a date that the series on line {whole.line} has no more; it is left out"
            )
        else:
            yield _changed(event, start, wall)


def _date_of(event: Event, start: Moment) -> datetime:
    """The date of the series that the event replaces, as its clock shows it."""
    assert event.again is not None
    if event.again.is_date and not start.is_date:
        return datetime.combine(event.again.wall.date(), start.wall.time())
    return event.again.wall_at(start.place)


def _changed(event: Event, start: Moment, wall: datetime) -> Dated:
    assert event.starts is not None
    return Dated(event, event.starts, start._replace(wall=wall), None)


def _regular(
    whole: Event,
    moved: dict[datetime, Event],
    start: Moment,
    wall: datetime,
    periods: dict[datetime, Length | Moment],
) -> Dated:
    """A date as the rule has it, or as a change to it and all after it has moved it."""
    base = max((date for date, event in moved.items() if event.is_for_all_after and date < wall), default=None)
    series_date = start._replace(wall=wall)
    if base is None:
        return Dated(whole, series_date, series_date, periods.get(wall) or _length(whole))
    event = moved[base]
    assert event.starts is not None
    by = event.starts.wall_at(start.place) - base
    return Dated(event, start._replace(wall=wall + by, is_date=event.starts.is_date), series_date, _length(event))


def _length(event: Event) -> Length | None:
    """Every date of a series lasts as long as its first: exactly, where the end was said, else as DURATION says."""
    if event.ends is None or event.starts is None:
        return event.length
    if event.starts.place.is_floating or event.ends.place.is_floating:
        return Length(exact=event.ends.wall - event.starts.wall)
    return Length(exact=event.ends.time - event.starts.time)


def _periods(whole: Event, start: Moment) -> Iterator[tuple[datetime, Length | Moment]]:
    for begins, after in whole.moments("RDATE"):
        if after is not None:
            yield begins.wall_at(start.place), after


def _series(whole: Event, start: Moment) -> Series | None:
    series = Series(start.wall, start.place, is_date=start.is_date, zone=whole.zones.of_calendar)
    series.rules = [prop.value for prop in whole.component.all("RRULE")]
    series.rules_out = [prop.value for prop in whole.component.all("EXRULE")]
    for begins, _ in whole.moments("RDATE"):
        wall = begins.wall_at(start.place)
        is_day = begins.is_date and not start.is_date
        series.dates.append(datetime.combine(wall.date(), start.wall.time()) if is_day else wall)
    for begins, _ in whole.moments("EXDATE"):
        if begins.is_date:
            series.days_out.add(begins.wall)
        else:
            series.dates_out.add(begins.wall_at(start.place))
    return None if whole.is_broken else series


def _window(whole: Event, series: Series, asked: Window, now: datetime, reading: Reading) -> Window:
    """The window asked for; for a series without an end one that has an end, and that is told."""
    if series.has_end or (asked.until is not None and asked.since is not None):
        return asked
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    since = asked.since or max(today, whole.starts.wall.replace(tzinfo=today.tzinfo) if whole.starts else today)
    until = asked.until or since + HORIZON
    window = Window(since, until)
    before = reading.horizon or window
    reading.horizon = Window(
        min(before.since or since, since, key=_naive), max(before.until or until, until, key=_naive)
    )
    whole.notice(
        "RRULE",
        f"has no end; its dates from {since:%Y-%m-%d} until {until:%Y-%m-%d} are read",
        "--from and --until say otherwise",
    )
    return window


def _naive(time: datetime) -> datetime:
    return time.replace(tzinfo=None)
