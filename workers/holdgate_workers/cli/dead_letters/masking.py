"""Dead letters without what could tell who the buyer is."""

from __future__ import annotations

import json
import re
from ipaddress import ip_address
from typing import Any

MASK = "•••"
PERSONAL = frozenset(
    {"client", "client_ip", "client_address", "address", "forwarded_for", "user_id", "email", "phone"}
)
_LIKE_AN_ADDRESS = re.compile(r"[0-9A-Fa-f]*[.:][0-9A-Fa-f.:]+")


def masked_body(body: bytes) -> str:
    """The body as text, without personal fields and, also where it is no JSON, without IP addresses."""
    text = body.decode(errors="replace")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return masked_text(printable(text))
    return json.dumps(_masked(value), ensure_ascii=False)


def masked_text(text: str) -> str:
    """The text without IP addresses."""
    return _LIKE_AN_ADDRESS.sub(lambda match: MASK if _is_address(match[0]) else match[0], text)


def printable(text: str) -> str:
    """The text without characters that a terminal would obey."""
    return "".join(char if char.isprintable() or char in "\n\t" else "\ufffd" for char in text)


def _masked(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _masked(item, key.lower()) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked(item, name) for item in value]
    if value is not None and name in PERSONAL:
        return MASK
    return masked_text(value) if isinstance(value, str) else value


def _is_address(text: str) -> bool:
    try:
        ip_address(text.rstrip("."))
    except ValueError:
        return False
    return True
