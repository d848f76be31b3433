"""Publish → answer on one occurrence, at several rates of arrival, and at 70 % of what can be kept up.

Beside the last, the floor at the same rate: how long broker and load take for it when nobody decides anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .hot import drain_ours, floor_served
from .load import a_place, an_occurrence
from .open_loop import Run, percentile, poisson
from .open_loop import run as run_open_loop
from .place import Place, fresh_place
from .processes import children
from .result import Options, Result, Row, Target, shown

OCCURRENCE = "bench-latency"
RATES = (100, 500, 1_000, 2_000)
NAMED_RATE = 500
SECONDS = 10.0
WARM_UP_SECONDS = 2.0
CAPACITY = 1_000_000
BACKLOG = 20_000
SHARE_PERCENT = 70
PERCENTS = (50, 90, 99, 99.9)
TARGETS = (
    Target("publish → answer at 500/s: p50 ms", f"at_{NAMED_RATE}_p50_ms", 6),
    Target("publish → answer at 500/s: p99 ms", f"at_{NAMED_RATE}_p99_ms", 25),
    Target("publish → answer at 70 % of saturation: p99 ms", f"at_{SHARE_PERCENT}_percent_p99_ms", 100),
)


def run(options: Options) -> Result:
    """The saturation first, then every rate, the slow ones first."""
    backlog = options.requests or BACKLOG
    rows: list[Row] = []
    curves: dict[str, list[float]] = {}
    for _ in range(options.pairs):
        row, curves = _round(backlog)
        rows.append(row)
    settings = {"seconds_per_rate": SECONDS, "rates_per_second": RATES, "backlog": backlog}
    return Result(settings, rows, TARGETS, series={"curves_ms": curves})


def _round(backlog: int) -> tuple[Row, dict[str, list[float]]]:
    row: Row = {}
    curves: dict[str, list[float]] = {}
    row["saturation_per_second"] = saturation = _saturation(drain_ours(backlog).per_second)
    shared = saturation * SHARE_PERCENT / 100
    rates = {**{str(rate): float(rate) for rate in RATES}, f"{SHARE_PERCENT}_percent": shared}
    with _served() as place:
        for number, (name, rate) in enumerate(rates.items()):
            curves[name] = _note(row, f"at_{name}", rate, _at(place, rate, first=number << 24))
    with fresh_place() as place, floor_served(place, OCCURRENCE):
        name = f"floor_at_{SHARE_PERCENT}_percent"
        curves[name] = _note(row, name, shared, _at(place, shared, first=0))
    return row, curves


def _note(row: Row, name: str, rate_per_second: float, found: Run) -> list[float]:
    """Put down and print what was found at a rate. Every tenth of a percentile, in ms, for the plot."""
    latencies = found.latencies(WARM_UP_SECONDS)
    for percent in PERCENTS:
        row[f"{name}_p{percent:g}_ms"] = percentile(latencies, percent) * 1e3
    row[f"{name}_max_ms"] = latencies[-1] * 1e3
    row[f"{name}_sent_late_ms"] = found.late_seconds * 1e3
    tail = "  ".join(f"p{percent:g} {shown(row[f'{name}_p{percent:g}_ms'])} ms" for percent in PERCENTS)
    print(f"{name} ({rate_per_second:,.0f}/s): {tail}", flush=True)
    return [percentile(latencies, percent / 10) * 1e3 for percent in range(1, 1000)]


def _saturation(offered_per_second: float) -> float:
    """Answers per second while more is sent than can be answered: with the load's own cost, unlike a backlog's.

    On tables and queues of its own: what an overload leaves behind is not what the rates are about.
    """
    with _served() as place:
        found = _at(place, offered_per_second, first=0)
    inside = sum(WARM_UP_SECONDS <= answer.at < SECONDS for answer in found.answered)
    return inside / (SECONDS - WARM_UP_SECONDS)


@contextmanager
def _served() -> Iterator[Place]:
    """An occurrence that is never sold out, and a gate worker that serves it."""
    with fresh_place() as place, children() as started:
        place.prepare([an_occurrence(OCCURRENCE, CAPACITY)])
        started.append(place.gate().begin())
        yield place


def _at(place: Place, rate_per_second: float, *, first: int) -> Run:
    moments = poisson(rate_per_second, SECONDS, seed=first)
    commands = [a_place(first + number, OCCURRENCE) for number in range(len(moments))]
    return run_open_loop(place.amqp_url, commands, moments)
