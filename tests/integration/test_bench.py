"""What the benchmark compares us with sells exactly the seats, and what it measures is what it says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from bench import contest, filling, hot, on_sale, sold_out, takeover
from bench.__main__ import SCENARIOS, keep
from bench.baselines import Absent, mariadb, redis_lua
from bench.drain import Drained
from bench.load import a_place, places, request_id
from bench.open_loop import Answered, Run, percentile, poisson
from bench.place import fresh_place
from bench.processes import children
from bench.report import write_report
from bench.result import Options, Result, Target

from holdgate_schema.answers.holds import Held, Swept
from holdgate_schema.codec import decode_answer
from holdgate_schema.commands.holds import SweepHolds
from holdgate_workers.adapters.postgres.expiry.due import DueHolds

pytestmark = pytest.mark.services

REQUESTS = 120
SEATS = 50
NOWHERE = "127.0.0.1:1"


@pytest.fixture(scope="module")
def arena() -> Iterator[str]:
    with contest.arena() as url:
        yield url


# --- the others -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("baseline", contest.BASELINES, ids=lambda baseline: baseline.name)
def test_every_baseline_sells_exactly_the_seats_and_none_twice_to_who_asks_twice(
    arena: str, baseline: contest.Baseline
) -> None:
    commands = places(REQUESTS, ["bench-test"])
    repeated = [command for command in commands for _ in range(2)]
    try:
        drained = contest.drain_baseline(replace(baseline, processes=2), arena, repeated, SEATS)
    except Absent as exc:
        pytest.skip(str(exc))
    assert drained.seats == SEATS
    assert len(drained.by_request) == REQUESTS
    different = [decode_answer(body) for bodies in drained.by_request.values() for body in bodies]
    held = [answer for answer in different if isinstance(answer, Held)]
    assert len({answer.request_id for answer in held}) == len(held), "a repeated request was held again"
    assert len({answer.available["total"] for answer in held}) == len(held), "two were decided on the same seats"


def test_a_baseline_whose_server_is_not_there_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mariadb, "URL", f"mysql://root@{NOWHERE}/")
    monkeypatch.setattr(redis_lua, "URL", f"redis://{NOWHERE}/0")
    stores = {baseline.name: baseline.store for baseline in contest.BASELINES}
    with pytest.raises(Absent, match=r"no MariaDB at 127\.0\.0\.1"), stores["get_lock"]("any", SEATS):
        pass
    with pytest.raises(Absent, match=r"no Redis at 127\.0\.0\.1"), stores["redis_lua"]("any", SEATS):
        pass


# --- ourselves --------------------------------------------------------------------------------------------------


def test_a_hot_backlog_is_drained_and_its_rows_are_checked_against_the_answers() -> None:
    assert hot.ours(REQUESTS) > 0


def test_an_on_sale_grants_to_those_who_came_first() -> None:
    answered = on_sale.on_sale(on_sale.SEATS + REQUESTS)
    assert [answer.kind for answer in answered[: on_sale.SEATS]] == [on_sale.HELD] * on_sale.SEATS


def test_refusals_are_measured_on_an_occurrence_that_is_sold_out() -> None:
    assert sold_out.refusals(REQUESTS).outcomes == {"answer.refused.v1": REQUESTS}


def test_tables_are_filled_in_the_shape_that_the_gate_writes() -> None:
    with fresh_place() as place, children() as started, place.client() as client:
        filling.fill_occurrences(place, 2)
        filling.fill_old_holds(place, 10, 2)
        filling.fill_live_holds(place, 6, 2, due_in_seconds=0)
        started.append(place.gate().begin())
        swept = client.call(SweepHolds(request_id=request_id(1), occurrence_id="bench-0"))
        held = client.call(a_place(2, "bench-1"))
        counters = place.query("SELECT occurrence_id, held FROM pools WHERE key = 'total' ORDER BY 1")
        recount = DueHolds(place.database_url)
        differences = [*recount.differences(), *recount.session_differences()]
        recount.close()
    assert isinstance(swept, Swept)
    assert isinstance(held, Held)
    assert swept.expired == 3
    assert counters == [("bench-0", 0), ("bench-1", 4), (filling.PATTERN, 0)]
    assert differences == []


# --- what is made of it -----------------------------------------------------------------------------------------


def test_the_hot_scenario_ends_with_its_ratios_and_says_who_was_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = {"for_update": 300.0, "get_lock": None}

    def drain(baseline: contest.Baseline, *_: object) -> Drained:
        rate = rates[baseline.name]
        if rate is None:
            raise Absent("not here")
        return Drained(rate, {}, [])

    monkeypatch.setattr(hot, "BASELINES", [baseline for baseline in contest.BASELINES if baseline.name in rates])
    monkeypatch.setattr(hot, "drain_baseline", drain)
    monkeypatch.setattr(hot, "drain_ours", lambda _: Drained(3000.0, {}, []))
    monkeypatch.setattr(hot, "drain_floor", lambda _: Drained(4000.0, {}, []))
    monkeypatch.setattr(hot, "arena", nullcontext)
    result = hot.run(Options(pairs=2, requests=10))
    assert result.closing == "ratio for_update=10.00 get_lock=absent floor=0.75"
    assert [target["met"] for target in result.as_json()["targets"]] == [True, None, True]


def test_latency_counts_from_the_moment_a_request_was_meant_to_be_sent() -> None:
    run = Run(0.0, [Answered(1.0, 1.5, "held"), Answered(2.0, 2.1, "held"), Answered(3.0, 3.2, "held")], 0.0)
    assert run.latencies(start=2.0) == pytest.approx([0.1, 0.2])
    assert run.windows(2.0, 50) == [(0.0, pytest.approx(500)), (2.0, pytest.approx(100))]


def test_a_takeover_ends_with_the_first_answer_to_somebody_who_came_after_it() -> None:
    late = Answered(0.9, 1.3, "held")  # from before, answered after
    run = Run(0.0, [Answered(0.5, 0.6, "held"), late, Answered(1.1, 1.8, "held"), Answered(1.9, 2.0, "held")], 0.0)
    assert takeover.first_answer(run, went=1.0) == pytest.approx(0.8)
    assert takeover.longest_gap(run, went=1.0) == pytest.approx(0.7)


def test_percentiles_are_of_the_nearest_rank() -> None:
    assert [percentile(range(1, 101), percent) for percent in (0.1, 50, 99, 99.9, 100)] == [1, 50, 99, 100, 100]


def test_buyers_come_at_the_rate_asked_for_and_at_the_same_moments_each_time() -> None:
    moments = poisson(1_000, 10)
    assert moments == sorted(moments) == poisson(1_000, 10)
    assert 9_500 < len(moments) < 10_500
    assert 0 < moments[0] < moments[-1] < 10


def test_the_report_says_what_was_met_what_was_not_and_what_was_not_measured(tmp_path: Path) -> None:
    targets = [
        Target("fast", "ratio_hot", 0.85, at_least=True),
        Target("small", "hot_per_second", 5),
        Target("else", "absent_ms", 1),
    ]
    row = {"hot_per_second": 10.0, "spread_per_second": 9.0, "ratio_hot": 0.9, "absent_ms": None}
    line = keep(tmp_path, "spread", Result({"requests": 10}, [row], targets))
    assert line == "spread hot_per_second=10 spread_per_second=9 ratio_hot=0.9 absent_ms=absent"
    page = write_report(tmp_path, list(SCENARIOS)).read_text(encoding="utf-8")
    assert [page.count(verdict) for verdict in (">met<", ">not met<", ">not measured<")] == [1, 1, 1]
    assert page.count("<svg") == 1
