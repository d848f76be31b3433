"""What one customer is told after an event, by what they were told before.

Plans may be asked for late, twice, and in another order than the events had: what counts is how the booking is now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from .facts import Booking, Slot
from .mails import MailKind, MailNotice, MailPlan, mails_after
from .planning import MailWanted

CONFIRMED, CANCELLED, MOVED = "booking.confirmed", "booking.cancelled", "occurrence.changed"
FAILED, PARKED = "booking.failed", "booking.parked"
REDUCED = "booking.reduced"


@dataclass(slots=True, frozen=True, kw_only=True)
class Told:
    """When a booking is, as its customer was last told. `round` counts how often it came back after it was
    cancelled: then it has mails of its own again."""

    starts_at: datetime
    ends_at: datetime
    timezone: str
    is_cancelled: bool = False
    round: int = 0

    def slot(self, now: Slot) -> Slot:
        """The slot as it was told."""
        return replace(now, starts_at=self.starts_at, ends_at=self.ends_at, timezone=self.timezone)


@dataclass(slots=True, frozen=True)
class Telling:
    """Mails to be recorded, and what the customer has then been told: both or neither."""

    plan: MailPlan
    told: Told


def tell(event: str, booking: Booking, told: Told | None, now: datetime) -> Telling | None:
    """What follows; None: nothing. Asked again it says the same mails, under the same keys."""
    if event == CONFIRMED:
        return _confirmed(booking, told, now)
    if event in (CANCELLED, FAILED, PARKED):
        return _cancelled(event, booking, told, now)
    if event == REDUCED:
        return _reduced(booking, told, now)
    assert event == MOVED, event
    return _moved(booking, told, now)


def wanted(notice: MailNotice, version: int) -> Mapping[str, object]:
    """The payload of the task that sends the mail."""
    fields = MailWanted(
        mail=str(notice.kind),
        booking_id=notice.booking_id,
        version=version,
        starts_at=notice.starts_at,
        useless_after=notice.useless_after,
        invited=notice.invited,
    )
    return {name: value for name in fields.__struct_fields__ if (value := getattr(fields, name)) is not None}


def noticed(key: str, fields: MailWanted, due_at: datetime) -> MailNotice:
    """The mail that a task is to send."""
    return MailNotice(
        key=key,
        kind=MailKind(fields.mail),
        booking_id=fields.booking_id,
        starts_at=fields.starts_at,
        due_at=due_at,
        useless_after=fields.useless_after,
        invited=fields.invited,
    )


def _confirmed(booking: Booking, told: Told | None, now: datetime) -> Telling | None:
    if booking.slot.status == "cancelled":
        return _cancelled(CONFIRMED, booking, told, now)
    plan = mails_after(CONFIRMED, booking, now)
    if not plan.send:
        return None
    if told is None:
        told = _now(booking, 0)
    elif told.is_cancelled:
        told = _now(booking, told.round + 1)
    return Telling(_of_round(plan, told.round), told)


def _cancelled(event: str, booking: Booking, told: Told | None, now: datetime) -> Telling | None:
    plan = mails_after(event, booking, now)
    if not plan.send or (told is not None and told.is_cancelled):
        return None
    if told is None:
        # No invitation went out that could be taken back: a plain word.
        plan = replace(plan, send=tuple(replace(notice, invited=False) for notice in plan.send))
    told = replace(told or _now(booking, 0), is_cancelled=True)
    return Telling(_of_round(plan, told.round), told)


def _reduced(booking: Booking, told: Told | None, now: datetime) -> Telling | None:
    if told is None or told.is_cancelled:
        return None  # the confirmation that is still to come says what there is
    plan = mails_after(REDUCED, booking, now)
    return Telling(_of_round(plan, told.round), told) if plan.send else None


def _moved(booking: Booking, told: Told | None, now: datetime) -> Telling | None:
    if told is None or told.is_cancelled:
        return None
    plan = mails_after(MOVED, booking, now, told=told.slot(booking.slot))
    if not plan.send:
        return None
    return Telling(_of_round(plan, told.round), _now(booking, told.round))


def _now(booking: Booking, number: int) -> Told:
    starts_at, ends_at, timezone = booking.slot.times
    return Told(
        starts_at=starts_at,
        ends_at=ends_at,
        timezone=timezone,
        is_cancelled=booking.is_cancelled,
        round=number,
    )


def _of_round(plan: MailPlan, number: int) -> MailPlan:
    """A mail is sent once in each round."""
    if number == 0:
        return plan
    return replace(plan, send=tuple(replace(notice, key=f"{notice.key}/{number}") for notice in plan.send))
