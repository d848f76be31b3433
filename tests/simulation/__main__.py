"""`python -m tests.simulation`: a campaign, or one seed looked at closely."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext

from .campaign import Campaign, campaign
from .planting import MUTANTS, planted
from .run import Run
from .swarm import PROFILES


def main() -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20_000, help="how many (default: 20000)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (default: 0)")
    parser.add_argument("--jobs", type=int, default=1, help="processes to run them in (default: 1)")
    parser.add_argument("--profile", choices=sorted(PROFILES), help="bend every world towards this")
    parser.add_argument("--seed", type=int, help="run this one only, twice, and compare")
    parser.add_argument("--trace", action="store_true", help="with --seed: print everything that happens")
    parser.add_argument("--mutant", choices=sorted(mutant.name for mutant in MUTANTS), help="plant this bug first")
    parser.add_argument("--rare", action="store_true", help="print how many seeds saw each rare event")
    given = parser.parse_args()
    mutant = next((mutant for mutant in MUTANTS if mutant.name == given.mutant), None)
    with planted(mutant) if mutant is not None else nullcontext():
        if given.seed is not None:
            return _one(given.seed, given.profile, given.trace)
        seeds = range(given.first, given.first + given.seeds)
        print(f"simulate: seeds {seeds.start} to {seeds.stop - 1}", flush=True)
        # A planted bug lives in this process only.
        result = campaign(seeds, profile=given.profile, jobs=1 if mutant is not None else given.jobs)
    if given.rare:
        for event, times in sorted(result.seen.items()):
            print(f"  {times:7d}  {event}")
    return _tell(result, given.profile)


def _one(seed: int, profile: str | None, trace: bool) -> int:
    print(f"simulate: seed {seed}", flush=True)
    run = Run(seed, profile=profile, trace=trace)
    outcome = run.go(digest=True)
    again = Run(seed, profile=profile).go(digest=True)
    if outcome.detail:
        print(outcome.detail)
    if again.digest != outcome.digest:
        print(f"simulate: FAILED seed={seed} what=the second run was another one")
        return 1
    if outcome.what:
        print(f"simulate: FAILED seed={seed} what={outcome.what}")
        return 1
    print(f"simulate: ok seed={seed} profile={run.profile} steps={outcome.steps} digest={outcome.digest}")
    return 0


def _tell(result: Campaign, profile: str | None) -> int:
    counts = f"seeds={result.seeds} steps={result.steps} seconds={result.seconds:.1f}"
    if result.failed is not None:
        bent = f" --profile {profile}" if profile else ""
        print(f"simulate: FAILED seed={result.failed.seed} what={result.failed.what}")
        print(f"  look at it with: python -m tests.simulation --seed {result.failed.seed}{bent} --trace")
        return 1
    # A bent world is not for everything.
    if result.missing and profile is None:
        print(f"simulate: VOID {counts}: it never happened that: {'; '.join(result.missing)}")
        return 1
    print(f"simulate: ok {counts}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
