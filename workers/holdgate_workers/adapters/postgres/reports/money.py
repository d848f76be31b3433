"""Money that is not where it belongs: what has to be given back, and what was taken for something undecided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection

from holdgate_workers.adapters.postgres.gate.rows import booking_from
from holdgate_workers.domain.bookings.booking import Booking

from .reading import Reader

# Both halves have an index with just these rows: it costs what is open and no more.
_OPEN = """
SELECT b.document::text, b.changed_at, clock_timestamp(), (
  SELECT t.last_error FROM tasks t WHERE t.role = 'orders' AND t.state = 'dead'
    AND t.payload ->> 'booking_id' = b.id::text ORDER BY t.id DESC LIMIT 1)
FROM (
  SELECT id FROM bookings WHERE document ->> 'refund' = 'due'
  UNION
  SELECT id FROM bookings WHERE state IN ('converting', 'parked', 'refund_required')
    AND (state <> 'converting' OR timeout_at <= clock_timestamp())) AS open
JOIN bookings b ON b.id = open.id ORDER BY b.changed_at, b.id"""
REFUNDS_DUE = """
SELECT document -> 'payment' ->> 'currency', count(*), sum((document ->> 'refund_due')::bigint)::bigint
FROM bookings WHERE document ->> 'refund' = 'due' GROUP BY 1"""
CONVERSIONS_OVERDUE = """
SELECT count(*) FROM bookings WHERE state = 'converting' AND timeout_at <= clock_timestamp()
  AND state IN ('converting', 'parked', 'refund_required')"""


@dataclass(slots=True, frozen=True)
class OpenMoney:
    """A booking whose money is open. `kind`: `due`, it has to be given back; `undecided`, a person has to decide;
    `waiting`, it was paid and there is no order yet. `amount` is in minor units. `trouble`: what the shop said."""

    booking: Booking
    kind: str
    amount: int
    since: datetime
    read_at: datetime
    trouble: str

    @property
    def to_do(self) -> str:
        """What is to be done about it."""
        name = self.booking.id[:18]
        if self.kind == "waiting":
            return "nothing, if the shop and the orders worker are well: holdgate doctor"
        if self.kind == "undecided":
            return f"holdgate booking resolve {name} fulfil, or refund"
        if self.trouble or self.booking.order is None:
            return f"give it back by hand, then holdgate booking resolve {name} refunded"
        return "nothing: the orders worker gives it back"


class Money(Reader):
    """What has still to be done about money."""

    def open(self) -> Sequence[OpenMoney]:
        """Every booking that owes money, or whose money waits for a decision or an order; the longest waiting first."""

        def work(connection: Connection[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
            return connection.execute(_OPEN).fetchall()

        found = []
        for document, since, now, trouble in self._read(work):
            booking = booking_from(document)
            kind = (
                "due" if booking.refund == "due" else "waiting" if booking.state == "converting" else "undecided"
            )
            amount = booking.refund_due if kind == "due" else booking.kept
            if amount:
                found.append(OpenMoney(booking, kind, amount, since, now, trouble or ""))
        return found
