"""What a body says, however it is written."""

from __future__ import annotations

from typing import Any

from tests.checker.jsonl import loads

INTERNAL = (
    "hold.price.v1", "quote.put.v1", "booking.settle.v1", "booking.note_order.v1", "booking.resolve.v1",
    "cart.hold.v1", "cart.release.v1", "cart.settle.v1",
)  # fmt: skip
"""What the service asks of itself, under seal; from anybody else it leaves no trace."""
OWN = ("hold.sweep.v1", *INTERNAL)


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


def body_of(bodies: list[str]) -> dict[str, Any]:
    """The first of these bodies; empty if it cannot be read."""
    try:
        body = loads(bodies[0]) if bodies else {}
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def shows(text: str, reply: dict[str, Any]) -> bool:
    """Whether a grant shows the basket that a body asks for; only where an id was used for several bodies."""
    hold = reply.get("hold")
    if reply["outcome"] not in ("held", "changed") or hold is None:
        return True
    body = body_of([text])
    wanted = (body.get("items"), body.get("extras") or {}, body.get("user_id"))
    user = hold.get("user_id") if reply["outcome"] == "held" else None
    return wanted == (hold.get("items"), hold.get("extras") or {}, user)
