"""Database time between two looks at the database: the only clock that decides."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

JUMP_MAX = timedelta(seconds=60)


class DatabaseTime:
    """The database's clock as last seen, moved on by the process's own monotonic clock.

    A look at the clock says that it stood there at some time between question and answer. What is believed is only
    moved if it does not lie between the two, and then just so far that it does: an answer that was fetched late does
    not turn time back, and the error is never larger than the time that the shortest look took. A forward
    jump of the database's clock by more than a minute is not believed: time goes on as before and `jump` says
    by how much the two differ, until the clock comes back or somebody accepts it. A step backwards is believed.
    """

    def __init__(self, monotonic: Callable[[], float], jump_max: timedelta = JUMP_MAX) -> None:
        self._monotonic = monotonic
        self._jump_max = jump_max
        self._seen: tuple[datetime, float] | None = None
        self._accepted_at: float | None = None
        self.jump: timedelta | None = None

    @property
    def is_known(self) -> bool:
        """Whether nobody has to look at the database's clock first: at the beginning, and after a jump was accepted."""
        return self._seen is not None and self._accepted_at is None

    def now(self) -> datetime:
        """Database time now. It must have been observed before."""
        assert self._seen is not None, "the database's clock was not read yet"
        seen, at = self._seen
        return seen + timedelta(seconds=self._monotonic() - at)

    def mark(self) -> float:
        """The moment at which a question is asked, for `observe`."""
        return self._monotonic()

    def observe(self, database_now: datetime, asked_at: float | None = None) -> None:
        """Take in what the database's clock said in an answer to the question asked at a `mark`, else a moment ago."""
        arrived_at = self._monotonic()
        asked_at = arrived_at if asked_at is None else asked_at
        accepted_at = self._accepted_at
        accepted = accepted_at is not None and asked_at >= accepted_at
        if self._seen is not None and not accepted:
            ahead = database_now - self.now()
            if ahead > self._jump_max:
                self.jump = ahead
                return
            waited = timedelta(seconds=arrived_at - asked_at)
            if -waited <= ahead <= timedelta(0):
                self.jump = None
                return
            if ahead < -waited:
                database_now += waited
        if accepted and self._accepted_at == accepted_at:  # nobody has said it again meanwhile
            self._accepted_at = None
        self.jump = None
        self._seen = (database_now, arrived_at)

    def accept_jump(self) -> None:
        """Believe the database's clock as it is at the next look that begins after this. Until then time goes on as
        before: whoever says this does so from another thread, in the middle of a batch."""
        self._accepted_at = self._monotonic()
        self.jump = None
