"""JSON and JSON lines, read fast: a million requests make ten million of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

_decoder = json.JSONDecoder()
_scan: Callable[[str, int], tuple[Any, int]] = _decoder.scan_once
_NOTE = re.compile(
    r'\{"(sent|got|body|event|confirmed)":"([^"\\]*(?:\\"[^"\\]*)*)"((?:,"[a-z]+":(?:"[^"\\]*"|[0-9]+))+)\}\s*\Z'
)
_REST = re.compile(r',"([a-z]+)":(?:"([^"]*)"|([0-9]+))')


def loads(text: str) -> Any:
    """As json.loads; raises ValueError."""
    try:
        value, end = _scan(text, 0)
    except StopIteration:
        return json.loads(text)
    return value if end == len(text) else json.loads(text)


def note_of(line: str) -> dict[str, Any]:
    """One line of notes; raises ValueError.

    Nearly all hold a message as text, in which nothing but quotes is escaped; those need no JSON parser.
    """
    found = _NOTE.match(line)
    if found is None:
        note: dict[str, Any] = json.loads(line)
        return note
    kind, text, rest = found.groups()
    note = {kind: text.replace('\\"', '"')}
    for name, quoted, number in _REST.findall(rest):
        note[name] = int(number) if number else quoted
    return note
