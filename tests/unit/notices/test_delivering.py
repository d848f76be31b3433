"""One attempt at a time, written down before and after, whatever happens in between."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.support.notices import NOW

from holdgate_workers.app.notifications.delivery.delivering import (
    Deliverer,
    Dropped,
    Entered,
    Letter,
    Ready,
    Step,
    TurnedAway,
    Unfit,
    Written,
)
from holdgate_workers.app.notifications.delivery.outcomes import Delivered, Failed, Outcome
from holdgate_workers.app.notifications.delivery.retries import Delivery, RetryPolicy
from holdgate_workers.app.tasks.tasks import Again, Dead, Done, Task, TaskOutcome

POLICY = RetryPolicy(attempts_max=3)
REFUSED = Failed(reason="HTTP 500", may_have_arrived=True)


class Log:
    """A log in memory, with a clock of its own."""

    def __init__(self) -> None:
        self.delivery: Delivery | None = None
        self.now = NOW

    def change(self, task: Task, receiver: str, step: Step) -> Written:
        before = self.delivery or Delivery(key=task.key, due_at=self.now)
        self.delivery = step(before, self.now)
        return Written(before, self.delivery, self.now)


class Door:
    """Open, unless it is told otherwise."""

    def __init__(self) -> None:
        self.away: TurnedAway | None = None
        self.inside = 0
        self.left: list[Outcome | None] = []

    def enter(self, receiver: str) -> Entered | TurnedAway:
        if self.away is not None:
            return self.away
        self.inside += 1
        return Entered(receiver, None)

    def leave(self, entered: Entered, outcome: Outcome | None) -> None:
        self.inside -= 1
        self.left.append(outcome)


class World:
    def __init__(self) -> None:
        self.log, self.door = Log(), Door()
        self.sent = 0
        self.attempts = 0
        self._deliverer = Deliverer(self.log, self.door, draw=lambda: 0.0, policy=POLICY)

    def deliver(self, letter: Letter | Outcome, *, attempts: int | None = None) -> TaskOutcome:
        self.attempts = self.attempts + 1 if attempts is None else attempts
        found: Letter = self.ready(letter) if isinstance(letter, Delivered | Failed) else letter
        return self._deliverer.deliver(a_task(self.attempts), "crm", found)

    def ready(self, outcome: Outcome, useless_after: datetime | None = None) -> Ready:
        def send() -> Outcome:
            self.sent += 1
            return outcome

        return Ready(send, useless_after)

    @property
    def status(self) -> str:
        assert self.log.delivery is not None
        return self.log.delivery.status

    def pass_time(self, **amount: float) -> None:
        self.log.now += timedelta(**amount)


@pytest.fixture
def world() -> World:
    return World()


def a_task(attempts: int) -> Task:
    fields: dict[str, Any] = {
        "role": "notifications",
        "kind": "webhook.post.v1",
        "payload": {},
        "reply_to": None,
        "correlation_id": None,
        "created_at": NOW,
        "due_at": NOW,
        "last_error": None,
        "claimed_by": "me",
        "claimed_until": NOW,
    }
    return Task(id=1, key="webhook/crm/1", attempts=attempts, **fields)


def test_what_was_taken_is_done_and_is_not_sent_again(world: World) -> None:
    assert world.deliver(Delivered("204")) == Done()
    assert world.deliver(Delivered("204")) == Done()
    assert (world.sent, world.status) == (1, "delivered")


def test_what_was_not_taken_comes_again_after_a_pause_and_in_the_end_is_dead(world: World) -> None:
    for pause in (30.0, 60.0):
        assert world.deliver(REFUSED) == Again(pause, "HTTP 500 (may have arrived)")
        world.pass_time(seconds=pause)
    assert world.deliver(REFUSED) == Dead("HTTP 500 (may have arrived)")
    assert world.deliver(REFUSED) == Dead("HTTP 500 (may have arrived)")
    assert world.sent == POLICY.attempts_max


def test_a_final_refusal_is_not_tried_again(world: World) -> None:
    assert world.deliver(Failed(reason="410", is_final=True)) == Dead("410")


def test_while_an_attempt_is_on_its_way_no_other_is_begun(world: World) -> None:
    """Whoever began it may still be at it, or be dead: until its lease is over nobody knows."""
    with pytest.raises(ZeroDivisionError):
        world.deliver(Ready(lambda: 1 // 0))  # type: ignore[arg-type, return-value]
    assert world.door.inside == 0
    again = world.deliver(Delivered())
    assert again == Again(POLICY.lease_seconds, "an attempt is on its way")
    world.pass_time(seconds=POLICY.lease_seconds)
    assert world.deliver(Delivered()) == Done()
    assert world.log.delivery is not None
    assert world.log.delivery.attempts == 2


def test_whoever_dies_in_each_attempt_uses_them_up(world: World) -> None:
    for _ in range(POLICY.attempts_max):
        with pytest.raises(ZeroDivisionError):
            world.deliver(Ready(lambda: 1 // 0))  # type: ignore[arg-type, return-value]
        world.pass_time(seconds=POLICY.lease_seconds)
    assert world.deliver(Delivered()) == Dead("the last attempt did not come back")
    assert world.sent == 0


def test_a_late_failure_says_nothing_of_the_attempt_that_was_begun_after_it(world: World) -> None:
    def slow() -> Outcome:
        world.pass_time(seconds=POLICY.lease_seconds)
        assert world.deliver(Delivered("204")) == Done()
        return REFUSED

    assert world.deliver(Ready(slow)) == Done()
    assert world.status == "delivered"


def test_nor_does_it_while_that_attempt_is_on_its_way(world: World) -> None:
    def slow() -> Outcome:
        world.pass_time(seconds=POLICY.lease_seconds)
        with pytest.raises(ZeroDivisionError):
            world.deliver(Ready(lambda: 1 // 0))  # type: ignore[arg-type, return-value]
        return REFUSED

    assert world.deliver(Ready(slow)) == Again(POLICY.lease_seconds, "an attempt is on its way")


def test_a_receiver_that_is_left_alone_costs_no_attempt(world: World) -> None:
    world.door.away = TurnedAway(90.0, "left alone")
    for _ in range(5):
        assert world.deliver(Delivered()) == Again(90.0, "left alone")
    world.door.away = None
    assert world.deliver(Delivered()) == Done()
    assert world.log.delivery is not None
    assert world.log.delivery.attempts == 1


@pytest.mark.parametrize("away", [None, TurnedAway(90.0, "left alone")], ids=["asked", "turned away"])
def test_what_comes_too_late_is_not_sent(world: World, away: TurnedAway | None) -> None:
    world.door.away = away
    letter = world.ready(Delivered(), useless_after=NOW)
    assert world.deliver(letter) == Done()
    assert (world.sent, world.status) == (0, "lapsed")


def test_what_nobody_wants_any_more_is_withdrawn_without_asking_the_receiver(world: World) -> None:
    world.door.away = TurnedAway(90.0, "left alone")
    assert world.deliver(Dropped("not wanted")) == Done()
    assert world.status == "withdrawn"


def test_what_can_never_be_sent_is_dead_and_begins_anew_once_somebody_retries_it(world: World) -> None:
    assert world.deliver(Unfit("no such target")) == Dead("no such target")
    assert world.deliver(Delivered(), attempts=2) == Dead("no such target")
    assert world.deliver(Delivered(), attempts=1) == Done()


def test_a_retry_makes_what_waits_due_at_once_with_its_attempts_as_they_are(world: World) -> None:
    world.deliver(REFUSED)
    assert world.deliver(Delivered(), attempts=1) == Done()
    assert world.log.delivery is not None
    assert world.log.delivery.attempts == 2


def test_the_leave_is_given_back_whatever_happens(world: World) -> None:
    letters: list[Callable[[], Outcome]] = [lambda: Delivered(), lambda: REFUSED]
    for letter in letters:
        world.log.delivery = None
        world.deliver(Ready(letter))
    assert world.door.inside == 0
    assert world.door.left == [Delivered(), REFUSED]
