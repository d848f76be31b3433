"""Bookings, holds and events as the world is told of them. What a booking is now, at one instant."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct
from psycopg import Connection

from holdgate_schema.commands.selling import Customer
from holdgate_schema.values.quotes import Quote, QuoteLine
from holdgate_workers.adapters.postgres.gate.rows import Basket
from holdgate_workers.adapters.postgres.session import Session
from holdgate_workers.app.notifications.facts import Booking, state_for_buyer
from holdgate_workers.app.notifications.handlers import BookingNow, Part
from holdgate_workers.domain.bookings.booking import Booking as BookingDocument
from holdgate_workers.domain.bookings.booking import HoldQuote

from .slots import COLUMNS, WORDS, Told, told_from

_BOOKING = f"""
SELECT b.document::text, b.customer::text, b.changed_at, clock_timestamp(), q.document::text, {COLUMNS}
FROM bookings b JOIN occurrences o ON o.id = b.occurrence_id {WORDS}
LEFT JOIN quotes q ON q.hash = b.document -> 'quote' ->> 'hash'
WHERE b.id = %s"""
_HOLD = f"""
SELECT h.session_id, h.basket::text, h.quote::text, h.created_at, q.document::text, {COLUMNS}
FROM holds h JOIN occurrences o ON o.id = h.occurrence_id {WORDS}
LEFT JOIN quotes q ON q.hash = h.quote ->> 'hash'
WHERE h.id = %s"""
_REDUCED = """
SELECT coalesce(sum((e ->> 'amount')::bigint), 0) FROM journal j CROSS JOIN LATERAL json_array_elements(j.events) AS e
WHERE j.occurrence_id = (SELECT occurrence_id FROM bookings WHERE id = %s) AND j.hold_id = %s
  AND j.kind IN ('booking.reduce.v1', 'booking.resolve.v1') AND e ->> 'type' = 'booking.reduced.v1'"""
_EVENTS = "SELECT events::text FROM journal WHERE request_id = %s"


class _Lines(Struct):
    """What is told of a stored quote."""

    items: dict[str, int] = {}
    extras: dict[str, int] = {}
    lines: list[QuoteLine] = []
    tickets_total: int = 0
    extras_total: int = 0


class _Head(Struct):
    event_id: str


_documents = msgspec.json.Decoder(BookingDocument)
_customers = msgspec.json.Decoder(Customer)
_baskets = msgspec.json.Decoder(Basket)
_prices = msgspec.json.Decoder(HoldQuote)
_lines = msgspec.json.Decoder(_Lines)
_raw_events = msgspec.json.Decoder(list[msgspec.Raw])
_heads = msgspec.json.Decoder(_Head)


class FactReader:
    """The port `NoticeFacts`, on a session that it shares. Raises `DatabaseUnavailable` and `DatabaseError`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def booking(self, booking_id: str, version: int = 0, *, part: Part | None = None) -> BookingNow | None:
        """The booking, with only these tickets and extras if given; None if there is none."""
        return self._session.run(lambda connection: booking_now(connection, booking_id, version, part))

    def reduced(self, booking_id: str) -> int:
        """How much became due for what was given back part by part."""
        row = self._session.run(lambda connection: connection.execute(_REDUCED, [booking_id] * 2).fetchone())
        return 0 if row is None else int(row[0])

    def hold(self, hold_id: str) -> Booking | None:
        """The hold as a booking that is not confirmed; None if there is none (any more)."""
        row = self._session.run(lambda connection: connection.execute(_HOLD, [hold_id]).fetchone())
        if row is None:
            return None
        session_id, basket, price, created_at, document = row[:5]
        told = told_from(row[5:])
        held = _baskets.decode(basket)
        quote = None if price is None else _quote(told, held.items, held.extras, _prices.decode(price), document)
        return Booking(
            booking_id=hold_id,
            session_id=session_id,
            reference=hold_id,
            slot=told.slot,
            tickets=told.pieces(held.items, "ticket"),
            extras=told.pieces(held.extras, "extra"),
            version=0,
            changed_at=created_at,
            state="held",
            quote=quote,
        )

    def event(self, request_id: str, event_id: str) -> bytes | None:
        """The event, byte for byte; None once the journal does not have it any more."""
        row = self._session.run(lambda connection: connection.execute(_EVENTS, [request_id]).fetchone())
        if row is None or row[0] is None:
            return None
        events = (bytes(raw) for raw in _raw_events.decode(row[0]))
        return next((event for event in events if _heads.decode(event).event_id == event_id), None)


def booking_now(
    connection: Connection[tuple[Any, ...]], booking_id: str, version: int = 0, part: Part | None = None
) -> BookingNow | None:
    """`FactReader.booking` inside somebody else's transaction."""
    row = connection.execute(_BOOKING, [booking_id]).fetchone()
    if row is None:
        return None
    document, customer, changed_at, now, quote = row[:5]
    told = told_from(row[5:])
    booking = _booking(_documents.decode(document), told, quote, version, changed_at)
    if part is not None:
        booking = replace(booking, tickets=told.pieces(part[0], "ticket"), extras=told.pieces(part[1], "extra"))
    return BookingNow(booking, None if customer is None else _customers.decode(customer), now)


def _booking(known: BookingDocument, told: Told, quote: str | None, version: int, changed_at: datetime) -> Booking:
    return Booking(
        booking_id=known.id,
        session_id=known.session_id,
        # The shop's number is what a customer has in hand.
        reference=known.order.order_id if known.order is not None else known.id,
        slot=told.slot,
        tickets=told.pieces(known.items, "ticket"),
        extras=told.pieces(known.extras, "extra"),
        version=version,
        changed_at=changed_at,
        state=state_for_buyer(known),
        quote=_quote(told, known.items, known.extras, known.quote, quote),
        refunded=known.refund_due + known.refunded,
    )


def _quote(
    told: Told, items: dict[str, int], extras: dict[str, int], price: HoldQuote, document: str | None
) -> Quote:
    """What was charged; its lines as far as they were kept. A voucher's code stays out of it."""
    lines = _Lines() if document is None else _lines.decode(document)
    return Quote(
        product_id=told.slot.product_id,
        occurrence_id=told.slot.occurrence_id,
        currency=price.currency,
        # Some of what the price is of may have been given back since.
        items=lines.items or items,
        extras=lines.extras if lines.items else extras,
        lines=lines.lines,
        tickets_total=lines.tickets_total,
        extras_total=lines.extras_total,
        total=price.total,
        payment_method=price.payment_method,
        hash=price.hash,
    )
