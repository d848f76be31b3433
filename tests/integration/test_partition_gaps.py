"""Partition queues without a consumer or a standby: what the watch tells, since when, and what the doctor says."""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from tests.support.postgres import migrated_database
from tests.support.rabbit import eventually

from holdgate_workers.adapters.postgres.partitions.gaps import Gap, PartitionGaps
from holdgate_workers.app.ports import TransportError
from holdgate_workers.cli.doctor.check import Check
from holdgate_workers.cli.doctor.partitions import partitions
from holdgate_workers.roles.metrics.metrics import Metrics
from holdgate_workers.roles.process.partition_watch import PartitionWatch

pytestmark = pytest.mark.services

ALL = frozenset(range(3))


@pytest.fixture
def url() -> Iterator[str]:
    """A database with two gates that stand in all three lines."""
    with migrated_database() as database_url:
        with psycopg.connect(database_url, autocommit=True) as connection:
            for worker in ("ann", "bob"):
                connection.execute("INSERT INTO workers VALUES (%s, 'gate', 'here', 1, '1')", [worker])
                connection.execute(
                    "INSERT INTO partition_lines (partition, worker_id) SELECT n, %s FROM generate_series(0, 2) n",
                    [worker],
                )
        yield database_url


@pytest.fixture
def gaps(url: str) -> Iterator[PartitionGaps]:
    book = PartitionGaps(url)
    yield book
    book.close()


def run(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def missing(found: list[Gap]) -> list[tuple[int, str]]:
    return [(gap.partition, gap.missing) for gap in found]


def test_where_everybody_stands_there_is_no_gap(gaps: PartitionGaps) -> None:
    assert gaps.note(ALL, 3) == []


def test_the_queue_s_own_word_counts_for_consumers_and_the_living_for_standbys(
    url: str, gaps: PartitionGaps
) -> None:
    assert missing(gaps.note(frozenset({0, 2}), 3)) == [(1, "consumer"), (1, "standby")]
    run(url, "DELETE FROM partition_lines WHERE partition = 2 AND worker_id = 'ann'")
    assert missing(gaps.note(ALL, 3)) == [(2, "standby")]
    run(url, "UPDATE workers SET seen_at = seen_at - interval '6 s' WHERE id = 'bob'")
    assert missing(gaps.note(ALL, 3)) == [(0, "standby"), (1, "standby"), (2, "standby")]


def test_it_is_remembered_since_when_and_forgotten_when_it_is_over(url: str, gaps: PartitionGaps) -> None:
    assert [gap.seconds for gap in gaps.note(frozenset({0, 1}), 3)] == [0.0, 0.0]
    run(url, "UPDATE partition_gaps SET since = since - interval '1 h'")
    for _ in range(2):
        assert all(3600 <= gap.seconds < 3900 for gap in gaps.note(frozenset({0, 1}), 3))
    assert all(gap.seconds >= 3600 for gap in gaps.found(frozenset({0, 1}), 3)), "the doctor reads it"
    assert gaps.note(ALL, 3) == []
    assert [gap.seconds for gap in gaps.note(frozenset({0, 1}), 3)] == [0.0, 0.0]


def told(metrics: Metrics) -> tuple[float | None, float | None]:
    return tuple(  # type: ignore[return-value]
        metrics.registry.get_sample_value(f"holdgate_partitions_without_{what}")
        for what in ("consumer", "standby")
    )


def test_the_watch_tells_both_numbers_and_says_so_when_it_cannot_ask(url: str) -> None:
    answers: list[Any] = [frozenset({0})]

    def served(number: int) -> frozenset[int]:
        if isinstance(answers[0], Exception):
            raise answers[0]
        return answers[0]  # type: ignore[no-any-return]

    metrics = Metrics(version="1", role="expiry")
    watch = PartitionWatch(served, PartitionGaps(url), metrics, partitions=3, interval_seconds=0.05)
    watch.start()
    try:
        eventually(lambda: told(metrics) == (2, 2), "two without a consumer")
        answers[0] = TransportError("no broker")
        eventually(lambda: math.isnan(told(metrics)[0] or 0.0), "not known")
        answers[0] = ALL
        eventually(lambda: told(metrics) == (0, 0), "all is well")
    finally:
        watch.stop()


def said(
    url: str, served: frozenset[int], lines: dict[str, list[int]], *, embedded: bool = False
) -> dict[str, Check]:
    gates = [SimpleNamespace(id=name, partitions=stands) for name, stands in lines.items()]
    found = partitions(url, lambda: served, gates, 3, embedded=embedded)  # type: ignore[arg-type]
    return {check.name: check for check in found}


def test_the_doctor_says_which_partition_lacks_what_and_for_how_long(url: str, gaps: PartitionGaps) -> None:
    everywhere = {"ann": [0, 1, 2], "bob": [0, 1, 2]}
    well = said(url, ALL, everywhere)
    assert {check.status for check in well.values()} == {"ok"}
    gaps.note(frozenset({0, 1}), 3)
    run(url, "UPDATE partition_gaps SET since = since - interval '1 h'")
    found = said(url, frozenset({0, 1}), everywhere)
    assert (found["partitions"].status, found["standby"].status) == ("fail", "warn")
    assert "02 (for 1 h" in found["partitions"].detail
    assert "the queue serves none of them" in found["partitions"].mend
    assert "02 (for 1 h" in found["standby"].detail
    none = said(url, frozenset(), {})
    assert "holdgate worker gate" in none["partitions"].mend


def test_the_doctor_asks_for_a_second_gate_where_there_is_a_broker(url: str) -> None:
    run(url, "DELETE FROM workers WHERE id = 'bob'")
    alone = {"ann": [0, 1, 2]}
    assert said(url, ALL, alone)["standby"].status == "warn"
    assert "second gate" in said(url, ALL, alone)["standby"].mend
    assert said(url, ALL, alone, embedded=True)["standby"].status == "ok"
