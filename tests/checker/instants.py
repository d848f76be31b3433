"""Instants as whole microseconds since 1970, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

SECOND = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_minutes: dict[str, int] = {}
_seconds: dict[int, str] = {}


@lru_cache(maxsize=100_000)
def micros(text: str) -> int:
    """Read `2026-11-22 12:12:51.43+00` or `2026-11-22T12:12:51.430678Z`; raises ValueError."""
    rest = text[19:]
    if rest.endswith("Z"):
        fraction = rest[1:-1]
    elif rest.endswith("+00"):
        fraction = rest[1:-3]
    else:
        return _slowly(text)
    minute = _minutes.get(text[:16])
    if minute is None:
        if len(_minutes) > 100_000:
            _minutes.clear()
        minute = _minutes[text[:16]] = _slowly(text[:16] + ":00+00:00")
    if not fraction:
        return minute + int(text[17:19]) * SECOND
    return minute + int(text[17:19]) * SECOND + int(fraction.ljust(6, "0")[:6])


def _slowly(text: str) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no offset")
    return of_datetime(moment)


def of_datetime(moment: datetime) -> int:
    """The microseconds of an aware datetime."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def stamp(moment: int) -> str:
    """As answers write it: RFC 3339, UTC, no fraction if there is none, else six digits."""
    second, fraction = divmod(moment, SECOND)
    text = _seconds.get(second)
    if text is None:
        if len(_seconds) > 100_000:
            _seconds.clear()
        text = _seconds[second] = (_EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{fraction:06d}Z" if fraction else f"{text}Z"


def row_stamp(moment: int) -> str:
    """As PostgreSQL writes it in UTC: no trailing zeros."""
    second, fraction = divmod(moment, SECOND)
    text = (_EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%d %H:%M:%S")
    return f"{text}.{fraction:06d}".rstrip("0") + "+00" if fraction else f"{text}+00"


def of_wall(text: str, zone: str) -> int:
    """A wall time of a zone: a skipped one means the end of the gap, a doubled one the first of the two."""
    wall = datetime.fromisoformat(text)
    there = ZoneInfo(zone)
    instant = wall.replace(tzinfo=there, fold=0).astimezone(UTC)
    if instant.astimezone(there).replace(tzinfo=None) == wall:
        return of_datetime(instant)
    low, high = instant - timedelta(hours=6), instant
    while high - low > timedelta(microseconds=1):
        middle = low + (high - low) // 2
        if middle.astimezone(there).replace(tzinfo=None) < wall:
            low = middle
        else:
            high = middle
    return of_datetime(high)
