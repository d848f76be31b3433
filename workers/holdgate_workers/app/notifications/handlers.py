"""Does the tasks that tell the world: reads how things stand, makes something of it, and has it delivered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from holdgate_schema.commands.selling import Customer as SaidCustomer
from holdgate_schema.decoding.prepared import Prepared
from holdgate_workers.app.tasks.tasks import Again, Done, Task, TaskOutcome

from .analytics import NAMES, analytics_after
from .delivery.composing import compose
from .delivery.delivering import Deliverer, Dropped, Letter, Ready, Unfit
from .delivery.mail import UnwritableMail
from .facts import Booking
from .mails import MailNotice, still_wanted
from .people import Customer, InvalidPerson
from .planning import (
    PLAN_MAILS,
    POST_EVENT,
    REPORT_EVENT,
    SEND_MAIL,
    EventPosted,
    EventReported,
    MailsWanted,
    MailWanted,
)
from .ports import AnalyticsSender, Invitations, MailSender, MailTexts, WebhookSender
from .telling import CONFIRMED, MOVED, noticed
from .webhooks import webhook_message

MAIL, ANALYTICS = "mail", "ga4"
"""Receivers, as the log of deliveries has them."""
MOVED_MAX = 2000
"""Bookings of one occurrence that are looked at in one go."""

Part = tuple[Mapping[str, int], Mapping[str, int]]
"""Tickets and extras by their keys."""

_mails_wanted: Prepared[MailsWanted] = Prepared(MailsWanted)
_mail_wanted: Prepared[MailWanted] = Prepared(MailWanted)
_event_reported: Prepared[EventReported] = Prepared(EventReported)
_event_posted: Prepared[EventPosted] = Prepared(EventPosted)


def webhook_receiver(target: str) -> str:
    """A target, as the log of deliveries has it."""
    return f"webhook/{target}"


# --- the ports ------------------------------------------------------------------------------------------------------


@dataclass(slots=True, frozen=True)
class BookingNow:
    """A booking as it is at `now`, and who made it; None once that was erased, or if it was never said."""

    booking: Booking
    customer: SaidCustomer | None
    now: datetime


class NoticeFacts(Protocol):
    """How things stand."""

    def booking(self, booking_id: str, version: int = 0, *, part: Part | None = None) -> BookingNow | None:
        """A booking, told of an event at this version of its occurrence; with only this `part`, if given."""

    def reduced(self, booking_id: str) -> int:
        """How much became due for tickets and extras that were given back part by part, in minor units."""

    def hold(self, hold_id: str) -> Booking | None:
        """A hold as a booking that is not confirmed."""

    def event(self, request_id: str, event_id: str) -> bytes | None:
        """An event as the journal has it, byte for byte."""


class MailPlans(Protocol):
    """The mails that were planned, and what customers were told with them."""

    def plan(self, event: str, booking_id: str, version: int) -> None:
        """Record what follows from the event for one booking, and what its customer is then told, in one step."""

    def moved(self, occurrence_id: str, limit: int) -> Sequence[str]:
        """Confirmed bookings whose customers were told otherwise than their occurrence is now."""


# --- the handlers ---------------------------------------------------------------------------------------------------


class _Handler:
    kind: str

    def __init__(self, close: Callable[[], None]) -> None:
        self._close = close

    def close(self) -> None:
        """Close what the handlers of this thread share. Idempotent."""
        self._close()


class MailPlanner(_Handler):
    """Plans mails."""

    kind = PLAN_MAILS

    def __init__(self, plans: MailPlans, close: Callable[[], None]) -> None:
        super().__init__(close)
        self._plans = plans

    def handle(self, task: Task) -> TaskOutcome:
        """Plan them for one booking, or for all of an occurrence."""
        wanted = _mails_wanted.convert(task.payload)
        if wanted.booking_id is not None:
            self._plans.plan(wanted.event, wanted.booking_id, wanted.version)
            if wanted.event == CONFIRMED:
                # The occurrence may have moved while nothing was written down that it could be compared with.
                self._plans.plan(MOVED, wanted.booking_id, wanted.version)
            return Done()
        assert wanted.occurrence_id is not None, "an event is of a booking or of an occurrence"
        moved = self._plans.moved(wanted.occurrence_id, MOVED_MAX)
        for booking_id in moved:
            self._plans.plan(MOVED, booking_id, wanted.version)
        return Again(0.0, "more bookings to tell") if len(moved) == MOVED_MAX else Done()


class MailHandler(_Handler):
    """Writes and sends one mail, as things stand when it is due."""

    kind = SEND_MAIL

    def __init__(
        self,
        facts: NoticeFacts,
        deliverer: Deliverer,
        close: Callable[[], None],
        *,
        sender: MailSender,
        texts: MailTexts,
        invitations: Invitations,
    ) -> None:
        super().__init__(close)
        self._facts = facts
        self._deliverer = deliverer
        self._sender = sender
        self._texts = texts
        self._invitations = invitations

    def handle(self, task: Task) -> TaskOutcome:
        """Send it, or see that nobody wants it any more."""
        wanted = _mail_wanted.convert(task.payload, strict=False)
        notice = noticed(task.key, wanted, task.due_at)
        return self._deliverer.deliver(task, MAIL, self._letter(notice, wanted.version))

    def _letter(self, notice: MailNotice, version: int) -> Letter:
        found = self._facts.booking(notice.booking_id, version)
        if found is None or not still_wanted(notice, found.booking, found.now):
            return Dropped("not wanted any more")
        if found.customer is None or not found.customer.email:
            return Dropped("no address")
        try:
            mail = compose(
                notice,
                found.booking,
                _customer(found.customer),
                found.now,
                texts=self._texts,
                invitations=self._invitations,
            )
        except (InvalidPerson, UnwritableMail) as exc:
            return Unfit(str(exc))
        return Ready(lambda: self._sender.send(mail), notice.useless_after)


class AnalyticsHandler(_Handler):
    """Reports one event."""

    kind = REPORT_EVENT

    def __init__(
        self,
        facts: NoticeFacts,
        deliverer: Deliverer,
        close: Callable[[], None],
        *,
        sender: AnalyticsSender,
        salt: bytes,
    ) -> None:
        super().__init__(close)
        self._facts = facts
        self._deliverer = deliverer
        self._sender = sender
        self._salt = salt

    def handle(self, task: Task) -> TaskOutcome:
        """Report it."""
        reported = _event_reported.convert(task.payload, strict=False)
        return self._deliverer.deliver(task, ANALYTICS, self._letter(reported))

    def _letter(self, reported: EventReported) -> Letter:
        booking = self._booking(reported)
        if booking is None:
            return Dropped("there is nothing of it any more")
        if reported.amount is not None:
            booking = replace(booking, refunded=reported.amount)
        elif NAMES.get(reported.event) == "refund" and booking.refunded:
            # What went back part by part was reported so.
            booking = replace(booking, refunded=max(0, booking.refunded - self._facts.reduced(booking.booking_id)))
        event = analytics_after(reported.event, booking, reported.occurred_at, salt=self._salt)
        if event is None:
            return Dropped("nothing to report")
        return Ready(lambda: self._sender.send(event), event.useless_after)

    def _booking(self, reported: EventReported) -> Booking | None:
        if reported.event == "hold.created":
            return self._facts.hold(reported.booking_id)
        part = (reported.items, reported.extras) if reported.amount is not None else None
        found = self._facts.booking(reported.booking_id, part=part)
        return None if found is None else found.booking


class WebhookHandler(_Handler):
    """Posts one event to one target."""

    kind = POST_EVENT

    def __init__(
        self,
        facts: NoticeFacts,
        deliverer: Deliverer,
        close: Callable[[], None],
        *,
        senders: Mapping[str, WebhookSender],
    ) -> None:
        super().__init__(close)
        self._facts = facts
        self._deliverer = deliverer
        self._senders = senders

    def handle(self, task: Task) -> TaskOutcome:
        """Post it."""
        posted = _event_posted.convert(task.payload)
        return self._deliverer.deliver(task, webhook_receiver(posted.target), self._letter(posted))

    def _letter(self, posted: EventPosted) -> Letter:
        sender = self._senders.get(posted.target)
        if sender is None:
            return Unfit("there is no target of this name any more")
        event = self._facts.event(posted.request_id, posted.event_id)
        if event is None:
            return Unfit("the journal does not have the event any more")
        message = webhook_message(event)
        return Ready(lambda: sender.send(message))


def _customer(said: SaidCustomer) -> Customer:
    """Whom to write to. Who gave no name is called as they are before the @. Raises `InvalidPerson`."""
    name = said.name.strip() or said.email.partition("@")[0]
    return Customer(name=name, email=said.email, locale=said.locale)
