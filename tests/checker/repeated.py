"""P5: what every answer and event repeats of its row: ids, versions, times."""

from __future__ import annotations

from typing import Any

from tests.checker.decoding import Row
from tests.checker.instants import micros, stamp
from tests.checker.shown import same_time


def unlike_its_row(row: Row, reply: dict[str, Any], events: list[dict[str, Any]]) -> list[str]:
    """What an answer and its events say otherwise than their row."""
    now = micros(str(row["decided_at"]))
    at = stamp(now)
    request_id, occurrence_id, version = row["request_id"], row["occurrence_id"], int(row["version"] or 0)
    told = (reply.get("outcome"), reply.get("reason"), reply.get("request_id"), reply.get("occurrence_id"))
    meant = (row["outcome"], row["reason"], request_id, occurrence_id)
    problems = [] if told == meant else [f"its answer is {told}, its row {meant}"]
    if reply.get("version") != version:
        problems.append(f"its answer is of version {reply.get('version')}, its row of {version}")
    if reply.get("decided_at") != at and not same_time(reply.get("decided_at"), now):
        problems.append(f"decided_at is {reply.get('decided_at')}, in the row {at}")
    if row["outcome"] == "refused" and reply.get("retryable") is not False:
        problems.append("a recorded refusal is not retryable")
    for number, event in enumerate(events):
        called = (event.get("event_id"), event.get("occurrence_id"), event.get("version"))
        if called != (f"{request_id}/{number}", occurrence_id, version):
            problems.append(f"event {number} is {called}")
        if event.get("occurred_at") != at and not same_time(event.get("occurred_at"), now):
            problems.append(f"event {number} occurred at {event.get('occurred_at')}, not {at}")
    return problems
