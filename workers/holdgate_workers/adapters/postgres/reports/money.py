"""Money that is not where it belongs: what has to be given back, what was taken for something undecided, and what was
said to be paid and was not taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg import Connection

from holdgate_workers.adapters.postgres.gate.rows import booking_from
from holdgate_workers.domain.bookings.booking import Booking

from .reading import Reader

Kind = Literal["due", "refused", "undecided", "waiting"]
KINDS: tuple[Kind, ...] = ("due", "refused", "undecided", "waiting")
"""`due`: it has to be given back. `refused`: it was said to be paid, and nothing was sold for it. `undecided`: a person
has to decide. `waiting`: it was paid, and there is no order yet."""

# What a later booking was paid with has arrived there. A payment is known by its name; without one, by its hold.
_REFUSED = """
FROM refused_payments r WHERE r.settled_at IS NULL AND NOT EXISTS (
  SELECT FROM bookings b WHERE (b.session_id = r.session_id OR b.id = r.hold_id)
    AND b.document -> 'payment' ->> 'status' = 'paid'
    AND coalesce(b.document -> 'payment' ->> 'reference', '') = r.reference
    AND (r.reference <> '' OR (b.id = r.hold_id
      AND (b.document -> 'payment' ->> 'amount')::bigint = r.amount
      AND b.document -> 'payment' ->> 'currency' = r.currency)))"""

# Each part has an index with just these rows: it costs what is open and no more.
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
_OPEN_REFUSED = f"""
SELECT r.request_id::text, r.occurrence_id, r.hold_id::text, r.method, r.amount, r.currency, r.reference, r.reason,
  r.message, r.refused_at
{_REFUSED}
ORDER BY r.refused_at, r.request_id"""
SUMS = f"""
SELECT kind, currency, count(*), sum(amount)::bigint FROM (
  SELECT 'due' AS kind, document -> 'payment' ->> 'currency' AS currency,
    (document ->> 'refund_due')::bigint AS amount
  FROM bookings WHERE document ->> 'refund' = 'due'
  UNION ALL
  SELECT CASE state WHEN 'converting' THEN 'waiting' ELSE 'undecided' END, document -> 'payment' ->> 'currency',
    (document -> 'payment' ->> 'amount')::bigint - coalesce((document ->> 'refunded')::bigint, 0)
  FROM bookings WHERE state IN ('converting', 'parked', 'refund_required')
    AND (state <> 'converting' OR timeout_at <= clock_timestamp())
    AND coalesce(document ->> 'refund', 'none') <> 'due'
    AND 'paid' IN (document -> 'payment' ->> 'status', document -> 'order' ->> 'status')
  UNION ALL
  SELECT 'refused', r.currency, r.amount {_REFUSED}) AS open
WHERE amount > 0 GROUP BY kind, currency"""
CONVERSIONS_OVERDUE = """
SELECT count(*) FROM bookings WHERE state = 'converting' AND timeout_at <= clock_timestamp()
  AND state IN ('converting', 'parked', 'refund_required')"""
_PAYMENTS_LIKE = """
SELECT request_id::text FROM refused_payments WHERE settled_at IS NULL AND request_id::text LIKE %s || '%%'
ORDER BY refused_at LIMIT 5"""
_SETTLE = """
UPDATE refused_payments SET settled_at = clock_timestamp(), settled_by = %s, note = %s
WHERE request_id = %s AND settled_at IS NULL"""


@dataclass(slots=True, frozen=True)
class OpenMoney:
    """A booking whose money is open. `amount` is in minor units. `trouble`: what the shop said."""

    booking: Booking
    kind: Kind
    amount: int
    since: datetime
    read_at: datetime
    trouble: str
    message: str = ""

    @property
    def name(self) -> str:
        """What a command takes."""
        return self.booking.id

    @property
    def occurrence_id(self) -> str:
        """What it was paid for."""
        return self.booking.occurrence_id

    @property
    def hold_id(self) -> str:
        """Whose seats it has, or had last."""
        return self.booking.hold_id

    @property
    def state(self) -> str | None:
        """The booking's."""
        return self.booking.state

    @property
    def currency(self) -> str:
        """What it was paid in."""
        return self.booking.payment.currency

    @property
    def method(self) -> str:
        """How it was paid."""
        return self.booking.payment.method

    @property
    def reference(self) -> str:
        """The payment's name at its provider."""
        return self.booking.payment.reference

    @property
    def reason(self) -> str:
        """Why the booking is as it is."""
        return self.booking.reason

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


@dataclass(slots=True, frozen=True)
class RefusedPayment:
    """Money that was said to be paid for a hold and was not taken. `name` is the request that was refused."""

    name: str
    occurrence_id: str
    hold_id: str
    method: str
    amount: int
    currency: str
    reference: str
    reason: str
    message: str
    since: datetime
    kind: Kind = "refused"
    state: str | None = None
    trouble: str = ""

    @property
    def to_do(self) -> str:
        """What is to be done about it."""
        settled = f"holdgate booking payment-settled {self.name[:18]}"
        return f"convert it again as it should be, or give it back; then {settled}"


class Money(Reader):
    """What has still to be done about money."""

    def open(self) -> Sequence[OpenMoney]:
        """Every booking that owes money, or whose money waits for a decision or an order; the longest waiting first."""

        def work(connection: Connection[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
            return connection.execute(_OPEN).fetchall()

        found = []
        for document, since, now, trouble in self._read(work):
            booking = booking_from(document)
            kind: Kind = (
                "due" if booking.refund == "due" else "waiting" if booking.state == "converting" else "undecided"
            )
            amount = booking.refund_due if kind == "due" else booking.kept
            if amount:
                found.append(OpenMoney(booking, kind, amount, since, now, trouble or ""))
        return found

    def refused(self) -> Sequence[RefusedPayment]:
        """Every payment that was not taken, that no later booking was paid with, and that nobody has settled."""

        def work(connection: Connection[tuple[Any, ...]]) -> list[RefusedPayment]:
            return [RefusedPayment(*row) for row in connection.execute(_OPEN_REFUSED).fetchall()]

        return self._read(work)

    def payments_like(self, part: str) -> list[str]:
        """Unsettled payments whose id begins so; some of them if they are many."""
        return self._read(lambda connection: [row[0] for row in connection.execute(_PAYMENTS_LIKE, [part])])

    def settle(self, payment_id: str, by: str, note: str) -> bool:
        """Note that somebody has seen to a refused payment. False if there is none to be seen to."""
        values = [by, note, payment_id]
        return self._session.run(lambda connection: connection.execute(_SETTLE, values).rowcount > 0)


Sums = Mapping[tuple[str, str], tuple[int, int]]
"""How many are open, and how much that is in minor units, by kind and currency."""


def sums(connection: Connection[tuple[Any, ...]]) -> Sums:
    """How much money is open: what `Money` lists, added up."""
    return {(kind, currency): (number, amount) for kind, currency, number, amount in connection.execute(SUMS)}
