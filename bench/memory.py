"""How much memory a worker has after so many occurrences, each with a live hold; and that a setting bounds it."""

from __future__ import annotations

from .drain import drain
from .filling import fill_occurrences
from .load import a_place, message
from .place import fresh_place
from .processes import children
from .result import Options, Result, Row, Target, shown

OCCURRENCES = 100_000
BOUND_WEIGHT = 20_000
"""`HOLDGATE_MEMORY_WEIGHT_MAX` of the worker that is to stay small: occurrences plus live holds."""
MEGABYTE = 1 << 20
TARGETS = (
    Target("worker memory, 100,000 live occurrences touched: MB", "rss_mb", 300),
    Target("the same with a tenth of the memory weight: MB", "bounded_rss_mb", 300),
)


def run(options: Options) -> Result:
    """A worker as configured by default, and one with a tighter bound, each on tables of its own."""
    occurrences = options.requests or OCCURRENCES
    rows: list[Row] = []
    for _ in range(options.pairs):
        start, rss = _touched(occurrences)
        _, bounded = _touched(occurrences, memory_weight_max=BOUND_WEIGHT)
        rows.append({"start_rss_mb": start, "rss_mb": rss, "bounded_rss_mb": bounded})
        print("  ".join(f"{figure} {shown(value)}" for figure, value in rows[-1].items()), flush=True)
    return Result({"occurrences": occurrences, "bound_weight": BOUND_WEIGHT}, rows, TARGETS)


def _touched(occurrences: int, **settings: object) -> tuple[float, float]:
    """Resident MB of a worker before and after it took a hold on each occurrence."""
    with fresh_place() as place, children() as started:
        fill_occurrences(place, occurrences)
        gate = place.gate(**settings)
        started.append(gate)
        gate.wait_ready()
        before = gate.rss_bytes()
        drain(place.amqp_url, _one_each(occurrences), started)
        return before / MEGABYTE, gate.rss_bytes() / MEGABYTE


def _one_each(occurrences: int) -> list[bytes]:
    return [message(a_place(number, f"bench-{number}")) for number in range(occurrences)]
