"""A delivery is attempted again, later each time, a bounded number of times, and ends exactly once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.notices import NOW

from holdgate_workers.app.circuit_breaker import BackOff
from holdgate_workers.app.notifications.delivery.outcomes import Delivered, Failed, Outcome
from holdgate_workers.app.notifications.delivery.retries import ATTEMPTS_MIN, LOST_ATTEMPT, Delivery, RetryPolicy

POLICY = RetryPolicy(attempts_max=4, back_off=BackOff(first_seconds=10, max_seconds=60), lease_seconds=30)
WAITING = Delivery(key="webhook/crm/1/0", due_at=NOW)
BUSY = Failed(reason="HTTP 503")
SECOND = timedelta(seconds=1)


def after(outcomes: Sequence[Outcome], delivery: Delivery = WAITING, draw: float = 0.0) -> Delivery:
    """The delivery after these attempts, each made when it was due and answered a second later."""
    for outcome in outcomes:
        now = delivery.due_at
        delivery = delivery.begin(POLICY, now).settle(outcome, POLICY, now + SECOND, draw)
    return delivery


def test_what_arrives_is_delivered() -> None:
    done = after([Delivered("204")])
    assert (done.status, done.attempts, done.detail) == ("delivered", 1, "204")


def test_pauses_double_up_to_a_bound() -> None:
    at, pauses = NOW, []
    delivery = WAITING
    for _ in range(POLICY.attempts_max - 1):
        delivery = after([BUSY], delivery)
        pauses.append((delivery.due_at - at - SECOND).total_seconds())
        at = delivery.due_at
    assert pauses == [5, 10, 20]


def test_after_the_last_attempt_it_has_failed_and_says_why() -> None:
    delivery = after([BUSY] * 3)
    assert delivery.status == "waiting"
    delivery = after([Failed(reason="HTTP 500", may_have_arrived=True)], delivery)
    assert (delivery.status, delivery.attempts, delivery.detail) == ("failed", 4, "HTTP 500 (may have arrived)")


def test_a_final_refusal_is_not_argued_with() -> None:
    delivery = after([Failed(reason="HTTP 410", is_final=True)])
    assert (delivery.status, delivery.attempts) == ("failed", 1)


def test_who_asks_for_more_time_gets_it_within_reason() -> None:
    def pause(seconds: float) -> timedelta:
        return after([Failed(reason="HTTP 429", retry_after_seconds=seconds)]).due_at - NOW - SECOND

    assert pause(30) == timedelta(seconds=30)
    assert pause(1) == timedelta(seconds=5)
    assert pause(1e9) <= timedelta(seconds=POLICY.back_off.max_seconds)


def test_who_asks_for_more_time_than_is_left_is_asked_again_in_that_time() -> None:
    """An hour is asked for, and in half an hour nobody would want to hear it."""
    policy = RetryPolicy()
    delivery = Delivery(key="mail/reminder", due_at=NOW, useless_after=NOW + timedelta(minutes=30))
    busy = Failed(reason="HTTP 503", retry_after_seconds=3600.0)
    waits = []
    while (delivery := delivery.begin(policy, delivery.due_at).settle(busy, policy, delivery.due_at, 0.9)).due_at:
        if delivery.is_over:
            break
        waits.append((delivery.due_at - NOW).total_seconds())
    assert waits[0] <= 450.0
    assert delivery.attempts == policy.attempts_max
    assert waits[-1] < 1800.0


def test_whoever_dies_in_an_attempt_costs_one_and_the_lease() -> None:
    leased = WAITING.begin(POLICY, NOW)
    assert leased.due_at == NOW + timedelta(seconds=30)
    delivery = leased
    for attempts in (2, 3, 4):
        delivery = delivery.begin(POLICY, delivery.due_at)
        assert delivery.attempts == attempts
    delivery = delivery.begin(POLICY, delivery.due_at)
    assert (delivery.status, delivery.attempts, delivery.detail) == ("failed", 4, LOST_ATTEMPT)


def test_what_helps_nobody_any_more_lapses() -> None:
    delivery = Delivery(key="mail/reminder", due_at=NOW, useless_after=NOW + timedelta(seconds=8))
    assert delivery.begin(POLICY, NOW + timedelta(seconds=8)).status == "lapsed"
    waiting = delivery.begin(POLICY, NOW)
    assert waiting.status == "waiting"
    assert waiting.settle(BUSY, POLICY, NOW + SECOND, 0.0).status == "waiting"
    # The next attempt would come too late, so there is none.
    late = waiting.settle(BUSY, POLICY, NOW + timedelta(seconds=7), 0.0)
    assert (late.status, late.detail) == ("lapsed", "HTTP 503")


def test_a_postponed_delivery_has_cost_nothing() -> None:
    later = WAITING.postpone(NOW + timedelta(minutes=5), "the circuit is open")
    assert (later.attempts, later.due_at) == (0, NOW + timedelta(minutes=5))
    assert later.postpone(NOW, "again").due_at == later.due_at


def test_a_withdrawn_delivery_stays_so_unless_it_had_arrived() -> None:
    withdrawn = WAITING.begin(POLICY, NOW).withdraw("the booking was cancelled")
    assert withdrawn.settle(BUSY, POLICY, NOW, 0.0) == withdrawn
    assert withdrawn.settle(Delivered(), POLICY, NOW, 0.0).status == "delivered"
    assert withdrawn.postpone(NOW + SECOND, "x") == withdrawn
    assert after([Delivered()]).withdraw("too late").status == "delivered"


@pytest.mark.parametrize("delivery", [after([Delivered()]), WAITING.withdraw("x")], ids=lambda d: d.status)
def test_what_is_over_is_not_begun_again(delivery: Delivery) -> None:
    with pytest.raises(AssertionError):
        delivery.begin(POLICY, NOW)


def test_what_is_not_due_is_not_begun() -> None:
    with pytest.raises(AssertionError):
        WAITING.begin(POLICY, NOW - SECOND)


def test_a_policy_tries_at_least_three_times() -> None:
    assert ATTEMPTS_MIN == 3
    for fields in ({"attempts_max": 2}, {"lease_seconds": 0.0}):
        with pytest.raises(ValueError):
            RetryPolicy(**fields)  # type: ignore[arg-type]


def test_the_usual_policy_bridges_a_night() -> None:
    policy, shortest = RetryPolicy(), timedelta()
    for attempts in range(1, policy.attempts_max):
        shortest += timedelta(seconds=policy.back_off.seconds(attempts, 0.0))
    assert timedelta(hours=10) <= shortest <= timedelta(hours=20)


outcomes = st.builds(Delivered) | st.builds(
    Failed,
    reason=st.just("no"),
    is_final=st.booleans(),
    may_have_arrived=st.booleans(),
    retry_after_seconds=st.none() | st.floats(0, 1e6),
)
steps = st.lists(
    st.tuples(st.sampled_from(["answered", "lost", "postponed"]), outcomes, st.floats(0, 0.999)), max_size=40
)


@given(steps, st.none() | st.integers(0, 500))
def test_whatever_happens_it_ends_within_its_attempts_and_moves_on_in_time(
    happenings: list[tuple[str, Outcome, float]], useful_seconds: int | None
) -> None:
    useless_after = None if useful_seconds is None else NOW + timedelta(seconds=useful_seconds)
    delivery = Delivery(key="k", due_at=NOW, useless_after=useless_after)
    attempts = 0
    for what, outcome, draw in happenings:
        if delivery.is_over:
            break
        before = delivery
        if what == "postponed":
            delivery = delivery.postpone(delivery.due_at + SECOND, "open")
        else:
            delivery = delivery.begin(POLICY, before.due_at)
            attempts += delivery.attempts - before.attempts
            if not delivery.is_over and what == "answered":
                delivery = delivery.settle(outcome, POLICY, before.due_at + SECOND, draw)
        assert delivery.is_over or delivery.due_at > before.due_at
        assert delivery.attempts == attempts <= POLICY.attempts_max
        if delivery.status == "delivered":
            assert outcome == Delivered()
            assert useless_after is None or before.due_at < useless_after
