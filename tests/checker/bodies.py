"""What a body says, however it is written."""

from __future__ import annotations

from typing import Any

from tests.checker.jsonl import loads


def identity(text: str) -> str | None:
    """The request id of a body; None if it cannot be read."""
    try:
        found = loads(text)["request_id"]
        loads(text)["occurrence_id"]
    except (ValueError, TypeError, KeyError):
        return None
    return found if isinstance(found, str) else None


_DEFAULTS: dict[str, Any] = {
    "extras": {}, "holds_max": 500, "overbooking_percent": 0, "buffer": 0, "pools": [], "cutoff_minutes": 0,
    "min_per_order": 0, "max_per_order": 10, "label": "", "forwarded_for": [],
}  # fmt: skip
_OF_TYPE = {
    "occurrence.put.v1": {"status": "active"},
    "occurrence.close.v1": {"status": "closed"},
    "occurrence.capacity.v1": {"pool": "total"},
}


def said(text: str) -> Any:
    """What a body says, however it is written: defaults and nulls are left out."""
    try:
        body = loads(text)
    except ValueError:
        return text
    plain = _plain(body)
    if isinstance(plain, dict):
        for key, default in _OF_TYPE.get(str(plain.get("type")), {}).items():
            plain.setdefault(key, default)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        found = {key: _plain(one) for key, one in value.items()}
        return {key: one for key, one in found.items() if one is not None and one != _DEFAULTS.get(key)}
    return [_plain(one) for one in value] if isinstance(value, list) else value
