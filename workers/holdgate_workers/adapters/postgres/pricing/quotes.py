"""Quotes that were made, and what new ones are made from."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from psycopg import Connection

from holdgate_schema.commands.selling import Pricing
from holdgate_schema.values.products import PRODUCT, VOUCHER
from holdgate_schema.values.quotes import Quote
from holdgate_workers.adapters.postgres.session import Session
from holdgate_workers.app.pricing.quoting import HoldSeen, KeptQuote, PriceLook, Wanted, terms_of

from .products import Shelf, fees_now, occurrence_now

_QUOTE = "SELECT document::text, valid_until FROM quotes WHERE hash = %s"
_KEEP = """
INSERT INTO quotes AS q (hash, occurrence_id, document, valid_until) VALUES (%s, %s, %s, %s)
ON CONFLICT (hash) DO UPDATE
SET valid_until = greatest(q.valid_until, excluded.valid_until), created_at = clock_timestamp()"""

_HOLD = """
SELECT CASE WHEN state = 'active' AND expires_at <= %(now)s THEN 'expired' ELSE state END, EXISTS (
    SELECT FROM journal j
    WHERE j.occurrence_id = h.occurrence_id AND j.version > %(version)s AND j.hold_id = h.id AND j.outcome = 'changed'),
  (basket -> 'terms')::text
FROM holds h WHERE h.id = %(hold)s"""
_ANSWERED = "SELECT EXISTS (SELECT FROM journal WHERE request_id = %s)"

_quotes = msgspec.json.Decoder(Quote)
_terms = msgspec.json.Decoder(Pricing)


class QuoteBook:
    """`app.pricing.tasks.PriceRows` on PostgreSQL. Not thread-safe.

    Every call raises `DatabaseUnavailable` or `DatabaseError`, `look` also `InvalidSettings`.
    """

    def __init__(self, url: str) -> None:
        self._session = Session(url, name="quotes")
        self._products = Shelf(self._session, "products", "id", PRODUCT)
        self._vouchers = Shelf(self._session, "vouchers", "code", VOUCHER)

    def look(self, wanted: Wanted) -> PriceLook:
        """Everything that the price rests on, in one snapshot."""
        return self._session.run(lambda connection: self._look(connection, wanted))

    def keep(self, quote: Quote, valid_until: datetime | None) -> None:
        """Keep a quote; one that is there already is valid until the later of the two times."""
        values = [quote.hash, quote.occurrence_id, msgspec.json.encode(quote).decode(), valid_until]
        self._session.run(lambda connection: connection.execute(_KEEP, values))

    def get(self, quote_hash: str) -> KeptQuote | None:
        """A quote by its hash; None if it was never made, or is too old."""
        return self._session.run(lambda connection: _kept(connection, quote_hash))

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._session.close()

    def _look(self, connection: Connection[tuple[Any, ...]], wanted: Wanted) -> PriceLook:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        now = _one(connection, "SELECT clock_timestamp()", [])[0]
        hold = _hold(connection, wanted, now)
        asked = terms_of(wanted, hold)
        earlier = None if asked.quote_hash is None else _kept(connection, asked.quote_hash)
        code = asked.voucher or (earlier.quote.voucher if earlier is not None else None)
        found = occurrence_now(connection, wanted.occurrence_id, now, wanted.hold_id)
        product = None if found is None else self._products.read(connection, found.product_id)
        voucher = None if code is None else self._vouchers.read(connection, code)
        return PriceLook(
            read_at=now,
            fees=fees_now(connection),
            product_id=None if found is None else found.product_id,
            product=None if product is None else product.definition,
            voucher=None if voucher is None else voucher.definition,
            occasion=None if found is None else found.occasion,
            earlier=earlier,
            hold=hold,
            is_answered=_one(connection, _ANSWERED, [wanted.answer_id])[0],
        )


def _kept(connection: Connection[tuple[Any, ...]], quote_hash: str) -> KeptQuote | None:
    row = connection.execute(_QUOTE, [quote_hash]).fetchone()
    return None if row is None else KeptQuote(_quotes.decode(row[0]), row[1])


def _hold(connection: Connection[tuple[Any, ...]], wanted: Wanted, now: datetime) -> HoldSeen | None:
    if wanted.hold_id is None:
        return None
    values = {"hold": wanted.hold_id, "version": wanted.version, "now": now}
    row = connection.execute(_HOLD, values).fetchone()
    if row is None:
        return None
    return HoldSeen(row[0], row[1], None if row[2] is None else _terms.decode(row[2]))


def _one(connection: Connection[tuple[Any, ...]], statement: str, values: list[object]) -> tuple[Any, ...]:
    row = connection.execute(statement, values).fetchone()
    assert row is not None
    return row
