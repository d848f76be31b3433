"""Bookings, customers and mails for tests of notices: what a test does not care about has a default."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from holdgate_schema.values.quotes import Quote, QuoteLine, sealed
from holdgate_workers.app.notifications.delivery.mail import CalendarObject, Mail, MailText
from holdgate_workers.app.notifications.facts import Booking, Piece, Slot
from holdgate_workers.app.notifications.people import Customer, Sender

NOW = datetime(2030, 6, 1, 12, tzinfo=UTC)
START = datetime(2030, 6, 14, 8, tzinfo=UTC)
BOOKING_ID = "6f1f7c3e-8a51-4c0e-9a63-0d2f6a1b7c01"
HOUSE = Sender(name="Harbour House", email="bookings@harbour.example")
ADULTS = Piece(key="adult", label="Adult", quantity=2)
GUIDE = Piece(key="guide", label="Audio guide", quantity=1)


def a_slot(starts_at: datetime = START, **fields: Any) -> Slot:
    """Two hours in Rome."""
    given: dict[str, Any] = {
        "occurrence_id": "occ-1",
        "product_id": "harbour-tour",
        "title": "Harbour tour",
        "starts_at": starts_at,
        "ends_at": starts_at + timedelta(hours=2),
        "timezone": "Europe/Rome",
        "version": 3,
        "changed_at": NOW - timedelta(days=1),
    }
    return Slot(**given | fields)


def a_booking(slot: Slot | None = None, **fields: Any) -> Booking:
    """Two adults and a guide, confirmed and priced."""
    given: dict[str, Any] = {
        "booking_id": BOOKING_ID,
        "session_id": "session-of-alex",
        "reference": "HG-1042",
        "slot": slot or a_slot(),
        "tickets": (ADULTS,),
        "extras": (GUIDE,),
        "version": 7,
        "changed_at": NOW,
        "quote": a_quote(),
    }
    return Booking(**given | fields)


def a_quote() -> Quote:
    """156.05 EUR."""
    return sealed(
        Quote(
            product_id="harbour-tour",
            occurrence_id="occ-1",
            currency="EUR",
            items={"adult": 2},
            extras={"guide": 1},
            lines=[
                QuoteLine(kind="ticket", label="Adult", amount=15000, key="adult", quantity=2, each="7500"),
                QuoteLine(kind="extra", label="Audio guide", amount=605, key="guide", each="605"),
            ],
            tickets_total=15000,
            extras_total=605,
            total=15605,
        )
    )


def a_customer(**fields: Any) -> Customer:
    """Somebody whose name and address no log may show."""
    given: dict[str, Any] = {"name": "Zoë O'Neil", "email": "zoe.secret@example.org"}
    return Customer(**given | fields)


def a_mail(key: str = f"mail/confirmation/{BOOKING_ID}", **fields: Any) -> Mail:
    """A short mail with a calendar object that no calendar has to understand."""
    given: dict[str, Any] = {
        "key": key,
        "recipient": a_customer(),
        "text": MailText("Confirmed: Harbour tour", "Hello Zoë\n", "<p>Hello Zoë</p>\n"),
        "calendar": CalendarObject("REQUEST", b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"),
        "written_at": NOW,
    }
    return Mail(**given | fields)
