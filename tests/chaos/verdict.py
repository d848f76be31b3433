"""What became of the requests: counted from the clients' notes and the rows, and judged by the history checker."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.checker.checker import check
from tests.checker.jsonl import note_of
from tests.checker.recording import CLIENTS, of_folder
from tests.support import recount

UNRECORDED = ("availability.get.v1", "hold.get.v1", "waitlist.get.v1", "hold.sweep.v1")
NOT_TAPPED = "the requests were not tapped"
"""A broker that dies may have put a request into one queue and not into the other, so a tap is no witness here."""
_EXAMPLES_MAX = 12

Note = Mapping[str, Any]


@dataclass(slots=True)
class Verdict:
    """What was found. All is well if `problems` is empty."""

    accepted: int = 0
    """Requests that the broker has confirmed, each counted once."""
    lost: int = 0
    oversold: int = 0
    checker: str = ""
    problems: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)


def judge(database_url: str, folder: Path) -> Verdict:
    """Read everything that a run has left."""
    notes = {path.stem: list(_notes_of(path)) for path in sorted((folder / CLIENTS).glob("*.jsonl"))}
    books = recount.Books(database_url)
    verdict = Verdict()
    found = [*books.problems(), *recount.against_notes(books, notes)]
    verdict.oversold = sum("OVERSOLD" in problem for problem in found)
    _count(verdict, books, notes, _dead(folder))
    verdict.figures |= _outcomes(books)
    verdict.problems += found[:_EXAMPLES_MAX]
    del notes, books
    _ask_checker(verdict, folder)
    return verdict


def _count(
    verdict: Verdict, books: recount.Books, notes: Mapping[str, Sequence[Note]], dead: Sequence[Note]
) -> None:
    decided = {row[0] for row in books.journal}
    kinds: dict[str, str] = {}
    accepted: set[str] = set()
    counts: Counter[str] = Counter()
    for entry in (entry for entries in notes.values() for entry in entries):
        for name in ("sent", "mute", "got", "lost", "down", "blocked", "returned", "nacked"):
            counts[name] += name in entry
        if "sent" in entry:
            kinds[entry["id"]] = entry["sent"]["type"]
        elif "confirmed" in entry:
            accepted.add(entry["confirmed"])
    verdict.accepted = len(accepted)
    verdict.lost = sum(kinds[one] not in UNRECORDED and one not in decided for one in accepted)
    verdict.problems += [f"a dead letter: {letter}" for letter in dead[:_EXAMPLES_MAX]]
    verdict.figures |= {
        "requests": len(kinds),
        "accepted": len(accepted),
        "sent": counts["sent"],
        "sent_again": counts["sent"] - len(kinds),
        "sent_by_those_who_ask_once": counts["mute"],
        "answers": counts["got"],
        "confirm_lost_with_connection": counts["lost"],
        "connections_lost": counts["down"],
        "times_blocked": counts["blocked"],
        "not_taken": counts["returned"] + counts["nacked"],
        **_times(notes),
    }


def _outcomes(books: recount.Books) -> dict[str, Any]:
    outcomes = Counter(row[4] if row[4] != "refused" else f"refused {row[5]['reason']}" for row in books.journal)
    ended = Counter(row[3] for row in books.holds)
    return {"outcomes": dict(outcomes.most_common()), "holds": dict(ended.most_common())}


def _times(notes: Mapping[str, Sequence[Note]]) -> dict[str, Any]:
    """From the first sending of a request to its first answer, and the longest time without any answer."""
    waits: list[float] = []
    moments: list[int] = []
    for entries in notes.values():
        asked: dict[str, int] = {}
        for entry in entries:
            if "sent" in entry:
                asked.setdefault(entry["id"], entry["t"])
            elif "got" in entry:
                moments.append(entry["t"])
                if (sent := asked.pop(entry["for"], None)) is not None:
                    waits.append((entry["t"] - sent) / 1e6)
    waits.sort()
    moments.sort()
    silences = [(later - earlier) / 1e9 for earlier, later in pairwise(moments)]
    quantiles = {f"wait_ms_p{part}": round(_quantile(waits, part / 100), 1) for part in (50, 90, 99)}
    return {
        **quantiles,
        "wait_ms_max": round(max(waits, default=0.0), 1),
        "longest_silence_seconds": round(max(silences, default=0.0), 1),
    }


def _quantile(ordered: Sequence[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


def _ask_checker(verdict: Verdict, folder: Path) -> None:
    report = check(of_folder(folder))
    verdict.checker = report.last_line()
    verdict.oversold = max(verdict.oversold, report.violations["P1"])
    verdict.figures["checked"] = dict(report.judged)
    for name, messages in report.examples.items():
        verdict.problems += [f"{name}: {message}" for message in messages]
    for name, whys in report.whys.items():
        verdict.problems += [f"{name} cannot be judged: {why}" for why in whys if why != NOT_TAPPED]


def _notes_of(path: Path) -> Iterator[Note]:
    """The notes with their messages read."""
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            note = note_of(line)
            for name in ("sent", "got"):
                if name in note:
                    note[name] = json.loads(note[name])
            yield note


def _dead(folder: Path) -> list[Note]:
    letters: list[Note] = json.loads((folder / "final.json").read_text(encoding="utf-8"))["dead"]
    return letters
