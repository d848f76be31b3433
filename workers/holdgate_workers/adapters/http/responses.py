"""What came back of a request, and what that says about whether it was done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum, auto


@dataclass(slots=True, frozen=True)
class Answer:
    """The server answered. `problem` says why the body is not to be had; then it is empty."""

    status: int
    body: bytes = b""
    problem: str = ""
    retry_after_seconds: float | None = None
    redirect_to: str = ""


@dataclass(slots=True, frozen=True)
class NoAnswer:
    """Not even a status line came. `sent`: whether a part of the request may have reached the server."""

    sent: bool
    detail: str


Outcome = Answer | NoAnswer


class Verdict(Enum):
    """What is certain about a request that changes something."""

    ANSWERED = auto()
    """Done, and the answer can be read."""
    REFUSED = auto()
    """Not done: the server does not want this one."""
    MISCONFIGURED = auto()
    """Not done: the server wants none like this, until somebody mends address, keys or permissions."""
    NOT_DONE = auto()
    """Not done, for now: it was not reached or has no time."""
    UNKNOWN = auto()
    """Perhaps done."""


_MISCONFIGURED = {401, 402, 403, 404, 405, 406, 407, 410, 411, 415, 421, 426, 451}
_PERHAPS_DONE = {408, 425}
_BUSY = 429


def verdict(outcome: Outcome) -> Verdict:
    """Classify. Whatever a server says with 5xx, it may have done the work before: 502 and 504 are a proxy's word,
    500 a crash at any place, and 503 is used for both. A redirect is not followed, so nothing was done."""
    if isinstance(outcome, NoAnswer):
        return Verdict.UNKNOWN if outcome.sent else Verdict.NOT_DONE
    status = outcome.status
    if 200 <= status < 300:
        return Verdict.UNKNOWN if outcome.problem else Verdict.ANSWERED
    if 300 <= status < 400 or status in _MISCONFIGURED:
        return Verdict.MISCONFIGURED
    if status == _BUSY:
        return Verdict.NOT_DONE
    if 400 <= status < 500 and status not in _PERHAPS_DONE:
        return Verdict.REFUSED
    return Verdict.UNKNOWN


def detail(outcome: Outcome) -> str:
    """In words, without anything of the body."""
    if isinstance(outcome, NoAnswer):
        return outcome.detail
    if outcome.redirect_to:
        return f"HTTP {outcome.status}: redirects to {outcome.redirect_to}, which is not followed"
    return f"HTTP {outcome.status}: {outcome.problem}" if outcome.problem else f"HTTP {outcome.status}"


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """What Retry-After says (RFC 9110, 10.2.3). A date is measured against the answer's own Date, not our clock."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        wait = parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError):
        return None
    return max(0.0, wait.total_seconds())
