"""Answers and events as an outsider reads them: our own idea of their fields, none of the product's types."""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import Struct


class HoldSeen(Struct):
    """A hold in an answer or an event."""

    hold_id: str
    session_id: str
    state: str
    items: dict[str, int]
    created_at: datetime
    expires_at: datetime
    extensions_used: int = 0
    extras: dict[str, int] = {}


class PoolSeen(Struct):
    """A pool in an answer about availability."""

    held: int
    available: int | None


class Reply(Struct):
    """An answer."""

    outcome: str
    request_id: str
    occurrence_id: str
    version: int
    decided_at: datetime
    reason: str | None = None
    hold: HoldSeen | None = None
    subject: str | None = None
    requested: int | None = None
    limit: int | None = None
    expired: int = 0
    pools: dict[str, PoolSeen] = {}


class Told(Struct):
    """An event."""

    type: str
    event_id: str
    occurrence_id: str
    version: int
    hold: HoldSeen | None = None


read_reply = msgspec.json.Decoder(Reply).decode
read_event = msgspec.json.Decoder(Told).decode
