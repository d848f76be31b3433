"""From what came back over HTTP to a value of the port: what the gateways that talk HTTP have in common."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from holdgate_workers.adapters.http.responses import Answer, NoAnswer, Outcome, Verdict, detail, verdict
from holdgate_workers.app.ordering.orders import Refused, Unavailable, Unknown

T = TypeVar("T")

UNREADABLE = "the answer is not what was asked for"


def read(outcome: Outcome, decoder: msgspec.json.Decoder[T]) -> T | Refused | Unavailable:
    """The answer to a request that changes nothing: without it nothing is known, but nothing was done either."""
    value = read_change(outcome, decoder)
    return Unavailable(value.detail, value.retry_after_seconds) if isinstance(value, Unknown) else value


def read_change(outcome: Outcome, decoder: msgspec.json.Decoder[T]) -> T | Refused | Unknown | Unavailable:
    """The answer to a request that changes something."""
    said = verdict(outcome)
    if said is Verdict.ANSWERED:
        assert isinstance(outcome, Answer)
        try:
            return decoder.decode(outcome.body)
        except (msgspec.DecodeError, RecursionError):
            return Unknown(UNREADABLE)
    if said is Verdict.REFUSED or said is Verdict.MISCONFIGURED:
        return Refused("refused_by_shop", permanent=said is Verdict.REFUSED, detail=detail(outcome))
    told = None if isinstance(outcome, NoAnswer) else outcome.retry_after_seconds
    return Unavailable(detail(outcome), told) if said is Verdict.NOT_DONE else Unknown(detail(outcome), told)
