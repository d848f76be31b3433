"""Rows to domain objects and back."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from holdgate_workers.domain.occurrence import Definition, Hold, Pool

HOLD_COLUMNS = (
    "id::text, occurrence_id, session_id, user_id, state, basket::text, seats, ttl_seconds, created_at, "
    "expires_at, extensions_used, host(client_address), ended_at"
)
POOL_COLUMNS = "occurrence_id, key, capacity, overbooking_percent, buffer, sellable, held, sold"


class Basket(Struct, omit_defaults=True):
    """What a hold holds, as one document."""

    items: dict[str, int]
    extras: dict[str, int] = {}
    draws: dict[str, int] = {}
    stock: dict[str, int] = {}


_baskets = msgspec.json.Decoder(Basket)
_definitions = msgspec.json.Decoder(Definition)
_encoder = msgspec.json.Encoder()


def basket_of(hold: Hold) -> str:
    """The document of a hold's basket."""
    basket = Basket(items=hold.items, extras=hold.extras, draws=hold.draws, stock=hold.stock)
    return _encoder.encode(basket).decode()


def definition_text(definition: Definition) -> str:
    """An occurrence's definition as a document."""
    return _encoder.encode(definition).decode()


def definition_from(document: str) -> Definition:
    """The definition from its document."""
    return _definitions.decode(document)


def hold_from(row: tuple[Any, ...]) -> Hold:
    """A hold from `HOLD_COLUMNS`."""
    basket = _baskets.decode(row[5])
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
