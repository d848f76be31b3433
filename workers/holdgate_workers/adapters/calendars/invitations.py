"""Invitations: a booking as its customer's calendar takes it in (RFC 5546)."""

from __future__ import annotations

from icalendar import vCalAddress, vText

from holdgate_workers.app.notifications.delivery.mail import CalendarMethod, CalendarObject
from holdgate_workers.app.notifications.facts import Booking
from holdgate_workers.app.notifications.people import Customer, Sender, wire_address

from .events import calendar, event, span_of, written


class IcsInvitations:
    """The port `Invitations`, with the house as the organizer.

    The UID is the booking's id, whoever sends. What is said in a description is language-neutral.
    """

    def __init__(self, organizer: Sender) -> None:
        self._organizer = organizer

    def invitation(self, booking: Booking, customer: Customer) -> CalendarObject:
        """A REQUEST with the booking as it is, or a CANCEL."""
        method: CalendarMethod = "CANCEL" if booking.is_cancelled else "REQUEST"
        component = event(
            booking.booking_id,
            booking.slot,
            sequence=booking.sequence,
            stamp=booking.told_at,
            is_cancelled=booking.is_cancelled,
        )
        component.add("DESCRIPTION", _description(booking))
        component.add("ORGANIZER", _address(self._organizer.name, self._organizer.email))
        component.add("ATTENDEE", _attendee(customer))
        return CalendarObject(method, written(calendar(method, span_of(booking.slot)), [component]))


def _description(booking: Booking) -> str:
    pieces = [f"{piece.quantity} × {piece.label}" for piece in (*booking.tickets, *booking.extras)]
    return "\n".join((*pieces, booking.reference))


def _attendee(customer: Customer) -> vCalAddress:
    """Nobody is asked whether they come: they have booked."""
    address = _address(customer.name, customer.email)
    address.params["ROLE"] = vText("REQ-PARTICIPANT")
    address.params["PARTSTAT"] = vText("ACCEPTED")
    address.params["RSVP"] = vText("FALSE")
    return address


def _address(name: str, email: str) -> vCalAddress:
    address = vCalAddress(f"mailto:{wire_address(email)}")
    address.params["CN"] = vText(name)
    return address
