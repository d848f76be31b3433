"""P13: bookings as their rows say, and the holds that have their seats. No model of what should happen."""

from __future__ import annotations

from typing import Any

from tests.checker.books import Books
from tests.checker.decoding import Change, Row, Transaction
from tests.checker.jsonl import loads
from tests.checker.verdict import Report

_MOVES = {
    None: {"converting", "parked", "refund_required"},
    "converting": {"confirmed", "failed", "parked", "refund_required"},
    "parked": {"confirmed", "failed", "cancelled", "refund_required"},
    "refund_required": {"confirmed", "cancelled", "parked"},
    "confirmed": {"cancelled", "parked"},
    "failed": {"confirmed", "parked", "refund_required"},
    "cancelled": {"confirmed", "parked", "refund_required"},
}
_SEATS = {"converting": ("converting",), "confirmed": ("confirmed",), "parked": ("converting", None)}
"""What a booking's hold is; of all others it has ended."""
_WITH_A_BOOKING = ("converting", "confirmed")


class BookingRow:
    """A booking as its row says."""

    __slots__ = ("basket", "document", "gone", "hold_id", "kept", "state")

    def __init__(self) -> None:
        self.gone = 0
        self.state: str | None = None
        self.hold_id = ""
        self.kept: tuple[Any, ...] = ()
        self.basket: dict[tuple[str, str], int] = {}
        self.document: dict[str, Any] = {}


def _is_reduced(had: dict[tuple[str, str], int], has: dict[tuple[str, str], int], before: Any, state: str) -> bool:
    """Whether some of what a confirmed booking had was given back, and tickets are left."""
    fewer = had.keys() >= has.keys() and all(number <= had[key] for key, number in has.items())
    return (before, state) == ("confirmed", "confirmed") and fewer and any(part == "items" for part, _ in has)


class Bookings:
    """Fold the rows in commit order, beside the books."""

    def __init__(self, report: Report, books: Books) -> None:
        self.report, self.books = report, books
        self.rows: dict[str, BookingRow] = {}
        self.of_hold: dict[str, str] = {}
        """Which booking a hold is of."""
        self.touched: dict[str, Row] = {}

    def take(self, transaction: Transaction) -> None:
        """The bookings that a transaction wrote, and whether they go together with its holds."""
        self.touched = {}
        for change in transaction.changes:
            if change.table == "bookings":
                self._row(change)
        for booking_id in self.touched:
            self._seats(booking_id, transaction.xid)
        for hold_id, row in self.books.touched_holds.items():
            if row["state"] not in _WITH_A_BOOKING:
                continue
            self.report.count("P13")
            booking = self.rows.get(self.of_hold.get(hold_id, ""))
            if booking is None or booking.hold_id != hold_id:
                self.report.flag(
                    "P13", f"hold {hold_id} is {row['state']} and no booking has it, at {transaction.xid}"
                )
            elif hold_id not in self.touched:
                self._seats(self.of_hold[hold_id], transaction.xid)

    def _row(self, change: Change) -> None:
        row = change.row
        booking_id = str(row["id"])
        if change.operation == "DELETE":
            self.report.flag("P13", f"booking {booking_id} was deleted")
            return
        self.report.count("P13")
        known = self.rows.get(booking_id)
        state, hold_id = str(row["state"]), str(row["hold_id"])
        if change.operation == "INSERT" and known is not None:
            self.report.flag("P13", f"booking {booking_id} is made a second time")
        before = None if known is None else known.state
        if state != before and state not in _MOVES.get(before, set()):
            self.report.flag("P13", f"booking {booking_id}: {before or 'nothing'} became {state}")
        if known is None:
            known = self.rows[booking_id] = BookingRow()
        if row.get("document") is not None:
            known.document = loads(str(row["document"]))
        document = known.document
        kept = (row["occurrence_id"], row["session_id"], document.get("quote"))
        basket = {(part, key): n for part in ("items", "extras") for key, n in (document.get(part) or {}).items()}
        if known.kept and kept != known.kept:
            self.report.flag("P13", f"booking {booking_id}: {known.kept} became {kept}")
        if known.kept and basket != known.basket and not _is_reduced(known.basket, basket, before, state):
            self.report.flag("P13", f"booking {booking_id} had {known.basket} and has {basket}")
        known.basket = basket
        if (document.get("state"), document.get("hold_id")) != (state, hold_id):
            self.report.flag(
                "P13", f"booking {booking_id} says {document.get('state')} in its document, not {state}"
            )
        known.kept = kept
        self._money(booking_id, document, known)
        self._prices(booking_id, document)
        owner = self.of_hold.get(hold_id)
        if owner not in (None, booking_id):
            self.report.flag("P13", f"hold {hold_id} is sold twice: to bookings {owner} and {booking_id}")
        known.state, known.hold_id = state, hold_id
        self.of_hold[hold_id] = booking_id
        self.touched[booking_id] = row

    def _money(self, booking_id: str, document: dict[str, Any], known: BookingRow) -> None:
        """Never more back than was paid; what went back stays gone; the word says what the numbers say."""
        payment = document.get("payment") or {}
        due, gone = document.get("refund_due", 0), document.get("refunded", 0)
        if due < 0 or gone < 0 or due + gone > payment.get("amount", 0):
            self.report.flag("P13", f"booking {booking_id} gives {due} back and gave {gone}, of {payment}")
        if gone < known.gone:
            self.report.flag("P13", f"booking {booking_id}: {known.gone} went back, and now it is {gone}")
        known.gone = gone
        word = "due" if due else "done" if gone else "none"
        if document.get("refund", "none") != word:
            self.report.flag("P13", f"booking {booking_id} says {document.get('refund')}, and it is {word}")
        is_over = document.get("state") in ("failed", "cancelled", "refund_required")
        is_over = is_over and payment.get("status") == "paid" and document.get("ended_by") != "staff"
        if is_over and due + gone != payment.get("amount"):
            self.report.flag("P13", f"booking {booking_id} is over and its money is neither owed nor gone")

    def _prices(self, booking_id: str, document: dict[str, Any]) -> None:
        told = self.books.prices.get(booking_id)
        if told is None:
            self.report.flag("P13", f"booking {booking_id} is of a hold that never had a price")
        elif loads(told) != document.get("quote"):
            self.report.flag("P13", f"booking {booking_id} has the price {document.get('quote')}, its hold {told}")
        payment, quote = document.get("payment") or {}, document.get("quote") or {}
        paid, asked = [
            (one.get(name), one.get("currency")) for one, name in ((payment, "amount"), (quote, "total"))
        ]
        if paid != asked:
            self.report.flag("P13", f"booking {booking_id} was paid with {paid}, its price is {asked}")

    def _seats(self, booking_id: str, xid: int) -> None:
        booking = self.rows[booking_id]
        hold = self.books.holds.get(booking.hold_id)
        state = None if hold is None else hold.state
        if state not in _SEATS.get(str(booking.state), (None,)):
            what = "has no seats" if hold is None else f"has seats that are {state}"
            self.report.flag("P13", f"booking {booking_id} is {booking.state} and {what}, at transaction {xid}")
