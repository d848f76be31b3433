"""What a setting may be: how it is read, and how it is said. Junk is refused, never clamped."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeGuard

import msgspec

from holdgate_schema.decoding.prepared import Prepared
from holdgate_schema.errors import FieldError
from holdgate_workers.domain.documents import InvalidDocument, converted, decoded
from holdgate_workers.domain.pricing.definitions.checks import fee_errors
from holdgate_workers.domain.pricing.fees import Fees, Method, PaymentFee
from holdgate_workers.domain.pricing.money import exact, percent_shown, shown, written

_payment_fees: Prepared[dict[str, PaymentFee]] = Prepared(dict[Method, PaymentFee])
_EXAMPLE = '{"credit_card": {"percent": 2.9, "fixed": {"EUR": 30}}}'
_WHOLE = re.compile(r"-?[0-9]{1,9}")
_PERCENT = re.compile(r"[0-9]{1,3}(\.[0-9]{1,2})?")


class Kind(Protocol):
    """One kind of setting. `low` and `high` are None where there is no range."""

    @property
    def low(self) -> int | None:
        """The least that it may be."""

    @property
    def high(self) -> int | None:
        """The most that it may be."""

    @property
    def choices(self) -> tuple[str, ...]:
        """What it may be, where that is a closed list; else empty."""

    def read(self, name: str, value: object) -> Any:
        """The value from what was stored or typed; raises `InvalidDocument` with all problems under the name."""

    def text(self, value: Any) -> str:
        """The value as it can be set again: `read` gives back the same."""

    def words(self, value: Any) -> str:
        """The value as people read it."""


@dataclass(slots=True, frozen=True)
class Whole:
    """A whole number, both ends included."""

    low: int
    high: int
    choices: ClassVar[tuple[str, ...]] = ()

    def read(self, name: str, value: object) -> int:
        """From a number or its digits."""
        number = None
        if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
            number = int(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            number = value
        if number is None or not self.low <= number <= self.high:
            raise _refused(name, f"must be a whole number from {self.low} to {self.high}, not {value!r}")
        return number

    def text(self, value: int) -> str:
        """Its digits."""
        return str(value)

    words = text


@dataclass(slots=True, frozen=True)
class Percent:
    """A percentage with at most two decimals, both ends included."""

    low: int
    high: int
    choices: ClassVar[tuple[str, ...]] = ()

    def read(self, name: str, value: object) -> float:
        """From a number or its digits."""
        number = float(value) if isinstance(value, str) and _PERCENT.fullmatch(value.strip()) else value
        if not _is_short(number) or not self.low <= number <= self.high:
            raise _refused(
                name, f"must be a number from {self.low} to {self.high} with at most two decimals, not {value!r}"
            )
        return float(number)

    def text(self, value: float) -> str:
        """The decimal that it shows, and nothing that does not count."""
        return written(exact(value))

    words = text


@dataclass(slots=True, frozen=True)
class OneOf:
    """One word of a closed list."""

    choices: tuple[str, ...]
    low: ClassVar[None] = None
    high: ClassVar[None] = None

    def read(self, name: str, value: object) -> str:
        """From the word itself."""
        word = value.strip() if isinstance(value, str) else value
        if not isinstance(word, str) or word not in self.choices:
            raise _refused(name, f"must be one of {', '.join(self.choices)}, not {value!r}")
        return word

    def text(self, value: str) -> str:
        """The word."""
        return value

    words = text


@dataclass(slots=True, frozen=True)
class PaymentFees:
    """What each way of paying costs: a JSON object from its name to `percent` and `fixed`."""

    low: ClassVar[None] = None
    high: ClassVar[None] = None
    choices: ClassVar[tuple[str, ...]] = ()

    def read(self, name: str, value: object) -> dict[str, PaymentFee]:
        """From JSON or what JSON gives."""
        if isinstance(value, str):
            try:
                value = decoded(value)
            except ValueError as exc:
                raise _refused(name, f"must be JSON such as {_EXAMPLE}: {exc}") from exc
        if not isinstance(value, dict):
            raise _refused(name, f"must be a JSON object such as {_EXAMPLE}, not {value!r}")
        payment = converted(value, _payment_fees, name)
        errors = fee_errors(Fees(payment=payment))
        if errors:
            raise InvalidDocument(errors)
        return payment

    def text(self, value: dict[str, PaymentFee]) -> str:
        """As JSON."""
        return msgspec.json.encode(value).decode()

    def words(self, value: dict[str, PaymentFee]) -> str:
        """`credit_card 2.9 % + 0.30 EUR, …`."""
        return ", ".join(f"{method} {_fee_words(fee)}" for method, fee in value.items())


def _refused(name: str, reason: str) -> InvalidDocument:
    return InvalidDocument([FieldError(name, reason)])


def _is_short(value: object) -> TypeGuard[float]:
    """Whether it is a number with at most two decimals. NaN equals nothing, itself included."""
    return isinstance(value, int | float) and not isinstance(value, bool) and round(value, 2) == value


def _fee_words(fee: PaymentFee) -> str:
    fixed = " or ".join(f"{shown(amount, currency)} {currency}" for currency, amount in fee.fixed.items())
    percent = percent_shown(fee.percent) if fee.percent or not fixed else ""
    return " + ".join(part for part in (percent, fixed) if part)
