"""The part of a commit that has to do with money: prices of holds, bookings, and requests that get two answers."""

from __future__ import annotations

from collections.abc import Sequence

from holdgate_schema.events.selling import PaymentRefused
from holdgate_workers.adapters.postgres import arrays
from holdgate_workers.adapters.postgres.pipeline import Trip
from holdgate_workers.app.gate.effects import JournalRow
from holdgate_workers.domain.bookings.booking import Booking
from holdgate_workers.domain.occurrences.occurrence import Hold

from .rows import booking_text, customer_text, quote_of

# Most new holds have neither yet, so these two columns are not in the statement that writes all of them.
_DRESS_HOLDS = """
UPDATE holds h SET quote = d.quote, cart_id = d.cart_id
FROM unnest(%s::uuid[], string_to_array(%s, E'\\x01', '')::jsonb[], %s::uuid[]) AS d (id, quote, cart_id)
WHERE h.id = d.id"""

# What was erased of a customer stays erased.
_BOOKINGS = """
INSERT INTO bookings AS b (id, occurrence_id, hold_id, session_id, state, document, customer, created_at, timeout_at,
  changed_at)
SELECT *, clock_timestamp() FROM unnest(%s::uuid[], %s::text[], %s::uuid[], %s::text[], %s::text[],
  string_to_array(%s, E'\\x01', '')::jsonb[], string_to_array(%s, E'\\x01', '')::jsonb[], %s::timestamptz[],
  %s::timestamptz[])
ON CONFLICT (id) DO UPDATE SET hold_id = excluded.hold_id, state = excluded.state, document = excluded.document,
  timeout_at = excluded.timeout_at, changed_at = excluded.changed_at"""

# Said once more it is the same money, settled or not; what is said last of it counts.
_REFUSED_PAYMENTS = """
INSERT INTO refused_payments AS r (request_id, occurrence_id, hold_id, payment, session_id, method, amount, currency,
  reference, reason, message, refused_at)
SELECT * FROM unnest(%s::uuid[], %s::text[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::text[],
  %s::text[], %s::text[], %s::text[], %s::timestamptz[])
ON CONFLICT (hold_id, payment) DO UPDATE SET method = excluded.method, amount = excluded.amount,
  currency = excluded.currency, reason = excluded.reason, message = excluded.message
WHERE r.settled_at IS NULL"""

_EXPECT = """
INSERT INTO follow_ups (request_id, reply_to, correlation_id, wish)
SELECT * FROM unnest(%s::uuid[], %s::text[], %s::text[], string_to_array(%s, E'\\x01', '')::json[])"""

# The first of them is the second answer, whatever comes later.
_ANSWERED = """
UPDATE follow_ups f SET answered_by = a.answered_by
FROM unnest(%s::uuid[], %s::uuid[]) AS a (request_id, answered_by)
WHERE f.request_id = a.request_id AND f.answered_by IS NULL"""


def save_bookings(trip: Trip, bookings: Sequence[Booking]) -> None:
    """Write the bookings as they are now."""
    if not bookings:
        return
    trip.execute(
        _BOOKINGS,
        [
            arrays.plain(booking.id for booking in bookings),
            arrays.quoted(booking.occurrence_id for booking in bookings),
            arrays.plain(booking.hold_id for booking in bookings),
            arrays.quoted(booking.session_id for booking in bookings),
            arrays.plain(booking.state for booking in bookings),
            arrays.documents(booking_text(booking) for booking in bookings),
            arrays.documents(customer_text(booking) for booking in bookings),
            arrays.times(booking.created_at for booking in bookings),
            arrays.times(booking.timeout_at for booking in bookings),
        ],
    )


def save_refused_payments(trip: Trip, refused: Sequence[PaymentRefused]) -> None:
    """Write down the money that was not taken."""
    if not refused:
        return
    rows = {(event.hold_id, _payment_key(event)): event for event in refused}
    events = rows.values()
    trip.execute(
        _REFUSED_PAYMENTS,
        [
            arrays.plain(event.event_id.partition("/")[0] for event in events),
            arrays.quoted(event.occurrence_id for event in events),
            arrays.plain(hold_id for hold_id, _ in rows),
            arrays.quoted(payment for _, payment in rows),
            arrays.quoted(event.session_id for event in events),
            arrays.quoted(event.payment.method for event in events),
            arrays.plain(event.payment.amount for event in events),
            arrays.quoted(event.payment.currency for event in events),
            arrays.quoted(event.payment.reference for event in events),
            arrays.quoted(event.reason for event in events),
            arrays.quoted(event.message for event in events),
            arrays.times(event.occurred_at for event in events),
        ],
    )


def _payment_key(event: PaymentRefused) -> str:
    """What tells one payment for a hold from another."""
    return event.payment.reference or f"{event.payment.amount} {event.payment.currency}"


def dress_new_holds(trip: Trip, holds: Sequence[Hold]) -> None:
    """Write the prices and the carts of new holds that have one."""
    dressed = [hold for hold in holds if hold.quote is not None or hold.cart_id is not None]
    if dressed:
        trip.execute(
            _DRESS_HOLDS,
            [
                arrays.plain(hold.id for hold in dressed),
                arrays.documents(quote_of(hold) for hold in dressed),
                arrays.plain(hold.cart_id for hold in dressed),
            ],
        )


def link_answers(trip: Trip, rows: Sequence[JournalRow]) -> None:
    """Note which requests get a second answer, and which decisions are one."""
    expected = [(row, row.wish) for row in rows if row.wish is not None]
    if expected:
        trip.execute(
            _EXPECT,
            [
                arrays.plain(row.request_id for row, _ in expected),
                arrays.quoted(row.reply_to for row, _ in expected),
                arrays.quoted(row.correlation_id for row, _ in expected),
                arrays.documents(wish.decode() for _, wish in expected),
            ],
        )
    answers = [row for row in rows if row.answers is not None]
    if answers:
        first = {row.answers: row.request_id for row in reversed(answers)}
        trip.execute(_ANSWERED, [arrays.plain(first), arrays.plain(first.values())])
