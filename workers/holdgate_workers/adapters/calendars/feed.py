"""Feeds: the occurrences of a product, for whoever subscribes to them. Nothing in them says who booked."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from holdgate_workers.app.notices.facts import Slot

from .events import calendar, event, written

REFRESH_INTERVAL = timedelta(hours=1)


def product_feed(title: str, slots: Iterable[Slot], *, domain: str) -> bytes:
    """The product's calendar, the same bytes for the same occurrences.

    Cancelled occurrences stay in it as such, so that they vanish from the calendars that already have them. `domain` is
    the house's own: with it an occurrence's UID is unique in the world.
    """
    ordered = sorted(slots, key=lambda slot: (slot.starts_at, slot.occurrence_id))
    component = calendar("PUBLISH", ordered)
    component.add("NAME", title)
    component.add("X-WR-CALNAME", title)
    component.add("REFRESH-INTERVAL", REFRESH_INTERVAL, parameters={"VALUE": "DURATION"})
    component.add("X-PUBLISHED-TTL", "PT1H")
    return written(
        component,
        (
            event(
                f"{slot.occurrence_id}@{domain}",
                slot,
                sequence=slot.version,
                stamp=slot.changed_at,
                is_cancelled=slot.status == "cancelled",
            )
            for slot in ordered
        ),
    )
