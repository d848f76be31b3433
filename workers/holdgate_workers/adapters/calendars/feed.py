"""Feeds: the occurrences of a product, for programs that subscribe to them. Nothing in them says who booked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from icalendar import Event

from holdgate_workers.app.notifications.facts import ProductSlots, Slot

from .events import calendar, event

REFRESH_INTERVAL = timedelta(hours=1)
OCCURRENCE, PRODUCT, LEFT_OUT = "X-HOLDGATE-OCCURRENCE", "X-HOLDGATE-PRODUCT", "X-HOLDGATE-LEFT-OUT"
FORM = 2
"""Rises when the same occurrences would be written in another way."""
_END = b"END:VCALENDAR\r\n"


def product_feed(found: ProductSlots, *, domain: str) -> Iterator[bytes]:
    """The product's calendar in pieces, the same bytes for the same occurrences.

    Cancelled occurrences stay in it as such, so that they vanish from the calendars that already have them. `domain` is
    the house's own: with it an occurrence's UID is unique in the world. Each event also has its occurrence and product
    as they are called here, so that the feed can be imported again. What the window leaves out is said.
    """
    component = calendar("PUBLISH", found.spans)
    component.add("NAME", found.title)
    component.add("X-WR-CALNAME", found.title)
    component.add("REFRESH-INTERVAL", REFRESH_INTERVAL, parameters={"VALUE": "DURATION"})
    component.add("X-PUBLISHED-TTL", "PT1H")
    if found.left_out:
        component.add(LEFT_OUT, left_out(found))
    head: bytes = component.to_ical()
    assert head.endswith(_END)
    yield head.removesuffix(_END)
    for slot in found.slots:
        yield _event(slot, domain).to_ical()
    yield _END


def left_out(found: ProductSlots) -> str:
    """How many occurrences the window leaves out, and which."""
    bounds = []
    if found.since is not None:
        bounds.append(f"before {_instant(found.since)}")
    if found.until is not None:
        bounds.append(f"from {_instant(found.until)} on")
    return f"{found.left_out} that start {' or '.join(bounds)}"


def feed_tag(found: ProductSlots, *, domain: str) -> str:
    """The same as long as the feed would be. It costs much less than the feed."""
    return sha256(f"{FORM} {domain} {found.product_id} {found.digest}".encode()).hexdigest()[:32]


def _event(slot: Slot, domain: str) -> Event:
    component = event(
        f"{slot.occurrence_id}@{domain}",
        slot,
        sequence=slot.version,
        stamp=slot.changed_at,
        is_cancelled=slot.status == "cancelled",
    )
    component.add(OCCURRENCE, slot.occurrence_id)
    component.add(PRODUCT, slot.product_id)
    return component


def _instant(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
