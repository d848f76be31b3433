"""The product's protocols keep their promises in simulated worlds, and the simulation finds planted bugs.

`HOLDGATE_SIMULATION_SEEDS=100000 pytest tests/simulation` looks longer; `make simulate` is the campaign.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.simulation.campaign import EXPECTED, EXPECTING, Campaign, campaign
from tests.simulation.gate_worker import GateWorker
from tests.simulation.planting import MUTANTS, Mutant, planted
from tests.simulation.run import Outcome, Run
from tests.simulation.swarm import PROFILES
from tests.simulation.world import Violation, World

from holdgate_workers.app.partitions.line_watch import LineWatch

LEAVE_BY_PARTITION_NUMBER = next(mutant for mutant in MUTANTS if mutant.name == "leave_by_partition_number")
ROOT = Path(__file__).parents[2]
SEEDS = int(os.environ.get("HOLDGATE_SIMULATION_SEEDS", "2000"))
"""As many as a merge can wait for: about half a minute on two quiet cores."""


@pytest.mark.slow
def test_no_promise_is_broken_in_a_fixed_range_of_seeds_and_everything_rare_happens_in_them() -> None:
    result = campaign(range(SEEDS), jobs=1 if "PYTEST_XDIST_WORKER" in os.environ else min(2, os.cpu_count() or 1))
    print(f"{result.seeds} seeds, {result.steps} steps, {result.seconds:.1f} s")
    assert result.failed is None, f"{result.failed.seed}: {result.failed.what}\n{result.failed.detail}"
    assert result.seeds == SEEDS
    assert result.missing == []


@pytest.mark.parametrize("seed", range(0, 40, 3))
def test_a_seed_is_lived_through_twice_in_the_same_way(seed: int) -> None:
    first, second = (Run(seed).go(digest=True) for _ in range(2))
    assert first.steps > 100
    assert (first.digest, first.steps, first.seen) == (second.digest, second.steps, second.seen)


def test_a_seed_is_the_same_in_every_process_whatever_its_hash_seed() -> None:
    said = {
        subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--seed", "8"],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("0", "1", "4711")
    }
    assert len(said) == 1
    assert "simulate: ok seed=8" in said.pop()


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_bug_is_found_within_its_seeds(mutant: Mutant) -> None:
    with planted(mutant):
        found = _first_failure(mutant)
    assert found is not None, f"not found in {mutant.seeds} seeds of the profile {mutant.profile}"
    print(f"seed {found.seed}: {found.what}")
    assert Run(found.seed, profile=mutant.profile).go().what == "", "the seed is red without the bug too"


def test_the_judge_sees_a_line_without_its_consumers_without_the_second_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(LineWatch, "look", lambda *_: ())
    with planted(LEAVE_BY_PARTITION_NUMBER):
        found = _first_failure(LEAVE_BY_PARTITION_NUMBER)
    assert found is not None
    assert "NO REST" in found.what
    assert "stands in line" in found.what


def test_the_second_look_puts_right_what_a_bug_does_to_the_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GateWorker, "mends", True)
    with planted(LEAVE_BY_PARTITION_NUMBER):
        outcomes = [Run(seed, profile=LEAVE_BY_PARTITION_NUMBER.profile).go() for seed in range(20)]
    assert [outcome.what for outcome in outcomes] == [""] * 20
    assert any("the second look put something right" in outcome.seen for outcome in outcomes)


def test_a_planted_bug_is_gone_afterwards() -> None:
    before = [Run(seed).go(digest=True).digest for seed in range(3)]
    for mutant in MUTANTS:
        with planted(mutant):
            pass
    assert [Run(seed).go(digest=True).digest for seed in range(3)] == before


def test_a_long_campaign_in_which_something_rare_never_happened_is_void() -> None:
    everything = dict.fromkeys(EXPECTED, 1)
    assert Campaign(seeds=EXPECTING, seen=everything).missing == []
    assert Campaign(seeds=EXPECTING - 1).missing == []
    without = {event: times for event, times in everything.items() if event != "zombie"}
    assert Campaign(seeds=EXPECTING, seen=without).missing == ["zombie"]


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_every_profile_comes_to_rest(profile: str) -> None:
    assert [Run(seed, profile=profile).go().what for seed in range(5)] == [""] * 5


def test_a_failure_says_what_and_is_not_hidden_by_the_rest_of_the_run() -> None:
    run = Run(0)

    def broken() -> None:
        raise Violation("a promise")

    run.world.after(0, broken)
    outcome = run.go()
    assert outcome.what == "a promise"
    assert "broken" in outcome.detail


def test_what_is_due_at_the_same_time_happens_in_the_order_asked() -> None:
    world = World(1)
    heard: list[int] = []
    for number in range(20):
        world.after(5, heard.append, number)
    world.run(5)
    assert heard == list(range(20))


def _first_failure(mutant: Mutant) -> Outcome | None:
    for seed in range(mutant.seeds):
        outcome = Run(seed, profile=mutant.profile).go()
        if outcome.what:
            return outcome
    return None
