"""A verdict as people and programs read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from holdgate_schema.ids import TOTAL_POOL

from .verdict import Verdict

_MARKS = (50, 95, 99, 100)
_NUMBERS = (
    "requests",
    "answered",
    "held",
    "denied",
    "duplicates",
    "conflicts",
    "retried",
    "lost",
    "oversold",
    "outcomes",
    "reasons",
    "hold_states",
    "seats_granted",
    "events",
    "events_told",
    "priced",
    "bookings",
    "mails",
)


def summary(verdict: Verdict) -> Iterator[tuple[str, str]]:
    """The numbers for people: name, value."""
    yield "requests", f"{verdict.requests}, of which answered {verdict.answered}"
    yield "outcomes", _counts(verdict.outcomes)
    yield "refused", _counts(verdict.reasons) or "nobody"
    yield "sent again", f"{verdict.duplicates} with the same body: the same answer, byte for byte"
    yield "id used again", f"{verdict.conflicts} with another body: refused, nothing changed"
    yield "tried again", f"{verdict.retried} because no answer had come"
    yield "holds now", _counts(verdict.hold_states)
    for pool, seats in verdict.seats.items():
        name = "seats" if pool == TOTAL_POOL else f"pool {pool}"
        yield name, f"{seats.at_end} taken at the end, {seats.peak} at most, {seats.sellable} on sale"
    yield "granted", f"{verdict.seats_granted} seats in all, those given back and sold again included"
    if verdict.priced:
        yield "sold", f"{verdict.bookings} of {verdict.priced} priced holds, {verdict.mails} mails written"
    yield "events", f"{verdict.events} in the journal, {verdict.events_told} told"
    marks = "  ".join(f"p{mark} {verdict.percentile_ms(mark):.0f}" for mark in _MARKS)
    yield "answer in ms", marks
    yield "silence", f"{verdict.longest_silence_ms:.0f} ms at most between two answers"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=lambda item: -item[1]))


def as_json(verdict: Verdict) -> dict[str, object]:
    """The numbers for programs."""
    return {
        "verdict": "ok" if verdict.is_ok else "FAILED",
        **{name: getattr(verdict, name) for name in _NUMBERS},
        "seats": verdict.seats,
        "answer_ms": {f"p{mark}": round(verdict.percentile_ms(mark), 1) for mark in _MARKS},
        "longest_silence_ms": round(verdict.longest_silence_ms, 1),
        "problems": verdict.problems,
    }
