"""PostgreSQL array literals, made as text in one go.

The driver turns a Python list into an array value by value, which costs more than the whole decision; joining
text costs a few microseconds a row. Every function here takes a column and gives the literal for one parameter.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime


def plain(values: Iterable[object]) -> str:
    """Values whose text needs no quoting: numbers, uuids, booleans. None becomes NULL."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def quoted(values: Iterable[str | None]) -> str:
    """Any text. None becomes NULL."""
    texts: list[str] = []
    last, text = None, "NULL"
    for value in values:
        # In many columns of a batch most neighbours are the same.
        if value != last:
            last, text = value, "NULL" if value is None else _quote(value)
        texts.append(text)
    return "{" + ",".join(texts) + "}"


def documents(values: Iterable[str | None]) -> str:
    """JSON texts, for `string_to_array(%s, E'\\x01', '')`. None becomes NULL.

    No valid JSON has a bare control character in it, so nothing needs to be looked for and escaped.
    """
    return "\x01".join([value or "" for value in values])


def binary(values: Iterable[bytes]) -> str:
    """Bytes, as bytea in hex."""
    return "{" + ",".join(['"\\\\x' + value.hex() + '"' for value in values]) + "}"


def times(values: Iterable[datetime | None]) -> str:
    """Aware times. None becomes NULL."""
    texts: list[str] = []
    last, text = None, "NULL"
    for value in values:
        # One batch has one instant, so most neighbours are the same.
        if value != last:
            last, text = value, "NULL" if value is None else f'"{value.isoformat()}"'
        texts.append(text)
    return "{" + ",".join(texts) + "}"


def _quote(value: str) -> str:
    if "\\" in value:
        value = value.replace("\\", "\\\\")
    if '"' in value:
        value = value.replace('"', '\\"')
    return f'"{value}"'
