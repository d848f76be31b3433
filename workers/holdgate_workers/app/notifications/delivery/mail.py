"""A mail, ready to be handed to a server, and what it is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from holdgate_workers.app.notifications.people import Customer

CalendarMethod = Literal["REQUEST", "CANCEL"]


class UnwritableMail(Exception):
    """The words for a mail could not be made; the message says why and nothing of what was to be in it."""


@dataclass(slots=True, frozen=True)
class MailText:
    """What a mail says. `subject` is sent as one line; text and HTML say the same."""

    subject: str = field(repr=False)
    text: str = field(repr=False)
    html: str = field(repr=False)


@dataclass(slots=True, frozen=True)
class CalendarObject:
    """An iCalendar object for a customer's calendar (RFC 5545, RFC 5546)."""

    method: CalendarMethod
    content: bytes = field(repr=False)


@dataclass(slots=True, frozen=True, kw_only=True)
class Mail:
    """A mail to one customer. `key` stands for it wherever it shows up; a mail with the same key is the same mail.

    `calendar` is None if there is nothing to put into the customer's calendar or to take out of it.
    """

    key: str
    recipient: Customer
    text: MailText
    calendar: CalendarObject | None
    written_at: datetime
