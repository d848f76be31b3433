"""Makes a mail out of a notice that is due."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from holdgate_workers.app.notifications.facts import Booking
from holdgate_workers.app.notifications.mails import MailNotice
from holdgate_workers.app.notifications.people import Customer
from holdgate_workers.app.notifications.ports import Invitations, MailTexts

from .mail import Mail


def compose(
    notice: MailNotice,
    booking: Booking,
    customer: Customer,
    now: datetime,
    *,
    texts: MailTexts,
    invitations: Invitations,
) -> Mail:
    """The mail, as things stand at `now`. Whether it is still wanted was asked before. Raises `UnwritableMail`."""
    assert notice.booking_id == booking.booking_id, "a notice is about its own booking"
    if not notice.invited:
        booking = replace(booking, invited=False)
    return Mail(
        key=notice.key,
        recipient=customer,
        text=texts.write(notice.kind, booking, customer),
        calendar=invitations.invitation(booking, customer) if notice.invited else None,
        written_at=now,
    )
