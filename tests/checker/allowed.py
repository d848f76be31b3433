"""What the model may allow: the options of a decision, and fields with room in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.checker.instants import micros


class AnyOf:
    """A field that may have one of several values."""

    __slots__ = ("values",)

    def __init__(self, values: Iterable[Any]) -> None:
        self.values = list(values)

    def __repr__(self) -> str:
        return " or ".join(map(repr, self.values))


class Between:
    """A number that moves while it is looked at."""

    __slots__ = ("high", "low")

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high

    def fits(self, told: Any) -> bool:
        """Whether what was told will do."""
        return type(told) is int and self.low <= told <= self.high

    def __repr__(self) -> str:
        return str(self.low) if self.low == self.high else f"{self.low} to {self.high}"


class Among:
    """Numbers per pool: these must be told, and others may be, if they are right."""

    __slots__ = ("every", "least")

    def __init__(self, least: Iterable[str], every: dict[str, int | None]) -> None:
        self.every = every
        self.least = {pool: every[pool] for pool in least}

    def fits(self, told: Any) -> bool:
        """Whether what was told will do."""
        return isinstance(told, dict) and self.least.items() <= told.items() <= self.every.items()

    def __repr__(self) -> str:
        return repr(self.least)


class Shown:
    """A booking, or an instant, however its times are spelled. A reason that is `free` is whatever was told."""

    __slots__ = ("free", "value")

    def __init__(self, value: Any, *, free: bool = False) -> None:
        self.value, self.free = value, free

    def fits(self, told: Any) -> bool:
        """Whether what was told will do."""
        if not isinstance(self.value, dict):
            return bool(plain(told) == plain(self.value))
        if self.free and isinstance(told, dict) and told.get("reason"):
            self.value["reason"] = told["reason"]
        return bool(told == self.value or plain(told) == plain(self.value))

    def __repr__(self) -> str:
        return repr(self.value)


def plain(value: Any, name: str = "_at") -> Any:
    """With its instants as numbers."""
    if isinstance(value, dict):
        return {key: plain(one, key) for key, one in value.items()}
    if isinstance(value, str) and name.endswith(("_at", "_until")):
        try:
            return micros(value)
        except ValueError:
            return value
    return value


class Issued:
    """A session that is issued in the decision; known once it was told."""

    __slots__ = ("session",)

    def __init__(self) -> None:
        self.session = ""

    def fits(self, told: Any) -> bool:
        """Whether what was told will do."""
        return bool(self.session) and told == self.session

    def __repr__(self) -> str:
        return self.session or "a session that is issued here"


class Present:
    """A field that must be there, whatever it says."""

    def __repr__(self) -> str:
        return "something"


ANYTHING = Present()


class Answered:
    """A field of an event that says what the answer says."""

    def __repr__(self) -> str:
        return "what the answer says"


AS_ANSWERED = Answered()


@dataclass(slots=True)
class Option:
    """One thing that may happen: the answer's fields, the events, and what it does to the world."""

    outcome: str
    reason: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    apply: Callable[[], object] | None = None


def refused(reason: str, **fields: Any) -> Option:
    """A refusal; it changes nothing."""
    return Option("refused", reason, fields)
