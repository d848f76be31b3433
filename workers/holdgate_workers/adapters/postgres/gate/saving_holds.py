"""The part of a commit that has to do with holds: new ones, and those that move on in their life."""

from __future__ import annotations

from collections.abc import Sequence

from holdgate_workers.adapters.postgres import arrays
from holdgate_workers.adapters.postgres.pipeline import Trip
from holdgate_workers.domain.occurrences.occurrence import Hold

from .rows import basket_of, quote_of
from .saving_bookings import dress_new_holds
from .sqlstates import BROKEN_MOVE

_NEW_HOLDS = """
INSERT INTO holds (id, occurrence_id, session_id, user_id, state, basket, seats, ttl_seconds, created_at,
  expires_at, extensions_used, client_address, ended_at)
SELECT * FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[],
  string_to_array(%s, E'\\x01', '')::jsonb[], %s::integer[], %s::integer[],
  %s::timestamptz[], %s::timestamptz[], %s::smallint[], %s::inet[], %s::timestamptz[])"""

_CHANGED_HOLDS = f"""
WITH moved AS (
  UPDATE holds h SET state = c.state, basket = c.basket, seats = c.seats, expires_at = c.expires_at,
    extensions_used = c.extensions_used, ended_at = c.ended_at, quote = c.quote
  FROM unnest(%s::uuid[], %s::text[], string_to_array(%s, E'\\x01', '')::jsonb[], %s::integer[],
    %s::timestamptz[], %s::smallint[], %s::timestamptz[], string_to_array(%s, E'\\x01', '')::jsonb[])
    AS c (id, state, basket, seats, expires_at, extensions_used, ended_at, quote)
  WHERE h.id = c.id AND (h.state = 'active'
    OR h.state = 'converting' AND c.state NOT IN ('active', 'expired')
    OR h.state = 'confirmed' AND c.state IN ('confirmed', 'cancelled')) RETURNING 1)
SELECT holdgate_require((SELECT count(*) FROM moved) = %s, '{BROKEN_MOVE}', 'a hold that has ended was to move')"""


def save_new_holds(trip: Trip, holds: Sequence[Hold]) -> None:
    """Write holds that nobody has seen yet."""
    if holds:
        trip.execute(_NEW_HOLDS, _new_columns(holds))
        dress_new_holds(trip, holds)


def save_changed_holds(trip: Trip, holds: Sequence[Hold]) -> None:
    """Write holds as they are now; rolls back if one of them could not have come from where its row is."""
    if holds:
        trip.execute(
            _CHANGED_HOLDS,
            [
                arrays.plain(hold.id for hold in holds),
                arrays.plain(hold.state for hold in holds),
                arrays.documents(basket_of(hold) for hold in holds),
                arrays.plain(hold.seats for hold in holds),
                arrays.times(hold.expires_at for hold in holds),
                arrays.plain(hold.extensions_used for hold in holds),
                arrays.times(hold.ended_at for hold in holds),
                arrays.documents(quote_of(hold) for hold in holds),
                len(holds),
            ],
        )


def _new_columns(holds: Sequence[Hold]) -> list[str]:
    return [
        arrays.plain(hold.id for hold in holds),
        arrays.quoted(hold.occurrence_id for hold in holds),
        arrays.quoted(hold.session_id for hold in holds),
        arrays.quoted(hold.user_id for hold in holds),
        arrays.plain(hold.state for hold in holds),
        arrays.documents(basket_of(hold) for hold in holds),
        arrays.plain(hold.seats for hold in holds),
        arrays.plain(hold.ttl_seconds for hold in holds),
        arrays.times(hold.created_at for hold in holds),
        arrays.times(hold.expires_at for hold in holds),
        arrays.plain(hold.extensions_used for hold in holds),
        arrays.quoted(hold.client_address for hold in holds),
        arrays.times(hold.ended_at for hold in holds),
    ]
