"""Holds that a decision found to be over: due, active, and ended for the right reason."""

from __future__ import annotations

from typing import Any

from tests.checker.instants import stamp
from tests.checker.model import Body
from tests.checker.shown import view_problems
from tests.checker.world import Hold, Occasion, World


def expire(
    world: World, occasion: Occasion, kind: str, body: Body, expired: list[dict[str, Any]], now: int
) -> list[str]:
    """End the holds of these events."""
    problems = []
    for event in expired:
        hold = occasion.live.get(event["hold"]["hold_id"])
        if hold is None or hold.state != "active":
            problems.append(f"hold {event['hold']['hold_id']} is expired, but is not active")
            continue
        if hold.expires > now:
            problems.append(f"hold {hold.id} is expired at {stamp(now)}, before {stamp(hold.expires)}")
        reason = event.get("reason", "swept")
        if reason != _noticed(kind, body, hold):
            problems.append(f"hold {hold.id} is expired as {reason}, not {_noticed(kind, body, hold)}")
        world.end(occasion, hold, "expired", now)
        problems += view_problems(hold, event["hold"])
    return problems


def swept(occasion: Occasion, body: Body, expired: list[str], now: int, *, served: bool) -> list[str]:
    """The longest overdue first, at most so many; `served`: the line was offered something."""
    due = occasion.due(now)
    most = min(body.get("holds_max", 500), len(due))
    # How many were asked for is not known of the service's own sweeps where the requests were not tapped.
    right = len(expired) == most if "request_id" in body else bool(due) == bool(expired) and len(expired) <= most
    if not right:
        return [f"swept {len(expired)} holds of {len(due)} due"]
    if not expired:
        return [] if served else ["a sweep that found nothing was recorded"]
    latest = due[len(expired) - 1].expires
    by_id = {hold.id: hold for hold in due}
    return [f"hold {one} was swept before others that were longer due" for one in expired
            if one in by_id and by_id[one].expires > latest]  # fmt: skip


def _noticed(kind: str, body: Body, hold: Hold) -> str:
    if kind == "hold.sweep.v1":
        return "swept"
    named = body.get("entry_id") if kind == "waitlist.leave.v1" else body.get("hold_id")
    return "touched_late" if named == hold.id and body.get("session_id") == hold.session else "seats_needed"
