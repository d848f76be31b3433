"""Waiting lists: who stands in line, as rows. Written and read together with the occurrence, behind its fence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from holdgate_workers.adapters.postgres import arrays
from holdgate_workers.adapters.postgres.pipeline import Trip
from holdgate_workers.domain.occurrences.occurrence import WaitEntry

from .rows import basket_from, basket_text
from .sqlstates import BROKEN_MOVE

# In the order of the line. The index has exactly these rows.
LINE = (
    "SELECT id::text, occurrence_id, session_id, user_id, basket::text, seats, place, joined_at FROM waitlist "
    "WHERE occurrence_id = ANY(%s::text[]) AND state = 'waiting' ORDER BY occurrence_id, place"
)

_JOIN = """
INSERT INTO waitlist (id, occurrence_id, session_id, user_id, state, basket, seats, place, joined_at, ended_at)
SELECT * FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[],
  string_to_array(%s, E'\\x01', '')::jsonb[], %s::integer[], %s::bigint[], %s::timestamptz[], %s::timestamptz[])"""

_END = f"""
WITH ended AS (
  UPDATE waitlist w SET state = c.state, ended_at = c.ended_at
  FROM unnest(%s::uuid[], %s::text[], %s::timestamptz[]) AS c (id, state, ended_at)
  WHERE w.id = c.id AND w.state = 'waiting' RETURNING 1)
SELECT holdgate_require((SELECT count(*) FROM ended) = %s, '{BROKEN_MOVE}', 'an entry that is over was to move')"""


def save_line(trip: Trip, new: Sequence[WaitEntry], ended: Sequence[WaitEntry]) -> None:
    """Write who has joined, and whose entry is over."""
    if new:
        trip.execute(
            _JOIN,
            [
                arrays.plain(entry.id for entry in new),
                arrays.quoted(entry.occurrence_id for entry in new),
                arrays.quoted(entry.session_id for entry in new),
                arrays.quoted(entry.user_id for entry in new),
                arrays.plain(entry.state for entry in new),
                arrays.documents(basket_text(entry.items, entry.extras) for entry in new),
                arrays.plain(entry.seats for entry in new),
                arrays.plain(entry.place for entry in new),
                arrays.times(entry.joined_at for entry in new),
                arrays.times(entry.ended_at for entry in new),
            ],
        )
    if ended:
        trip.execute(
            _END,
            [
                arrays.plain(entry.id for entry in ended),
                arrays.plain(entry.state for entry in ended),
                arrays.times(entry.ended_at for entry in ended),
                len(ended),
            ],
        )


def entry_from(row: tuple[Any, ...]) -> WaitEntry:
    """An entry from `LINE`."""
    basket = basket_from(row[4])
    return WaitEntry(
        id=row[0],
        occurrence_id=row[1],
        session_id=row[2],
        user_id=row[3],
        state="waiting",
        items=basket.items,
        extras=basket.extras,
        seats=row[5],
        place=row[6],
        joined_at=row[7],
    )
