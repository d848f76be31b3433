"""Answers and events as an outsider reads them: our own idea of their fields, none of the product's types."""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import Struct


class QuoteSeen(Struct, frozen=True):
    """Which price a hold or a booking has."""

    hash: str
    total: int


class PaymentSeen(Struct):
    """What was said of a payment."""

    amount: int
    status: str


class OrderSeen(Struct):
    """The order that a booking became."""

    order_id: str
    status: str


class BookingSeen(Struct):
    """A booking in an answer or an event."""

    booking_id: str
    hold_id: str
    session_id: str
    state: str
    items: dict[str, int]
    quote: QuoteSeen
    payment: PaymentSeen
    extras: dict[str, int] = {}
    order: OrderSeen | None = None
    refund: str = "none"
    refund_due: int = 0
    refunded: int = 0

    @property
    def all_gone(self) -> bool:
        """Whether all that was paid went back."""
        return 0 < self.payment.amount <= self.refunded


class HoldSeen(Struct):
    """A hold in an answer or an event."""

    hold_id: str
    session_id: str
    state: str
    items: dict[str, int]
    created_at: datetime
    expires_at: datetime
    extensions_used: int = 0
    extras: dict[str, int] = {}
    quote: QuoteSeen | None = None
    cart_id: str | None = None


class PoolSeen(Struct):
    """A pool in an answer about availability."""

    held: int
    available: int | None


class Reply(Struct):
    """An answer."""

    outcome: str
    request_id: str
    occurrence_id: str
    version: int
    decided_at: datetime
    reason: str | None = None
    hold: HoldSeen | None = None
    subject: str | None = None
    requested: int | None = None
    limit: int | None = None
    expired: int = 0
    pools: dict[str, PoolSeen] = {}
    booking: BookingSeen | None = None
    position: int = 0
    entry_id: str = ""
    changed: bool = True


class Told(Struct):
    """An event."""

    type: str
    event_id: str
    occurrence_id: str
    version: int
    hold: HoldSeen | None = None
    booking: BookingSeen | None = None
    payment: PaymentSeen | None = None
    hold_id: str = ""
    reason: str = ""
    late: bool = False
    entry_id: str = ""
    session_id: str = ""
    cart_id: str = ""
    outcome: str = ""
    hold_ids: dict[str, str] = {}
    legs: list[dict[str, object]] = []
    items: dict[str, int] = {}
    extras: dict[str, int] = {}
    amount: int = 0


read_reply = msgspec.json.Decoder(Reply).decode
read_event = msgspec.json.Decoder(Told).decode
