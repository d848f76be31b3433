"""A counter of seats, and what follows from its definition."""

from __future__ import annotations


class Pool:
    """A counter of seats."""

    __slots__ = ("buffer", "capacity", "held", "overbooking", "sold")

    def __init__(self, capacity: int | None, overbooking: int = 0, buffer: int = 0) -> None:
        self.capacity, self.overbooking, self.buffer = capacity, overbooking, buffer
        self.held = self.sold = 0

    @property
    def target(self) -> int | None:
        """What may be sold by its definition; None for unlimited."""
        if self.capacity is None:
            return None
        return max(0, self.capacity * (100 + self.overbooking) // 100 - self.buffer)

    @property
    def sellable(self) -> int | None:
        """The same, but never below what is taken already."""
        target = self.target
        return None if target is None else max(target, self.held + self.sold)

    def free(self, back: int = 0) -> int | None:
        """What is left if so many held seats came back."""
        target = self.target
        return None if target is None else max(0, target - (self.held + self.sold - back))
