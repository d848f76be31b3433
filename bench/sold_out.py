"""Refusals: a backlog on an occurrence that is sold out, beside the same backlog on one that is not."""

from __future__ import annotations

from .drain import Drained
from .hot import drain_gate, drain_ours
from .load import a_place, an_occurrence, message, places
from .place import fresh_place
from .result import Options, Result, Row, Target, shown

OCCURRENCE = "bench-sold-out"
REQUESTS = 30_000
SEATS = 1_000
TARGETS = (Target("sold out: refusals/s against hot", "ratio_hot", 1.2, at_least=True),)


def run(options: Options) -> Result:
    """In pairs."""
    requests = options.requests or REQUESTS
    return Result({"requests": requests, "seats": SEATS}, [_pair(requests) for _ in range(options.pairs)], TARGETS)


def _pair(requests: int) -> Row:
    hot, refused = drain_ours(requests).per_second, refusals(requests).per_second
    print(f"hot {shown(hot)}/s  refusals {shown(refused)}/s", flush=True)
    return {"hot_per_second": hot, "refusals_per_second": refused, "ratio_hot": refused / hot}


def refusals(requests: int) -> Drained:
    """Requests of which every one is refused. All seats are merely held, by as many holds."""
    with fresh_place() as place:
        takers = [a_place(requests + number, OCCURRENCE, {"adult": 1}) for number in range(SEATS)]
        place.prepare([an_occurrence(OCCURRENCE, SEATS), *takers])
        drained = drain_gate(place, [message(command) for command in places(requests, [OCCURRENCE])])
    assert drained.outcomes == {"answer.refused.v1": requests}, drained.outcomes
    return drained
