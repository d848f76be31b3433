"""The same backlog dealt to a thousand occurrences, beside all of it on one."""

from __future__ import annotations

from .drain import Drained
from .hot import drain_gate, drain_ours
from .load import an_occurrence, message, places
from .place import fresh_place
from .result import Options, Result, Row, Target, shown

OCCURRENCES = 1_000
REQUESTS = 30_000
TARGETS = (Target("spread over 1,000 occurrences: holds/s against hot", "ratio_hot", 0.85, at_least=True),)


def run(options: Options) -> Result:
    """In pairs."""
    requests = options.requests or REQUESTS
    rows = [_pair(requests) for _ in range(options.pairs)]
    return Result({"requests": requests, "occurrences": OCCURRENCES}, rows, TARGETS)


def _pair(requests: int) -> Row:
    hot, spread = drain_ours(requests).per_second, drain_spread(requests, OCCURRENCES).per_second
    print(f"hot {shown(hot)}/s  spread {shown(spread)}/s", flush=True)
    return {"hot_per_second": hot, "spread_per_second": spread, "ratio_hot": spread / hot}


def drain_spread(requests: int, occurrences: int) -> Drained:
    """Each occurrence has room for everybody."""
    names = [f"bench-{number}" for number in range(occurrences)]
    with fresh_place() as place:
        place.prepare([an_occurrence(name, requests * 2, number=number) for number, name in enumerate(names)])
        drained = drain_gate(place, [message(command) for command in places(requests, names)])
    assert drained.outcomes == {"answer.held.v1": requests}, drained.outcomes
    return drained
