"""A whole recording in memory, to be written down, edited and checked."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tests.checker.decoding import END, Transaction, line_of
from tests.checker.instants import row_stamp
from tests.checker.recording import (
    CLIENTS,
    FINAL,
    NEMESIS,
    RUN,
    STREAM,
    TAP_EVENTS,
    TAP_REQUESTS,
    Lines,
    Recording,
)

Note = dict[str, Any]
_END_NOTE = b'{"end":true}\n'


class Sink(Protocol):
    """Where a generated history goes."""

    def client(self, name: str, note: Note) -> None: ...
    def tap_request(self, note: Note) -> None: ...
    def tap_event(self, note: Note) -> None: ...
    def transaction(self, transaction: Transaction) -> None: ...


def compact(value: Any) -> str:
    """JSON as the service writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def lines_of(transaction: Transaction) -> list[str]:
    """A transaction as the change stream has it."""
    return [
        f"BEGIN {transaction.xid}",
        *map(line_of, transaction.changes),
        f"COMMIT {transaction.xid} (at {row_stamp(transaction.committed_at)})",
    ]


@dataclass(slots=True)
class History:
    """All inputs as objects. Deep copies of it may be edited at will."""

    run: dict[str, Any] = field(default_factory=dict)
    clients: dict[str, list[Note]] = field(default_factory=lambda: defaultdict(list))
    tap_requests: list[Note] = field(default_factory=list)
    tap_events: list[Note] = field(default_factory=list)
    transactions: list[Transaction] = field(default_factory=list)
    nemesis: list[Note] = field(default_factory=list)
    final: dict[str, Any] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    """Files without their end mark."""

    # --- a sink -------------------------------------------------------------------------------------------------

    def client(self, name: str, note: Note) -> None:
        self.clients[name].append(note)

    def tap_request(self, note: Note) -> None:
        self.tap_requests.append(note)

    def tap_event(self, note: Note) -> None:
        self.tap_events.append(note)

    def transaction(self, transaction: Transaction) -> None:
        self.transactions.append(transaction)

    # --- as it is read ------------------------------------------------------------------------------------------

    def recording(self) -> Recording:
        """What the checker sees."""
        stream = [f"{line}\n" for transaction in self.transactions for line in lines_of(transaction)]
        if STREAM not in self.cut:
            stream.append(f"{END}\n")
        return Recording(
            run=self.run,
            clients={name: self._jsonl(notes, name) for name, notes in self.clients.items()},
            tap_requests=self._jsonl(self.tap_requests, TAP_REQUESTS),
            tap_events=self._jsonl(self.tap_events, TAP_EVENTS),
            stream=lambda: stream,
            nemesis=self._jsonl(self.nemesis, NEMESIS),
            final=self.final,
        )

    def _jsonl(self, notes: list[Note], name: str) -> Lines:
        lines = [f"{json.dumps(note)}\n".encode() for note in notes]
        if name not in self.cut:
            lines.append(_END_NOTE)
        return lambda: lines


class FolderSink:
    """Writes a history as it comes, for those that do not fit into memory."""

    def __init__(self, folder: Path) -> None:
        (folder / CLIENTS).mkdir(parents=True)
        self._folder = folder
        self._files: dict[str, Any] = {}

    def _file(self, name: str) -> Any:
        file = self._files.get(name)
        if file is None:
            path = self._folder / name
            file = self._files[name] = path.open("w", encoding="utf-8", newline="\n", buffering=1 << 20)
        return file

    def client(self, name: str, note: Note) -> None:
        self._file(f"{CLIENTS}/{name}.jsonl").write(compact(note) + "\n")

    def tap_request(self, note: Note) -> None:
        self._file(TAP_REQUESTS).write(compact(note) + "\n")

    def tap_event(self, note: Note) -> None:
        self._file(TAP_EVENTS).write(compact(note) + "\n")

    def transaction(self, transaction: Transaction) -> None:
        self._file(STREAM).write("\n".join(lines_of(transaction)) + "\n")

    def close(self, run: dict[str, Any], final: dict[str, Any], nemesis: list[Note]) -> None:
        """The end marks and the small files."""
        for note in nemesis:
            self._file(NEMESIS).write(compact(note) + "\n")
        for name in (TAP_REQUESTS, TAP_EVENTS, NEMESIS):
            self._file(name)
        self._file(STREAM).write(f"{END}\n")
        for name, file in self._files.items():
            if name != STREAM:
                file.write(_END_NOTE.decode())
            file.close()
        (self._folder / RUN).write_text(json.dumps(run), encoding="utf-8")
        (self._folder / FINAL).write_text(json.dumps(final), encoding="utf-8")
