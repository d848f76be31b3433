"""Domain events: what happened, told to everyone on the topic exchange, in order per occurrence.

On the wire an event is its JSON with the CloudEvents attributes as AMQP headers (`cloudEvents_id`,
`cloudEvents_source`, `cloudEvents_type`, `cloudEvents_subject`, `cloudEvents_time`). Delivery is at least
once. An event's place in its occurrence's history is its `version`, then the number behind the slash in its
`event_id`: one decision can have several events, and they share a version. Drop what is not behind the last place
you have seen.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from holdgate_schema.values.views import HoldView, OccurrenceStatus

from .selling import SELLING_EVENT_TYPES, EventBase, SellingEvent


class HoldCreated(EventBase, frozen=True, kw_only=True, tag="hold.created.v1"):
    """A basket was taken."""

    hold: HoldView


class HoldChanged(EventBase, frozen=True, kw_only=True, tag="hold.changed.v1"):
    """A hold's quantities were set anew."""

    hold: HoldView


class HoldExtended(EventBase, frozen=True, kw_only=True, tag="hold.extended.v1"):
    """A hold got more time."""

    hold: HoldView


class HoldReleased(EventBase, frozen=True, kw_only=True, tag="hold.released.v1"):
    """A hold ended because somebody gave it back."""

    hold: HoldView
    reason: Literal["by_owner", "compensation", "offer_declined"] = "by_owner"


class HoldExpired(EventBase, frozen=True, kw_only=True, tag="hold.expired.v1"):
    """A hold ended because its time was over. `reason` says what noticed."""

    hold: HoldView
    reason: Literal["swept", "seats_needed", "touched_late"] = "swept"


class CapacityDeficit(EventBase, frozen=True, kw_only=True, tag="capacity.deficit.v1"):
    """A pool's capacity was set below what is already taken; nothing new is granted until it recovers."""

    pool: str
    target: int
    taken: int


class OccurrenceChanged(EventBase, frozen=True, kw_only=True, tag="occurrence.changed.v1"):
    """The occurrence was created, redefined, opened or closed."""

    product_id: str
    status: OccurrenceStatus
    starts_at: datetime
    ends_at: datetime
    created: bool = False


Event = (
    HoldCreated
    | HoldChanged
    | HoldExtended
    | HoldReleased
    | HoldExpired
    | CapacityDeficit
    | OccurrenceChanged
    | SellingEvent
)
EVENT_TYPES: tuple[type[Event], ...] = (
    HoldCreated,
    HoldChanged,
    HoldExtended,
    HoldReleased,
    HoldExpired,
    CapacityDeficit,
    OccurrenceChanged,
    *SELLING_EVENT_TYPES,
)


def event_type(event: Event | type[Event]) -> str:
    """The `type` of an event, such as `hold.created.v1`."""
    return str(event.__struct_config__.tag)


def event_routing_key(event_type_name: str) -> str:
    """The routing key on the topic exchange: the type without its version, such as `hold.created`."""
    return event_type_name.rpartition(".")[0]
