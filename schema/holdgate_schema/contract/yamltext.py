"""A plain value as YAML: block style, strings quoted unless they cannot be mistaken for anything else.

Only for writing, and only for what JSON can hold, so that the base install needs no YAML library.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
_PAIR = re.compile(r"\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}")
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})


def to_yaml(value: Any) -> str:
    """The document, ending in a newline. Mappings keep their order."""
    return "\n".join(_lines(value, 0)) + "\n"


def _lines(value: Any, depth: int) -> Iterator[str]:
    pad = "  " * depth
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _entry(f"{pad}{_scalar(key)}:", item, depth + 1)
    elif isinstance(value, list) and value:
        for item in value:
            first, *rest = _lines(item, depth + 1)
            yield f"{pad}- {first.lstrip()}"
            yield from rest
    else:
        yield f"{pad}{_scalar(value)}"


def _entry(head: str, item: Any, depth: int) -> Iterator[str]:
    if isinstance(item, dict | list) and item:
        yield head
        yield from _lines(item, depth)
    else:
        yield f"{head} {_scalar(item)}"


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return _PAIR.sub(_beyond_the_first_plane, json.dumps(value))


def _beyond_the_first_plane(pair: re.Match[str]) -> str:
    """JSON spells such a character as two halves, YAML as one number."""
    return f"\\U{ord(json.loads(chr(34) + pair[0] + chr(34))):08x}"
