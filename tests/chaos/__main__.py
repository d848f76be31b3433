"""`python -m tests.chaos`: break everything around the workers, and count."""

from __future__ import annotations

import argparse
import random
import signal
import sys
from pathlib import Path

from tests.chaos import cluster
from tests.chaos.run import Options, Outcome, run, write_report
from tests.chaos.schedule import KINDS
from tests.mutants.planted import MUTANTS
from tests.support.processes import ROOT

REPORT = ROOT / ".holdgate" / "chaos.json"


def main() -> int:
    """The command line; the exit code: 0 ok, 1 failed, 2 void or not possible here."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=240, help="how long things are broken (default: 240)")
    parser.add_argument("--seed", type=int, help="which schedule (default: a new one)")
    parser.add_argument(
        "--only", nargs="+", choices=[kind.name for kind in KINDS], help="these kinds of faults alone"
    )
    parser.add_argument(
        "--gap", nargs=2, type=float, default=(3, 15), help="seconds between faults (default: 3 15)"
    )
    parser.add_argument("--rate", type=float, default=750, help="requests a second (default: 750)")
    parser.add_argument("--report", type=Path, default=REPORT, help="where the report goes as JSON")
    parser.add_argument("--keep", action="store_true", help="keep the recording of a run that went well, too")
    parser.add_argument("--mutant", choices=sorted(MUTANTS), help="plant this bug into the workers")
    given = parser.parse_args()
    why = cluster.missing()
    if why is not None:
        print(f"chaos: not possible here: {why}")
        return 2
    seed = random.SystemRandom().randrange(1_000_000) if given.seed is None else given.seed
    options = Options(
        seed=seed,
        seconds=given.seconds,
        gap_seconds=(given.gap[0], given.gap[1]),
        only=frozenset(given.only or ()),
        rate=given.rate,
        keep=given.keep,
        mutant=given.mutant,
    )
    # What was started must be ended, also by a run that is itself ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    outcome = run(options)
    write_report(outcome, given.report)
    show(outcome)
    print(f"report: {given.report}")
    print(outcome.last_line())
    return outcome.exit_code


def show(outcome: Outcome) -> None:
    """The figures as a table, and what is wrong."""
    print()
    for name, value in outcome.figures.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {number}" for key, number in value.items())
        print(f"  {name:30} {value}")
    print(f"  {'checker':30} {outcome.verdict.checker}")
    for failure in outcome.failures:
        print(f"  WRONG: {failure}")
    if outcome.folder is not None:
        print(f"  the recording is in {outcome.folder}")


if __name__ == "__main__":
    sys.exit(main())
