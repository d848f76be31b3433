"""Runs scenarios, writes their results and the report; the last line is for machines."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from . import expiry_storm, hot, latency, lone, memory, on_sale, scale, sold_out, spread, takeover
from .report import write_report
from .result import Options, Result, shown

RESULTS = Path(__file__).parent / "results"
REPORT = "report"
SCENARIOS: dict[str, Callable[[Options], Result]] = {
    "hot": hot.run,
    "sold_out": sold_out.run,
    "spread": spread.run,
    "latency": latency.run,
    "lone": lone.run,
    "on_sale": on_sale.run,
    "scale": scale.run,
    "expiry_storm": expiry_storm.run,
    "takeover": takeover.run,
    "memory": memory.run,
}


def main() -> int:
    """Run one scenario, or all."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("scenario", nargs="?", choices=[*SCENARIOS, "all", REPORT], default="all")
    parser.add_argument("--pairs", type=int, default=3, help="how often it is repeated")
    parser.add_argument("--requests", type=int, help="instead of the scenario's own number")
    parser.add_argument(
        "--full", action="store_true", help="at the size the bar names, where the usual is smaller"
    )
    arguments = parser.parse_args()
    chosen = list(SCENARIOS) if arguments.scenario == "all" else [arguments.scenario]
    lines = []
    for name in chosen:
        if name != REPORT:
            print(f"== {name}", flush=True)
            result = SCENARIOS[name](Options(arguments.pairs, arguments.requests, arguments.full))
            lines.append(keep(RESULTS, name, result))
    print(f"report: {os.path.relpath(write_report(RESULTS, list(SCENARIOS)))}", *lines, sep="\n")
    return 0


def keep(folder: Path, name: str, result: Result) -> str:
    """Write the result down, say which targets were met, and return its last line."""
    document = {
        "scenario": name,
        "at": datetime.now(UTC).isoformat(),  # noqa: TID251 - the report's date
        "machine": {"cpus": os.cpu_count(), "python": sys.version.split()[0], "system": platform.platform()},
        **result.as_json(),
    }
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
    for target in document["targets"]:
        verdict = {True: "met", False: "NOT MET", None: "not measured"}[target["met"]]
        bound = f"{'≥' if target['at_least'] else '≤'} {target['bound']:g}"
        print(f"{target['what']}: {shown(target['measured'])} (target {bound}): {verdict}")
    medians = " ".join(f"{figure}={shown(result.median(figure))}" for figure in result.figures())
    return result.closing or f"{name} {medians}"


if __name__ == "__main__":
    raise SystemExit(main())
