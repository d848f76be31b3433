"""The read side in Redis: its keys, and what is in them. See docs/projection.md.

All keys of a house have its name in braces, so that a cluster keeps them together. Instants are milliseconds by the
clock of Redis itself, so that nobody's own clock matters.
"""

from __future__ import annotations

import re

HOUSE_DEFAULT = "main"
HOUSE_PATTERN = r"^[A-Za-z0-9_.-]{1,64}$(?!\n)"
"""What a house may be called. Houses that share a Redis need different names."""

GENERATION = "generation"
"""Of the marker and of each entry: an entry of another generation than the marker's counts for nothing."""
FRESH = "fresh"
"""Of the marker: every decision committed before this instant is in the entries."""
AT = "at"
"""Of an entry: when its rows were read."""
UNTIL = "until"
"""Of an entry: when it becomes wrong by time alone; empty: never."""
BODY = "body"
"""Of an entry: an `Availability` as the codec writes it."""

_HOUSE = re.compile(HOUSE_PATTERN)


def is_house(name: object) -> bool:
    """Whether a house may be called so."""
    return isinstance(name, str) and _HOUSE.match(name) is not None


def marker_key(house: str) -> str:
    """The hash that says which generation counts and how fresh everything is."""
    return f"holdgate:{{{house}}}:projection"


def due_key(house: str) -> str:
    """The sorted set of occurrences by when their entries become wrong."""
    return f"holdgate:{{{house}}}:due"


def availability_key(house: str, occurrence_id: str) -> str:
    """The hash of one occurrence."""
    return f"holdgate:{{{house}}}:availability:{occurrence_id}"


def product_key(house: str, product_id: str) -> str:
    """The hash of one product's sums."""
    return f"holdgate:{{{house}}}:product:{product_id}"


def age_milliseconds(now: int, at: int, until: int | None, fresh: int | None) -> int:
    """How long ago, at most, the entry was the gate's own answer.

    It was when it was read; and it still was at the instant up to which everything is known to be in the entries,
    unless it had become wrong by time alone before that.
    """
    if fresh is None:
        return max(0, now - at)
    return max(0, now - max(at, fresh if until is None else min(until, fresh)))
