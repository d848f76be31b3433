"""One example of every message, as the documents show them. They tell one story, see `examples_story`."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from holdgate_schema.answers.holds import (
    Answer,
    Availability,
    Changed,
    Extended,
    Held,
    HoldShown,
    OccurrenceStored,
    PoolView,
    Reason,
    Released,
    Swept,
    TicketView,
    answer_type,
)
from holdgate_schema.codec import encode
from holdgate_schema.commands.holds import (
    ChangeHold,
    Client,
    CloseOccurrence,
    Command,
    ExtendHold,
    ExtraDefinition,
    GetAvailability,
    GetHold,
    HoldOverrides,
    PlaceHold,
    PoolDefinition,
    PutOccurrence,
    ReleaseHold,
    SetCapacity,
    SharedStock,
    SweepHolds,
    TicketType,
    type_name,
)
from holdgate_schema.events.holds import (
    CapacityDeficit,
    Event,
    HoldChanged,
    HoldCreated,
    HoldExpired,
    HoldExtended,
    HoldReleased,
    OccurrenceChanged,
    event_type,
)

from .refusals import refusal
from .selling import selling_answers, selling_commands
from .selling_events import selling_events
from .story import HOLD, NOW, OCCURRENCE, PRODUCT, SESSION, STARTS, example_hold, example_id


def _commands() -> list[Command]:
    return [
        PlaceHold(
            request_id=HOLD,
            occurrence_id=OCCURRENCE,
            items={"adult": 2, "child": 1},
            extras={"audio-guide": 2},
            user_id="user-7",
            client=Client(address="10.0.3.7", forwarded_for=["203.0.113.9"]),
        ),
        ChangeHold(
            request_id=example_id(2),
            occurrence_id=OCCURRENCE,
            session_id=SESSION,
            hold_id=HOLD,
            items={"adult": 2, "child": 2},
            extras={"audio-guide": 2},
        ),
        ExtendHold(request_id=example_id(3), occurrence_id=OCCURRENCE, session_id=SESSION, hold_id=HOLD),
        ReleaseHold(request_id=example_id(4), occurrence_id=OCCURRENCE, session_id=SESSION, hold_id=HOLD),
        GetHold(request_id=example_id(14), occurrence_id=OCCURRENCE, session_id=SESSION, hold_id=HOLD),
        SweepHolds(request_id=example_id(5), occurrence_id=OCCURRENCE, holds_max=100),
        GetAvailability(request_id=example_id(6), occurrence_id=OCCURRENCE),
        PutOccurrence(
            request_id=example_id(7),
            occurrence_id=OCCURRENCE,
            product_id=PRODUCT,
            starts_at=STARTS,
            ends_at=STARTS + timedelta(hours=2),
            timezone="Europe/Lisbon",
            capacity=12,
            ticket_types=[
                TicketType(key="adult", label="Adult", min_per_order=1, max_per_order=8),
                TicketType(key="child", label="Child (4 to 12)", max_per_order=6, pools=["child-seats"]),
            ],
            pools=[PoolDefinition(key="child-seats", capacity=4)],
            extras=[
                ExtraDefinition(
                    key="audio-guide", label="Audio guide", stock=SharedStock(key="guides-quay-1", cap=40)
                )
            ],
            sales_open=datetime(2026, 11, 1, 9),  # noqa: DTZ001  # wall time
            cutoff_minutes=30,
            hold=HoldOverrides(ttl_minutes=15, extensions_max=2),
        ),
        CloseOccurrence(request_id=example_id(8), occurrence_id=OCCURRENCE, status="cancelled"),
        SetCapacity(request_id=example_id(9), occurrence_id=OCCURRENCE, capacity=2),
    ]


def _answers() -> list[Answer]:
    return [
        Held(
            request_id=HOLD,
            occurrence_id=OCCURRENCE,
            version=2,
            decided_at=NOW,
            hold=example_hold(),
            available={"total": 9, "child-seats": 3},
        ),
        Changed(
            request_id=example_id(2),
            occurrence_id=OCCURRENCE,
            version=3,
            decided_at=NOW + timedelta(minutes=1),
            hold=example_hold(children=2),
            available={"total": 8, "child-seats": 2},
        ),
        Extended(
            request_id=example_id(3),
            occurrence_id=OCCURRENCE,
            version=4,
            decided_at=NOW + timedelta(minutes=10),
            hold=example_hold(children=2, minutes=25, extensions_used=1),
            extensions_left=1,
        ),
        Released(
            request_id=example_id(4),
            occurrence_id=OCCURRENCE,
            version=5,
            decided_at=NOW + timedelta(minutes=12),
            hold=example_hold(state="released", children=2, minutes=25, extensions_used=1),
        ),
        HoldShown(
            request_id=example_id(14),
            occurrence_id=OCCURRENCE,
            version=4,
            decided_at=NOW + timedelta(minutes=11),
            hold=example_hold(children=2, minutes=25, extensions_used=1),
        ),
        Swept(request_id=example_id(5), occurrence_id=OCCURRENCE, version=6, decided_at=NOW, expired=3),
        _availability(),
        OccurrenceStored(
            request_id=example_id(7),
            occurrence_id=OCCURRENCE,
            version=1,
            decided_at=NOW - timedelta(days=1),
            created=True,
            status="active",
            sellable={"total": 12, "child-seats": 4},
        ),
        refusal(Reason.SOLD_OUT),
    ]


def _availability() -> Availability:
    return Availability(
        request_id=example_id(6),
        occurrence_id=OCCURRENCE,
        version=2,
        decided_at=NOW + timedelta(seconds=30),
        product_id=PRODUCT,
        status="active",
        on_sale=True,
        starts_at=STARTS,
        ends_at=STARTS + timedelta(hours=2),
        pools={
            "total": PoolView(capacity=12, sellable=12, held=3, sold=0, available=9),
            "child-seats": PoolView(capacity=4, sellable=4, held=1, sold=0, available=3),
        },
        ticket_types={
            "adult": TicketView(label="Adult", min_per_order=1, max_per_order=8, available=8),
            "child": TicketView(label="Child (4 to 12)", min_per_order=0, max_per_order=6, available=3),
        },
        next_release_at=NOW + timedelta(minutes=15),
    )


def _events() -> list[Event]:
    return [
        HoldCreated(
            event_id=f"{HOLD}/0", occurrence_id=OCCURRENCE, version=2, occurred_at=NOW, hold=example_hold()
        ),
        HoldChanged(
            event_id=f"{example_id(2)}/0",
            occurrence_id=OCCURRENCE,
            version=3,
            occurred_at=NOW + timedelta(minutes=1),
            hold=example_hold(children=2),
        ),
        HoldExtended(
            event_id=f"{example_id(3)}/0",
            occurrence_id=OCCURRENCE,
            version=4,
            occurred_at=NOW + timedelta(minutes=10),
            hold=example_hold(children=2, minutes=25, extensions_used=1),
        ),
        HoldReleased(
            event_id=f"{example_id(4)}/0",
            occurrence_id=OCCURRENCE,
            version=5,
            occurred_at=NOW + timedelta(minutes=12),
            hold=example_hold(state="released", children=2, minutes=25, extensions_used=1),
        ),
        HoldExpired(
            event_id=f"{example_id(5)}/0",
            occurrence_id=OCCURRENCE,
            version=6,
            occurred_at=NOW + timedelta(minutes=15, microseconds=250_000),
            hold=example_hold(state="expired"),
            reason="seats_needed",
        ),
        CapacityDeficit(
            event_id=f"{example_id(9)}/0",
            occurrence_id=OCCURRENCE,
            version=7,
            occurred_at=NOW + timedelta(hours=1),
            pool="total",
            target=2,
            taken=3,
        ),
        OccurrenceChanged(
            event_id=f"{example_id(7)}/0",
            occurrence_id=OCCURRENCE,
            version=1,
            occurred_at=NOW - timedelta(days=1),
            product_id=PRODUCT,
            status="active",
            starts_at=STARTS,
            ends_at=STARTS + timedelta(hours=2),
            created=True,
        ),
    ]


def examples() -> dict[str, Command | Answer | Event]:
    """Message name -> an example of it, for every message there is."""
    found: dict[str, Command | Answer | Event] = {}
    found.update({type_name(command): command for command in (*_commands(), *selling_commands())})
    found.update({answer_type(answer): answer for answer in (*_answers(), *selling_answers())})
    found.update({event_type(event): event for event in (*_events(), *selling_events())})
    return found


def as_json(message: Command | Answer | Event) -> dict[str, Any]:
    """The message as it is on the wire, parsed."""
    parsed: dict[str, Any] = json.loads(encode(message))
    return parsed
