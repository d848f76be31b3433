"""What a dead letter came to, or would come to if it were sent again."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from holdgate_schema.codec import decode_command
from holdgate_schema.commands.holds import PlaceHold, type_name
from holdgate_schema.errors import InvalidMessage
from holdgate_workers.cli.access import Access
from holdgate_workers.cli.output.formats import basket

from .masking import masked_text, printable

if TYPE_CHECKING:
    from holdgate_workers.adapters.postgres.reports.history import JournalEntry
    from holdgate_workers.app.ports import DeadLetter

POLL_SECONDS = 0.1


@dataclass(slots=True, frozen=True)
class Fate:
    """`state` is decided, open (it can be read and nobody has decided it), unreadable, or dead (again)."""

    state: str
    text: str
    request_id: str | None = None


def fates(access: Access, letters: Sequence[DeadLetter]) -> list[Fate]:
    """What each letter came to already, or would come to."""
    read = [_read(letter) for letter in letters]
    journal = _journal(access, [fate.request_id for fate in read if fate.request_id])
    return [
        _decided(journal[fate.request_id]) if fate.request_id in journal and fate.state == "open" else fate
        for fate in read
    ]


def follow(access: Access, letters: Sequence[DeadLetter], wait_seconds: float) -> list[Fate]:
    """What the letters came to after they were sent again, waiting at most so long for it."""
    read = [_read(letter) for letter in letters]
    deadline, pause = monotonic() + wait_seconds, threading.Event()
    while True:
        journal = _journal(access, [fate.request_id for fate in read if fate.request_id])
        open_ids = {fate.request_id for fate in read if fate.state == "open"} - journal.keys()
        if not open_ids or monotonic() >= deadline:
            return [_now(fate, journal) for fate in read]
        pause.wait(POLL_SECONDS)


def _now(fate: Fate, journal: dict[str, JournalEntry]) -> Fate:
    if fate.state == "open" and fate.request_id in journal:
        return _decided(journal[fate.request_id])
    if fate.state == "open":
        return Fate("open", "sent again, not decided yet (a read leaves no trace)", fate.request_id)
    return Fate("dead", f"will die again: {fate.text}", fate.request_id)


def _read(letter: DeadLetter) -> Fate:
    if letter.oversized is not None:
        size = letter.oversized.size_bytes
        return Fate(
            "unreadable", f"cannot be sent again: of its {size} bytes only the first {len(letter.body)} were kept"
        )
    try:
        command, _ = decode_command(letter.body)
    except InvalidMessage as exc:
        return Fate("unreadable", masked_text(printable(f"cannot be read: {exc}")), exc.request_id)
    what = f" {basket(command.items, command.extras)}" if isinstance(command, PlaceHold) else ""
    kind = type_name(command).rpartition(".")[0]
    return Fate("open", f"would be decided: {kind}{what} on {command.occurrence_id}", command.request_id)


def _decided(entry: JournalEntry) -> Fate:
    result = entry.outcome + (f", {entry.reason}" if entry.reason else "")
    return Fate("decided", f"decided: {result} (version {entry.version})", entry.request_id)


def _journal(access: Access, request_ids: Sequence[str]) -> dict[str, JournalEntry]:
    """What is decided already. Without the database the letters can still be looked at and sent again."""
    from holdgate_workers.adapters.postgres.connection import DatabaseUnavailable
    from holdgate_workers.adapters.postgres.reports.history import History
    from holdgate_workers.wiring.site import NotRunning

    if not request_ids:
        return {}
    try:
        with access.opened(History) as history:
            return {entry.request_id: entry for entry in history.of_requests(request_ids)}
    except (NotRunning, DatabaseUnavailable):
        return {}
