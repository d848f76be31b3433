"""Which analytics event follows from which domain event, in the words of GA4's e-commerce events.

`hold.created` → `add_to_cart`, `booking.converting` → `begin_checkout`, `booking.confirmed` → `purchase`,
`booking.reduced`, `booking.cancelled` and `booking.parked` → `refund` of what was given back by it. Nothing in
them says who booked: the session stands behind a keyed hash, and vouchers, which are as good as money, are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from typing import Any, Literal

from holdgate_schema.values.currencies import MINOR_DIGITS

from .facts import Booking, Piece

AnalyticsName = Literal["add_to_cart", "begin_checkout", "purchase", "refund"]

NAMES: Mapping[str, AnalyticsName] = {
    "hold.created": "add_to_cart",
    "booking.converting": "begin_checkout",
    "booking.confirmed": "purchase",
    "booking.reduced": "refund",
    "booking.cancelled": "refund",
    "booking.parked": "refund",
}
USELESS_AFTER = timedelta(hours=72)
"""What is reported later than this does not count at the time at which it happened."""
SALT_BYTES_MAX = 64


@dataclass(slots=True, frozen=True, kw_only=True)
class AnalyticsEvent:
    """One event. `key` is the same for the same event of the same booking, `client_id` for the same session."""

    key: str
    name: AnalyticsName
    client_id: str
    occurred_at: datetime
    useless_after: datetime
    params: Mapping[str, Any]


def analytics_after(event: str, booking: Booking, occurred_at: datetime, *, salt: bytes) -> AnalyticsEvent | None:
    """What to report of a domain event, named without its version (`hold.created`), or None.

    `salt` is a secret of the house, 1 to 64 bytes; without it nobody can tell which session an event was of.
    """
    name = NAMES.get(event)
    if name is None:
        return None
    value = _value(name, booking)
    if name == "refund" and not value:
        return None
    client, session = _pseudonyms(booking.session_id, salt)
    return AnalyticsEvent(
        key=f"analytics/{name}/{booking.booking_id}",
        name=name,
        client_id=client,
        occurred_at=occurred_at,
        useless_after=occurred_at + USELESS_AFTER,
        params={
            # Without these two an event does not show in the reports on what is going on right now.
            "session_id": session,
            "engagement_time_msec": 1,
            **({"transaction_id": booking.reference} if name in ("purchase", "refund") else {}),
            **value,
            "items": list(_items(booking)),
        },
    )


def _value(name: AnalyticsName, booking: Booking) -> dict[str, Any]:
    """Money, where it is known."""
    quote = booking.quote
    if quote is None:
        return {}
    amount = quote.total
    if name == "refund" and booking.refunded is not None:
        amount = booking.refunded
    if name == "refund" and amount == 0:
        return {}
    return {"currency": quote.currency, "value": _major(amount, quote.currency)}


def _items(booking: Booking) -> Iterator[dict[str, Any]]:
    for category, pieces in (("ticket", booking.tickets), ("extra", booking.extras)):
        for piece in pieces:
            yield {
                "item_id": booking.slot.product_id,
                "item_name": booking.slot.title,
                "item_category": category,
                "item_variant": piece.label,
                "quantity": piece.quantity,
                **_price(booking, category, piece),
            }


def _price(booking: Booking, kind: str, piece: Piece) -> dict[str, float]:
    quote = booking.quote
    if quote is not None:
        for line in quote.lines:
            if line.kind == kind and line.key == piece.key and line.each is not None:
                return {"price": _major(Decimal(line.each), quote.currency)}
    return {}


def _major(amount: int | Decimal, currency: str) -> float:
    """The amount in the currency's major unit; the nearest double shows all digits that there are."""
    return float(Decimal(amount).scaleb(-MINOR_DIGITS[currency]))


def _pseudonyms(session_id: str, salt: bytes) -> tuple[str, str]:
    """A client id in the form that browsers have, and a session number."""
    assert 0 < len(salt) <= SALT_BYTES_MAX, "the salt has 1 to 64 bytes"
    digest = blake2b(session_id.encode(), key=salt, digest_size=12).digest()
    first, second, third = (int.from_bytes(digest[at : at + 4], "big") for at in (0, 4, 8))
    return f"{first}.{second}", str(third)
