"""Which tasks follow from a decision, so that the world is told of it. What is off is not planned.

What stands in a task are ids: names and addresses are read when a mail is written, and can be erased until then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from msgspec import Struct

from holdgate_schema.events.holds import Event, HoldCreated, OccurrenceChanged, event_routing_key, event_type
from holdgate_schema.events.selling import (
    BookingCancelled,
    BookingConfirmed,
    BookingConverting,
    BookingFailed,
    BookingParked,
    BookingReduced,
)
from holdgate_workers.app.tasks.tasks import NOTIFICATIONS, DecidedRow, NewTask, Planner

from .analytics import NAMES
from .webhooks import WebhookMessage, WebhookTarget, receivers

PLAN_MAILS = "mail.plan.v1"
SEND_MAIL = "mail.send.v1"
REPORT_EVENT = "analytics.report.v1"
POST_EVENT = "webhook.post.v1"


class MailsWanted(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The payload of `PLAN_MAILS`: an event of one booking, or of all bookings of an occurrence."""

    event: str
    version: int
    booking_id: str | None = None
    occurrence_id: str | None = None


class MailWanted(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The payload of `SEND_MAIL`. `version` is the occurrence's at the event that the mail follows from. `invited` is
    false if the customer never got an invitation that this one could change or take back."""

    mail: str
    booking_id: str
    version: int
    starts_at: datetime
    useless_after: datetime | None = None
    invited: bool = True


class EventReported(Struct, frozen=True, kw_only=True):
    """The payload of `REPORT_EVENT`. `booking_id` is a hold's while there is no booking. Of a part that was given back:
    `items` and `extras` of it, and its `amount` in minor units."""

    event: str
    booking_id: str
    occurred_at: datetime
    items: dict[str, int] = {}
    extras: dict[str, int] = {}
    amount: int | None = None


class EventPosted(Struct, frozen=True, kw_only=True):
    """The payload of `POST_EVENT`: where the event lies, and whom it goes to."""

    target: str
    request_id: str
    event_id: str


def notice_planners(*, mails: bool, analytics: bool, targets: Sequence[WebhookTarget] = ()) -> tuple[Planner, ...]:
    """The planners of what is on."""
    planners: list[Planner] = []
    if mails:
        planners.append(plan_mails)
    if analytics:
        planners.append(plan_analytics)
    if targets:
        planners.append(WebhookPlanner(targets))
    return tuple(planners)


def plan_mails(row: DecidedRow) -> Iterator[NewTask]:
    """Have the mails planned: which ones and for when depends on what else is in the rows."""
    for event in row.events:
        match event:
            case BookingConfirmed() | BookingReduced() | BookingCancelled() | BookingFailed() | BookingParked():
                wanted = MailsWanted(
                    event=_name(event), version=event.version, booking_id=event.booking.booking_id
                )
            case OccurrenceChanged(created=False):
                wanted = MailsWanted(event=_name(event), version=event.version, occurrence_id=event.occurrence_id)
            case _:
                continue
        yield _task(PLAN_MAILS, f"mails/{event.event_id}", wanted)


def plan_analytics(row: DecidedRow) -> Iterator[NewTask]:
    """Have it reported, each step of a booking once. A booking that was never sold, or whose money stays, has no
    refund."""
    for event in row.events:
        match event:
            case HoldCreated():
                booking_id = event.hold.hold_id
            case BookingReduced():
                if event.amount:
                    yield _reduced(event)
                continue
            case BookingCancelled() | BookingParked():
                if event.booking.refund == "none" or event.booking.confirmed_at is None:
                    continue
                booking_id = event.booking.booking_id
            case BookingConverting() | BookingConfirmed():
                booking_id = event.booking.booking_id
            case _:
                continue
        name = _name(event)
        reported = EventReported(event=name, booking_id=booking_id, occurred_at=event.occurred_at)
        yield _task(REPORT_EVENT, f"analytics/{NAMES[name]}/{booking_id}", reported)


def _reduced(event: BookingReduced) -> NewTask:
    """A part that was given back is a refund of its own, each time."""
    booking_id = event.booking.booking_id
    reported = EventReported(
        event=_name(event),
        booking_id=booking_id,
        occurred_at=event.occurred_at,
        items=event.items,
        extras=event.extras,
        amount=event.amount,
    )
    return _task(REPORT_EVENT, f"analytics/{NAMES[reported.event]}/{booking_id}/{event.event_id}", reported)


class WebhookPlanner:
    """Has each event posted to every target that asked for it."""

    def __init__(self, targets: Iterable[WebhookTarget]) -> None:
        self._targets = tuple(targets)

    def __call__(self, row: DecidedRow) -> Iterator[NewTask]:
        """One task for each event and target."""
        for event in row.events:
            message = WebhookMessage(event.event_id, event_type(event), b"")
            for key, target in receivers(message, self._targets):
                posted = EventPosted(target=target.name, request_id=row.request_id, event_id=event.event_id)
                yield _task(POST_EVENT, key, posted)


def _name(event: Event) -> str:
    return event_routing_key(event_type(event))


def _task(kind: str, key: str, payload: Struct) -> NewTask:
    fields = {name: getattr(payload, name) for name in payload.__struct_fields__}
    return NewTask(
        role=NOTIFICATIONS,
        kind=kind,
        key=key,
        payload={name: value for name, value in fields.items() if value is not None},
    )
