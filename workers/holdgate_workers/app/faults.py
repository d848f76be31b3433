"""What is wrong with a server, in a sentence, and what mends it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, frozen=True)
class Fault:
    """`kind` is a stable word for tests and scripts; neither sentence repeats a URL."""

    kind: str
    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.what}; {self.mend}"
