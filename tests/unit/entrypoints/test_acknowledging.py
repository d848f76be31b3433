"""When batches are acknowledged: after their answers, in their order, and not for ever later."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from holdgate_workers.app.ports import ChannelId, Outgoing, PublishProblem
from holdgate_workers.roles.gate import acknowledging
from holdgate_workers.roles.gate.acknowledging import Acknowledger


class Answers:
    """A receipt that is settled by hand."""

    def __init__(self) -> None:
        self.is_settled = False
        self._callback: Callable[[], None] = lambda: None

    def on_settled(self, callback: Callable[[], None]) -> None:
        self._callback = callback

    def wait(self, timeout_seconds: float) -> Sequence[PublishProblem]:
        return []

    def arrive(self) -> None:
        self.is_settled = True
        self._callback()


class Queue:
    """Both sides of a transport, as far as they matter here."""

    blocked = False
    unconfirmed = 0

    def __init__(self) -> None:
        self.acknowledged: list[tuple[ChannelId, int]] = []

    def ack(self, channel: ChannelId, tag: int) -> None:
        self.acknowledged.append((channel, tag))

    def publish(self, messages: Sequence[Outgoing]) -> Answers:
        return Answers()

    def subscribe(self, partition: int) -> None: ...

    def leave(self, channel: ChannelId) -> None: ...

    def standing(self) -> dict[int, ChannelId | None]:
        return {}

    def close(self, timeout_seconds: float = 0) -> None: ...


def two_batches() -> tuple[Queue, Acknowledger, Answers, Answers]:
    queue = Queue()
    acknowledger = Acknowledger(queue, queue)
    first, second = Answers(), Answers()
    for tag, answers in ((1, first), (2, second)):
        acknowledger.replied(answers)
        acknowledger.ack({7: tag})
    assert queue.acknowledged == []
    return queue, acknowledger, first, second


def test_a_batch_is_acknowledged_when_its_answers_have_arrived() -> None:
    queue, _, first, second = two_batches()
    first.arrive()
    assert queue.acknowledged == [(7, 1)]
    second.arrive()
    assert queue.acknowledged == [(7, 1), (7, 2)]


def test_a_batch_waits_for_the_one_before() -> None:
    """To acknowledge the second is to acknowledge the first."""
    queue, _, first, second = two_batches()
    second.arrive()
    assert queue.acknowledged == []
    first.arrive()
    assert queue.acknowledged == [(7, 1), (7, 2)]


def test_a_batch_that_nobody_wanted_an_answer_to_is_acknowledged_in_its_turn() -> None:
    queue, acknowledger, first, second = two_batches()
    acknowledger.ack({7: 3})
    first.arrive()
    second.arrive()
    assert queue.acknowledged == [(7, 1), (7, 2), (7, 3)]


def test_a_blocked_broker_gets_its_acknowledgements_or_its_queues_would_never_drain() -> None:
    queue, acknowledger, _, _ = two_batches()
    queue.blocked = True
    acknowledger.turn()
    assert queue.acknowledged == [(7, 1), (7, 2)]


def test_answers_that_take_too_long_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    queue, acknowledger, _, _ = two_batches()
    acknowledger.turn()
    assert queue.acknowledged == []
    monkeypatch.setattr(acknowledging, "WAIT_SECONDS", -1.0)
    acknowledger.turn()
    assert queue.acknowledged == [(7, 1), (7, 2)]


def test_before_a_partition_is_left_all_is_acknowledged() -> None:
    queue, acknowledger, _, _ = two_batches()
    acknowledger.flush(1.0)
    assert queue.acknowledged == [(7, 1), (7, 2)]
