"""Made-up bookings with which templates are tried before they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from holdgate_schema.values.quotes import Quote, QuoteLine
from holdgate_workers.app.notifications.facts import Booking, Piece, Slot
from holdgate_workers.app.notifications.people import Customer

CUSTOMER = Customer(name="Alex Sample", email="alex@example.org")

_START = datetime(2030, 6, 14, 8, tzinfo=UTC)
_QUOTE = Quote(
    product_id="harbour-tour",
    occurrence_id="harbour-tour-2030-06-14",
    currency="EUR",
    items={"adult": 2},
    extras={"guide": 2},
    lines=[
        QuoteLine(kind="ticket", label="Adult", amount=15000, key="adult", quantity=2, each="7500"),
        QuoteLine(kind="extra", label="Audio guide", amount=1200, key="guide", quantity=2, each="600"),
    ],
    tickets_total=15000,
    extras_total=1200,
    total=16200,
)


def bookings() -> Iterator[Booking]:
    """With and without a price, a place, extras and a refund, on one day and over midnight."""
    slot = Slot(
        occurrence_id="harbour-tour-2030-06-14",
        product_id="harbour-tour",
        title="Harbour tour",
        starts_at=_START,
        ends_at=_START + timedelta(hours=2),
        timezone="Europe/Rome",
        version=2,
        changed_at=_START - timedelta(days=30),
        place="Pier 4",
    )
    full = Booking(
        booking_id="00000000-0000-4000-8000-000000000000",
        session_id="sample",
        reference="HG-1042",
        slot=slot,
        tickets=(Piece(key="adult", label="Adult", quantity=2),),
        extras=(Piece(key="guide", label="Audio guide", quantity=2),),
        version=7,
        changed_at=_START - timedelta(days=10),
        quote=_QUOTE,
    )
    yield full
    yield replace(full, state="cancelled", refunded=16200)
    yield replace(full, tickets=(replace(full.tickets[0], quantity=1),), refunded=7500)
    yield replace(
        full, quote=None, extras=(), slot=replace(slot, place="", ends_at=slot.ends_at + timedelta(hours=20))
    )
