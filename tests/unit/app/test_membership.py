"""Who stands in line: every partition served, the right one in the end, and no two awake in between."""

from __future__ import annotations

import itertools
import random
from collections import Counter, defaultdict
from itertools import takewhile
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdgate_workers.app.partitions.membership import Change, Moves, News, Standing, ranked, steps
from holdgate_workers.app.ports import Place

PARTITIONS = 16
FEW = 3
"""Partitions, where it is about what happens in between."""


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
    history: list[str], draw: random.Random
) -> None:
    """And its second choice waits right behind it, if there are two."""
    floor = Floor()
    floor.start("worker-0")
    for number, what in enumerate(history, start=1):
        if what == "start" and len(floor.alive) < 5:
            floor.start(f"worker-{number}")
        elif what == "crash" and len(floor.alive) > 1:
            floor.crash(draw.choice(floor.alive))
        else:
            floor.beat(draw.choice(floor.alive))
    floor.settle()
    for partition, line in floor.lines.items():
        assert tuple(line) == ranked(partition, floor.alive)[:2]


@given(st.integers(1, 4), st.randoms(use_true_random=False))
def test_no_partition_is_without_a_consumer_while_workers_come(newcomers: int, draw: random.Random) -> None:
    """A hand-over wakes the right one: the head leaves only when its heir stands next."""
    floor = Floor()
    floor.start("first")
    floor.settle()
    for number in range(newcomers):
        floor.start(f"newcomer-{number}")
        for _ in range(30):
            floor.beat(draw.choice(floor.alive))
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


# --- what the queues know and what the workers tell ---------------------------------------------------------------


