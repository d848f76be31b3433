"""Commands: what upstream services may ask for. Closed objects, bounded everywhere, never coerced.

A command's `type` names its meaning and version; a new meaning gets a new version, never a new field that an
old worker would ignore.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from holdgate_schema.ids import (
    TOTAL_POOL,
    VISIBLE_PATTERN,
    ExtraKey,
    HoldId,
    PoolKey,
    ProductId,
    SessionId,
    TicketKey,
    UserId,
)
from holdgate_schema.values.fields import CAPACITY_MAX as CAPACITY_MAX
from holdgate_schema.values.fields import QUANTITY_MAX as QUANTITY_MAX
from holdgate_schema.values.fields import AwareTime as AwareTime
from holdgate_schema.values.fields import Client as Client
from holdgate_schema.values.fields import CommandBase, Extras, Items, LocalTime
from holdgate_schema.values.fields import Label as Label

from .selling import INTERNAL_TYPES, SELLING_TYPES, Pricing, SellingCommand

SWEEP_HOLDS_MAX = 500


class PlaceHold(CommandBase, frozen=True, kw_only=True, tag="hold.place.v1"):
    """Take the whole basket or nothing. Without a session one is issued and returned."""

    items: Annotated[Items, Meta(min_length=1)]
    extras: Extras = {}
    session_id: SessionId | None = None
    user_id: UserId | None = None
    client: Client | None = None
    ttl_seconds: Annotated[int, Meta(ge=1, le=7200)] | None = None
    pricing: Pricing | None = None


class ChangeHold(CommandBase, frozen=True, kw_only=True, tag="hold.change.v1"):
    """Set the hold's quantities to these absolute numbers in one step; its expiry does not move.

    A hold that is changed loses its price and gets a new one; the same quantities with other `pricing` do that, too.
    """

    session_id: SessionId
    hold_id: HoldId
    items: Annotated[Items, Meta(min_length=1)]
    extras: Extras = {}
    pricing: Pricing | None = None


class ExtendHold(CommandBase, frozen=True, kw_only=True, tag="hold.extend.v1"):
    """Give the hold its full time again from now, within its greatest age and number of extensions."""

    session_id: SessionId
    hold_id: HoldId


class ReleaseHold(CommandBase, frozen=True, kw_only=True, tag="hold.release.v1"):
    """Give the seats back. Only the session that took them may."""

    session_id: SessionId
    hold_id: HoldId


class GetHold(CommandBase, frozen=True, kw_only=True, tag="hold.get.v1"):
    """A hold as it is now. A read: asked twice it is answered afresh."""

    session_id: SessionId
    hold_id: HoldId


class SweepHolds(CommandBase, frozen=True, kw_only=True, tag="hold.sweep.v1"):
    """Expire the holds of the occurrence that are due, the longest overdue first."""

    holds_max: Annotated[int, Meta(ge=1, le=SWEEP_HOLDS_MAX)] = SWEEP_HOLDS_MAX


class GetAvailability(CommandBase, frozen=True, kw_only=True, tag="availability.get.v1"):
    """What could be held right now. A read: asked twice it is answered afresh."""


class PoolDefinition(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A counter: capacity null means unlimited, 0 means none."""

    key: PoolKey
    capacity: Annotated[int, Meta(ge=0, le=CAPACITY_MAX)] | None
    overbooking_percent: Annotated[int, Meta(ge=0, le=100)] = 0
    buffer: Annotated[int, Meta(ge=0, le=CAPACITY_MAX)] = 0


