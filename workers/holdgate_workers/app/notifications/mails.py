"""Which mail follows from which domain event, when it is due, and whether it is still wanted when its time comes.

| event                | mails                                                                        |
|----------------------|------------------------------------------------------------------------------|
| `booking.confirmed`  | a confirmation now; reminders 24 h and 2 h before the start, if still ahead  |
| `occurrence.changed` | other times: a change now, and new reminders; cancelled: a cancellation      |
| `booking.reduced`    | what the booking still has, now                                              |
| `booking.cancelled`  | a cancellation now; whatever still waits is withdrawn                        |
| `booking.failed`     | if money was taken, or the occurrence was cancelled: a cancellation now      |
| `booking.parked`     | if it was sold before, or the occurrence was cancelled: a cancellation now   |

The same event may come any number of times: a mail's key is the same each time. Nothing that waits is believed: when
it is due, `still_wanted` looks at the booking as it is then.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from .facts import Booking, Slot

REMINDER_HOURS = (24, 2)
"""Elapsed hours before the start, the longest first: over a change of the clock 24 h are not a day on the wall."""


class MailKind(StrEnum):
    """The mails that there are. Each has templates of this name."""

    CONFIRMATION = "confirmation"
    CHANGE = "change"
    REMINDER = "reminder"
    REDUCTION = "reduction"
    CANCELLATION = "cancellation"


_NEVER_USELESS = (MailKind.CANCELLATION, MailKind.REDUCTION)
"""They tell what becomes of the money, also after the end."""


@dataclass(slots=True, frozen=True, kw_only=True)
class MailNotice:
    """A mail to be sent once. `starts_at` is the start it speaks of; past `useless_after` it helps nobody.

    `invited` is false for a cancellation of what the customer has no invitation to.
    """

    key: str
    kind: MailKind
    booking_id: str
    starts_at: datetime
    due_at: datetime
    useless_after: datetime | None = None
    invited: bool = True


@dataclass(slots=True, frozen=True)
class MailPlan:
    """What to do: record these, each under its key and only if there is none yet; withdraw all others that wait."""

    send: tuple[MailNotice, ...] = ()
    withdraw_others: bool = False


def mails_after(event: str, booking: Booking, now: datetime, *, told: Slot | None = None) -> MailPlan:
    """The mails of one booking that follow from an event, named without its version (`booking.confirmed`).

    For `occurrence.changed`, `told` is the slot as the customer was last told of it; what the customer is told of
    from now on is recorded together with the plan. A hold that nobody confirmed gets no mail.
    """
    match event:
        case "booking.confirmed" if booking.state == "confirmed" and not booking.is_cancelled:
            return MailPlan((_at_once(MailKind.CONFIRMATION, booking, now), *_reminders(booking, now)))
        case "booking.confirmed" if booking.slot.status == "cancelled":
            return _cancelled(booking, now)  # called off while it was booked, or before anybody was told
        case "booking.cancelled" | "booking.failed" | "booking.parked" if booking.is_cancelled:
            return _cancelled(booking, now)
        case "booking.reduced" if booking.state == "confirmed" and not booking.is_cancelled:
            return MailPlan((_at_once(MailKind.REDUCTION, booking, now),))
        case "occurrence.changed" if booking.state == "confirmed" and told is not None:
            if booking.is_cancelled:
                return _cancelled(booking, now)
            if booking.slot.times != told.times:
                return MailPlan((_at_once(MailKind.CHANGE, booking, now), *_reminders(booking, now)))
    return MailPlan()


def still_wanted(notice: MailNotice, booking: Booking, now: datetime) -> bool:
    """Whether the mail should go out now, as things stand."""
    if notice.kind is MailKind.CANCELLATION:
        return booking.is_cancelled
    if booking.is_cancelled or booking.state != "confirmed":
        return False
    if notice.kind in (MailKind.CONFIRMATION, MailKind.REDUCTION):
        return True
    # A later change has planned its own.
    return booking.slot.starts_at == notice.starts_at and now < booking.slot.starts_at


def _cancelled(booking: Booking, now: datetime) -> MailPlan:
    return MailPlan((_at_once(MailKind.CANCELLATION, booking, now),), withdraw_others=True)


def _at_once(kind: MailKind, booking: Booking, now: datetime) -> MailNotice:
    key = f"mail/{kind}/{booking.booking_id}"
    if kind is MailKind.CHANGE:
        key = f"{key}/{booking.slot.version}"
    if kind is MailKind.REDUCTION:
        key = f"{key}/{booking.pieces}"  # each time there are fewer
    return MailNotice(
        key=key,
        kind=kind,
        booking_id=booking.booking_id,
        starts_at=booking.slot.starts_at,
        due_at=now,
        useless_after=None if kind in _NEVER_USELESS else booking.slot.ends_at,
    )


def _reminders(booking: Booking, now: datetime) -> Iterator[MailNotice]:
    """Those whose time is still to come. One that is late is of no use once the next one is due.

    The key has the start: a booking that is moved and moved back keeps the reminder that it had.
    """
    starts_at = booking.slot.starts_at
    start = starts_at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    due = [(hours, starts_at - timedelta(hours=hours)) for hours in REMINDER_HOURS]
    ends = [*(due_at for _, due_at in due[1:]), starts_at]
    for (hours, due_at), useless_after in zip(due, ends, strict=True):
        if due_at > now:
            yield MailNotice(
                key=f"mail/{MailKind.REMINDER}/{booking.booking_id}/{start}/{hours}h",
                kind=MailKind.REMINDER,
                booking_id=booking.booking_id,
                starts_at=starts_at,
                due_at=due_at,
                useless_after=useless_after,
            )
