"""What templates get to see: words and numbers as people read them, in one language. See docs/notifications.md."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time, get_timezone_name
from babel.numbers import format_currency

from holdgate_schema.values.currencies import MINOR_DIGITS
from holdgate_schema.values.quotes import Quote
from holdgate_workers.app.notifications.facts import Booking, Piece
from holdgate_workers.app.notifications.people import Customer, Sender

NARROW_NO_BREAK_SPACE, NO_BREAK_SPACE = "\u202f", "\xa0"


def parsed_locale(tag: str) -> Locale | None:
    """The locale of a language tag such as `de-AT`; where only the language is known, that. None: not even that."""
    for candidate in (tag, tag.replace("_", "-").partition("-")[0]):
        try:
            return Locale.parse(candidate.replace("_", "-"), sep="-")
        except (UnknownLocaleError, ValueError):
            continue
    return None


def view(booking: Booking, customer: Customer, house: Sender, locale: Locale) -> Mapping[str, Any]:
    """The variables of a template."""
    slot = booking.slot
    same_day = slot.local_start.date() == slot.local_end.date()
    return {
        "language": str(locale).replace("_", "-"),
        "house": {"name": house.name, "email": house.reply_to or house.email},
        "customer": {"name": customer.name},
        "booking": {
            "reference": booking.reference,
            "title": slot.title,
            "place": slot.place,
            "day": _day(slot.local_start, locale),
            "starts": _time(slot.local_start, locale),
            "ends": _time(slot.local_end, locale),
            "ends_day": "" if same_day else _day(slot.local_end, locale),
            "zone": get_timezone_name(slot.local_start, width="long", locale=locale),
            "tickets": [_piece(piece) for piece in booking.tickets],
            "extras": [_piece(piece) for piece in booking.extras],
            "lines": _lines(booking.quote, locale) if booking.is_as_quoted else [],
            "total": _amount(booking.quote.total, booking.quote, locale) if booking.quote else "",
            "refund": _refund(booking, locale),
            "invited": booking.invited,
        },
    }


def _day(local: datetime, locale: Locale) -> str:
    return _plain(format_date(local, "full", locale=locale))


def _time(local: datetime, locale: Locale) -> str:
    return _plain(format_time(local, "short", locale=locale))


def _piece(piece: Piece) -> dict[str, Any]:
    return {"label": piece.label, "quantity": piece.quantity}


def _lines(quote: Quote | None, locale: Locale) -> list[dict[str, Any]]:
    """The lines of the quote; without one, none."""
    if quote is None:
        return []
    return [
        {"label": line.label, "quantity": line.quantity, "amount": _amount(line.amount, quote, locale)}
        for line in quote.lines
    ]


def _refund(booking: Booking, locale: Locale) -> str:
    """What goes back of a booking that was cancelled, or has less than before; nothing if nothing is known to."""
    is_less = booking.state == "cancelled" or (booking.state == "confirmed" and not booking.is_as_quoted)
    if not is_less or booking.quote is None or not booking.refunded:
        return ""
    return _amount(booking.refunded, booking.quote, locale)


def _amount(minor: int, quote: Quote, locale: Locale) -> str:
    """The exact amount: a currency's digits are ours, not those that a locale would round to."""
    major = Decimal(minor).scaleb(-MINOR_DIGITS[quote.currency])
    return _plain(format_currency(major, quote.currency, locale=locale, decimal_quantization=False))


def _plain(text: str) -> str:
    """Some programs have no glyph for the narrow space that some locales use."""
    return text.replace(NARROW_NO_BREAK_SPACE, NO_BREAK_SPACE)
