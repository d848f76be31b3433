"""A lone request on an idle system: how long until its answer, through the client that upstream services use."""

from __future__ import annotations

import time

from .load import a_place, an_occurrence
from .open_loop import percentile
from .place import fresh_place
from .processes import children
from .result import Options, Result, Row, shown

OCCURRENCE = "bench-lone"
REQUESTS = 300
WARM_UP = 50


def run(options: Options) -> Result:
    """Repeated on fresh places."""
    requests = options.requests or REQUESTS
    return Result({"requests": requests}, [_row(requests) for _ in range(options.pairs)])


def _row(requests: int) -> Row:
    found = latencies(requests)
    row: Row = {f"p{percent}_ms": percentile(found, percent) * 1e3 for percent in (50, 99)}
    print("  ".join(f"{name} {shown(value)}" for name, value in row.items()), flush=True)
    return row


def latencies(requests: int) -> list[float]:
    """Seconds per request, one after another, sorted."""
    with fresh_place() as place, children() as started, place.client() as client:
        started.append(place.gate().begin())
        client.call(an_occurrence(OCCURRENCE, requests * 10))
        measured = []
        for number in range(WARM_UP + requests):
            before = time.perf_counter()
            client.call(a_place(number, OCCURRENCE))
            measured.append(time.perf_counter() - before)
    return sorted(measured[WARM_UP:])
