"""What a PostgreSQL client says, cut so that the COMMIT of a change stands alone ("Message Formats" in its manual).

The end of a transaction that only read is no COMMIT here: nobody waits for its rows, and nothing is lost with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

_START = Struct("!II")
_HEAD = Struct("!cI")
_ENCRYPTION_WANTED = (80877103, 80877104)
"""SSLRequest and GSSENCRequest: another start follows."""
_CHANGES = re.compile(rb"\b(INSERT|UPDATE|DELETE)\b")


@dataclass(slots=True, frozen=True)
class _Statement:
    """What matters of a statement: whether it ends a transaction, and whether it changes rows."""

    is_commit: bool
    changes: bool


class Frames:
    """Reads one connection from its first byte. Whole messages come out as soon as they are there."""

    def __init__(self) -> None:
        self._buffer = b""
        self._started = False
        self._prepared: dict[bytes, _Statement] = {}
        """By their names."""
        self._changed = False
        """Whether the transaction has changed rows so far."""

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bool]]:
        """What may be passed on, and whether it is the COMMIT of a change."""
        self._buffer += data
        begin = at = 0
        while (end := self._end(at)) is not None:
            if self._is_commit(at, end):
                if begin < at:
                    yield self._buffer[begin:at], False
                yield self._buffer[at:end], True
                begin = end
            at = end
        if begin < at:
            yield self._buffer[begin:at], False
        self._buffer = self._buffer[at:]

    def _end(self, at: int) -> int | None:
        """Where the message ends that begins there; None if it is not whole yet."""
        left = len(self._buffer) - at
        if not self._started:
            if left < _START.size:
                return None
            size, code = _START.unpack_from(self._buffer, at)
            if left < size:
                return None
            self._started = code not in _ENCRYPTION_WANTED
            return at + int(size)
        if left < _HEAD.size:
            return None
        size = _HEAD.unpack_from(self._buffer, at)[1] + 1
        return at + int(size) if left >= size else None

    def _is_commit(self, at: int, end: int) -> bool:
        kind, text = self._buffer[at : at + 1], self._buffer[at + 5 : end]
        if kind == b"Q":
            return self._ends_change(_statement(text.partition(b"\0")[0]))
        if kind == b"P":  # Parse: the statement's name, its text
            name, _, rest = text.partition(b"\0")
            self._prepared[name] = _statement(rest.partition(b"\0")[0])
        elif kind == b"B":  # Bind: the portal's name, the statement's name
            prepared = self._prepared.get(text.partition(b"\0")[2].partition(b"\0")[0])
            return prepared is not None and self._ends_change(prepared)
        return False

    def _ends_change(self, statement: _Statement) -> bool:
        if not statement.is_commit:
            self._changed = self._changed or statement.changes
            return False
        changed, self._changed = self._changed, False
        return changed


def _statement(text: bytes) -> _Statement:
    words = text.strip().rstrip(b";").upper()
    return _Statement(words == b"COMMIT", _CHANGES.search(words) is not None)
