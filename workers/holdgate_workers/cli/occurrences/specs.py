"""The short way to write ticket types, pools, extras and alerts: `adult;label=Adult;max=6;pools=deck+lunch`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Document = dict[str, Any]
Parse = Callable[[str], Document]

TICKET_HELP = "KEY[;label=TEXT][;min=N][;max=N][;pools=KEY+KEY]"
EXTRA_HELP = "KEY[;label=TEXT][;max=N][;pools=KEY+KEY][;stock=KEY:CAP]"
POOL_HELP = "KEY=N|unlimited[;overbooking=PERCENT][;buffer=N]"
ALERTS_HELP = "[low=PERCENT][;nearly_full=PERCENT][;full=PERCENT]"


class InvalidSpec(ValueError):
    """The text does not follow the form; the message says what would."""


def ticket(text: str) -> Document:
    """A ticket type."""
    key, options = _parts(text, {"label", "min", "max", "pools"}, TICKET_HELP)
    return _without_none(
        key=key,
        label=options.get("label"),
        min_per_order=_number(options, "min"),
        max_per_order=_number(options, "max"),
        pools=_keys(options.get("pools")),
    )


def extra(text: str) -> Document:
    """An extra."""
    key, options = _parts(text, {"label", "max", "pools", "stock"}, EXTRA_HELP)
    stock = None
    if "stock" in options:
        name, colon, cap = options["stock"].rpartition(":")
        if not colon or not _is_number(cap):
            raise InvalidSpec(f"{text!r}: stock is KEY:CAP")
        stock = {"key": name, "cap": int(cap)}
    return _without_none(
        key=key,
        label=options.get("label"),
        max_per_order=_number(options, "max"),
        pools=_keys(options.get("pools")),
        stock=stock,
    )


def pool(text: str) -> Document:
    """A pool; null is unlimited."""
    head, options = _parts(text, {"overbooking", "buffer"}, POOL_HELP)
    key, equals, size = head.partition("=")
    if not equals or not (size == "unlimited" or _is_number(size)):
        raise InvalidSpec(f"{text!r}: a pool is {POOL_HELP}")
    definition = _without_none(
        key=key, overbooking_percent=_number(options, "overbooking"), buffer=_number(options, "buffer")
    )
    return definition | {"capacity": None if size == "unlimited" else int(size)}


def alerts(text: str) -> Document:
    """At which share that is taken the alerts are raised."""
    names = ("low", "nearly_full", "full")
    options = _options(text, [part.strip() for part in text.split(";")], set(names))
    return _without_none(**{name: _number(options, name) for name in names})


def _parts(text: str, known: set[str], form: str) -> tuple[str, dict[str, str]]:
    head, *rest = (part.strip() for part in text.split(";"))
    if not head:
        raise InvalidSpec(f"{text!r} is not {form}")
    return head, _options(text, rest, known)


def _options(text: str, parts: list[str], known: set[str]) -> dict[str, str]:
    options: dict[str, str] = {}
    for part in parts:
        name, equals, value = part.partition("=")
        if not equals or name not in known:
            raise InvalidSpec(f"{text!r}: {part!r} is not one of {', '.join(f'{key}=' for key in sorted(known))}")
        if name in options:
            raise InvalidSpec(f"{text!r}: {name} is given twice")
        options[name] = value.strip()
    return options


def _number(options: dict[str, str], name: str) -> int | None:
    value = options.get(name)
    if value is None:
        return None
    if not _is_number(value):
        raise InvalidSpec(f"{name} is a whole number, not {value!r}")
    return int(value)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9


def _keys(text: str | None) -> list[str] | None:
    return [part.strip() for part in text.split("+") if part.strip()] if text else None


def _without_none(**values: Any) -> Document:
    return {name: value for name, value in values.items() if value is not None}
