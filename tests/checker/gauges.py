"""Numbers that several occurrences share."""

from __future__ import annotations

from collections import deque


class Gauge:
    """A number that several occurrences share, and between which values it was lately.

    Whoever looked a moment ago may have seen an older one. The two lines hold (until when, value), the greatest and
    the least values that are still of interest first: each change costs constant time on average.
    """

    __slots__ = ("_highs", "_lows", "used")

    def __init__(self) -> None:
        self.used = 0
        self._highs: deque[tuple[int, int]] = deque()
        self._lows: deque[tuple[int, int]] = deque()

    def add(self, number: int, now: int, stale: int) -> None:
        """Change it."""
        for line, sign in ((self._highs, 1), (self._lows, -1)):
            while line and line[0][0] < now - stale:
                line.popleft()
            while line and sign * line[-1][1] <= sign * self.used:
                line.pop()
            line.append((now, self.used))
        self.used += number

    def highest(self, now: int, stale: int) -> int:
        """The greatest value that somebody may have seen."""
        return max(self.used, next((value for until, value in self._highs if until >= now - stale), self.used))

    def lowest(self, now: int, stale: int) -> int:
        """The least value that somebody may have seen."""
        return min(self.used, next((value for until, value in self._lows if until >= now - stale), self.used))
