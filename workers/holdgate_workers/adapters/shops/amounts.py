"""Whole minor units to a shop's decimal text and back, digit by digit: 1250 EUR is 12.50, 1250 JPY is 1250."""

from __future__ import annotations

import re

from holdgate_schema.values.currencies import MINOR_DIGITS

_DECIMAL = re.compile(r"(-?)([0-9]{1,15})(?:\.([0-9]{1,15}))?\Z")


class InvalidAmount(ValueError):
    """The text is no amount of that currency."""


def to_decimal_text(minor_units: int, currency: str) -> str:
    """The amount with exactly as many decimals as the currency has."""
    digits = MINOR_DIGITS[currency]
    whole, rest = divmod(abs(minor_units), 10**digits)
    sign = "-" if minor_units < 0 else ""
    return f"{sign}{whole}.{rest:0{digits}d}" if digits else f"{sign}{whole}"


def to_minor_units(text: str, currency: str) -> int:
    """The amount. Raises `InvalidAmount` if it is not a whole number of minor units, or the currency is unknown."""
    match = _DECIMAL.match(text)
    if match is None or currency not in MINOR_DIGITS:
        raise InvalidAmount(f"{text[:40]!r} is no amount of {currency[:8]!r}")
    sign, whole, decimals = match[1], match[2], match[3] or ""
    digits = MINOR_DIGITS[currency]
    if decimals[digits:].strip("0"):
        raise InvalidAmount(f"{text!r} has more decimals than {currency} has digits")
    amount = int(whole + decimals[:digits].ljust(digits, "0"))
    return -amount if sign else amount
