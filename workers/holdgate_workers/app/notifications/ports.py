"""What telling the world needs of it. The senders' adapters raise nothing for what others do: that is an `Outcome`.

All block the calling thread, for a bounded time that they state, and may be used from several threads. For a circuit
breaker, a receiver that takes something or refuses it finally is well; one that fails otherwise is not.
"""

from __future__ import annotations

from typing import Protocol

from holdgate_workers.app.faults import Fault

from .analytics import AnalyticsEvent
from .delivery.mail import CalendarObject, Mail, MailText
from .delivery.outcomes import Outcome
from .facts import Booking
from .mails import MailKind
from .people import Customer
from .webhooks import WebhookMessage


class MailSender(Protocol):
    """Takes mails to where they are delivered from."""

    def send(self, mail: Mail) -> Outcome:
        """Hand over one mail. A mail sent twice is recognised by its Message-ID, which comes from its key."""

    def fault(self) -> Fault | None:
        """Why no mail could be sent now, tried without sending one; None if one could."""


class MailTexts(Protocol):
    """Words for mails, in the customer's language if there are any."""

    def write(self, kind: MailKind, booking: Booking, customer: Customer) -> MailText:
        """What the mail says. The same for the same arguments. Raises `UnwritableMail`."""


class Invitations(Protocol):
    """Calendar objects for customers."""

    def invitation(self, booking: Booking, customer: Customer) -> CalendarObject:
        """Puts the booking into a calendar, moves it there, or takes it out if nobody should come any more.

        The booking always has the same UID, and a SEQUENCE that rises with its changes. The same for the same
        arguments.
        """


class WebhookSender(Protocol):
    """Takes events to one target: somebody's own system."""

    def send(self, message: WebhookMessage) -> Outcome:
        """Post one event, signed. Only an answer from 200 to 299 means that it was taken."""


class AnalyticsSender(Protocol):
    """Takes events to an analytics service."""

    def send(self, event: AnalyticsEvent) -> Outcome:
        """Report one event."""
