"""A counter of seats, and what follows from its definition."""

from __future__ import annotations


class Pool:
    """A counter of seats."""

    __slots__ = ("buffer", "capacity", "held", "overbooking", "sold", "target")

    def __init__(self, capacity: int | None, overbooking: int = 0, buffer: int = 0) -> None:
        self.overbooking, self.buffer = overbooking, buffer
        self.held = self.sold = 0
        self.resize(capacity)

    def resize(self, capacity: int | None) -> None:
        """Give it another capacity."""
        self.capacity = capacity
        self.target: int | None = None
        """What may be sold by its definition; None for unlimited."""
        if capacity is not None:
            self.target = max(0, capacity * (100 + self.overbooking) // 100 - self.buffer)

    @property
    def sellable(self) -> int | None:
        """The same, but never below what is taken already."""
        target = self.target
        return None if target is None else max(target, self.held + self.sold)

    def free(self, back: int = 0) -> int | None:
        """What is left if so many held seats came back."""
        target = self.target
        return None if target is None else max(0, target - (self.held + self.sold - back))
