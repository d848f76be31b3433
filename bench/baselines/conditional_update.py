"""`UPDATE … WHERE seats_left >= n`: no lock is held while anybody thinks.

In its strongest form: taking the seats and storing the hold is one statement, hence one round trip, and the row is
locked for no longer than the commit takes. The price is that what the answer says is left is put together by SQL.
"""

from __future__ import annotations

import msgspec
import psycopg

from .basket import TTL, Answer, Basket, Decide, again, sold_out
from .postgres import connect, one, stored

TAKE = """
WITH taken AS (
  UPDATE occurrences SET seats_left = seats_left - %(seats)s, reduced_left = reduced_left - %(reduced)s
  WHERE id = %(id)s AND seats_left >= %(seats)s AND reduced_left >= %(reduced)s
  RETURNING seats_left, reduced_left, clock_timestamp() AS now)
INSERT INTO holds (request_id, occurrence_id, session_id, items, seats, expires_at, answer)
SELECT %(request_id)s::uuid, %(id)s, %(session_id)s::text, %(items)s::jsonb, %(seats)s, now + %(ttl)s,
  json_build_object('outcome', 'held', 'request_id', %(request_id)s::text, 'occurrence_id', %(id)s::text, 'version', 1,
  'decided_at', now, 'hold', json_build_object('hold_id', %(request_id)s::text, 'occurrence_id', %(id)s::text,
  'session_id', %(session_id)s::text, 'state', 'active', 'items', %(items)s::json, 'seats', %(seats)s::integer,
  'created_at', now, 'expires_at', now + %(ttl)s),
  'available', json_build_object('total', seats_left, 'reduced', reduced_left))::text
FROM taken RETURNING answer"""
LOOK = "SELECT seats_left, reduced_left, clock_timestamp() FROM occurrences WHERE id = %s"


def decider(url: str) -> Decide:
    """Decides on a connection of its own."""
    connection = connect(url)

    def decide(basket: Basket) -> Answer:
        command = basket.command
        values = {
            "id": command.occurrence_id,
            "request_id": command.request_id,
            "session_id": command.session_id,
            "items": msgspec.json.encode(command.items).decode(),
            "seats": basket.seats,
            "reduced": basket.reduced,
            "ttl": TTL,
        }
        try:
            row = connection.execute(TAKE, values).fetchone()
        except psycopg.errors.UniqueViolation:
            row = None
        if row is not None:
            return again(row[0])
        repeated = stored(connection, basket)
        if repeated is not None:
            return repeated
        seats_left, reduced_left, now = one(connection, LOOK, command.occurrence_id)
        return sold_out(basket, now, seats_left, reduced_left)

    return decide
