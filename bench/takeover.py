"""Two gate workers, and the one that serves the occurrence goes: without a word, or properly."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from itertools import pairwise

from holdgate_schema.routing import partition_of, slot_of

from .load import a_place, an_occurrence
from .open_loop import Alarm, Run, percentile, poisson
from .open_loop import run as run_open_loop
from .place import Place, fresh_place
from .processes import Child, children
from .result import Options, Result, Row, Target, shown

OCCURRENCE = "bench-takeover"
RATE_PER_SECOND = 500
GOES_AT_SECONDS = 3.0
WATCHED_SECONDS = 5.0
PLOTTED_SECONDS = 1.5
SETTLE_SECONDS = 30.0
SETTLED_SECONDS = 3.0
"""Three heartbeats: nobody is about to hand over."""
LINE = """SELECT w.pid FROM partition_lines l JOIN workers w ON w.id = l.worker_id
WHERE l.partition = %s ORDER BY l.place"""
TARGETS = (
    Target("takeover after SIGKILL: first commit of the heir, ms", "killed_first_answer_ms", 1_000),
    Target("clean hand-over: longest gap between answers, ms", "stopped_longest_gap_ms", 200),
)


def run(options: Options) -> Result:
    """Killed and stopped in turn."""
    rows, series = [], {}
    for _ in range(options.pairs):
        row: Row = {}
        for name, go in (("killed", Child.kill), ("stopped", Child.terminate)):
            found, went = _one_goes(go)
            row[f"{name}_first_answer_ms"] = first_answer(found, went) * 1e3
            row[f"{name}_longest_gap_ms"] = longest_gap(found, went) * 1e3
            row[f"{name}_asked_again"] = float(found.asked_again)
            p999 = percentile(found.latencies(went - PLOTTED_SECONDS, went + PLOTTED_SECONDS), 99.9)
            row[f"{name}_p99.9_ms"] = p999 * 1e3
            series[name] = _around(found, went)
        rows.append(row)
        print("  ".join(f"{figure} {shown(value)}" for figure, value in row.items()), flush=True)
    return Result({"per_second": RATE_PER_SECOND}, rows, TARGETS, series=series)


def first_answer(found: Run, went: float) -> float:
    """From the end of the one to the first answer to somebody who came after it. Later than the heir's commit."""
    return min(answer.at for answer in found.answered if answer.intended > went) - went


def longest_gap(found: Run, went: float) -> float:
    """How long nobody got an answer, from that moment on."""
    times = sorted(answer.at for answer in found.answered)
    return max(after - before for before, after in pairwise(times) if after > went)


def _around(found: Run, went: float) -> list[tuple[float, float]]:
    """When a request came, seen from that moment, and how many ms it waited."""
    return [
        (answer.intended - went, answer.latency * 1e3)
        for answer in found.answered
        if abs(answer.intended - went) < PLOTTED_SECONDS
    ]


def _one_goes(go: Callable[[Child], None]) -> tuple[Run, float]:
    """The run, and when in it the head of the line went."""
    with fresh_place() as place, children() as started:
        place.prepare([an_occurrence(OCCURRENCE, 100_000)])
        started += [place.gate(), place.gate()]
        for gate in started:
            gate.begin()
        head = _head(place, started)
        alarm = Alarm(GOES_AT_SECONDS, lambda: go(head))
        moments = poisson(RATE_PER_SECOND, GOES_AT_SECONDS + WATCHED_SECONDS)
        commands = [a_place(number, OCCURRENCE) for number in range(len(moments))]
        return run_open_loop(place.amqp_url, commands, moments, [alarm], somebody_dies=True), alarm.rang


def _head(place: Place, gates: list[Child]) -> Child:
    """Who serves the occurrence, once both stand in its line and have not changed places for a while."""
    partition = partition_of(slot_of(OCCURRENCE), place.site.partitions)
    line: list[object] = []
    end = time.monotonic() + SETTLE_SECONDS
    settled = math.inf
    while time.monotonic() < end:
        seen = [pid for (pid,) in place.query(LINE, partition)]
        if seen != line:
            line, settled = seen, time.monotonic() + SETTLED_SECONDS
        if len(line) == len(gates) and time.monotonic() > settled:
            return next(gate for gate in gates if gate.pid == line[0])
        time.sleep(0.2)  # noqa: TID251 - nothing tells when the line has formed
    raise TimeoutError(f"{line} in the line after {SETTLE_SECONDS:g} s")
