"""P12: the events that were told against the events that were committed."""

from __future__ import annotations

import json
from typing import Any

from tests.checker.decoding import Row
from tests.checker.jsonl import loads
from tests.checker.recording import Notes, Recording
from tests.checker.verdict import Report

_ENDS = ("hold.released.v1", "hold.expired.v1")


_VERBS = {"held": "created", "changed": "changed", "extended": "extended", "released": "released"}


def events_of(row: Row, reply: dict[str, Any], reply_text: str) -> list[dict[str, Any]]:
    """The events of a journal row.

    Most rows have one, which shows the hold just as the answer does: where that is so to the letter, it need not be
    read a second time, and shares the answer's hold.
    """
    text = row["events"]
    if not text:
        return []
    verb = _VERBS.get(str(row["outcome"]))
    hold_at = reply_text.find('"hold":{') if verb else -1
    if hold_at >= 0:
        event = {
            "type": f"hold.{verb}.v1",
            "event_id": f"{row['request_id']}/0",
            "occurrence_id": row["occurrence_id"],
            "version": reply.get("version"),
            "occurred_at": reply.get("decided_at"),
        }
        before = (
            f'[{{"type":"{event["type"]}","event_id":"{event["event_id"]}","occurrence_id":"{event["occurrence_id"]}"'
            f',"version":{event["version"]},"occurred_at":"{event["occurred_at"]}","hold":'
        )
        if (
            text.startswith(before)
            and text.endswith("}]")
            and _same_hold(text, len(before), reply_text, hold_at + 7)
        ):
            return [{**event, "hold": reply["hold"]}]
    events: list[dict[str, Any]] = loads(text)
    return events


def _same_hold(text: str, start: int, reply_text: str, hold_at: int) -> bool:
    """Whether the rest of a text, but for `}]`, is the whole object at that place of the answer."""
    shown = text[start:-2]
    end = hold_at + len(shown)
    return reply_text[hold_at:end] == shown and reply_text[end : end + 1] in (",", "}") and shown.endswith("}")


class Told:
    """The tap on the events exchange: each event once, with the place of its first arrival."""

    def __init__(self, report: Report, recording: Recording) -> None:
        self._report = report
        self._recording = recording
        self._heard: dict[str, tuple[int, int]] = {}
        """event id -> (arrival, hash of its text); taken out once its commit was seen."""
        self._last: dict[str, tuple[int, str]] = {}
        self._unlike: dict[str, str] = {}
        """Committed text, as compact sorted JSON, of events that were told with another text."""
        self._ended: set[str] = set()
        self._missing: list[str] = []
        self.tapped = recording.tap_events is not None
        if recording.tap_events is None:
            report.doubt("P12", "the events were not tapped")
            return
        notes = Notes(recording.tap_events)
        for arrival, note in enumerate(notes):
            text = note["event"]
            event_id = note.get("id") or str(loads(text).get("event_id"))
            if event_id not in self._heard:
                self._heard[event_id] = (arrival, hash(text))
            elif self._heard[event_id][1] != hash(text):
                report.flag("P12", f"event {event_id} was told twice, with different words")
        if not notes.ended or notes.broken:
            report.doubt("P12", "the tap on the events is cut off")

    def committed(self, row: Row, events: list[dict[str, Any]]) -> None:
        """The events of one journal row, in commit order."""
        if not events:
            return
        text = str(row["events"])
        occurrence_id = str(row["occurrence_id"])
        for event in events:
            event_id = event["event_id"]
            if event["type"] in _ENDS:
                self._end(event)
            if not self.tapped:
                continue
            self._report.count("P12")
            heard = self._heard.pop(event_id, None)
            if heard is None:
                self._missing.append(event_id)
                continue
            arrival, digest = heard
            raw = text[1:-1] if len(events) == 1 else json.dumps(event, separators=(",", ":"), ensure_ascii=False)
            if hash(raw) != digest:
                self._unlike[event_id] = _plain(event)
            before = self._last.get(occurrence_id)
            if before is not None and arrival < before[0]:
                self._report.flag("P12", f"event {event_id} was told before {before[1]}, which comes first")
            else:
                self._last[occurrence_id] = (arrival, event_id)

    def _end(self, event: dict[str, Any]) -> None:
        hold_id = event["hold"]["hold_id"]
        if hold_id in self._ended:
            self._report.flag("P12", f"hold {hold_id} has a second terminal event, {event['event_id']}")
        self._ended.add(hold_id)

    def close(self) -> None:
        """What was told and never committed, what was committed and never told, and what was told otherwise."""
        drained = (self._recording.final or {}).get("events_drained", True)
        for event_id in self._missing:
            if drained:
                self._report.flag("P12", f"event {event_id} was committed and never told")
            else:
                self._report.doubt("P12", "events were still waiting to be told when the tap was closed")
        for event_id in self._heard:
            self._report.flag("P12", f"event {event_id} was told and never committed")
        if not self._unlike or self._recording.tap_events is None:
            return
        for note in Notes(self._recording.tap_events):
            event = loads(note["event"])
            committed = self._unlike.get(note.get("id") or str(event.get("event_id")))
            if committed is not None and committed != _plain(event):
                self._report.flag("P12", f"event {event.get('event_id')} was told otherwise than it was committed")


def _plain(event: dict[str, Any]) -> str:
    return json.dumps(event, sort_keys=True, separators=(",", ":"))
