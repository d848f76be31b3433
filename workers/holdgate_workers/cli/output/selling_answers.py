"""What the answers about prices, bookings, carts and waiting lists look like to people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from holdgate_schema.answers.holds import Answer, Changed, Held, Refused
from holdgate_schema.answers.selling import (
    Booked,
    Cancelled,
    CartHeld,
    CartStarted,
    Confirmed,
    Converting,
    LeftWaitlist,
    Priced,
    Quoted,
    Waiting,
    WaitlistPlace,
)
from holdgate_workers.cli import exits

from .answers import tell, tell_hold, tell_refusal
from .formats import basket, moment
from .output import Column, Output

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    from holdgate_producer.core.answers import TwoAnswers
    from holdgate_producer.core.entry import Answers
    from holdgate_schema.values.quotes import Quote
    from holdgate_schema.values.views import BookingView, QuoteRef, QuoteView


def tell_selling(out: Output, answer: Answer) -> None:
    """Print an answer; a refusal ends the command with its exit code."""
    if out.is_json:
        out.json(answer)
    else:
        _tell_people(out, answer)
    if isinstance(answer, Refused):
        raise click.exceptions.Exit(exits.REFUSED)


def tell_both(out: Output, answers: TwoAnswers[Any, Any] | Answers) -> None:
    """Print the first answer and, when it comes, the final one; the final one decides the exit code.

    For programs one document with both, when both are there. Raises `ProducerError`.
    """
    first = answers.first.result()
    if isinstance(first, Refused):
        tell(out, first)
    if not out.is_json:
        _tell_people(out, first)
    final = answers.final.result()
    if out.is_json:
        out.json({"first": first, "final": final})
    else:
        out.line()
        _tell_people(out, final)
    if isinstance(final, Refused):
        raise click.exceptions.Exit(exits.REFUSED)


def _tell_people(out: Output, answer: Answer) -> None:
    now = answer.decided_at
    match answer:
        case Held() | Changed():
            out.line(type(answer).__name__, style="bold green")
            tell_hold(out, answer.hold, now)
        case Priced():
            out.line("Priced", style="bold green")
            tell_quote(out, answer.quote)
        case Quoted():
            out.line(f"Quoted, valid until {moment(answer.valid_until, now)}", style="bold green")
            tell_quote(out, answer.quote)
        case Converting() | Confirmed() | Booked():
            out.line(type(answer).__name__, style="bold green")
            tell_booking(out, answer.booking, now)
        case Cancelled():
            out.line("Cancelled", style="bold green")
            tell_booking(out, answer.booking, now)
        case CartStarted():
            out.line("Started", style="bold green")
            out.details([("cart", answer.cart_id), ("session", answer.session_id)])
        case CartHeld():
            out.line("Held", style="bold green")
            out.details([("cart", answer.cart_id), *answer.hold_ids.items()])
        case Waiting():
            out.line("Waiting", style="bold green")
            out.details(
                [
                    ("entry", answer.entry_id),
                    ("session", answer.session_id),
                    ("position", answer.position),
                    ("seats", answer.seats),
                ]
            )
        case WaitlistPlace():
            out.line(answer.state.capitalize(), style="bold green")
            out.details(
                [
                    ("entry", answer.entry_id),
                    ("session", answer.session_id),
                    ("position", answer.position),
                    ("basket", basket(answer.items, answer.extras)),
                    ("offer", answer.hold.state if answer.hold else None),
                    ("until", moment(answer.hold.expires_at, now) if answer.hold else None),
                ]
            )
        case LeftWaitlist():
            out.line("Left the line", style="bold green")
        case Refused():
            tell_refusal(out, answer)
        case _:
            out.line(type(answer).__name__, style="bold green")


def money(total: int, currency: str) -> str:
    """An amount with its currency. Of a currency that nobody has, as a payment may claim one, it is what was said."""
    from holdgate_schema.values.currencies import MINOR_DIGITS
    from holdgate_workers.domain.pricing.money import shown

    if currency not in MINOR_DIGITS:
        return f"{total} of {currency}"
    return f"{shown(total, currency)} {currency}"


def tell_quote(out: Output, quote: QuoteView) -> None:
    """A price, its name and its lines."""
    out.details([("quote", quote.hash), ("pay by", quote.payment_method)])
    tell_lines(out, quote, steps=False)


def tell_lines(out: Output, quote: Quote | QuoteView, *, steps: bool) -> None:
    """A price line by line; with `steps` every rule that made it."""
    from rich.text import Text

    from holdgate_workers.domain.pricing.explaining import HEADINGS, INDENT, explained

    rows = explained(quote, steps=steps)
    styles = ["dim" if row.what.startswith(INDENT) else "" for row in rows[:-1]] + ["bold"]
    out.table(
        [Column(HEADINGS[0], wrap=not out.is_plain), *(Column(name, right=True) for name in HEADINGS[1:])],
        [
            [Text(cell, style="" if out.is_plain else style) for cell in row]
            for row, style in zip(rows, styles, strict=True)
        ],
    )


def tell_booking(out: Output, booking: BookingView, now: datetime, *more: tuple[str, object]) -> None:
    """A booking's fields."""
    order = booking.order
    out.details(
        [
            ("booking", booking.booking_id),
            ("hold", booking.hold_id if booking.hold_id != booking.booking_id else None),
            ("occurrence", booking.occurrence_id),
            ("session", booking.session_id),
            ("user", booking.user_id),
            ("state", booking.state),
            ("why", booking.reason),
            ("basket", basket(booking.items, booking.extras)),
            ("price", _price(booking.quote)),
            ("payment", _payment(booking)),
            ("order", None if order is None else f"{order.order_id} ({order.gateway}, {order.status})"),
            ("refund", booking.refund if booking.refund != "none" else None),
            ("begun", moment(booking.created_at, now)),
            ("must be ordered by", moment(booking.timeout_at, now) if booking.state == "converting" else None),
            ("confirmed", moment(booking.confirmed_at, now) if booking.confirmed_at else None),
            ("ended", moment(booking.ended_at, now) if booking.ended_at else None),
            *more,
        ]
    )


def _price(quote: QuoteRef) -> str:
    return f"{money(quote.total, quote.currency)} (quote {quote.hash[:8]})"


def _payment(booking: BookingView) -> str:
    payment = booking.payment
    reference = f", {payment.reference}" if payment.reference else ""
    return f"{money(payment.amount, payment.currency)} by {payment.method}, {payment.status}{reference}"
