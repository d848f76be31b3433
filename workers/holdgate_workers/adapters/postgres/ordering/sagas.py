"""The rows of the conversion saga, and what it looks at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from psycopg import Connection

from holdgate_schema.commands.selling import Customer
from holdgate_schema.values.quotes import Quote
from holdgate_workers.adapters.postgres.gate.rows import booking_from
from holdgate_workers.adapters.postgres.session import Session
from holdgate_workers.app.ordering.facts import Saga
from holdgate_workers.app.ordering.protocol import Begin, Look, Record, Recorded
from holdgate_workers.domain.bookings.booking import Booking

_LOOK = """
SELECT b.document::text, b.customer::text, h.state, q.document::text, o.ends_at, clock_timestamp(),
  s.rev, s.document::text, s.begun_at, s.quiet_until
FROM bookings b
LEFT JOIN holds h ON h.id = b.hold_id
LEFT JOIN quotes q ON q.hash = b.document -> 'quote' ->> 'hash'
LEFT JOIN occurrences o ON o.id = b.occurrence_id
LEFT JOIN sagas s ON s.booking_id = b.id
WHERE b.id = %s"""

# Each write is on top of the one that was read; where there is no row, the one that was read has rev 0.
_BEGIN = """
INSERT INTO sagas AS s (booking_id, rev, step, begun_at, sent_at, order_id, attempts, last_result, document)
VALUES (%(id)s, 1, %(step)s, clock_timestamp(), CASE WHEN %(sends)s THEN clock_timestamp() END, %(order_id)s, 1,
  'begun', %(document)s::jsonb)
ON CONFLICT (booking_id) DO UPDATE SET rev = s.rev + 1, step = excluded.step, begun_at = excluded.begun_at,
  quiet_until = NULL, sent_at = coalesce(s.sent_at, excluded.sent_at), attempts = s.attempts + 1,
  last_result = excluded.last_result, document = excluded.document, changed_at = clock_timestamp()
WHERE s.rev = %(rev)s
RETURNING rev, begun_at, quiet_until, clock_timestamp()"""
_RECORD = """
INSERT INTO sagas AS s (booking_id, rev, step, quiet_until, order_id, attempts, last_result, document)
VALUES (%(id)s, 1, %(step)s, clock_timestamp() + make_interval(secs => %(quiet)s), %(order_id)s, 0, %(result)s,
  %(document)s::jsonb)
ON CONFLICT (booking_id) DO UPDATE SET rev = s.rev + 1, step = excluded.step, begun_at = NULL,
  quiet_until = excluded.quiet_until, order_id = excluded.order_id, last_result = excluded.last_result,
  document = excluded.document, changed_at = clock_timestamp()
WHERE s.rev = %(rev)s
RETURNING rev, begun_at, quiet_until, clock_timestamp()"""

_BOOKED = """
SELECT document::text FROM bookings WHERE id::text = %s"""

_HELD_UP = """
SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(b.created_at))::float8, 0),
  (array_agg(s.last_result ORDER BY s.changed_at DESC))[1],
  coalesce(bool_or(s.last_result LIKE '%left alone%'
    AND s.changed_at > clock_timestamp() - interval '2 minutes'), false)
FROM bookings b JOIN sagas s ON s.booking_id = b.id
WHERE b.state = 'converting'
  AND (coalesce((s.document ->> 'failures')::integer, 0) > 0 OR s.last_result LIKE 'unavailable%')"""

_quotes = msgspec.json.Decoder(Quote)
_customers = msgspec.json.Decoder(Customer)
_sagas = msgspec.json.Decoder(Saga)


@dataclass(slots=True, frozen=True)
class HeldUp:
    """How many conversions wait for the shop, for how long, what was last said of it, and whether it is left alone."""

    number: int
    oldest_seconds: float
    said: str | None
    is_left_alone: bool


class SagaBook:
    """`app.ordering.handler.SagaRows` on PostgreSQL. Not thread-safe.

    Every call raises `DatabaseUnavailable` or `DatabaseError`.
    """

    def __init__(self, url: str) -> None:
        self._session = Session(url, name="sagas")

    def look(self, booking_id: str) -> Look | None:
        """What is true of a booking; None if there is none."""
        row = self._one(_LOOK, [booking_id])
        return None if row is None else _look(booking_id, row)

    def begin(self, effect: Begin) -> Recorded | None:
        """Write down that a call begins; None if somebody else has written meanwhile."""
        values = {"sends": effect.step == "create"}
        return self._written(_BEGIN, effect.recorded, effect.saga, {**values, "step": effect.step})

    def record(self, effect: Record) -> Recorded | None:
        """Write down what came of it; None if somebody else has written meanwhile."""
        values = {"step": effect.step, "result": effect.result, "quiet": effect.quiet_seconds}
        return self._written(_RECORD, effect.recorded, effect.saga, values)

    def booked(self, booking_id: str) -> Booking | None:
        """What an order event is held against; None if there is no such booking."""
        row = self._one(_BOOKED, [booking_id])
        return None if row is None else booking_from(row[0])

    def held_up(self) -> HeldUp:
        """The conversions whose last call to the shop brought nothing."""
        row = self._one(_HELD_UP, None)
        assert row is not None, "a count is always there"
        return HeldUp(*row)

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._session.close()

    def _written(
        self, statement: str, before: Recorded, saga: Saga, values: Mapping[str, object]
    ) -> Recorded | None:
        more = {
            "id": saga.booking_id,
            "rev": before.rev,
            "order_id": None if saga.order is None else saga.order.order_id,
            "document": msgspec.json.encode(saga).decode(),
        }
        row = self._one(statement, {**values, **more})
        if row is None:
            return None
        rev, begun_at, quiet_until, now = row
        return Recorded(saga=saga, now=now, rev=rev, begun_at=begun_at, quiet_until=quiet_until)

    def _one(self, statement: str, values: Any) -> tuple[Any, ...] | None:
        def work(connection: Connection[tuple[Any, ...]]) -> tuple[Any, ...] | None:
            return connection.execute(statement, values).fetchone()

        return self._session.run_outside(work)


def _look(booking_id: str, row: tuple[Any, ...]) -> Look:
    document, customer, hold_state, quote, ends_at, now, rev, saga, begun_at, quiet_until = row
    known = Saga(booking_id=booking_id) if saga is None else _sagas.decode(saga)
    return Look(
        booking=booking_from(document),
        hold_state=hold_state,
        buyer=None if customer is None else _customer(customer),
        quote=None if quote is None else _quote(quote),
        over_at=ends_at,
        recorded=Recorded(saga=known, now=now, rev=rev or 0, begun_at=begun_at, quiet_until=quiet_until),
    )


def _quote(document: str) -> Quote | None:
    try:
        return _quotes.decode(document)
    except msgspec.DecodeError:
        return None


def _customer(document: str) -> Customer | None:
    """What was erased is no customer any more."""
    try:
        return _customers.decode(document)
    except msgspec.DecodeError:
        return None
