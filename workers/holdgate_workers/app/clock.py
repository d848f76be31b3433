"""Database time between two looks at the database: the only clock that decides."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

JUMP_MAX = timedelta(seconds=60)


class DatabaseTime:
    """The database's clock as last seen, moved on by the process's own monotonic clock.

    It is never ahead of the database's: what was read is at least as old as the answer's way to us. A forward
    jump of the database's clock by more than a minute is not believed: time goes on as before and `jump` says
    by how much the two differ, until the clock comes back or somebody accepts it. A step backwards is believed.
    """

    def __init__(self, monotonic: Callable[[], float], jump_max: timedelta = JUMP_MAX) -> None:
        self._monotonic = monotonic
        self._jump_max = jump_max
        self._seen: tuple[datetime, float] | None = None
        self._believes_next = False
        self.jump: timedelta | None = None

    @property
    def is_known(self) -> bool:
        """Whether nobody has to look at the database's clock first: at the beginning, and after a jump was accepted."""
        return self._seen is not None and not self._believes_next

    def now(self) -> datetime:
        """Database time now. It must have been observed before."""
        assert self._seen is not None, "the database's clock was not read yet"
        seen, at = self._seen
        return seen + timedelta(seconds=self._monotonic() - at)

    def observe(self, database_now: datetime) -> None:
        """Take in what the database's clock said in an answer that has just arrived."""
        if self._seen is not None and not self._believes_next:
            ahead = database_now - self.now()
            if ahead > self._jump_max:
                self.jump = ahead
                return
        self.jump = None
        self._believes_next = False
        self._seen = (database_now, self._monotonic())

    def accept_jump(self) -> None:
        """Believe the database's clock as it is at the next look. Until then time goes on as before: whoever says
        this does so from another thread, in the middle of a batch."""
        self._believes_next = True
        self.jump = None
