"""Very many holds due at one moment, while somebody else's on-sale runs."""

from __future__ import annotations

import threading
import time

import psycopg

from .filling import fill_live_holds, fill_occurrences
from .load import a_place, an_occurrence
from .open_loop import percentile, poisson
from .open_loop import run as run_open_loop
from .place import Place, fresh_place
from .processes import children
from .result import Options, Result, Row, Target, shown

OCCURRENCE = "bench-on-sale"
HOLDS = 100_000
OCCURRENCES = 100
RATE_PER_SECOND = 500
CALM_SECONDS = 10.0
START_SECONDS = 15.0
"""For the tables to settle and the workers to come up."""
STORM_SECONDS = 35.0
LONGEST_SECONDS = 300.0
WINDOW_SECONDS = 0.5
UNTIL_DUE = "SELECT extract(epoch FROM min(expires_at) - clock_timestamp()) FROM holds"
LEFT = "SELECT sum(held) FROM pools WHERE key = 'total' AND occurrence_id <> %s"
TARGETS = (
    Target("expiry storm of 100,000: finished after s", "finished_seconds", 30),
    Target("expiry storm: p99 of new holds against calm", "ratio_p99", 2),
)


def run(options: Options) -> Result:
    """One gate worker, one expiry worker; new holds on an occurrence of its own before and during the storm."""
    holds = options.requests or HOLDS
    rows: list[Row] = []
    series: dict[str, object] = {}
    for _ in range(options.pairs):
        row, series = _storm(holds)
        rows.append(row)
        print("  ".join(f"{figure} {shown(value)}" for figure, value in row.items()), flush=True)
    settings = {"holds": holds, "occurrences": OCCURRENCES, "new_holds_per_second": RATE_PER_SECOND}
    return Result(settings, rows, TARGETS, series=series)


def _storm(holds: int) -> tuple[Row, dict[str, object]]:
    with fresh_place() as place, children() as started:
        fill_occurrences(place, OCCURRENCES)
        place.prepare([an_occurrence(OCCURRENCE, 1_000_000, number=1)])  # the pattern has the first start
        fill_live_holds(place, holds, OCCURRENCES, due_in_seconds=START_SECONDS + CALM_SECONDS)
        started += [place.gate().begin(), place.expiry()]
        left, looked_at = float(place.query(UNTIL_DUE)[0][0]), time.monotonic()
        moments = poisson(RATE_PER_SECOND, left + STORM_SECONDS)
        commands = [a_place(number, OCCURRENCE) for number in range(len(moments))]
        with _Watch(place) as watch:
            found = run_open_loop(place.amqp_url, commands, moments)
            watch.wait_until_none_is_left()
    assert {answer.kind for answer in found.answered} == {"answer.held.v1"}, "somebody got no seat"
    due = looked_at + left - found.started
    finished = watch.left[-1][0] - found.started - due
    calm, storm = found.latencies(due - CALM_SECONDS, due), found.latencies(due, due + finished)
    row: Row = {
        "finished_seconds": finished,
        "calm_p99_ms": percentile(calm, 99) * 1e3,
        "storm_p50_ms": percentile(storm, 50) * 1e3,
        "storm_p99_ms": percentile(storm, 99) * 1e3,
        "storm_max_ms": storm[-1] * 1e3,
        "ratio_p99": percentile(storm, 99) / percentile(calm, 99),
    }
    series = {
        "left": [(at - found.started - due, count) for at, count in watch.left],
        "p99_ms": [(at - due, latency) for at, latency in found.windows(WINDOW_SECONDS, 99)],
    }
    return row, series


class _Watch:
    """Looks ten times a second how many holds are left, in a thread of its own; ends when there are none."""

    def __init__(self, place: Place) -> None:
        self.left: list[tuple[float, int]] = []
        self._place = place
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def wait_until_none_is_left(self) -> None:
        """Raises `TimeoutError` if that takes too long."""
        self._thread.join(LONGEST_SECONDS)
        if self._thread.is_alive():
            raise TimeoutError(f"{self.left[-1][1]} holds have not expired after {LONGEST_SECONDS:g} s")

    def _run(self) -> None:
        with psycopg.connect(self._place.database_url, autocommit=True) as connection:
            while not self._stopping.wait(0.1):
                row = connection.execute(LEFT, [OCCURRENCE]).fetchone()
                assert row is not None
                self.left.append((time.monotonic(), int(row[0])))
                if self.left[-1][1] == 0:
                    return
