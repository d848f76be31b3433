"""What the engine does next, while others ask things of it at any moment."""

from __future__ import annotations

from holdgate_workers.app.gate.turns import End, Forget, Leave, Settle, Step, Take, Turns
from holdgate_workers.app.ports import Place


def step(turns: Turns, *, committing: bool = False, waiting: int = 0, stopping: bool = False) -> Step:
    return turns.next(is_committing=committing, messages_waiting=waiting, is_stopping=stopping)


def test_the_next_batch_is_decided_during_a_commit_only_if_enough_waits_for_it() -> None:
    turns = Turns(ahead_messages_min=100)
    assert step(turns, committing=True, waiting=99) == Settle()
    assert step(turns, committing=True, waiting=100) == Take()
    assert step(turns) == Take()


def test_a_partition_is_left_and_forgotten_only_when_all_is_settled() -> None:
    """What was acknowledged last belongs to the batch that was under way."""
    turns = Turns(ahead_messages_min=1)
    turns.leave(Place(3, 7))
    assert step(turns, committing=True, waiting=500) == Settle()
    assert step(turns, waiting=500) == Leave(Place(3, 7))
    assert step(turns, waiting=500) == Forget(frozenset({3}))
    assert step(turns, waiting=500) == Take()


def test_everything_that_was_lost_is_forgotten_before_the_next_batch() -> None:
    turns = Turns(ahead_messages_min=1)
    for partition in (1, 2, 1):
        turns.lost(Place(partition, 10 + partition))
    assert step(turns, committing=True, waiting=500) == Settle()
    assert step(turns, waiting=500) == Forget(frozenset({1, 2}))
    assert step(turns, waiting=500) == Take()


def test_it_ends_once_the_last_batch_is_settled_and_leaves_nothing_more() -> None:
    """The consumer leaves every line when it is closed."""
    turns = Turns(ahead_messages_min=1)
    turns.leave(Place(3, 7))
    assert step(turns, committing=True, waiting=500, stopping=True) == Settle()
    assert step(turns, waiting=500, stopping=True) == End()
