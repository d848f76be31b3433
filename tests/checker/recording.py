"""What was recorded of one run: files in a folder, or the same lines in memory. README.md describes the format."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.checker.jsonl import note_of

Lines = Callable[[], Iterable[bytes]]
"""The lines of a file of notes."""

RUN = "run.json"
CLIENTS = "clients"
TAP_REQUESTS = "tap.requests.jsonl"
TAP_EVENTS = "tap.events.jsonl"
STREAM = "stream.txt"
NEMESIS = "nemesis.jsonl"
FINAL = "final.json"


@dataclass(slots=True)
class Recording:
    """The inputs; what is None was not recorded."""

    run: dict[str, Any] = field(default_factory=dict)
    clients: dict[str, Lines] = field(default_factory=dict)
    tap_requests: Lines | None = None
    tap_events: Lines | None = None
    stream: Callable[[], Iterable[str]] | None = None
    nemesis: Lines | None = None
    final: dict[str, Any] | None = None


def of_folder(folder: Path) -> Recording:
    """Everything that is there. Raises OSError and ValueError if run.json is missing or no JSON."""

    def notes_of(name: str) -> Lines | None:
        path = folder / name
        return _reader(path) if path.exists() else None

    notes = sorted((folder / CLIENTS).glob("*.jsonl*"))
    final = folder / FINAL
    return Recording(
        run=json.loads((folder / RUN).read_text(encoding="utf-8")),
        clients={path.name.replace(".jsonl", ""): _reader(path) for path in notes},
        tap_requests=notes_of(TAP_REQUESTS),
        tap_events=notes_of(TAP_EVENTS),
        stream=(lambda: _text_of(folder / STREAM)) if (folder / STREAM).exists() else None,
        nemesis=notes_of(NEMESIS),
        final=json.loads(final.read_text(encoding="utf-8")) if final.exists() else None,
    )


def _reader(path: Path) -> Lines:
    return lambda: _lines_of(path)


def _lines_of(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=1 << 20) as file:
        yield from file


def _text_of(path: Path) -> Iterator[str]:
    # Only "\n" ends a line: JSON may hold other characters that Python takes for line ends.
    with path.open(encoding="utf-8", newline="\n", buffering=1 << 20) as file:
        yield from file


class Notes:
    """The objects of a JSONL file. A last line that was cut off is left out; `ended` says whether the file's own
    end mark was there. `having`: only lines in which one of these stands are looked at."""

    def __init__(self, lines: Lines, having: Sequence[bytes] = ()) -> None:
        self._lines, self._having = lines, having
        self.ended = False
        self.broken = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        having = self._having
        for line in self._lines():
            if having and not any(one in line for one in having):
                continue
            try:
                note = note_of(line)
            except ValueError:
                self.broken += 1
                continue
            if "end" in note:
                self.ended = True
            else:
                yield note


@dataclass(frozen=True, slots=True)
class Limits:
    """What the run promises and what the checker allows for; all times in microseconds."""

    skew: int
    """How far two clocks of the run may be apart; all on one machine: only the resolution."""
    expiry_late: int
    """So long after its time a hold may at most be found expired."""
    drain: int
    """So long after it was sent, or after the last fault that hit it, a request must be decided."""
    stale: int
    """So old may be a number of a shared limit that a refusal rests on."""

    @classmethod
    def of(cls, run: Mapping[str, Any]) -> Limits:
        def read(name: str, default: float) -> int:
            return round(float(run.get(name, default)) * 1_000_000)

        return cls(
            skew=read("skew_seconds", 0.002),
            expiry_late=read("expiry_late_seconds", 5),
            drain=read("drain_seconds", 20),
            stale=read("stale_seconds", 5),
        )
