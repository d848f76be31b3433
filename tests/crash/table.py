"""What struck and what came of it, one line a case."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Row:
    """One case. Until it has struck it is void."""

    case: str
    struck: str = "VOID"
    requests: int = 0
    verdict: str = "no verdict"
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.case:44} {self.struck:32} {self.requests:8} {self.seconds:6.1f} s  {self.verdict}"


HEAD = f"{'case':44} {'the fault struck at':32} {'requests':>8} {'took':>8}  verdict"
