"""Quotes: what a basket costs, line by line and why, in whole minor units of one currency.

A quote holds nothing of the moment at which it was made: the same price has the same bytes and the same hash.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

LineKind = Literal[
    "ticket",
    "group_discount",
    "weekend",
    "holiday",
    "minimum",
    "extra",
    "combo_discount",
    "voucher",
    "platform_fee",
    "payment_fee",
]
"""In the order in which they are applied and stand in a quote."""

StepRule = Literal[
    "base",
    "early_bird",
    "last_minute",
    "weekday",
    "season",
    "demand",
    "other",
    "bulk",
    "clamp",
    "rounding",
]

NoPrice = Literal[
    "unknown", "other_product", "other_currency", "not_yet_valid", "expired", "below_minimum", "too_large"
]

ExactAmount = Annotated[
    str,
    Meta(
        pattern=r"^(0|-?[1-9][0-9]*(\.[0-9]*[1-9])?|-?0\.[0-9]*[1-9])$(?!\n)",
        description="Minor units as an exact decimal, such as -1125.75",
    ),
]
QuoteHash = Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?$(?!\n)", description="SHA-256 in hex")]

_encoder = msgspec.json.Encoder(order="deterministic")


class PriceStep(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One rule on the way to the price of one piece, in words and in exactly what it adds."""

    rule: StepRule
    label: str
    amount: ExactAmount


class QuoteLine(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One line. Discounts are negative.

    Tickets and extras have a `key`, the price `each`, whose steps add up to it exactly, and a `quantity`: how
    often it is charged. `amount` is `each` times `quantity`, rounded half-up where that is no whole number.
    """

    kind: LineKind
    label: str
    amount: int
    key: str | None = None
    quantity: int = 1
    each: ExactAmount | None = None
    steps: list[PriceStep] = []


class Quote(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What this basket costs. The lines add up to `total`, which is never negative.

    `tickets_total` and `extras_total` are before voucher and fees. `hash` stands for all the rest.
    """

    product_id: str
    occurrence_id: str
    currency: str
    items: dict[str, int]
    lines: list[QuoteLine]
    tickets_total: int
    extras_total: int
    total: int
    extras: dict[str, int] = {}
    payment_method: str | None = None
    voucher: str | None = None
    hash: QuoteHash = ""


class PriceProblem(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Why there is no price: what lacks one, and what would help."""

    what: Literal["ticket", "extra", "payment_method", "voucher", "order"]
    key: str
    reason: NoPrice
    message: str


class Unpriced(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The basket cannot be priced as asked for. `problems` is never empty."""

    problems: list[PriceProblem]


def sealed(quote: Quote) -> Quote:
    """The quote with the hash that belongs to it."""
    return replace(quote, hash=_hash_of(quote))


def is_intact(quote: Quote) -> bool:
    """Whether the quote is, to the last character, the one that its hash was made for."""
    return quote.hash == _hash_of(quote)


def _hash_of(quote: Quote) -> str:
    return sha256(_encoder.encode(replace(quote, hash=""))).hexdigest()
