"""Types that are laid out before anybody reads them.

msgspec lays a type out when it is read for the first time, and is not safe while two threads do that: one follows what
the other has not filled in yet, and the process is gone (msgspec 0.22: SIGSEGV in the first second of a worker with
several threads). A module's own statements run once, in one thread, so whatever is read is made ready there: as a
`msgspec.json.Decoder`, or as one of these. `tests/test_tidy.py` finds what would do it on the way.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")


class Prepared(Generic[T]):
    """Reads one type, from JSON or from what JSON was read into. Made by a module's own statement; thread-safe."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind
        self._decoder: msgspec.json.Decoder[T] = msgspec.json.Decoder(kind)

    def decode(self, document: bytes | str) -> T:
        """The JSON document as this type. Raises `msgspec.DecodeError`, or its `ValidationError`."""
        return self._decoder.decode(document)

    def convert(self, value: object, *, strict: bool = True) -> T:
        """Builtin values as this type. Raises `msgspec.ValidationError`."""
        found: T = msgspec.convert(value, self.kind, strict=strict)
        return found
