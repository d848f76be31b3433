"""Rows to domain objects and back."""

from __future__ import annotations

from functools import lru_cache
from sys import intern
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from holdgate_schema.commands.selling import Pricing
from holdgate_workers.domain.bookings.booking import Booking, HoldQuote
from holdgate_workers.domain.interning import shared_extras, shared_ticket_types
from holdgate_workers.domain.occurrences.occurrence import Definition, Hold, Pool

HOLD_COLUMNS = (
    "id::text, occurrence_id, session_id, user_id, state, basket::text, seats, ttl_seconds, created_at, "
    "expires_at, extensions_used, host(client_address), ended_at, "
    "quote::text, cart_id::text"
)
POOL_COLUMNS = "occurrence_id, key, capacity, overbooking_percent, buffer, sellable, held, sold"


class Basket(Struct, frozen=True, omit_defaults=True):
    """What a hold holds, as one document."""

    items: dict[str, int]
    extras: dict[str, int] = {}
    draws: dict[str, int] = {}
    stock: dict[str, int] = {}
    offered: bool = False
    """Whether it was offered to somebody in line."""
    terms: Pricing | None = None


_baskets = msgspec.json.Decoder(Basket)
_definitions = msgspec.json.Decoder(Definition)
_quotes = msgspec.json.Decoder(HoldQuote)
_bookings = msgspec.json.Decoder(Booking)
_encoder = msgspec.json.Encoder()


def basket_of(hold: Hold) -> str:
    """The document of a hold's basket."""
    basket = Basket(
        items=hold.items,
        extras=hold.extras,
        draws=hold.draws,
        stock=hold.stock,
        offered=hold.offered,
        terms=hold.terms,
    )
    return _encoder.encode(basket).decode()


def basket_text(items: dict[str, int], extras: dict[str, int]) -> str:
    """The document of a basket that nobody holds."""
    return _encoder.encode(Basket(items=items, extras=extras)).decode()


@lru_cache(maxsize=4_096)
def basket_from(document: str) -> Basket:
    """The basket from its document; the same one for equal documents."""
    return _baskets.decode(document)


def quote_of(hold: Hold) -> str | None:
    """The document of a hold's price."""
    return None if hold.quote is None else _encoder.encode(hold.quote).decode()


def booking_text(booking: Booking) -> str:
    """A booking as a document, without its customer, who is stored beside it."""
    return _encoder.encode(replace(booking, customer=None)).decode()


def customer_text(booking: Booking) -> str | None:
    """The document of a new booking's customer."""
    return None if booking.customer is None else _encoder.encode(booking.customer).decode()


def booking_from(document: str) -> Booking:
    """The booking from its document."""
    return _bookings.decode(document)


def definition_text(definition: Definition) -> str:
    """An occurrence's definition as a document."""
    return _encoder.encode(definition).decode()


def definition_from(document: str) -> Definition:
    """The definition from its document."""
    definition = _definitions.decode(document)
    return replace(
        definition,
        product_id=intern(definition.product_id),
        timezone=intern(definition.timezone),
        ticket_types=shared_ticket_types(definition.ticket_types),
        extras=shared_extras(definition.extras),
    )


def hold_from(row: tuple[Any, ...]) -> Hold:
    """A hold from `HOLD_COLUMNS`."""
    basket = basket_from(row[5])
    return Hold(
        id=row[0],
        occurrence_id=row[1],
        session_id=row[2],
        user_id=row[3],
        state=row[4],
        items=basket.items,
        extras=basket.extras,
        draws=basket.draws,
        stock=basket.stock,
        seats=row[6],
        ttl_seconds=row[7],
        created_at=row[8],
        expires_at=row[9],
        extensions_used=row[10],
        client_address=row[11],
        ended_at=row[12],
        quote=None if row[13] is None else _quotes.decode(row[13]),
        cart_id=row[14],
        offered=basket.offered,
        terms=basket.terms,
    )


def pool_from(row: tuple[Any, ...]) -> Pool:
    """A pool from `POOL_COLUMNS`."""
    return Pool(
        key=row[1],
        capacity=row[2],
        overbooking_percent=row[3],
        buffer=row[4],
        sellable=row[5],
        held=row[6],
        sold=row[7],
    )
