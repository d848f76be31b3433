"""What may stand on the command line, checked while it is parsed."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click

from holdgate_schema.commands.holds import QUANTITY_MAX

UUID_CHARS = 36


def example(*lines: str) -> str:
    """The examples at the end of a help text, as they are."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


class _Quantities(click.ParamType):  # type: ignore[type-arg]
    """`adult=2`: a key and how many."""

    name = "KEY=NUMBER"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        if isinstance(value, tuple):
            return value
        key, equals, number = str(value).partition("=")
        if not key or not equals or not number.isascii() or not number.isdigit():
            self.fail(f"{value!r} is not KEY=NUMBER, such as adult=2", param, ctx)
        if not 1 <= int(number) <= QUANTITY_MAX:
            self.fail(f"{key}: from 1 to {QUANTITY_MAX}, not {number}", param, ctx)
        return key, int(number)


class _Seats(click.ParamType):  # type: ignore[type-arg]
    """A number, or `unlimited`."""

    name = "NUMBER|unlimited"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        if isinstance(value, int):
            return value
        if value == "unlimited":
            return "unlimited"
        if not str(value).isascii() or not str(value).isdigit():
            self.fail(f"{value!r} is neither a number nor 'unlimited'", param, ctx)
        return int(value)


class _Time(click.ParamType):  # type: ignore[type-arg]
    """An ISO 8601 date or time, with an offset or without."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            return datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a time such as 2030-05-01T10:00 or 2030-05-01T10:00+02:00", param, ctx)


class _IdPart(click.ParamType):  # type: ignore[type-arg]
    """A UUID or the beginning of one."""

    name = "ID"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value).lower()
        if not is_uuid_prefix(text):
            self.fail(f"{value!r} is neither a UUID nor its first 6 or more characters", param, ctx)
        return text


QUANTITY = _Quantities()
SEATS = _Seats()
TIME = _Time()
ID_PART = _IdPart()


def in_utc(time: datetime | None) -> datetime | None:
    """The instant; without an offset it is one of UTC."""
    return time.replace(tzinfo=UTC) if time is not None and time.tzinfo is None else time


def is_uuid_prefix(text: str) -> bool:
    """Whether a UUID could begin so, with at least six characters."""
    return 6 <= len(text) <= UUID_CHARS and all(
        char == "-" if place in (8, 13, 18, 23) else char in "0123456789abcdef" for place, char in enumerate(text)
    )


def quantities(pairs: tuple[tuple[str, int], ...], name: str) -> dict[str, int]:
    """The pairs as a mapping; a key given twice is a mistake."""
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise click.BadParameter(f"{twice!r} is given twice", param_hint=name)
    return found


def limit_option(default: int) -> Callable[[Any], Any]:
    """`--limit`."""
    return click.option(
        "--limit", type=click.IntRange(1, 10_000), default=default, show_default=True, help="At most so many."
    )


request_id_option = click.option(
    "--request-id",
    metavar="UUID",
    help="Your own request id: sent again, the same id gets the same answer. [default: a new one]",
)


def by_option(command: Any) -> Any:
    """`--by`: who is changing something, for its history."""
    return click.option(
        "--by", "changed_by", metavar="NAME", default=_me, show_default="your login", help="Who changes it."
    )(command)


def _me() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
