"""Small pieces of text: baskets, spans of time, short ids."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit, urlunsplit
from zoneinfo import ZoneInfo

from holdgate_schema.commands.holds import AlertOverrides

UNLIMITED = "unlimited"
SHORT_ID_CHARS = 8
TIMED_ID_CHARS = 18
"""48 bits of milliseconds, the version, 12 random bits."""
VERSION_AT = 14


def basket(items: Mapping[str, int], extras: Mapping[str, int] | None = None) -> str:
    """`2 adult, 1 child + 1 wine`."""
    text = ", ".join(f"{number} {key}" for key, number in sorted(items.items()))
    more = ", ".join(f"{number} {key}" for key, number in sorted((extras or {}).items()))
    return f"{text} + {more}" if more else text


def amount(number: int | None) -> str:
    """A number of seats; None is unlimited."""
    return UNLIMITED if number is None else f"{number:,}"


def thresholds(alerts: AlertOverrides) -> str:
    """`low from 70 %, full from 90 %`: those that are given."""
    named = (("low", alerts.low), ("nearly full", alerts.nearly_full), ("full", alerts.full))
    return ", ".join(f"{name} from {percent} %" for name, percent in named if percent is not None)


def span(seconds: float) -> str:
    """`45 s`, `14 min 30 s`, `2 h 5 min`, `3 d 4 h`."""
    whole = round(abs(seconds))
    for unit, size, smaller, part in (("d", 86_400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"


def moment(at: datetime, now: datetime | None = None) -> str:
    """The instant in UTC and, if `now` is given, how far away it is."""
    text = at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return text if now is None else f"{text} ({away(at, now)})"


def local(at: datetime, zone: str) -> str:
    """The wall time of a zone."""
    return f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M %Z}"


def away(at: datetime, now: datetime) -> str:
    """`in 5 min`, `2 h ago`, `now`."""
    delta = at - now
    if abs(delta) < timedelta(seconds=0.5):
        return "now"
    return f"in {span(delta.total_seconds())}" if delta > timedelta() else f"{span(delta.total_seconds())} ago"


def short(identifier: str | None, *, full: bool = False) -> str:
    """The first characters of a UUID, enough to tell one from another and to be typed.

    Those of version 7 begin with the time (RFC 9562, section 5.7): what tells them apart comes after it.
    """
    if identifier is None:
        return ""
    if full:
        return identifier
    return identifier[: TIMED_ID_CHARS if identifier[VERSION_AT : VERSION_AT + 1] == "7" else SHORT_ID_CHARS]


def without_password(url: str) -> str:
    """The URL fit for a screen."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    login = f"{parts.username or ''}:***@"
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=login + host))