class Post:
    """Queues that nobody can look into, workers that tell what they know of them, and time in between: a wish to join
    is on its way, and a wish to leave waits until its worker's batch has ended."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.queues: dict[int, list[tuple[str, int]]] = defaultdict(list)
        """Partition -> (worker, channel), the one that is served first."""
        self.record: dict[int, list[str]] = defaultdict(list)
        self.workers: dict[str, Standing] = {}
        self.wanted: set[tuple[str, int]] = set()
        """What the consumers want, which come back by themselves for as long as they do."""
        self._forgetting = 0.2
        self._served: set[int] = set()
        self._channels = itertools.count(1)
        self._on_their_way: list[tuple[str, int]] = []
        self._to_leave: list[tuple[str, Place]] = []
        self._unnoted: dict[str, list[tuple[Change, Place]]] = defaultdict(list)

    def start(self) -> None:
        name = f"worker-{len(self.workers)}"
        self.workers[name] = Standing(name, FEW)

    def arrive(self) -> None:
        """A wish reaches its queue."""
        if self._on_their_way:
            name, partition = self._on_their_way.pop(self.draw.randrange(len(self._on_their_way)))
            channel = next(self._channels)
            self.queues[partition].append((name, channel))
            self._unnoted[name].append(("joined", Place(partition, channel)))

    def message(self) -> None:
        """One for each partition, which goes to whom the queue serves."""
        for partition, line in self.queues.items():
            if line and line[0][1] not in self._served:
                name, channel = line[0]
                self._served.add(channel)
                self._unnoted[name].append(("served", Place(partition, channel)))

    def cut(self) -> None:
        """Somebody loses his place in a queue, and takes a new one."""
        lines = self.queues.items()
        places = [(name, Place(partition, channel)) for partition, line in lines for name, channel in line]
        if places:
            self._lose(*self.draw.choice(places))

    def leave(self) -> None:
        """A batch has ended: what its worker was to leave is left, if it is there still."""
        if self._to_leave:
            name, place = self._to_leave.pop(0)
            if (name, place.channel) in self.queues[place.partition]:
                self.wanted.discard((name, place.partition))
                self._lose(name, place)

    def beat(self) -> None:
        if self.workers:
            self._beat(self.draw.choice(list(self.workers)))

    def settle(self) -> None:
        self._forgetting = 0.0
        for _ in range(40):
            before = {partition: list(line) for partition, line in self.queues.items()}
            while self._on_their_way:
                self.arrive()
            while self._to_leave:
                self.leave()
            self.message()
            for name in self.workers:
                self._beat(name)
            if before == self.queues and not (self._on_their_way or self._to_leave or any(self._unnoted.values())):
                return
        raise AssertionError("the lines never come to rest")

    def _beat(self, name: str) -> None:
        standing = self.workers[name]
        for change, place in self._unnoted.pop(name, []):
            standing.note(change, place)
        news = standing.news()
        self._write(name, news)
        if self.draw.random() < self._forgetting:
            return  # written, but the answer was lost on its way
        standing.told(news)
        lines = {partition: tuple(line) for partition, line in self.record.items()}
        todo = standing.follow(SimpleNamespace(alive=tuple(self.workers), lines=lines))
        for partition in todo.join:
            if (name, partition) not in self.wanted:
                self.wanted.add((name, partition))
                self._on_their_way.append((name, partition))
        self._to_leave += [(name, place) for place in todo.leave]

    def _write(self, name: str, news: News) -> None:
        for partition in news.left:
            if name in self.record[partition]:
                self.record[partition].remove(name)
        for partition in news.joined:
            if name not in self.record[partition]:
                self.record[partition].append(name)
        for partition in news.served:
            for before in list(takewhile(name.__ne__, self.record[partition])):
                self.record[partition].remove(before)

    def _lose(self, name: str, place: Place) -> None:
        self.queues[place.partition].remove((name, place.channel))
        self._unnoted[name].append(("lost", place))
        if (name, place.partition) in self.wanted:
            self._on_their_way.append((name, place.partition))


WHAT = ("start", "arrive", "message", "cut", "leave", "beat", "beat")


@given(st.lists(st.sampled_from(WHAT), max_size=60), st.integers(0, 2**32))
def test_the_right_one_is_served_in_whatever_order_joining_was_told(history: list[str], seed: int) -> None:
    """Two who come at one moment may stand in the queue one way and in the record the other way round."""
    post = Post(random.Random(seed))
    post.start()
    for what in history:
        if what != "start" or len(post.workers) < 4:
            getattr(post, what)()
    post.settle()
    for partition in range(FEW):
        standing = tuple(name for name, _ in post.queues[partition])
        assert standing == ranked(partition, list(post.workers))[:2]
        for name, worker in post.workers.items():
            assert (partition in worker.wanted) == (partition in worker.in_line) == (name in standing)


def test_who_was_recorded_before_the_one_who_is_served_takes_a_new_place() -> None:
    """But not before it has left the one that it has."""
    first, second = ranked(0, ["ann", "bob"])
    standing = Standing(first, 1)
    standing.follow(SimpleNamespace(alive=("ann", "bob"), lines={}))
    standing.note("joined", Place(0, 7))
    standing.told(standing.news())
    unseen = SimpleNamespace(alive=(second,), lines={0: (second,)})
    assert standing.follow(unseen) == Moves(), "nobody says so of one who does not seem to live"
    struck = SimpleNamespace(alive=("ann", "bob"), lines={0: (second,)})
    assert standing.follow(struck).leave == (Place(0, 7),)
    assert standing.follow(struck) == standing.follow(struck)
    assert standing.follow(struck).join == ()
    standing.note("lost", Place(0, 7))
    assert standing.news() == News(left=(0,))
    assert standing.follow(struck).join == (0,)


def test_a_stay_that_was_to_be_left_and_was_cut_before_is_judged_anew() -> None:
    """The leave is void by then: the consumer has taken a new place by itself, and stands there."""
    first, second = ranked(0, ["ann", "bob"])
    alive = (first, second)
    standing = Standing(second, 1)
    standing.note("joined", Place(0, 7))
    standing.told(standing.news())
    assert standing.follow(SimpleNamespace(alive=alive, lines={0: (second, first)})).leave == (Place(0, 7),)
    for change, channel in (("lost", 7), ("joined", 8)):
        standing.note(change, Place(0, channel))  # type: ignore[arg-type]
    assert standing.news() == News(joined=(0,), left=(0,))
    standing.told(standing.news())
    assert standing.wanted == {0}
    assert standing.follow(SimpleNamespace(alive=alive, lines={0: (first, second)})) == Moves()
    standing.note("lost", Place(0, 7))
    assert standing.in_line == {0: 8}, "word of a stay that is over does not touch the one that came after it"
