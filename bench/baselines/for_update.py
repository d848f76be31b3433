"""`SELECT … FOR UPDATE`: lock the occurrence's row, look, decide, write, commit. What the books teach."""

from __future__ import annotations

from .basket import Decide
from .postgres import connect, decide_under, one

LOOK = "SELECT seats_left, reduced_left, clock_timestamp() FROM occurrences WHERE id = %s FOR UPDATE"


def decider(url: str) -> Decide:
    """Decides on a connection of its own."""
    connection = connect(url)
    return lambda basket: decide_under(connection, lambda occurrence: one(connection, LOOK, occurrence), basket)
