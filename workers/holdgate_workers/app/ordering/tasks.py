"""Which decisions make the orders worker look at a booking, and when."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from holdgate_schema.events.selling import (
    BookingCancelled,
    BookingChanged,
    BookingConfirmed,
    BookingConverting,
    BookingFailed,
    BookingParked,
    BookingReduced,
)
from holdgate_schema.values.views import BookingView
from holdgate_workers.app.tasks.tasks import ORDERS, DecidedRow, NewTask

CREATE = "order.create"
CANCEL = "order.cancel"
REFUND = "order.refund"
CHECK = "order.check"
WATCH = "order.watch"
ORDER_KINDS = (CREATE, CANCEL, REFUND, CHECK, WATCH)

CONVERTING_SECONDS = 120.0
"""How often somebody looks whether a conversion has come to its end."""
WATCH_SECONDS = 900.0
LATE_ORDER_SECONDS = 900.0
"""After a booking is over the shop is searched once more: what was sent may have taken its time."""


def order_tasks(row: DecidedRow) -> Iterable[NewTask]:
    """The planner: a look after each decision that leaves something to do in the shop."""
    for event in row.events:
        match event:
            case BookingConverting(booking=booking):
                told = _told(booking, answers=row.request_id)
                yield _task(CREATE, booking.booking_id, row, told, waits=True)
                yield _task(WATCH, booking.booking_id, row, told, after_seconds=CONVERTING_SECONDS, waits=True)
            case BookingConfirmed(booking=booking):
                if booking.order is None:
                    yield _task(CREATE, _again(booking, row), row, _told(booking))
                key = _again(booking, row)
                yield _task(WATCH, key, row, _told(booking), after_seconds=WATCH_SECONDS)
            case BookingParked(booking=booking):
                kind = REFUND if booking.state == "refund_required" else CHECK
                yield _task(kind, _again(booking, row), row, _told(booking))
            case BookingFailed(booking=booking):
                yield _task(CHECK, _again(booking, row), row, _told(booking))
                yield _late(booking, row)
            case BookingCancelled(booking=booking):
                kind = REFUND if booking.refund == "due" else CANCEL
                yield _task(kind, _again(booking, row), row, _told(booking))
                yield _late(booking, row)
            case BookingReduced(booking=booking) | BookingChanged(booking=booking) if booking.refund == "due":
                yield _task(REFUND, _again(booking, row), row, _told(booking))


def _told(booking: BookingView, *, answers: str | None = None) -> dict[str, Any]:
    return {"booking_id": booking.booking_id, "state": booking.state, "answers": answers}


def _late(booking: BookingView, row: DecidedRow) -> NewTask:
    late = _told(booking) | {"is_late": True}
    return _task(CHECK, f"{_again(booking, row)}/late", row, late, after_seconds=LATE_ORDER_SECONDS)


def _again(booking: BookingView, row: DecidedRow) -> str:
    return f"{booking.booking_id}/{row.request_id}"


def _task(
    kind: str,
    key: str,
    row: DecidedRow,
    payload: dict[str, Any],
    *,
    after_seconds: float = 0.0,
    waits: bool = False,
) -> NewTask:
    """`waits`: the buyer waits for a second answer."""
    return NewTask(
        role=ORDERS,
        kind=kind,
        key=key,
        payload=payload,
        due_at=row.decided_at + timedelta(seconds=after_seconds) if after_seconds else None,
        reply_to=row.reply_to if waits else None,
        correlation_id=row.correlation_id if waits else None,
    )
