"""A cursor on the journal that tells the world what happened: at least once, in order per occurrence.

Rows are read in the order (writing transaction, id) and only below the oldest transaction still running, so a
row that commits late cannot be skipped. The cursor moves after the confirms, and only from where it was read:
of two relays that work at once one moves it, and what both sent the receivers drop by its id.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from holdgate_schema.envelope import Properties
from holdgate_schema.events.holds import event_routing_key
from holdgate_schema.topology import EVENTS_EXCHANGE
from holdgate_workers.app.gate.answers import APP_ID
from holdgate_workers.app.gate.effects import Unavailable
from holdgate_workers.app.ports import Outgoing

SOURCE = "/holdgate"


@dataclass(slots=True, frozen=True, order=True)
class Position:
    """A place in the journal: the writing transaction, then the row."""

    xid: int = 0
    id: int = 0


@dataclass(slots=True, frozen=True)
class ReadJournal:
    """Read the cursor and the rows after it. Answered by `JournalPage` or `Unavailable`."""

    rows_max: int


@dataclass(slots=True, frozen=True)
class JournalPage:
    """Rows after a cursor: their events (a JSON list, or None), where the page ends, how old its first row is."""

    start: Position
    end: Position
    events: Sequence[str | None]
    lag_seconds: float


@dataclass(slots=True, frozen=True)
class Announce:
    """Publish events. Answered by whether all were confirmed."""

    messages: Sequence[Outgoing]


@dataclass(slots=True, frozen=True)
class Advance:
    """Move the cursor from one place to another. Answered by whether it was still where it should be."""

    start: Position
    end: Position


RelayEffect = ReadJournal | Announce | Advance


@dataclass(slots=True, frozen=True)
class Page:
    """What one round did."""

    rows: int
    announced: int
    lag_seconds: float
    failed: bool = False


class _Head(Struct):
    """What the envelope of an event needs."""

    type: str
    event_id: str
    occurrence_id: str
    occurred_at: datetime


_list_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_head_decoder = msgspec.json.Decoder(_Head)


def relay_round(rows_max: int) -> Generator[RelayEffect, Any, Page]:
    """Tell what is new, up to a bound, and move the cursor behind it."""
    page: JournalPage | Unavailable = yield ReadJournal(rows_max)
    if isinstance(page, Unavailable):
        return Page(0, 0, 0.0, failed=True)
    if not page.events:
        return Page(0, 0, 0.0)
    messages = [message for events in page.events if events for message in event_messages(events)]
    if messages:
        confirmed: bool = yield Announce(messages)
        if not confirmed:
            return Page(0, 0, page.lag_seconds, failed=True)
    moved: bool = yield Advance(page.start, page.end)
    return Page(len(page.events), len(messages), page.lag_seconds, failed=not moved)


def event_messages(events: str) -> list[Outgoing]:
    """The events of one journal row as messages, in their order."""
    return [_event_message(bytes(raw)) for raw in _list_decoder.decode(events)]


def _event_message(body: bytes) -> Outgoing:
    head = _head_decoder.decode(body)
    return Outgoing(
        exchange=EVENTS_EXCHANGE,
        routing_key=event_routing_key(head.type),
        body=body,
        properties=Properties(
            message_id=head.event_id,
            type=head.type,
            app_id=APP_ID,
            timestamp=int(head.occurred_at.timestamp()),
            headers={
                "cloudEvents_specversion": "1.0",
                "cloudEvents_id": head.event_id,
                "cloudEvents_source": SOURCE,
                "cloudEvents_type": head.type,
                "cloudEvents_subject": head.occurrence_id,
                "cloudEvents_time": _rfc_3339(head.occurred_at),
            },
        ),
    )


def _rfc_3339(time: datetime) -> str:
    """The instant in the very spelling that the event's body has."""
    return str(msgspec.to_builtins(time))
