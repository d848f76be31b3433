"""Holds and instants as they were shown, against what they are."""

from __future__ import annotations

from typing import Any

from tests.checker.instants import micros, stamp
from tests.checker.world import Hold

_HOLD_DEFAULTS: dict[str, Any] = {
    "extras": {},
    "extensions_used": 0,
    "user_id": None,
    "quote": None,
    "cart_id": None,
}


def same_time(text: Any, moment: int) -> bool:
    """Whether a text is this instant, however it is spelled."""
    if text == stamp(moment):
        return True
    try:
        return isinstance(text, str) and micros(text) == moment
    except ValueError:
        return False


def view_problems(hold: Hold, told: Any) -> list[str]:
    """A hold as it was shown, against what it is."""
    view = hold.view()
    if told == view:
        return []
    if not isinstance(told, dict):
        return [f"hold is {told!r}"]
    problems = []
    for name in (*view, *(name for name in _HOLD_DEFAULTS if name not in view)):
        value, seen = view.get(name, _HOLD_DEFAULTS.get(name)), told.get(name, _HOLD_DEFAULTS.get(name))
        if name in ("created_at", "expires_at"):
            if not same_time(seen, hold.created if name == "created_at" else hold.expires):
                problems.append(f"hold {hold.id}: {name} is {seen}, not {value}")
        elif seen != value:
            problems.append(f"hold {hold.id}: {name} is {seen!r}, not {value!r}")
    return problems
