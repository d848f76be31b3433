"""Whether the read side is what the rows would make of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from holdgate_schema.errors import InvalidMessage

from .entries import Entry, Kind, comparable

Why = Literal["missing", "behind", "ahead", "differs", "due", "left over"]
_documents = msgspec.json.Decoder()
_SUMS = ("occurrences", "capacity", "sellable", "held", "sold", "available")


@dataclass(slots=True, frozen=True)
class Stored:
    """An entry as it lies in the cache. `expired` says that it has become wrong by time alone."""

    version: int
    body: bytes
    expired: bool


@dataclass(slots=True, frozen=True)
class Difference:
    """One entry that is not as the rows are: there is none, it is of an older or a newer version, it says something
    else, its time is over and nobody has renewed it, or the rows no longer have what it is about."""

    kind: Kind
    id: str
    why: Why
    stored_version: int | None = None
    rows_version: int | None = None


def differences(entries: Sequence[Entry], stored: Mapping[str, Stored]) -> Iterator[Difference]:
    """Each of these entries, all of one kind, that lies otherwise in the cache."""
    for entry in entries:
        found = stored.get(entry.id)
        why: Why | None = "missing" if found is None else _why(entry, found)
        if why is not None:
            version = None if found is None else found.version
            yield Difference(entry.kind, entry.id, why, version, entry.version)


def _why(entry: Entry, found: Stored) -> Why | None:
    if entry.kind == "product":
        # Its version is that of the snapshot, and every snapshot has another one.
        return None if _sums(entry.body) == _sums(found.body) else "differs"
    if found.version != entry.version:
        return "behind" if found.version < entry.version else "ahead"
    if _same(entry.body, found.body):
        return None
    return "due" if found.expired else "differs"


def _same(one: bytes, other: bytes) -> bool:
    try:
        return comparable(one) == comparable(other)
    except InvalidMessage:
        return False


def _sums(body: bytes) -> list[Any] | None:
    try:
        found = _documents.decode(body)
    except msgspec.DecodeError:
        return None
    return [found.get(name) for name in _SUMS] if isinstance(found, dict) else None
