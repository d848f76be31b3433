"""Time and chance of one simulated run: a heap of events, one random generator, and a log of what happened.

A run is a pure function of its seed and of the code. Nothing here or in the modules around it may ask for the real
time, make up an id, or walk through a set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from heapq import heappop, heappush
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")

MS = 1_000
"""Microseconds in a millisecond: all times of the simulation are whole microseconds."""
SECOND = 1_000_000


class Violation(Exception):
    """A promise was broken."""


class World:
    """The clock, the dice and the log. Everything that happens is an event on its heap."""

    def __init__(self, seed: int, *, trace: bool = False) -> None:
        self.random = Random(seed)
        self.now = 0
        self.steps = 0
        self.faulty = True
        """Whether faults are still being made."""
        self.seen: dict[str, int] = {}
        """Rare event -> how often it happened."""
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0
        self._log: list[tuple[Any, ...]] = []
        self._trace = trace

    def after(self, delay: int, action: Callable[..., None], *arguments: Any) -> None:
        """Have something happen so many microseconds from now; what is due at once happens in the order asked."""
        self._count += 1
        heappush(self._heap, (self.now + delay, self._count, action, arguments))

    def run(self, until: int) -> None:
        """Let everything happen that is due by then."""
        heap = self._heap
        while heap and heap[0][0] <= until:
            self.now, _, action, arguments = heappop(heap)
            self.steps += 1
            action(*arguments)
        self.now = until

    # --- chance -----------------------------------------------------------------------------------------------

    def chance(self, probability: float) -> bool:
        """Whether it happens."""
        return probability > 0 and self.random.random() < probability

    def fault(self, probability: float) -> bool:
        """Whether this fault happens; none does once the world is healed."""
        return self.faulty and self.chance(probability)

    def between(self, low: int, high: int) -> int:
        """A whole number from low to below high."""
        return low + int(self.random.random() * (high - low))

    def choice(self, options: Sequence[T]) -> T:
        """One of them."""
        return options[int(self.random.random() * len(options))]

    # --- what happened ----------------------------------------------------------------------------------------

    def note(self, *what: Any) -> None:
        """Write it into the log. Only text and numbers: the log is compared between runs."""
        self._log.append((self.now, *what))
        if self._trace:
            print(f"{self.now / MS:11.3f}  {' '.join(map(str, what))}")

    def sometimes(self, event: str) -> None:
        """Remember that a rare event happened: a campaign that never saw it has not tried it."""
        self.seen[event] = self.seen.get(event, 0) + 1
        self.note("RARE", event)

    def digest(self) -> str:
        """What two runs of the same seed must agree on."""
        return blake2b("\n".join(map(str, self._log)).encode(), digest_size=16).hexdigest()
