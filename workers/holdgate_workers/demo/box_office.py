"""The box office of a demo: some of a season's seats are priced, sold, and confirmed by mail, and then counted.

It stands beside the on-sale, on an occurrence of its own: the buyers here pay. Some of them pay the wrong amount and
are refused; some give their booking back. What the house says of it is compared with its rows, orders and mails.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from holdgate_producer.client.client import BookingClient
from holdgate_schema.answers.holds import Reason, Refused
from holdgate_schema.answers.selling import Cancelled, Confirmed, Priced
from holdgate_schema.commands.holds import PutOccurrence
from holdgate_schema.commands.selling import Customer, PaymentNotice, Pricing
from holdgate_schema.ids import TOTAL_POOL
from holdgate_schema.values.products import PriceRules, Product, TicketPrice, WeekdayChange

from .recount.sales import SalesBook, Sold

BUYERS = 16
SEATS_EACH = 2
UNDERPAYS_EVERY = 8
GIVES_BACK_EVERY = 5
ANSWER_SECONDS = 60.0
MAIL_SECONDS_MAX = 60.0
POLL_SECONDS = 0.2
METHOD = "credit_card"


@dataclass(slots=True)
class Sales:
    """What was asked of the box office and what came of it."""

    priced: int = 0
    confirmed: dict[str, int] = field(default_factory=dict)
    """Booking -> what the buyer paid, in minor units."""
    owners: dict[str, str] = field(default_factory=dict)
    """Booking -> the session that it belongs to."""
    underpaid: int = 0
    given_back: set[str] = field(default_factory=set)
    mails: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    @property
    def mails_due(self) -> set[str]:
        """What every buyer must have been told. Who gave a booking back at once may not be told of it first."""
        return {
            f"mail-{'cancellation' if booking_id in self.given_back else 'confirmation'}-{booking_id}"
            for booking_id in self.confirmed
        }


def product_of(put: PutOccurrence) -> Product:
    """What the occurrence's tickets cost: 45.00 each, a little more at the weekend."""
    return Product(
        product_id=put.product_id,
        currency="EUR",
        timezone=put.timezone,
        ticket_types=[TicketPrice(key=ticket.key, price=4500, counts_as="adult") for ticket in put.ticket_types],
        rules=PriceRules(weekdays=[WeekdayChange(label="Weekend", days=["fri", "sat"], percent=10)]),
    )


def sell(client: BookingClient, put: PutOccurrence, book: SalesBook, mails: Path) -> Sales:
    """Sell, wait for the mails, and count. Raises the client's errors if an answer does not come in time."""
    sales = Sales()
    _convert(client, put, list(_priced(client, put, sales)), sales)
    _give_back(client, put, sales)
    _wait_for_mails(mails, sales)
    sales.problems += compare(sales, book.sold(put.occurrence_id))
    return sales


def compare(sales: Sales, sold: Sold) -> Iterator[str]:
    """What the rows say otherwise than the answers did."""
    kept = sales.confirmed.keys() - sales.given_back
    if sold.confirmed != kept:
        yield f"{len(kept)} bookings were told confirmed, {len(sold.confirmed)} are"
    if sold.seats != len(kept) * SEATS_EACH:
        yield f"{sold.seats} seats are sold in pool {TOTAL_POOL}, {len(kept) * SEATS_EACH} were paid for"
    if sold.order_totals != sales.confirmed:
        yield f"{len(sold.order_totals)} orders were made for {len(sales.confirmed)} bookings, or for other amounts"
    unwritten = sales.mails_due - sales.mails
    if unwritten:
        yield f"{len(unwritten)} mails were not written: {', '.join(sorted(unwritten)[:3])}"


def _priced(client: BookingClient, put: PutOccurrence, sales: Sales) -> Iterator[Priced]:
    basket = {put.ticket_types[0].key: SEATS_EACH}
    asked = [
        client.place_priced(
            put.occurrence_id, basket, pricing=Pricing(payment_method=METHOD), timeout_seconds=ANSWER_SECONDS
        )
        for _ in range(BUYERS)
    ]
    for answers in asked:
        answer = answers.final.result()
        if isinstance(answer, Priced):
            sales.priced += 1
            yield answer
        else:
            sales.problems.append(f"a hold was not priced: {answer.message}")


def _convert(client: BookingClient, put: PutOccurrence, priced: list[Priced], sales: Sales) -> None:
    asked = []
    for number, answer in enumerate(priced, 1):
        underpays = number % UNDERPAYS_EVERY == 0
        payment = PaymentNotice(
            method=METHOD,
            amount=answer.quote.total - underpays,
            currency=answer.quote.currency,
            status="paid",
            reference=f"demo-{number}",
        )
        answers = client.convert(
            put.occurrence_id,
            answer.hold.session_id,
            answer.hold.hold_id,
            quote_hash=answer.quote.hash,
            payment=payment,
            customer=Customer(name=f"Buyer {number}", email=f"buyer-{number}@example.org"),
            timeout_seconds=ANSWER_SECONDS,
        )
        asked.append((answers, payment.amount, underpays))
    for answers, amount, underpays in asked:
        _note(answers.final.result(), amount, underpays, sales)


def _note(answer: Confirmed | Refused, amount: int, underpays: bool, sales: Sales) -> None:
    if isinstance(answer, Confirmed) and not underpays:
        sales.confirmed[answer.booking.booking_id] = amount
        sales.owners[answer.booking.booking_id] = answer.booking.session_id
    elif isinstance(answer, Refused) and underpays and answer.reason is Reason.PAYMENT_MISMATCH:
        sales.underpaid += 1
    else:
        sales.problems.append(f"paid {'too little' if underpays else 'in full'}, and was answered {answer}")


def _give_back(client: BookingClient, put: PutOccurrence, sales: Sales) -> None:
    """Some buyers change their mind."""
    for booking_id in list(sales.confirmed)[::GIVES_BACK_EVERY]:
        answer = client.cancel_booking(put.occurrence_id, sales.owners[booking_id], booking_id)
        if isinstance(answer, Cancelled):
            sales.given_back.add(booking_id)
        else:
            sales.problems.append(f"booking {booking_id} could not be given back: {answer.message}")


def _wait_for_mails(mails: Path, sales: Sales) -> None:
    pause = threading.Event()
    deadline = monotonic() + MAIL_SECONDS_MAX
    while not sales.mails_due <= sales.mails and monotonic() < deadline:
        pause.wait(POLL_SECONDS)
        sales.mails = {mail.stem for mail in mails.glob("*.eml")}
