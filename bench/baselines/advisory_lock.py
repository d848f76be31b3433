"""`pg_advisory_xact_lock` on the occurrence's name, then as with a row lock.

The lock is a statement of its own, so that what is read after it is read with a snapshot taken after it.
"""

from __future__ import annotations

from typing import Any

from .basket import Decide
from .postgres import connect, decide_under, one

LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"
LOOK = "SELECT seats_left, reduced_left, clock_timestamp() FROM occurrences WHERE id = %s"


def decider(url: str) -> Decide:
    """Decides on a connection of its own."""
    connection = connect(url)

    def look(occurrence_id: str) -> tuple[Any, ...]:
        one(connection, LOCK, occurrence_id)
        return one(connection, LOOK, occurrence_id)

    return lambda basket: decide_under(connection, look, basket)
