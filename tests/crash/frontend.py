"""What a PostgreSQL client says, cut so that a COMMIT stands alone (PostgreSQL manual, "Message Formats")."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct

_START = Struct("!II")
_HEAD = Struct("!cI")
_ENCRYPTION_WANTED = (80877103, 80877104)
"""SSLRequest and GSSENCRequest: another start follows."""


class Frames:
    """Reads one connection from its first byte. Whole messages come out as soon as they are there."""

    def __init__(self) -> None:
        self._buffer = b""
        self._started = False
        self._commits: dict[bytes, bool] = {}
        """Which prepared statements are a COMMIT, by their names."""

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bool]]:
        """What may be passed on, and whether it is a COMMIT."""
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
            return _says_commit(text.partition(b"\0")[0])
        if kind == b"P":  # Parse: the statement's name, its text
            name, _, rest = text.partition(b"\0")
            self._commits[name] = _says_commit(rest.partition(b"\0")[0])
        elif kind == b"B":  # Bind: the portal's name, the statement's name
            return self._commits.get(text.partition(b"\0")[2].partition(b"\0")[0], False)
        return False


def _says_commit(statement: bytes) -> bool:
    return statement.strip().rstrip(b";").upper() == b"COMMIT"
