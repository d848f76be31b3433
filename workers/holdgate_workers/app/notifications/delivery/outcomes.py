"""How an attempt to tell somebody ended. What stands here is safe to log: codes and stages, never people's data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, frozen=True)
class Delivered:
    """The other side took it. `detail` is its code, such as `250` or `204`."""

    detail: str = ""


@dataclass(slots=True, frozen=True, kw_only=True)
class Failed:
    """The other side did not take it, or nobody knows.

    `is_final` says that the same attempt cannot end differently later. `may_have_arrived` says that the answer was
    lost after everything was sent: a further attempt carries the same id, by which the receiver knows it again.
    `retry_after_seconds` is what the other side asked for.
    """

    reason: str
    is_final: bool = False
    may_have_arrived: bool = False
    retry_after_seconds: float | None = None


Outcome = Delivered | Failed
