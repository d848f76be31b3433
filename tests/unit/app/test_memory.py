"""What is remembered is bounded, and thrown away whole."""

from __future__ import annotations

from datetime import UTC, datetime

from holdgate_workers.app.gate.effects import Recorded
from holdgate_workers.app.gate.memory import BatchLimits, LimitsSeen, Occurrences, RecentAnswers
from holdgate_workers.domain.decision import Claim, LimitKey
from holdgate_workers.domain.occurrences.occurrence import Definition, Occurrence

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)
SESSION = LimitKey("session", "s")


def occurrence(name: str) -> Occurrence:
    definition = Definition(
        product_id="p",
        status="active",
        starts_at=NOON,
        ends_at=NOON,
        timezone="UTC",
        opens_at=None,
        closes_at=NOON,
        ticket_types={},
        extras={},
    )
    return Occurrence(name, definition, {})


def test_the_longest_unused_are_forgotten_first() -> None:
    kept = Occurrences(weight_max=2)
    for name in ("a", "b", "c"):
        kept.keep(occurrence(name))
    kept.get("a")
    kept.trim()
    assert "a" in kept
    assert "c" in kept
    assert "b" not in kept


def test_the_only_one_is_kept_however_heavy() -> None:
    kept = Occurrences(weight_max=1)
    heavy = occurrence("a")
    heavy.holds = dict.fromkeys(map(str, range(10)))  # type: ignore[assignment]
    kept.keep(heavy)
    kept.trim()
    assert "a" in kept


def test_whoever_stands_in_line_weighs_as_a_hold_does() -> None:
    kept = Occurrences(weight_max=11)
    crowded = occurrence("a")
    crowded.waiting = dict.fromkeys(map(str, range(10)))  # type: ignore[assignment]
    kept.keep(crowded)
    kept.keep(occurrence("b"))
    kept.trim()
    assert "a" not in kept
    assert "b" in kept


def test_a_partition_is_forgotten_as_a_whole() -> None:
    kept = Occurrences(weight_max=100)
    for name in ("a1", "a2", "b1"):
        kept.keep(occurrence(name))
    kept.forget_where(lambda name: name.startswith("a"))
    assert len(kept) == 1


def test_the_last_answers_are_remembered_up_to_a_bound() -> None:
    recent = RecentAnswers(answers_max=2)
    for name in ("1", "2", "3"):
        recent.expect({name: Recorded(b"", name.encode(), "held")})
        recent.confirm()
    assert recent.get("1") is None
    assert recent.get("3") == Recorded(b"", b"3", "held")


def test_an_answer_on_its_way_counts_until_it_is_known_not_to_have_arrived() -> None:
    recent = RecentAnswers(answers_max=2)
    recent.expect({"1": Recorded(b"", b"1", "held")})
    assert recent.get("1") is not None
    recent.forget()
    assert recent.get("1") is None


def test_a_guess_is_never_fresh() -> None:
    seen = LimitsSeen()
    seen.learn({SESSION: 4})
    limits = BatchLimits(seen)
    assert limits.used(SESSION) == 4
    assert not limits.is_fresh(SESSION)


def test_what_was_read_counts_and_claims_come_on_top() -> None:
    limits = BatchLimits(LimitsSeen())
    limits.read({SESSION: 7})
    limits.claim([Claim(SESSION, 2, 10)])
    assert limits.is_fresh(SESSION)
    assert limits.used(SESSION) == 9


def test_what_was_forgotten_is_guessed_anew() -> None:
    seen = LimitsSeen()
    seen.learn({SESSION: 4})
    seen.forget([SESSION])
    assert seen.guess(SESSION) == 0


def test_limits_seen_are_bounded() -> None:
    seen = LimitsSeen(limits_max=3)
    seen.learn({LimitKey("session", str(number)): 1 for number in range(10)})
    assert seen.guess(LimitKey("session", "0")) == 0
    assert seen.guess(LimitKey("session", "9")) == 1
