"""Database time: never ahead of the database, and a jump forward is not believed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from holdgate_workers.app.clock import DatabaseTime

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)


class Monotonic:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_it_goes_on_between_two_looks() -> None:
    monotonic = Monotonic()
    time = DatabaseTime(monotonic)
    time.observe(NOON)
    monotonic.seconds += 2.5
    assert time.now() == NOON + timedelta(seconds=2.5)


def test_a_small_correction_is_taken_as_it_is() -> None:
    monotonic = Monotonic()
    time = DatabaseTime(monotonic)
    time.observe(NOON)
    time.observe(NOON + timedelta(seconds=59))
    assert time.now() == NOON + timedelta(seconds=59)
    assert time.jump is None


def test_a_jump_of_an_hour_is_not_believed_and_time_goes_on() -> None:
    monotonic = Monotonic()
    time = DatabaseTime(monotonic)
    time.observe(NOON)
    monotonic.seconds += 1
    time.observe(NOON + timedelta(hours=1, seconds=1))
    assert time.jump == timedelta(hours=1)
    assert time.now() == NOON + timedelta(seconds=1)


def test_it_recovers_by_itself_when_the_clock_comes_back() -> None:
    monotonic = Monotonic()
    time = DatabaseTime(monotonic)
    time.observe(NOON)
    time.observe(NOON + timedelta(hours=1))
    monotonic.seconds += 10
    time.observe(NOON + timedelta(seconds=10))
    assert time.jump is None
    assert time.now() == NOON + timedelta(seconds=10)


def test_an_accepted_jump_is_believed_at_the_next_look() -> None:
    time = DatabaseTime(Monotonic())
    time.observe(NOON)
    time.observe(NOON + timedelta(hours=1))
    time.accept_jump()
    time.observe(NOON + timedelta(hours=1))
    assert time.jump is None
    assert time.now() == NOON + timedelta(hours=1)


def test_time_goes_on_between_accepting_a_jump_and_the_next_look() -> None:
    """A jump is accepted from another thread, in the middle of a batch; whoever begins one has to look first."""
    monotonic = Monotonic()
    time = DatabaseTime(monotonic)
    time.observe(NOON)
    time.observe(NOON + timedelta(hours=1))
    time.accept_jump()
    monotonic.seconds += 1
    assert time.now() == NOON + timedelta(seconds=1)
    assert not time.is_known
    time.observe(NOON + timedelta(hours=1))
    assert time.is_known


def test_a_step_backwards_is_believed() -> None:
    """Otherwise holds would end early by the database's own clock."""
    time = DatabaseTime(Monotonic())
    time.observe(NOON)
    time.observe(NOON - timedelta(hours=2))
    assert time.now() == NOON - timedelta(hours=2)


def test_nothing_is_known_before_the_first_look() -> None:
    assert not DatabaseTime(Monotonic()).is_known


def test_an_answer_that_was_fetched_late_does_not_turn_time_back() -> None:
    """The clock was read at some time while we waited; what we believe is one of those times."""
    monotonic = Monotonic()
    time = DatabaseTime(monotonic)
    time.observe(NOON)
    asked_at = time.mark()
    monotonic.seconds += 5
    time.observe(NOON + timedelta(seconds=1), asked_at)
    assert time.now() == NOON + timedelta(seconds=5)


def test_what_cannot_have_been_is_corrected_as_far_as_the_answer_proves() -> None:
    monotonic = Monotonic()
    time = DatabaseTime(monotonic)
    time.observe(NOON)
    monotonic.seconds += 10  # it runs fast: only seven have gone by
    asked_at = time.mark()
    monotonic.seconds += 1
    time.observe(NOON + timedelta(seconds=7), asked_at)
    assert time.now() == NOON + timedelta(seconds=8)


def test_a_look_that_began_before_a_jump_was_accepted_says_nothing_about_it() -> None:
    """Its answer may have waited for us since before the jump: to believe it would be to refuse the next one."""
    monotonic = Monotonic()
    time = DatabaseTime(monotonic)
    time.observe(NOON)
    asked_at = time.mark()
    monotonic.seconds += 1
    time.accept_jump()
    time.observe(NOON + timedelta(seconds=1), asked_at)
    assert not time.is_known
    time.observe(NOON + timedelta(hours=1), time.mark())
    assert time.is_known
    assert time.now() == NOON + timedelta(hours=1)
