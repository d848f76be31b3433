"""Who stands in line: every partition served, the right one in the end, and no two awake in between."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdgate_workers.app.membership import ranked, steps

PARTITIONS = 16


class Floor:
    """All partition queues with their lines, as the broker keeps them, and workers that follow their steps."""

    def __init__(self) -> None:
        self.lines: dict[int, list[str]] = {partition: [] for partition in range(PARTITIONS)}
        self.alive: list[str] = []
        self.hand_overs: list[tuple[int, str, str]] = []

    def start(self, worker: str) -> None:
        self.alive.append(worker)

    def crash(self, worker: str) -> None:
        self.alive.remove(worker)
        for line in self.lines.values():
            if worker in line:
                line.remove(worker)

    def beat(self, worker: str) -> bool:
        """One heartbeat; whether anything was to be done."""
        standing = frozenset(partition for partition, line in self.lines.items() if worker in line)
        todo = steps(worker, self.alive, self.lines, PARTITIONS, standing_in=standing)
        for partition in todo.join:
            self.lines[partition].append(worker)
        for partition in todo.leave:
            line = self.lines[partition]
            if line[0] == worker:
                self.hand_overs.append((partition, worker, line[1]))
            line.remove(worker)
        return bool(todo.join or todo.leave)

    def settle(self) -> None:
        for _ in range(50):
            beats = [self.beat(worker) for worker in self.alive]
            if not any(beats):
                return
        raise AssertionError("the lines never come to rest")

    def heads(self) -> dict[int, str]:
        return {partition: line[0] for partition, line in self.lines.items() if line}


@given(st.lists(st.sampled_from(["start", "crash", "beat"]), max_size=40), st.randoms(use_true_random=False))
def test_after_any_history_each_partition_is_served_by_its_first_choice(
    history: list[str], random: object
) -> None:
    """And its second choice waits right behind it, if there are two."""
    floor = Floor()
    floor.start("worker-0")
    for number, what in enumerate(history, start=1):
        if what == "start" and len(floor.alive) < 5:
            floor.start(f"worker-{number}")
        elif what == "crash" and len(floor.alive) > 1:
            floor.crash(random.choice(floor.alive))  # type: ignore[attr-defined]
        else:
            floor.beat(random.choice(floor.alive))  # type: ignore[attr-defined]
    floor.settle()
    for partition, line in floor.lines.items():
        assert tuple(line) == ranked(partition, floor.alive)[:2]


@given(st.integers(1, 4), st.randoms(use_true_random=False))
def test_no_partition_is_without_a_consumer_while_workers_come(newcomers: int, random: object) -> None:
    """A hand-over wakes the right one: the head leaves only when its heir stands next."""
    floor = Floor()
    floor.start("first")
    floor.settle()
    for number in range(newcomers):
        floor.start(f"newcomer-{number}")
        for _ in range(30):
            floor.beat(random.choice(floor.alive))  # type: ignore[attr-defined]
            assert len(floor.heads()) == PARTITIONS
    for partition, _, heir in floor.hand_overs:
        assert heir in ranked(partition, floor.alive)[:newcomers]


def test_the_second_choice_takes_over_at_once_when_the_first_crashes() -> None:
    floor = Floor()
    for name in ("a", "b", "c"):
        floor.start(name)
    floor.settle()
    before = floor.heads()
    floor.crash("a")
    for partition, head in before.items():
        expected = ranked(partition, ["a", "b", "c"])[1] if head == "a" else head
        assert floor.heads()[partition] == expected


def test_a_join_moves_only_the_newcomers_share() -> None:
    """Rendezvous hashing: what the newcomer does not get stays where it is."""
    floor = Floor()
    floor.start("a")
    floor.start("b")
    floor.settle()
    before = floor.heads()
    floor.start("c")
    floor.settle()
    moved = {partition for partition, head in floor.heads().items() if head != before[partition]}
    assert moved == {partition for partition, head in floor.heads().items() if head == "c"}


def test_many_partitions_are_spread_over_all_workers() -> None:
    workers = [f"worker-{number}" for number in range(4)]
    share = Counter(ranked(partition, workers)[0] for partition in range(4000))
    assert set(share) == set(workers)
    assert min(share.values()) > 800


@pytest.mark.parametrize("partition", range(4))
def test_a_lone_worker_serves_everything(partition: int) -> None:
    todo = steps("me", ["me"], {}, 4, standing_in=frozenset())
    assert partition in todo.join
    assert not todo.leave


def test_a_line_that_is_being_left_is_not_joined_before_it_was_left() -> None:
    """The wish to leave may wait for a batch to end; a join in between would be undone by it."""
    first, second = ranked(0, ["ann", "bob"])
    lines = {0: [second, first]}
    assert steps(second, ["ann", "bob"], lines, 1, standing_in=frozenset({0})).leave == (0,)
    assert steps(second, ["ann", "bob"], lines, 1, standing_in=frozenset()).join == ()
    assert steps(second, ["ann", "bob"], {0: [first]}, 1, standing_in=frozenset()).join == (0,)
