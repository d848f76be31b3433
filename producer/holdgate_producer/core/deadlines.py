"""When which request runs out of time."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator

Deadline = tuple[float, int, str]
"""Monotonic seconds, the number of the request within its client, the request id."""

STALE_MAX = 1_000


class Deadlines:
    """A heap in which answered requests stay until they get in the way. Not safe for threads by itself."""

    def __init__(self) -> None:
        self._heap: list[Deadline] = []

    def add(self, item: Deadline, is_open: Callable[[Deadline], bool], open_count: int) -> bool:
        """Add one; true if it is now the earliest."""
        if len(self._heap) > 2 * open_count + STALE_MAX:
            self._heap = [old for old in self._heap if is_open(old)]
            heapq.heapify(self._heap)
        heapq.heappush(self._heap, item)
        return self._heap[0] is item

    def take_due(self, now: float, is_open: Callable[[Deadline], bool]) -> Iterator[Deadline]:
        """Remove and give the open ones whose time is over; the caller closes each before taking the next."""
        heap = self._heap
        while heap and (heap[0][0] <= now or not is_open(heap[0])):
            item = heapq.heappop(heap)
            if is_open(item):
                yield item

    def pause(self, now: float) -> float | None:
        """Seconds until the earliest; None if there is none."""
        return self._heap[0][0] - now if self._heap else None