class TicketType(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A kind of ticket. Each one draws a seat from `total` and one from every pool named here."""

    key: TicketKey
    label: Label = ""
    min_per_order: Annotated[int, Meta(ge=0, le=QUANTITY_MAX)] = 0
    max_per_order: Annotated[int, Meta(ge=1, le=QUANTITY_MAX)] = 10
    pools: Annotated[list[PoolKey], Meta(max_length=10)] = []


class SharedStock(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Stock that several occurrences sell from: all that name the same key share the cap."""

    key: Annotated[str, Meta(min_length=1, max_length=64, pattern=VISIBLE_PATTERN)]
    cap: Annotated[int, Meta(ge=0, le=CAPACITY_MAX)]


class ExtraDefinition(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Something sold beside the tickets. It takes no seat; it draws from the pools and the stock named here."""

    key: ExtraKey
    label: Label = ""
    max_per_order: Annotated[int, Meta(ge=1, le=QUANTITY_MAX)] = 10
    pools: Annotated[list[PoolKey], Meta(max_length=10)] = []
    stock: SharedStock | None = None


class AlertOverrides(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """At which share of the sellable seats the alerts are raised, where that differs from the house's settings."""

    low: Annotated[int, Meta(ge=1, le=100)] | None = None
    nearly_full: Annotated[int, Meta(ge=1, le=100)] | None = None
    full: Annotated[int, Meta(ge=1, le=100)] | None = None


class HoldOverrides(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Hold settings of this occurrence where they differ from the house's."""

    ttl_minutes: Annotated[int, Meta(ge=5, le=120)] | None = None
    lifetime_max_minutes: Annotated[int, Meta(ge=5, le=240)] | None = None
    extensions_max: Annotated[int, Meta(ge=0, le=10)] | None = None
    max_seats_per_request: Annotated[int, Meta(ge=1, le=500)] | None = None
    max_seats_per_hold: Annotated[int, Meta(ge=1, le=500)] | None = None


class PutOccurrence(CommandBase, frozen=True, kw_only=True, tag="occurrence.put.v1"):
    """Create the occurrence or replace its definition; counters of what is held and sold are kept.

    `capacity`, `overbooking_percent` and `buffer` are those of the pool `total`. Sales open and close at wall
    times of the occurrence's zone; a time that the clock skips means the instant after the gap, a time that it
    shows twice means the first. Sales also close `cutoff_minutes` before the start.

    Its start is its own among the occurrences of the product that are not cancelled. With `yields_start` it keeps its
    time, but another one may be put there: the first of two that swap gives way like that, and is moved afterwards.
    """

    product_id: ProductId
    starts_at: AwareTime
    ends_at: AwareTime
    timezone: Annotated[str, Meta(min_length=1, max_length=64, description="IANA name")]
    capacity: Annotated[int, Meta(ge=0, le=CAPACITY_MAX)]
    ticket_types: Annotated[list[TicketType], Meta(min_length=1, max_length=50)]
    overbooking_percent: Annotated[int, Meta(ge=0, le=100)] = 0
    buffer: Annotated[int, Meta(ge=0, le=CAPACITY_MAX)] = 0
    pools: Annotated[list[PoolDefinition], Meta(max_length=50)] = []
    extras: Annotated[list[ExtraDefinition], Meta(max_length=50)] = []
    sales_open: LocalTime | None = None
    sales_close: LocalTime | None = None
    cutoff_minutes: Annotated[int, Meta(ge=0, le=525_600)] = 0
    status: Literal["active", "closed"] = "active"
    hold: HoldOverrides | None = None
    alerts: AlertOverrides | None = None
    yields_start: bool = False


class CloseOccurrence(CommandBase, frozen=True, kw_only=True, tag="occurrence.close.v1"):
    """Take the occurrence off sale. `closed` can be opened again by a put, the others are final."""

    status: Literal["closed", "cancelled", "completed"] = "closed"


class SetCapacity(CommandBase, frozen=True, kw_only=True, tag="occurrence.capacity.v1"):
    """Set the capacity of one pool; null (unlimited) is not for `total`."""

    capacity: Annotated[int, Meta(ge=0, le=CAPACITY_MAX)] | None
    pool: PoolKey = TOTAL_POOL


HoldCommand = ChangeHold | ExtendHold | ReleaseHold
CatalogueCommand = PutOccurrence | CloseOccurrence | SetCapacity
Command = (
    PlaceHold
    | ChangeHold
    | ExtendHold
    | ReleaseHold
    | GetHold
    | SweepHolds
    | GetAvailability
    | PutOccurrence
    | CloseOccurrence
    | SetCapacity
    | SellingCommand
)
COMMAND_TYPES: tuple[type[Command], ...] = (
    PlaceHold,
    ChangeHold,
    ExtendHold,
    ReleaseHold,
    GetHold,
    SweepHolds,
    GetAvailability,
    PutOccurrence,
    CloseOccurrence,
    SetCapacity,
    *SELLING_TYPES,
    *INTERNAL_TYPES,
)


def type_name(command: Command | type[Command]) -> str:
    """The `type` of a command, such as `hold.place.v1`."""
    return str(command.__struct_config__.tag)
