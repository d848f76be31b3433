"""The schedule is what it says, a cut cuts, the verdict can be red, and a short run of everything is well."""

from __future__ import annotations

import itertools
import json
import logging
from collections import Counter, defaultdict
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chaos import cluster
from tests.chaos.nemesis import Done
from tests.chaos.network import PROBES, Network, open_network
from tests.chaos.run import Options, Outcome, run
from tests.chaos.schedule import GAP_SECONDS, KINDS, left_out, plan
from tests.chaos.verdict import Verdict, judge
from tests.checker.recording import CLIENTS
from tests.support.postgres import migrated_database

from holdgate_workers.config.environment import read_config
from holdgate_workers.wiring.site import open_site

HOUR_SECONDS = 3600.0
SHORT = Options(seed=14, seconds=18, gap_seconds=(1, 4), rate=300)
"""Long enough for five faults, also without root."""
MISSING = {"cuts": "no root", "volume": "no root", "clock": "no library"}


# --- the schedule -----------------------------------------------------------------------------------------------


def test_one_seed_is_one_schedule() -> None:
    assert plan(7, HOUR_SECONDS, {}) == plan(7, HOUR_SECONDS, {})
    assert plan(7, HOUR_SECONDS, {}) != plan(8, HOUR_SECONDS, {})


@given(seed=st.integers(0, 2**31))
def test_faults_begin_in_time_and_never_overlap_within_their_territory(seed: int) -> None:
    faults = plan(seed, 600, {})
    gaps = [round(later.at - earlier.at, 1) for earlier, later in itertools.pairwise(faults)]
    assert min(gaps) >= GAP_SECONDS[0]
    # A moment in which every territory is busy passes without a fault; there are few of them.
    assert len(faults) >= 600 / GAP_SECONDS[1]
    ends: dict[str, float] = defaultdict(float)
    for fault in faults:
        assert fault.at >= ends[fault.kind.territory]
        assert fault.target in fault.kind.targets
        assert fault.at < 600
        ends[fault.kind.territory] = fault.at + fault.seconds


def test_every_kind_comes_and_none_much_more_often_than_another() -> None:
    often = Counter(fault.kind for fault in plan(3, HOUR_SECONDS, {}))
    assert often.keys() == set(KINDS)
    assert min(often.values()) > max(often.values()) / 2


def test_what_the_machine_cannot_do_is_left_out_with_the_reason() -> None:
    kinds = {fault.kind for fault in plan(1, HOUR_SECONDS, MISSING)}
    assert kinds == {kind for kind in KINDS if not kind.needs}
    assert {text.partition(": ")[2] for text in left_out(MISSING)} == {"no root", "no library"}
    assert "bridge" in next(left_out(MISSING))


def test_a_run_can_be_told_which_kinds_of_faults_to_have() -> None:
    assert {fault.kind.name for fault in plan(1, 600, {}, only=["worker-killed"])} == {"worker-killed"}


# --- the network ------------------------------------------------------------------------------------------------


def test_a_cut_is_one_way_and_over_when_the_last_who_made_it_has_mended_it() -> None:
    with closing(open_network()) as network:
        if not isinstance(network, Network):
            pytest.skip(network.why)
        one, other, third = (network.place(name) for name in ("one", "other", "third"))
        there, back, aside = (one, other), (other, one), (one, third)
        everything = {there: PROBES, back: PROBES, aside: PROBES}
        assert network.probe(everything) == everything
        network.cut([there])
        network.cut([there])
        assert network.probe(everything) == everything | {there: 0}
        network.mend([there])
        assert network.probe(everything) == everything | {there: 0}
        network.mend([there])
        assert network.probe(everything) == everything


# --- the verdict ------------------------------------------------------------------------------------------------

ACCEPTED = "00000000-0000-4000-8000-000000000001"
PLACED = {"type": "hold.place.v1", "request_id": ACCEPTED, "occurrence_id": "occ", "items": {"adult": 1}}
MOMENT = {"t": 1, "w": 1}


def noted(folder: Path, *notes: dict[str, object]) -> Path:
    """A recording of a run in which nothing was ever decided."""
    (folder / CLIENTS).mkdir()
    lines = [*(json.dumps({**note, **MOMENT}) for note in notes), '{"end":true}']
    (folder / CLIENTS / "shopper.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "run.json").write_text("{}", encoding="utf-8")
    (folder / "final.json").write_text('{"queued": {}, "dead": []}', encoding="utf-8")
    return folder


@pytest.mark.services
@pytest.mark.parametrize(("note", "lost"), [({"confirmed": ACCEPTED}, 1), ({"lost": ACCEPTED}, 0)])
def test_only_what_the_broker_has_accepted_can_be_lost(note: dict[str, object], lost: int, tmp_path: Path) -> None:
    with migrated_database() as url:
        open_site(read_config(database_url=url), url, migrate=True)
        verdict = judge(url, noted(tmp_path, {"sent": json.dumps(PLACED), "id": ACCEPTED, "ch": 1}, note))
    assert (verdict.accepted, verdict.lost) == (lost, lost)
    assert verdict.problems


def an_outcome(**fields: object) -> Outcome:
    """A run with one fault that was done."""
    [fault, *_] = plan(1, 60, {})
    done = Done(fault, began=3.0, ended=5.0, proof="it was seen")
    outcome = Outcome(SHORT, done=[done], planned=1, verdict=Verdict(accepted=9))
    for name, value in fields.items():
        setattr(outcome, name, value)
    return outcome


def test_the_last_line_says_ok_failed_or_void() -> None:
    counts = "seed=14 requests=9 faults=1 lost=0 oversold=0"
    assert (an_outcome().exit_code, an_outcome().last_line()) == (0, f"chaos: ok {counts}")
    failed = an_outcome(failures=["oversold\n 3 times"])
    assert (failed.exit_code, failed.last_line()) == (1, f"chaos: FAILED {counts} what=oversold 3 times")


def test_a_run_in_which_a_planned_fault_did_not_bite_is_void() -> None:
    toothless = an_outcome()
    toothless.done[0].proof, toothless.done[0].trouble = "", "nothing happened"
    assert toothless.exit_code == 2
    assert "did not bite: node-killed of n3" in toothless.last_line()
    undone = an_outcome(planned=2)
    assert undone.exit_code == 2
    assert undone.last_line().startswith("chaos: void")


# --- all of it --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_short_run_loses_and_oversells_nothing(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Three brokers, a database, five workers and three clients, and everything around the workers is broken.

    `make chaos` is the long form.
    """
    why = cluster.missing()
    if why is not None:
        pytest.skip(why)
    caplog.set_level(logging.CRITICAL, logger="pika")  # it says a lot about each connection that is refused
    outcome = run(SHORT)
    assert outcome.exit_code == 0, "\n".join([outcome.last_line(), *outcome.failures, capsys.readouterr().out])
    assert outcome.verdict.accepted > 500
