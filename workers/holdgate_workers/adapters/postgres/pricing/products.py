"""Products and vouchers with all their versions, and what a price rests on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec
from psycopg import Connection

from holdgate_schema.decoding.prepared import Prepared
from holdgate_schema.values.products import PRODUCT, VOUCHER, Product, Voucher
from holdgate_workers.adapters.postgres.session import Session
from holdgate_workers.domain.pricing.fees import Fees
from holdgate_workers.domain.pricing.price_context import Occasion
from holdgate_workers.domain.settings.settings import parse

D = TypeVar("D", Product, Voucher)

_LOCK = "LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE"
_INSERT = """
INSERT INTO {table} ({key}, version, definition, changed_by) VALUES (%s, %s, %s, %s)
RETURNING version, definition::text, changed_at, changed_by"""
_COLUMNS = "version, definition::text, changed_at, changed_by"
_LATEST = f"SELECT {_COLUMNS} FROM {{table}} WHERE {{key}} = %s ORDER BY version DESC LIMIT 1"
_ONE = f"SELECT {_COLUMNS} FROM {{table}} WHERE {{key}} = %s AND version = %s"
_ALL = f"SELECT {_COLUMNS} FROM {{table}} WHERE {{key}} = %s ORDER BY version DESC LIMIT %s"
_LIST = f"SELECT DISTINCT ON ({{key}}) {_COLUMNS} FROM {{table}} ORDER BY {{key}}, version DESC LIMIT %s"

# As availability counts: what is past its time and not swept yet is nobody's any more. Nor does a hold that is to be
# priced stand in its own way.
_OCCURRENCE = """
SELECT o.product_id, o.starts_at, o.definition ->> 'timezone', p.sellable, p.held + p.sold - coalesce((
    SELECT sum((h.basket -> 'draws' ->> 'total')::integer) FROM holds h
    WHERE h.occurrence_id = o.id AND h.state = 'active'
      AND (h.expires_at <= %(now)s OR h.id = %(hold)s::uuid)), 0)::integer
FROM occurrences o JOIN pools p ON p.occurrence_id = o.id AND p.key = 'total'
WHERE o.id = %(id)s"""


@dataclass(slots=True, frozen=True)
class Version(Generic[D]):
    """A product or a voucher as somebody put it."""

    version: int
    definition: D
    changed_at: datetime
    changed_by: str


@dataclass(slots=True, frozen=True)
class Put(Generic[D]):
    """What a put left in force. Putting what is in force already makes no new version."""

    stored: Version[D]
    is_new: bool


@dataclass(slots=True, frozen=True)
class OccurrenceNow:
    """An occurrence as prices see it: what it is a date of, when it is, and how full."""

    product_id: str
    occasion: Occasion


@dataclass(slots=True, frozen=True)
class Basis:
    """Everything that a price rests on, read at one instant. What was not found is None."""

    product: Version[Product] | None
    voucher: Version[Voucher] | None
    occurrence: OccurrenceNow | None
    fees: Fees
    read_at: datetime


class Shelf(Generic[D]):
    """A table of definitions in which nothing is ever overwritten.

    Defaults are not written out: they belong to the type that a definition names (`product.put.v1`) and never change.
    """

    def __init__(self, session: Session, table: str, key: str, kind: Prepared[D]) -> None:
        self._session = session
        self._names = {"table": table, "key": key}
        self._kind: Prepared[D] = kind

    def put(self, key: str, definition: D, *, changed_by: str) -> Put[D]:
        """Put a checked definition in force."""
        document = msgspec.json.encode(definition).decode()

        def work(connection: Connection[tuple[Any, ...]]) -> Put[D]:
            connection.execute(self._sql(_LOCK))
            row = connection.execute(self._sql(_LATEST), [key]).fetchone()
            before = None if row is None else self._version(row)
            if before is not None and before.definition == definition:
                return Put(before, is_new=False)
            values = [key, before.version + 1 if before else 1, document, changed_by]
            row = connection.execute(self._sql(_INSERT), values).fetchone()
            assert row is not None
            return Put(self._version(row), is_new=True)

        return self._session.run(work)

    def get(self, key: str, version: int | None = None) -> Version[D] | None:
        """The version in force, or this one; None if there is none."""
        return self._session.run(lambda connection: self.read(connection, key, version))

    def versions(self, key: str, limit: int) -> list[Version[D]]:
        """All versions, the latest first."""
        return self._many(_ALL, [key, limit])

    def in_force(self, limit: int) -> list[Version[D]]:
        """The versions in force, by their keys."""
        return self._many(_LIST, [limit])

    def read(
        self, connection: Connection[tuple[Any, ...]], key: str, version: int | None = None
    ) -> Version[D] | None:
        """`get` inside somebody else's transaction."""
        statement, values = (_LATEST, [key]) if version is None else (_ONE, [key, version])
        row = connection.execute(self._sql(statement), values).fetchone()
        return None if row is None else self._version(row)

    def _many(self, statement: str, values: list[object]) -> list[Version[D]]:
        rows = self._session.run(lambda connection: connection.execute(self._sql(statement), values).fetchall())
        return [self._version(row) for row in rows]

    def _version(self, row: tuple[Any, ...]) -> Version[D]:
        return Version(row[0], self._kind.decode(row[1]), row[2], row[3])

    def _sql(self, statement: str) -> str:
        return statement.format(**self._names)


class PriceBook:
    """What is sold and what it costs. Not thread-safe; every call raises `DatabaseUnavailable` or `DatabaseError`."""

    def __init__(self, url: str) -> None:
        self._session = Session(url, name="prices")
        self.products = Shelf(self._session, "products", "id", PRODUCT)
        self.vouchers = Shelf(self._session, "vouchers", "code", VOUCHER)

    def basis(
        self, product_id: str, *, version: int | None, occurrence_id: str | None, voucher: str | None
    ) -> Basis:
        """What a price rests on, in one snapshot; raises `InvalidSettings` if the fees were tampered with."""

        def work(connection: Connection[tuple[Any, ...]]) -> Basis:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            clock = connection.execute("SELECT clock_timestamp()").fetchone()
            assert clock is not None
            return Basis(
                product=self.products.read(connection, product_id, version),
                voucher=None if voucher is None else self.vouchers.read(connection, voucher),
                occurrence=None if occurrence_id is None else occurrence_now(connection, occurrence_id, clock[0]),
                fees=fees_now(connection),
                read_at=clock[0],
            )

        return self._session.run(work)

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._session.close()


def fees_now(connection: Connection[tuple[Any, ...]]) -> Fees:
    """The fees in force, inside somebody else's transaction; raises `InvalidSettings`."""
    return parse(dict(connection.execute("SELECT name, value FROM settings").fetchall())).fees


def occurrence_now(
    connection: Connection[tuple[Any, ...]], occurrence_id: str, now: datetime, hold_id: str | None = None
) -> OccurrenceNow | None:
    """The occurrence, inside somebody else's transaction; the seats of `hold_id` do not count as taken."""
    row = connection.execute(_OCCURRENCE, {"id": occurrence_id, "now": now, "hold": hold_id}).fetchone()
    if row is None:
        return None
    product_id, starts_at, timezone, sellable, taken = row
    occasion = Occasion(
        occurrence_id=occurrence_id,
        starts_at=starts_at,
        timezone=timezone,
        booked_at=now,
        taken=taken,
        sellable=sellable,
    )
    return OccurrenceNow(product_id, occasion)
