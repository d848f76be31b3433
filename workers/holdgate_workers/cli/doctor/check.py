"""What a check of the doctor comes to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from holdgate_workers.cli import exits

Status = Literal["ok", "warn", "fail", "skip"]


@dataclass(slots=True, frozen=True)
class Check:
    """One line: what was looked at, how it is, and how to mend it."""

    area: str
    name: str
    status: Status
    detail: str = ""
    mend: str = ""
    exit_code: int = exits.REFUSED
    """What a failure of this check means for the exit code."""


Checks = Iterator[Check]
ORDER_OF_CODES = (exits.NOT_RUNNING, exits.SCHEMA_MISMATCH, exits.NOT_OURS, exits.USAGE, exits.REFUSED)
"""A failure further up the chain explains those below it, so it wins."""


def exit_code(checks: list[Check]) -> int:
    """0 if nothing failed."""
    failed = {check.exit_code for check in checks if check.status == "fail"}
    return next((code for code in ORDER_OF_CODES if code in failed), exits.OK)
