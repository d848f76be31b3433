"""Runs a scenario and prints its figures; the last line is for machines."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
from datetime import UTC, datetime
from pathlib import Path

from . import hot, lone

RESULTS = Path(__file__).parent / "results"


def run_hot(pairs: int, requests: int) -> dict[str, object]:
    """Ours and the floor in turn."""
    rows = []
    for pair in range(pairs):
        ours, floor = hot.ours(requests), hot.floor(requests)
        rows.append((ours, floor, ours / floor))
        print(f"pair {pair + 1}: ours {ours:,.0f}/s  floor {floor:,.0f}/s  ratio {ours / floor:.2f}", flush=True)
    ours, floor, ratio = (statistics.median(column) for column in zip(*rows, strict=True))
    print(f"ours_per_second={ours:.0f} floor_per_second={floor:.0f}")
    print(f"ratio floor={ratio:.2f}")
    return {"requests": requests, "pairs": rows, "ours": ours, "floor": floor, "ratio_floor": ratio}


def run_lone(pairs: int, requests: int) -> dict[str, object]:
    """Latency of requests that come alone."""
    medians = []
    for _ in range(pairs):
        found = lone.latencies(requests)
        medians.append(statistics.median(found))
        p99 = found[int(len(found) * 0.99)]
        print(f"p50 {medians[-1] * 1e3:.1f} ms  p99 {p99 * 1e3:.1f} ms", flush=True)
    print(f"lone_p50_ms={statistics.median(medians) * 1e3:.1f}")
    return {"requests": requests, "medians_seconds": medians}


SCENARIOS = {"hot": (run_hot, 50_000), "lone": (run_lone, 300)}


def main() -> int:
    """Run one scenario, or all."""
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("scenario", nargs="?", choices=[*SCENARIOS, "all"], default="all")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--requests", type=int)
    arguments = parser.parse_args()
    chosen = list(SCENARIOS) if arguments.scenario == "all" else [arguments.scenario]
    results: dict[str, object] = {
        "at": datetime.now(UTC).isoformat(),  # noqa: TID251 - the report's date
        "machine": {"cpus": os.cpu_count(), "python": sys.version.split()[0], "system": platform.platform()},
    }
    for name in chosen:
        run, requests = SCENARIOS[name]
        print(f"== {name}")
        results[name] = run(arguments.pairs, arguments.requests or requests)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{'-'.join(chosen)}.json").write_text(json.dumps(results, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
