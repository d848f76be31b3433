"""Exact arithmetic in minor units, and the one way of rounding."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import (
    ROUND_HALF_UP,
    Context,
    Decimal,
    DivisionByZero,
    FloatOperation,
    Inexact,
    InvalidOperation,
    Overflow,
)

from holdgate_schema.values.currencies import MINOR_DIGITS
from holdgate_schema.values.quotes import ExactAmount

EXACT = Context(prec=60, traps=[DivisionByZero, FloatOperation, Inexact, InvalidOperation, Overflow])
"""Prices are worked out under this context: whatever would lose a digit is a bug, and crashes."""

MINUS = "\N{MINUS SIGN}"


def exact(percent: float) -> Decimal:
    """The decimal that a percentage shows: 2.9 is 2.9."""
    return Decimal(repr(percent))


def share(amount: Decimal | int, percent: float) -> Decimal:
    """So many percent of an amount."""
    return Decimal(amount) * exact(percent) / 100


def half_up(amount: Decimal) -> int:
    """The nearest whole number; of two equally near the one farther from zero."""
    return int(amount.to_integral_value(ROUND_HALF_UP))


def shared_out(amount: int, parts: Sequence[int]) -> list[int]:
    """The amount divided by what the parts are, to the last unit and none of them more than its part.

    Each gets its whole units, and the largest remainders one more; of two equally large the earlier one's. `amount` is
    at most what the parts add up to, and none of these is negative.
    """
    whole = sum(parts)
    assert 0 <= amount <= whole, "no more is shared out than there is"
    if not whole:
        return [0] * len(parts)
    shares, remainders = zip(*(divmod(amount * part, whole) for part in parts), strict=True)
    left = amount - sum(shares)
    largest = set(sorted(range(len(parts)), key=lambda at: -remainders[at])[:left])
    return [share + (at in largest) for at, share in enumerate(shares)]


def written(amount: Decimal | int) -> ExactAmount:
    """The amount as a quote has it: plain digits, nothing behind the point that does not count."""
    text = f"{Decimal(amount):f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def shown(amount: Decimal | int, currency: str) -> str:
    """The amount in the currency's major unit with all its digits, and more where it is more exact: 12.50."""
    digits = MINOR_DIGITS[currency]
    major = Decimal(amount).scaleb(-digits)
    whole, _, fraction = written(abs(major)).partition(".")
    fraction = fraction.ljust(digits, "0")
    return (MINUS if major < 0 else "") + whole + (f".{fraction}" if fraction else "")


def signed(amount: Decimal | int, currency: str) -> str:
    """The amount with its sign and its currency: +12.50 EUR."""
    return ("+" if amount > 0 else "") + f"{shown(amount, currency)} {currency}"


def percent_shown(percent: float) -> str:
    """The percentage with nothing that does not count: 2.5 %."""
    return f"{written(exact(percent)).replace('-', MINUS)} %"


def percent_signed(percent: float) -> str:
    """The percentage with its sign: +20 %, −15 %."""
    return ("+" if percent > 0 else "") + percent_shown(percent)
