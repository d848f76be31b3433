"""The house's settings: each with its range, its default and what it means. Junk is refused, never clamped."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any

from msgspec import Struct

from holdgate_schema.errors import FieldError
from holdgate_schema.messages import HoldOverrides

_WHOLE = re.compile(r"-?[0-9]{1,9}")


class InvalidSettings(ValueError):
    """One or more settings are not what they may be; `errors` names each with its range."""

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__("; ".join(f"{error.field} {error.reason}" for error in errors))
        self.errors = errors


def _ranged(name: str, low: int, high: int, default: int, about: str) -> Any:
    return field(default=default, metadata={"name": name, "low": low, "high": high, "about": about})


@dataclass(slots=True, frozen=True)
class Settings:
    """What operations may change at run time. Build it with `parse`, which checks everything together."""

    ttl_minutes: int = _ranged("hold.ttl_minutes", 5, 120, 15, "how long a hold lives")
    lifetime_max_minutes: int = _ranged(
        "hold.lifetime_max_minutes", 5, 240, 60, "greatest age of a hold, extensions included"
    )
    extensions_max: int = _ranged("hold.extensions_max", 0, 10, 3, "how often a hold may be extended")
    max_per_session: int = _ranged("hold.max_per_session", 1, 100, 10, "active holds of one session")
    max_seats_per_request: int = _ranged("hold.max_seats_per_request", 1, 500, 50, "seats in one request")
    max_seats_per_hold: int = _ranged("hold.max_seats_per_hold", 1, 500, 50, "seats in one hold")
    journal_days: int = _ranged("retention.journal_days", 1, 3650, 400, "how long answers are remembered")
    personal_days: int = _ranged("retention.personal_days", 0, 365, 7, "how long client addresses are kept")

    def for_occurrence(self, overrides: HoldOverrides | None) -> HoldRules:
        """The hold settings that apply to an occurrence."""
        if overrides is None:
            return HoldRules(
                self.ttl_minutes,
                self.lifetime_max_minutes,
                self.extensions_max,
                self.max_seats_per_request,
                self.max_seats_per_hold,
            )
        # What the occurrence says stands; the house's value gives way where the two would not go together.
        ttl, lifetime = overrides.ttl_minutes, overrides.lifetime_max_minutes
        return HoldRules(
            min(self.ttl_minutes, lifetime or self.ttl_minutes) if ttl is None else ttl,
            max(self.lifetime_max_minutes, ttl or 0) if lifetime is None else lifetime,
            _first(overrides.extensions_max, self.extensions_max),
            _first(overrides.max_seats_per_request, self.max_seats_per_request),
            _first(overrides.max_seats_per_hold, self.max_seats_per_hold),
        )


class HoldRules(Struct, frozen=True, gc=False):
    """The hold settings of one occurrence."""

    ttl_minutes: int
    lifetime_max_minutes: int
    extensions_max: int
    max_seats_per_request: int
    max_seats_per_hold: int

    def ttl(self, ttl_seconds: int | None) -> timedelta | None:
        """How long a new hold lives: what was asked for, else the setting. None: longer than a hold may live."""
        seconds = self.ttl_minutes * 60 if ttl_seconds is None else ttl_seconds
        return timedelta(seconds=seconds) if seconds <= self.lifetime_max_minutes * 60 else None


@dataclass(slots=True, frozen=True)
class SettingDefinition:
    """One setting as operators see it."""

    name: str
    low: int
    high: int
    default: int
    about: str
    attribute: str


DEFINITIONS: Mapping[str, SettingDefinition] = {
    item.metadata["name"]: SettingDefinition(
        name=item.metadata["name"],
        low=item.metadata["low"],
        high=item.metadata["high"],
        default=item.default,  # type: ignore[arg-type]
        about=item.metadata["about"],
        attribute=item.name,
    )
    for item in fields(Settings)
}

LEGACY_NAMES: Mapping[str, str] = {
    "stock_hold_duration": "hold.ttl_minutes",
    "max_holds_per_session": "hold.max_per_session",
}
"""Option names of the engine before this one, read by a one-time import."""


def parse(values: Mapping[str, object]) -> Settings:
    """The settings from names to values; what is missing has its default. Raises `InvalidSettings` with all
    problems together."""
    errors: list[FieldError] = []
    known: dict[str, int] = {}
    for name, value in values.items():
        definition = DEFINITIONS.get(name)
        if definition is None:
            errors.append(FieldError(name, f"is not a setting; there are: {', '.join(DEFINITIONS)}"))
        else:
            number = _whole(value)
            if number is None or not definition.low <= number <= definition.high:
                errors.append(
                    FieldError(
                        name, f"must be a whole number from {definition.low} to {definition.high}, not {value!r}"
                    )
                )
            else:
                known[definition.attribute] = number
    settings = Settings(**known)
    if settings.lifetime_max_minutes < settings.ttl_minutes:
        errors.append(
            FieldError("hold.lifetime_max_minutes", f"must be at least hold.ttl_minutes ({settings.ttl_minutes})")
        )
    if errors:
        raise InvalidSettings(errors)
    return settings


def _whole(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value)
    return None


def _first(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value
