"""A receiver that is down or slow costs the others nothing."""

from __future__ import annotations

import pytest

from holdgate_workers.adapters.webhooks.receivers import FULL, OPEN, Receivers
from holdgate_workers.app.notifications.delivery.delivering import Entered, TurnedAway
from holdgate_workers.app.notifications.delivery.outcomes import Delivered, Failed

THREADS = 8
WRONG = Failed(reason="HTTP 500")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def receivers(clock: Clock) -> Receivers:
    return Receivers(threads=THREADS, elapsed_seconds=clock, draw=lambda: 0.0)


def entered(receivers: Receivers, name: str) -> Entered:
    found = receivers.enter(name)
    assert isinstance(found, Entered), found
    return found


def reason(receivers: Receivers, name: str) -> str:
    found = receivers.enter(name)
    assert isinstance(found, TurnedAway), found
    return found.reason


def test_nobody_has_more_than_a_quarter_of_the_threads(receivers: Receivers) -> None:
    first = [entered(receivers, "crm") for _ in range(THREADS // 4)]
    assert reason(receivers, "crm") == FULL
    entered(receivers, "mail")
    receivers.leave(first[0], Delivered())
    entered(receivers, "crm")


def test_whoever_failed_last_has_one(receivers: Receivers) -> None:
    receivers.leave(entered(receivers, "crm"), WRONG)
    probe = entered(receivers, "crm")
    assert reason(receivers, "crm") == FULL
    receivers.leave(probe, Delivered())
    for _ in range(THREADS // 4):
        entered(receivers, "crm")


def test_all_that_failed_together_have_half_of_them(receivers: Receivers) -> None:
    names = [f"target-{number}" for number in range(THREADS)]
    for name in names:
        receivers.leave(entered(receivers, name), WRONG)
    inside = [name for name in names if isinstance(receivers.enter(name), Entered)]
    assert len(inside) == THREADS // 2
    entered(receivers, "mail")


def test_after_several_failures_in_a_row_it_is_left_alone_for_a_while(receivers: Receivers, clock: Clock) -> None:
    for _ in range(5):
        receivers.leave(entered(receivers, "crm"), WRONG)
    assert reason(receivers, "crm") == OPEN
    assert receivers.circuits() == {"crm": "open"}
    entered(receivers, "mail")
    clock.now = 10.0
    receivers.leave(entered(receivers, "crm"), Delivered())
    assert receivers.circuits()["crm"] == "closed"


def test_it_is_left_alone_for_as_long_as_it_asked_for(receivers: Receivers) -> None:
    for _ in range(5):
        receivers.leave(entered(receivers, "crm"), Failed(reason="HTTP 429", retry_after_seconds=120.0))
    found = receivers.enter("crm")
    assert isinstance(found, TurnedAway)
    assert found.seconds == 120.0


def test_one_that_refuses_for_good_is_well(receivers: Receivers) -> None:
    for _ in range(20):
        receivers.leave(entered(receivers, "mail"), Failed(reason="550", is_final=True))
    assert receivers.circuits() == {"mail": "closed"}


def test_what_was_not_tried_says_nothing_of_the_receiver(receivers: Receivers) -> None:
    for _ in range(20):
        receivers.leave(entered(receivers, "mail"), None)
    assert receivers.circuits() == {"mail": "closed"}


def test_those_who_wait_do_not_come_back_together(clock: Clock) -> None:
    draws = iter([0.0, 0.5, 0.9])
    receivers = Receivers(threads=1, elapsed_seconds=clock, draw=lambda: next(draws))
    entered(receivers, "mail")
    waits = [found.seconds for _ in range(3) if isinstance(found := receivers.enter("mail"), TurnedAway)]
    assert waits == [5.0, 7.5, 9.5]
