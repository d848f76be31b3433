"""Something to compete for: an occurrence of one's own, far away in time."""

from __future__ import annotations

from datetime import datetime, timedelta

from holdgate_schema.commands.holds import PoolDefinition, PutOccurrence, TicketType
from holdgate_workers.ids import new_request_id, short_id

SHARED_POOL = "concession"
SHARED_PERCENT = 30
DAYS_AHEAD = 3650


def occasion(now: datetime, capacity: int) -> PutOccurrence:
    """A new occurrence with three ticket types, two of which share a cap, under an id that nobody had before."""
    name = f"simulation-{now:%Y%m%dT%H%M%S}-{short_id()}"
    starts_at = now.replace(microsecond=0) + timedelta(days=DAYS_AHEAD)
    return PutOccurrence(
        request_id=new_request_id(),
        occurrence_id=name,
        product_id=name,
        starts_at=starts_at,
        ends_at=starts_at + timedelta(hours=3),
        timezone="UTC",
        capacity=capacity,
        ticket_types=[
            TicketType(key="adult"),
            TicketType(key="child", pools=[SHARED_POOL]),
            TicketType(key="senior", pools=[SHARED_POOL]),
        ],
        pools=[PoolDefinition(key=SHARED_POOL, capacity=capacity * SHARED_PERCENT // 100)],
    )
