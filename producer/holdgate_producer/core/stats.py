"""What a client has counted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Stats:
    """What a client has counted since it was made."""

    sent: int = 0
    resent: int = 0
    """After a new connection."""
    repeated: int = 0
    """Because a second answer had not come."""
    answered: int = 0
    late: int = 0
    """Answers that nobody waited for any more."""
    timed_out: int = 0
    connects: int = 0
    cached: int = 0
    """Availabilities that came from the cache."""
