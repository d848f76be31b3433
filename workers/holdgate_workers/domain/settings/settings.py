"""The house's settings: each with its range, its default and what it means. Junk is refused, never clamped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import timedelta
from itertools import pairwise
from typing import Any, Literal, get_args

from msgspec import Struct

from holdgate_schema.commands.holds import AlertOverrides, HoldOverrides
from holdgate_schema.errors import FieldError
from holdgate_workers.domain.documents import InvalidDocument
from holdgate_workers.domain.pricing.fees import HOUSE_FEES, Fees, PaymentFee

from .kinds import Kind, OneOf, PaymentFees, Percent, Whole

LatePayment = Literal["fulfil_or_park", "fulfil_or_refund", "park", "refund"]
"""What is done with money that came after its hold had ended."""

ConversionUntil = Literal["start", "end"]
"""Until which instant of an occurrence money still buys it."""


class InvalidSettings(ValueError):
    """One or more settings are not what they may be; `errors` names each with its range."""

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__("; ".join(f"{error.field} {error.reason}" for error in errors))
        self.errors = errors


def _setting(name: str, kind: Kind, about: str, **default: Any) -> Any:
    return field(metadata={"name": name, "kind": kind, "about": about}, **default)


def _ranged(name: str, low: int, high: int, default: int, about: str) -> Any:
    return _setting(name, Whole(low, high), about, default=default)


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
    conversion_timeout_minutes: int = _ranged(
        "conversion.timeout_minutes", 1, 60, 10, "how long an order may be in the making"
    )
    conversion_paid_wait_minutes: int = _ranged(
        "conversion.paid_wait_minutes",
        60,
        10_080,
        1_440,
        "how long a conversion that was paid waits for a shop that cannot be asked, before a person has to look",
    )
    late_payment: LatePayment = _setting(  # noqa: RUF009
        "conversion.late_payment",
        OneOf(get_args(LatePayment)),
        "what is done when money comes after the hold has ended",
        default="fulfil_or_park",
    )
    conversion_until: ConversionUntil = _setting(  # noqa: RUF009
        "conversion.until",
        OneOf(get_args(ConversionUntil)),
        "until when an occurrence can be paid for: its start or its end; later money is parked or refunded",
        default="end",
    )
    offer_minutes: int = _ranged(
        "waitlist.offer_minutes", 5, 120, 30, "how long an offer to the waiting list is held"
    )
    alerts_low: int = _ranged("alerts.low", 1, 100, 80, "percent taken at which seats run low")
    alerts_nearly_full: int = _ranged("alerts.nearly_full", 1, 100, 95, "percent taken that is nearly full")
    alerts_full: int = _ranged("alerts.full", 1, 100, 100, "percent taken that is full")
    journal_days: int = _ranged("retention.journal_days", 1, 3650, 400, "how long answers are remembered")
    personal_days: int = _ranged("retention.personal_days", 0, 365, 7, "how long client addresses are kept")
    platform_percent: float = _setting(
        "fees.platform_percent",
        Percent(0, 50),
        "the platform's share, on top of an order",
        default=HOUSE_FEES.platform_percent,
    )
    payment: Mapping[str, PaymentFee] = _setting(
        "fees.payment",
        PaymentFees(),
        "what ways of paying cost, on top of an order",
        default_factory=lambda: HOUSE_FEES.payment,
    )

    @property
    def fees(self) -> Fees:
        """What is charged on top of an order."""
        return Fees(platform_percent=self.platform_percent, payment=dict(self.payment))

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

    def alerts_for(self, overrides: AlertOverrides | None) -> AlertRules:
        """The thresholds that apply to an occurrence. Where the house's were changed after it was put, so that they
        no longer rise together, the higher one counts."""
        low, nearly_full, full = self._alerts(overrides)
        if overrides is None:
            return AlertRules(low, nearly_full, full)
        nearly_full = min(nearly_full, full)
        return AlertRules(min(low, nearly_full), nearly_full, full)

    def alert_errors(self, overrides: AlertOverrides | None) -> list[FieldError]:
        """Each threshold that is not above the one before it; empty if they rise."""
        names = ("alerts.low", "alerts.nearly_full", "alerts.full")
        steps = zip(names, self._alerts(overrides), strict=True)
        return [
            FieldError(name, f"must be above {below} ({threshold})")
            for (below, threshold), (name, value) in pairwise(steps)
            if value <= threshold
        ]

    def _alerts(self, overrides: AlertOverrides | None) -> tuple[int, int, int]:
        if overrides is None:
            return self.alerts_low, self.alerts_nearly_full, self.alerts_full
        return (
            _first(overrides.low, self.alerts_low),
            _first(overrides.nearly_full, self.alerts_nearly_full),
            _first(overrides.full, self.alerts_full),
        )


class AlertRules(Struct, frozen=True, gc=False):
    """From which percentage of the sellable seats a pool is low, nearly full and full. They never fall."""

    low: int
    nearly_full: int
    full: int


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
    kind: Kind
    default: Any
    about: str
    attribute: str

    def read(self, value: object) -> Any:
        """The value from what was stored or typed; raises `InvalidSettings`."""
        try:
            return self.kind.read(self.name, value)
        except InvalidDocument as exc:
            raise InvalidSettings(exc.errors) from exc


DEFINITIONS: Mapping[str, SettingDefinition] = {
    item.metadata["name"]: SettingDefinition(
        name=item.metadata["name"],
        kind=item.metadata["kind"],
        default=item.default if item.default_factory is MISSING else item.default_factory(),
        about=item.metadata["about"],
        attribute=item.name,
    )
    for item in fields(Settings)
}

LEGACY_NAMES: Mapping[str, str] = {
    "stock_hold_duration": "hold.ttl_minutes",
    "max_holds_per_session": "hold.max_per_session",
    "platform_fee_percentage": "fees.platform_percent",
}
"""Option names of the engine before this one, read by a one-time import."""


def parse(values: Mapping[str, object]) -> Settings:
    """The settings from names to values; what is missing has its default. Raises `InvalidSettings` with all
    problems together."""
    errors: list[FieldError] = []
    known: dict[str, Any] = {}
    for name, value in values.items():
        definition = DEFINITIONS.get(name)
        if definition is None:
            errors.append(FieldError(name, f"is not a setting; there are: {', '.join(DEFINITIONS)}"))
            continue
        try:
            known[definition.attribute] = definition.read(value)
        except InvalidSettings as exc:
            errors += exc.errors
    settings = Settings(**known)
    if settings.lifetime_max_minutes < settings.ttl_minutes:
        errors.append(
            FieldError("hold.lifetime_max_minutes", f"must be at least hold.ttl_minutes ({settings.ttl_minutes})")
        )
    errors += settings.alert_errors(None)
    if errors:
        raise InvalidSettings(errors)
    return settings


def _first(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value
