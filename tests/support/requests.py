"""Requests for tests of the whole gate."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from holdgate_producer.client.client import BookingClient
from holdgate_schema.answers.holds import OccurrenceStored
from holdgate_schema.commands.holds import PlaceHold, PoolDefinition, PutOccurrence, TicketType
from holdgate_schema.routing import partition_of, slot_of
from holdgate_workers.ids import new_request_id

STARTS = datetime(2099, 6, 1, 18, tzinfo=UTC)
_days = itertools.count()


def put_of(occurrence_id: str, capacity: int, *, kids: int | None = None, **more: Any) -> PutOccurrence:
    """An occurrence with three ticket types, of which child and senior share a cap of their own."""
    day = next(_days)
    fields: dict[str, Any] = {
        "request_id": new_request_id(),
        "occurrence_id": occurrence_id,
        "product_id": "tour",
        "starts_at": STARTS + timedelta(minutes=day),
        "ends_at": STARTS + timedelta(minutes=day, hours=2),
        "timezone": "Europe/Rome",
        "capacity": capacity,
        "ticket_types": [
            TicketType(key="adult"),
            TicketType(key="child", pools=["concession"]),
            TicketType(key="senior", pools=["concession"]),
        ],
        "pools": [PoolDefinition(key="concession", capacity=kids)],
    }
    return PutOccurrence(**{**fields, **more})


def put(client: BookingClient, occurrence_id: str, capacity: int, *, kids: int | None = None, **more: Any) -> None:
    """Create the occurrence."""
    answer = client.call(put_of(occurrence_id, capacity, kids=kids, **more))
    assert isinstance(answer, OccurrenceStored), answer


def place_of(occurrence_id: str, items: dict[str, int] | None = None, **more: Any) -> PlaceHold:
    """A request for seats, one adult by default."""
    fields = {"request_id": new_request_id(), "occurrence_id": occurrence_id, "items": items or {"adult": 1}}
    return PlaceHold(**{**fields, **more})


def occurrences_in(partitions: int, each: int, prefix: str) -> dict[int, list[str]]:
    """So many occurrence ids for each partition."""
    found: dict[int, list[str]] = {partition: [] for partition in range(partitions)}
    for number in itertools.count():
        occurrence_id = f"{prefix}-{number}"
        ids = found[partition_of(slot_of(occurrence_id), partitions)]
        if len(ids) < each:
            ids.append(occurrence_id)
        if all(len(ids) == each for ids in found.values()):
            return found
    raise AssertionError("unreachable")
