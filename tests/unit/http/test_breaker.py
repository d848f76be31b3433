"""A target that is down is left alone, asked now and then, and used again as soon as it works."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from holdgate_workers.app.circuit_breaker import SOON_SECONDS, BackOff, CircuitBreaker, Permit

draws = st.floats(min_value=0, max_value=1, exclude_max=True)
PAUSE = BackOff(first_seconds=10.0, max_seconds=80.0)


def new_breaker() -> CircuitBreaker:
    return CircuitBreaker(failures_max=3, pause=PAUSE, probe_seconds=60.0)


def admitted(breaker: CircuitBreaker, now: float) -> Permit:
    permit = breaker.admit(now)
    assert permit is not None
    return permit


def trip(breaker: CircuitBreaker, now: float = 0.0, draw: float = 0.0) -> None:
    """Fail until it opens."""
    while breaker.state == "closed":
        breaker.failed(admitted(breaker, now), now, draw)


# --- back-off ---------------------------------------------------------------------------------------------------


def test_waits_double_up_to_the_longest() -> None:
    waits = [BackOff(1.0, 30.0).seconds(failures, 0.0) for failures in range(1, 8)]
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]


@given(st.integers(1, 10**9), draws, st.none() | st.floats(0, 1e9))
def test_a_wait_is_neither_nothing_nor_endless(failures: int, draw: float, told: float | None) -> None:
    back_off = BackOff(2.0, 60.0)
    wait = back_off.seconds(failures, draw, told)
    assert 1.0 <= wait <= 60.0
    if told is not None:
        assert wait >= min(told, 45.0)


@given(st.integers(1, 100), draws, st.none() | st.floats(0, 1e9), st.floats(-10.0, 1e6))
def test_no_wait_is_longer_than_a_quarter_of_the_time_that_is_left(
    failures: int, draw: float, told: float | None, left: float
) -> None:
    wait = BackOff(1.0, 300.0).seconds(failures, draw, told, left_seconds=left)
    assert 0.5 <= wait <= max(SOON_SECONDS, left / 4)


def test_a_target_is_left_alone_no_longer_than_the_longest_pause_whatever_it_asks_for() -> None:
    """Ten minutes are what WordPress asks for, for an update of three seconds."""
    breaker = new_breaker()
    for _ in range(3):
        breaker.failed(admitted(breaker, 0.0), 0.0, 0.99, told_seconds=600.0)
    assert PAUSE.max_seconds * 0.75 <= breaker.wait_seconds(0.0) <= PAUSE.max_seconds


def test_those_that_were_told_the_same_do_not_come_back_at_once() -> None:
    waits = {BackOff().seconds(1, draw / 100, 30.0) for draw in range(100)}
    assert len(waits) == 100


# --- the circuit ------------------------------------------------------------------------------------------------


def test_single_failures_change_nothing() -> None:
    breaker = new_breaker()
    for _ in range(20):
        breaker.failed(admitted(breaker, 0.0), 0.0, 0.0)
        breaker.failed(admitted(breaker, 0.0), 0.0, 0.0)
        breaker.succeeded(admitted(breaker, 0.0))
    assert breaker.state == "closed"
    assert breaker.wait_seconds(0.0) == 0.0


def test_several_failures_in_a_row_open_it_for_a_while() -> None:
    breaker = new_breaker()
    trip(breaker, now=100.0)
    assert breaker.state == "open"
    assert breaker.wait_seconds(100.0) == 5.0
    assert breaker.admit(104.9) is None
    assert breaker.admit(105.0) is not None


def test_after_the_pause_one_probe_goes_through() -> None:
    breaker = new_breaker()
    trip(breaker)
    probe = admitted(breaker, 5.0)
    assert breaker.state == "half_open"
    assert [breaker.admit(5.0 + second) for second in range(59)] == [None] * 59
    breaker.succeeded(probe)
    assert breaker.state == "closed"
    assert all(breaker.admit(6.0) for _ in range(10))


def test_each_failed_probe_doubles_the_pause_and_a_good_one_resets_it() -> None:
    breaker, now, pauses = new_breaker(), 0.0, []
    trip(breaker)
    for _ in range(5):
        pauses.append(breaker.wait_seconds(now))
        now += breaker.wait_seconds(now)
        breaker.failed(admitted(breaker, now), now, 0.0)
    assert pauses == [5.0, 10.0, 20.0, 40.0, 40.0]
    now += breaker.wait_seconds(now)
    breaker.succeeded(admitted(breaker, now))
    trip(breaker, now)
    assert breaker.wait_seconds(now) == 5.0


def test_a_probe_that_nobody_reports_on_is_given_up() -> None:
    breaker = new_breaker()
    trip(breaker)
    lost = admitted(breaker, 5.0)
    assert breaker.admit(64.9) is None
    probe = admitted(breaker, 65.0)
    breaker.failed(lost, 65.0, 0.0)
    assert breaker.state == "half_open"
    breaker.succeeded(probe)
    assert breaker.state == "closed"


def test_old_news_change_nothing() -> None:
    breaker = new_breaker()
    slow = admitted(breaker, 0.0)
    trip(breaker)
    breaker.succeeded(slow)
    assert breaker.state == "open"
    breaker.succeeded(admitted(breaker, 5.0))
    breaker.failed(slow, 5.0, 0.0)
    breaker.failed(slow, 5.0, 0.0)
    breaker.failed(slow, 5.0, 0.0)
    assert breaker.state == "closed"


def test_the_target_says_itself_when_it_wants_to_be_asked_again() -> None:
    breaker = new_breaker()
    for _ in range(3):
        breaker.failed(admitted(breaker, 0.0), 0.0, 0.0, told_seconds=50.0)
    assert breaker.wait_seconds(0.0) == 50.0


class Calls(RuleBasedStateMachine):
    """Any order of calls, reports and waiting."""

    @initialize()
    def start(self) -> None:
        self.breaker = new_breaker()
        self.now = 0.0
        self.out: list[Permit] = []
        self.admitted_while_half_open = 0

    @rule(seconds=st.floats(0, 100))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def call(self) -> None:
        waits = self.breaker.wait_seconds(self.now)
        permit = self.breaker.admit(self.now)
        assert (permit is None) == (waits > 0)
        if permit is not None:
            if self.breaker.state == "half_open":
                assert permit not in self.out
            self.out.append(permit)

    @precondition(lambda self: self.out)
    @rule(data=st.data(), good=st.booleans(), draw=draws)
    def report(self, data: st.DataObject, good: bool, draw: float) -> None:
        permit = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        if good:
            self.breaker.succeeded(permit)
        else:
            self.breaker.failed(permit, self.now, draw)

    @invariant()
    def nobody_waits_for_ever(self) -> None:
        assert self.breaker.wait_seconds(self.now) <= 80.0
        assert self.breaker.state != "closed" or self.breaker.wait_seconds(self.now) == 0


TestCalls = Calls.TestCase


@pytest.mark.parametrize("failures", [0, -1])
def test_nobody_backs_off_from_nothing(failures: int) -> None:
    with pytest.raises(AssertionError, match="nothing has failed"):
        BackOff().seconds(failures, 0.5)
