"""What a client writes down: one JSON line per thing it did or saw, before anything can go wrong with it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from msgspec import Struct


class Sent(Struct, frozen=True, tag="sent", tag_field="note"):
    """A request is about to go out. `attempt` counts the tries of the same step."""

    request_id: str
    body: str
    at_ns: int
    attempt: int = 1


class Answered(Struct, frozen=True, tag="answered", tag_field="note"):
    """An answer arrived, byte for byte; also one that nobody waited for any more."""

    request_id: str
    body: str
    at_ns: int


class Failed(Struct, frozen=True, tag="failed", tag_field="note"):
    """A try ended without an answer."""

    request_id: str
    error: str
    at_ns: int


Note = Sent | Answered | Failed

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Note] = msgspec.json.Decoder(Note)


class NoteBook:
    """Appends to one client's file, from any thread; every line is handed to the system at once."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self._lock = threading.Lock()

    def write(self, note: Note) -> None:
        """One line."""
        line = _encoder.encode(note) + b"\n"
        with self._lock:
            self._file.write(line)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_notes(paths: Iterable[Path]) -> Iterator[Note]:
    """All the notes, each file's in its order. A last line that was torn off by a crash is left out."""
    for path in paths:
        *lines, _torn = path.read_bytes().split(b"\n")
        for line in lines:
            yield _decoder.decode(line)
