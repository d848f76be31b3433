"""What a decision costs when the tables are small, and when they are full."""

from __future__ import annotations

import random
import time

from .filling import fill_occurrences, fill_old_holds
from .hot import drain_gate
from .load import message, places
from .place import Place, fresh_place
from .result import Options, Result, Row, Target, shown

SMALL = (1_000, 0)
LARGE = (100_000, 1_000_000)
FULL = (1_000_000, 10_000_000)
TOUCHED = 1_000
COLD = 10_000
REQUESTS = 20_000
LOG_BYTES = "SELECT pg_current_wal_lsn() - '0/0'"
TARGETS = (Target("cost per decision, large tables against small", "ratio_cost", 1.15),)


def run(options: Options) -> Result:
    """The same backlog over a thousand occurrences, in turn on small tables and on large ones.

    A fresh worker each time, so both read those thousand once. In the large tables also a backlog in which nearly
    every request is for an occurrence that the worker has never seen.
    """
    requests = options.requests or REQUESTS
    large = FULL if options.full else LARGE
    with fresh_place() as few, fresh_place() as many:
        filled = [_fill(few, *SMALL), _fill(many, *large)]
        rows = [_turn(few, many, requests, large[0], number) for number in range(options.pairs)]
    settings = {
        "requests": requests,
        "small": dict(zip(("occurrences", "old_holds"), SMALL, strict=True)),
        "large": dict(zip(("occurrences", "old_holds"), large, strict=True)),
        "occurrences_touched": TOUCHED,
        "filling_seconds": filled,
    }
    return Result(settings, rows, TARGETS)


def _turn(few: Place, many: Place, requests: int, occurrences: int, number: int) -> Row:
    first = number << 24
    dealt = random.Random(number)
    row: Row = {}
    row |= _cost("small", few, requests, range(TOUCHED), first)
    row |= _cost("large", many, requests, dealt.sample(range(occurrences), TOUCHED), first)
    row |= _cost("large_cold", many, min(requests, COLD), range(occurrences), first + requests)
    print("  ".join(f"{figure} {shown(value)}" for figure, value in row.items()), flush=True)
    large, small = row["large_us"], row["small_us"]
    assert large is not None
    assert small is not None
    return {**row, "ratio_cost": large / small}


def _cost(name: str, place: Place, requests: int, occurrences: range | list[int], first: int) -> Row:
    """µs per decision, and what the database wrote to its log for one."""
    names = [f"bench-{number}" for number in occurrences]
    before = place.query(LOG_BYTES)[0][0]
    drained = drain_gate(place, [message(command) for command in places(requests, names, first=first)])
    assert drained.outcomes == {"answer.held.v1": requests}, drained.outcomes
    written = place.query(LOG_BYTES)[0][0] - before
    return {f"{name}_us": 1e6 / drained.per_second, f"{name}_log_bytes": float(written / requests)}


def _fill(place: Place, occurrences: int, old_holds: int) -> float:
    """How many seconds it took."""
    started = time.monotonic()
    fill_occurrences(place, occurrences)
    fill_old_holds(place, old_holds, occurrences)
    took = time.monotonic() - started
    print(f"{occurrences:,} occurrences and {old_holds:,} old holds filled in {took:.0f} s", flush=True)
    return took
