"""Calling an occurrence off: every booking of it is cancelled and what was paid is due to be given back.

How far it came is in the bookings themselves: what is cancelled is done, whatever else is left to do. So it can be
stopped anywhere, by Ctrl-C or a crash, and begun again; nothing is done twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdgate_workers.cli.failures import Failure
from holdgate_workers.cli.output.formats import short
from holdgate_workers.cli.output.output import Output
from holdgate_workers.cli.output.selling_answers import money
from holdgate_workers.cli.sealed import ask_sealed_all

if TYPE_CHECKING:
    from holdgate_workers.cli.access import Access
    from holdgate_workers.domain.bookings.booking import Booking

BOOKINGS_MAX = 1_000_000
"""More than any occurrence has."""
STOPPED = 130
_OPEN = ("confirmed", "parked")


def open_bookings(access: Access, occurrence_id: str) -> list[Booking]:
    """The bookings of the occurrence that are not over, those that are being made included."""
    from holdgate_workers.adapters.postgres.reports.sales import Sales

    states = (*_OPEN, "converting")
    with access.opened(Sales) as sales:
        return sales.bookings(BOOKINGS_MAX, states=states, occurrence_id=occurrence_id)


@dataclass(frozen=True)
class Extent:
    """What an occurrence's end means for those who booked. `money` is what was paid and has not gone back, in minor
    units by currency; `mailed` how many customers can be written to."""

    bookings: int
    under_way: int
    money: dict[str, int]
    mailed: int

    def in_words(self, *, refund: bool) -> str:
        """What is about to be done."""
        paid = ", ".join(money(amount, currency) for currency, amount in sorted(self.money.items())) or "nothing"
        what = "cancelled and refunded" if refund else "left as they are: their money is not given back"
        under_way = f", and {self.under_way} are being made and will not be sold" if self.under_way else ""
        return (
            f"{self.bookings} bookings are {what} ({paid} was paid){under_way}; "
            f"{self.mailed} customers are written to, if mails are on"
        )


def extent(access: Access, occurrence_id: str, *, refund: bool) -> Extent:
    """How many bookings, how much money and how many customers a cancellation is about."""
    from holdgate_workers.adapters.postgres.reports.sales import Sales

    found = open_bookings(access, occurrence_id)
    paid: dict[str, int] = {}
    for one in found:
        if one.kept:
            paid[one.payment.currency] = paid.get(one.payment.currency, 0) + one.kept
    with access.opened(Sales) as sales:
        told = (*_OPEN, "converting") if refund else ("confirmed", "converting")
        mailed = sales.with_address(occurrence_id, told)
    under_way = sum(one.state == "converting" for one in found)
    return Extent(len(found) - under_way, under_way, paid, mailed)


def call_off(
    access: Access, out: Output, occurrence_id: str, *, by: str, reason: str, timeout_seconds: float
) -> None:
    """Cancel every booking of an occurrence that is cancelled itself, and say what was done and what is left.

    Raises as `ask_sealed_all`.
    """
    from holdgate_schema.answers.holds import Refused
    from holdgate_schema.commands.selling import ResolveBooking
    from holdgate_workers.ids import new_request_id

    found = [one for one in open_bookings(access, occurrence_id) if one.state in _OPEN]
    by_id = {one.id: one for one in found}
    commands = [
        ResolveBooking(
            request_id=new_request_id(),
            occurrence_id=occurrence_id,
            booking_id=one.id,
            action="cancel",
            by=by,
            note=reason,
        )
        for one in found
    ]
    cancelled = 0
    owed: dict[str, int] = {}
    refused: dict[str, str] = {}
    try:
        with _progress(len(commands)) as advance:
            for command, answer in ask_sealed_all(access, commands, timeout_seconds):
                assert isinstance(command, ResolveBooking), "nothing else was asked"
                booking = by_id[command.booking_id]
                if isinstance(answer, Refused):
                    if answer.subject not in ("cancelled", "failed"):  # somebody was quicker, or an earlier run
                        refused[booking.id] = answer.message
                else:
                    cancelled += 1
                    currency = booking.payment.currency
                    owed[currency] = owed.get(currency, 0) + booking.kept
                advance()
    except KeyboardInterrupt:
        said = (
            f"stopped: {cancelled} of {len(commands)} bookings are cancelled; the same command goes on from there"
        )
        raise Failure(said, STOPPED) from None
    _tell(out, occurrence_id, cancelled, owed, refused, left=open_bookings(access, occurrence_id))


def _tell(
    out: Output,
    occurrence_id: str,
    cancelled: int,
    owed: dict[str, int],
    refused: dict[str, str],
    *,
    left: list[Booking],
) -> None:
    if out.is_json:
        out.json(
            {
                "occurrence_id": occurrence_id,
                "cancelled": cancelled,
                "refund_due": owed,
                "refused": [{"booking_id": booking_id, "message": said} for booking_id, said in refused.items()],
                "left": [{"booking_id": one.id, "state": one.state} for one in left],
            }
        )
        return
    out.line(f"{occurrence_id} is called off: {cancelled} bookings were cancelled")
    for currency, amount in sorted(owed.items()):
        out.line(f"to be given back: {money(amount, currency)}; holdgate booking money says how far that is")
    for booking_id, said in refused.items():
        out.line(f"needs a person: {short(booking_id)}: {said}")
    for one in left:
        if one.state == "converting":
            out.line(f"under way: {short(one.id)}; it is not sold any more, repeat this once its order has ended")
        elif one.id not in refused:
            out.line(f"came meanwhile: {short(one.id)} is {one.state}; repeat this")


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """A bar on a terminal's standard error, nothing anywhere else."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, disable=not total) as bar:
        task = bar.add_task("cancelling", total=total)
        yield lambda: bar.advance(task)
