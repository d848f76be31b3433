"""Bookings, lines and carts as an outsider understands them from the journal. Shares no code with the gate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from holdgate_schema.values.quotes import Quote
from holdgate_workers.domain.decision import LimitKey

from .model import Book, Held
from .requests import Request, draws_of
from .wire import BookingSeen, QuoteSeen, Reply, Told
from .world import Violation, World

MOVES = {
    "": ("converting", "parked", "refund_required"),
    "converting": ("confirmed", "failed", "parked", "refund_required"),
    "parked": ("confirmed", "failed", "cancelled", "parked", "refund_required"),
    "refund_required": ("confirmed", "cancelled", "parked", "refund_required"),
    "confirmed": ("cancelled", "parked"),
    "failed": ("confirmed", "parked", "refund_required"),
    "cancelled": ("confirmed", "parked", "refund_required"),
}
"""What may become of a booking."""
FREE = ("failed", "cancelled", "refund_required")
"""In these it has no seats."""

MostUsed = Callable[[LimitKey], int]
"""The most that was used of a limit at any time since the batch began, this commit included."""


@dataclass(slots=True)
class Entry:
    """Somebody in line."""

    session_id: str
    items: dict[str, int]
    extras: dict[str, int]
    draws: dict[str, int]


@dataclass(slots=True)
class Cart:
    """What is to be held on several occurrences, or nothing of it."""

    occurrences: list[str]
    outcome: str = ""
    hold_ids: tuple[str, ...] = ()


class Sales:
    """What is known of one occurrence beyond its holds."""

    def __init__(
        self, world: World, book: Book, voucher_of: Callable[[str], str | None], caps: dict[str, int]
    ) -> None:
        self.world = world
        self.book = book
        self.bookings: dict[str, BookingSeen] = {}
        self.line: dict[str, Entry] = {}
        self.carts: dict[str, Cart] = {}
        self._voucher_of = voucher_of
        self._caps = caps
        self._offers: set[str] = set()
        self._offered_at = 0
        """The version at which the last offer was made."""

    # --- what happened ------------------------------------------------------------------------------------------

    def happen(
        self, event: Told, request: Request | None, decided_at: datetime, most_used: MostUsed, *, asked: str
    ) -> None:
        """Take in an event that is not about a hold alone. `asked` is the kind of command that it follows from."""
        kind = event.type.removesuffix(".v1")
        if event.booking is not None:
            self._money(kind, event.booking, asked)
            self._booked(kind, event, event.booking, decided_at)
        elif kind == "waitlist.joined":
            assert request is not None
            items, extras = request.fields["items"], request.fields["extras"]
            self._must(event.entry_id == request.id, "somebody else stands in line")
            self.line[event.entry_id] = Entry(event.session_id, items, extras, draws_of(items, extras))
        elif kind == "waitlist.left":
            self._must(self.line.pop(event.entry_id, None) is not None, f"{event.entry_id} left no line")
        elif kind == "waitlist.offered":
            self._offered(event)
        elif kind == "cart.begun":
            self.carts[event.cart_id] = Cart([str(leg["occurrence_id"]) for leg in event.legs])
        elif kind == "cart.settled":
            cart = self.carts[event.cart_id]
            self._must(not cart.outcome, f"cart {event.cart_id} was settled twice")
            left = self.book.shared.carts[event.cart_id]
            self._must(
                event.outcome != "refused" or not left, f"PARTIAL CART {event.cart_id}: {left} legs are still held"
            )
            cart.outcome, cart.hold_ids = event.outcome, tuple(event.hold_ids.values())

    def before_hold(self, event: Told, most_used: MostUsed) -> None:
        """A hold is about to be made: nobody who stands in line before it could have had the seats."""
        hold = event.hold
        assert hold is not None
        if hold.state != "active":
            return
        if hold.hold_id in self._offers:
            raise Violation(f"{hold.hold_id} was offered twice")
        for entry_id, entry in self.line.items():
            if entry_id == hold.hold_id:
                return
            if self.fits(entry, most_used):
                raise Violation(f"OVERTAKEN: {entry_id} stood in line on {self.book.id} before {hold.hold_id}")

    def priced(self, event: Told, quotes: Mapping[str, Quote]) -> None:
        """A hold gets the price of its own basket."""
        hold = event.hold
        assert hold is not None
        assert hold.quote is not None
        quote = quotes[hold.quote.hash]
        same = (quote.items, quote.extras, quote.total) == (hold.items, hold.extras, hold.quote.total)
        self._must(same, f"hold {hold.hold_id} has the price of another basket")

    def fits(self, entry: Entry, most_used: MostUsed) -> bool:
        """Whether somebody in line could have the basket now, with what others may have claimed meanwhile."""
        if self.book.status != "active":
            return False
        if any(number > self.book.free(pool) for pool, number in entry.draws.items()):
            return False
        if most_used(LimitKey("session", entry.session_id)) >= self._caps["session"]:
            return False
        wine = entry.extras.get("wine", 0)
        return not wine or most_used(LimitKey("stock", "cellar")) + wine <= self._caps["stock"]

    def nobody_was_passed_over(self, most_used: MostUsed) -> None:
        """What is left after a decision fits nobody in line."""
        for entry_id, entry in self.line.items():
            if self.fits(entry, most_used):
                raise Violation(f"PASSED OVER: {entry_id} in line on {self.book.id} could have been served")

    def _offered(self, event: Told) -> None:
        hold, entry = event.hold, self.line.pop(event.entry_id, None)
        assert hold is not None
        self._must(entry is not None and hold.hold_id == event.entry_id, f"an offer to nobody: {event.entry_id}")
        assert entry is not None
        held = self.book.live.get(event.entry_id)
        self._must(held is not None, f"an offer of nothing: {event.entry_id}")
        assert held is not None
        self._must((hold.items, hold.extras) == (entry.items, entry.extras), "another basket was offered")
        held.offered = True
        self._offers.add(event.entry_id)
        self._offered_at = event.version
        self.world.sometimes("an offer was made")
        if any(gone.offered and self.book.ended[key] == "expired" for key, gone in self.book.gone.items()):
            self.world.sometimes("an offer expired and was passed on")

    # --- bookings -----------------------------------------------------------------------------------------------

    def _booked(self, kind: str, event: Told, booking: BookingSeen, decided_at: datetime) -> None:
        key = booking.booking_id
        before = self.bookings.get(key)
        was, state = "" if before is None else before.state, kind.removeprefix("booking.")
        if state == "parked" and booking.state == "refund_required":
            state = "refund_required"
            self.world.sometimes("money has to be given back")
        if state == "reduced":
            self._fewer(before, event, booking)
        if state in ("changed", "reduced"):
            state = was
        else:
            self._must(state in MOVES[was], f"booking {key}: {state} after {was or 'nothing'}")
        self._must(booking.state == state, f"booking {key} is {booking.state} in {event.type}")
        if before is not None:
            same = (before.quote, before.session_id) == (booking.quote, booking.session_id)
            same_basket = (before.items, before.extras) == (booking.items, booking.extras)
            self._must(same and (same_basket or kind == "booking.reduced"), f"booking {key} became another one")
        self._seats(kind, event, booking, was, decided_at)
        self.bookings[key] = booking

    def _fewer(self, before: BookingSeen | None, event: Told, booking: BookingSeen) -> None:
        """What was had is what is kept and what was given back, and exactly what was said is owed."""
        key = booking.booking_id
        self._must(before is not None and before.state == "confirmed", f"booking {key} was reduced and not sold")
        assert before is not None
        for part in ("items", "extras"):
            had, kept, gone = getattr(before, part), getattr(booking, part), getattr(event, part)
            added = {name: kept.get(name, 0) + gone.get(name, 0) for name in {*kept, *gone}}
            self._must(added == had, f"booking {key} had {had}, keeps {kept} and gave {gone} back")
        self._must(bool(booking.items), f"booking {key} was reduced to nothing and is still there")
        owed = booking.refund_due - before.refund_due
        self._must(owed == event.amount, f"booking {key} owes {owed} more, {event.amount} were said")
        # Where all of it had gone back before, and a person fulfilled it all the same, no more goes back.
        self._must(
            not owed or booking.refund_due + booking.refunded < booking.payment.amount,
            f"booking {key} keeps tickets and ALL OF ITS MONEY GOES BACK",
        )
        self.world.sometimes("some tickets of a booking were given back")

    def _money(self, kind: str, booking: BookingSeen, asked: str) -> None:
        """Paid = kept + owed + gone. What went back stays gone, and a full refund is final unless a person decides."""
        key, paid = booking.booking_id, booking.payment.status == "paid"
        before = self.bookings.get(key)
        owed = booking.refund_due + booking.refunded
        self._must(owed <= booking.payment.amount, f"booking {key} gives back {owed}, MORE THAN WAS PAID")
        self._must(paid or not owed, f"booking {key} owes money that was never paid")
        word = "due" if booking.refund_due else "done" if booking.refunded else "none"
        self._must(booking.refund == word, f"booking {key} says {booking.refund}, it is {word}")
        if before is not None:
            self._must(booking.refunded >= before.refunded, f"booking {key} has FORGOTTEN that money went back")
            self._must(paid or before.payment.status != "paid", f"booking {key} has FORGOTTEN that it was paid")
        if kind == "booking.confirmed" and booking.all_gone:
            self._must(asked == "booking.resolve.v1", f"booking {key} was GIVEN BACK AND IS SOLD AGAIN")
            self.world.sometimes("a person fulfilled what was given back")
        if kind in ("booking.cancelled", "booking.failed") and paid and asked != "booking.resolve.v1":
            self._must(owed == booking.payment.amount, f"booking {key} is over and money is NEITHER OWED NOR GONE")
        if kind == "booking.parked" and booking.all_gone:
            self.world.sometimes("a booking was parked because all of its money went back")

    def _seats(self, kind: str, event: Told, booking: BookingSeen, was: str, decided_at: datetime) -> None:
        book, key, hold_id = self.book, booking.booking_id, booking.hold_id
        held, sold = book.live.get(hold_id), book.sold.get(hold_id)
        if not was:
            self._begun(event, booking, decided_at)
        elif kind == "booking.confirmed":
            self._must(
                held is not None and held.state == "converting", f"booking {key} was CONFIRMED WITHOUT SEATS"
            )
            assert held is not None
            if was not in ("converting", "parked"):
                self.world.sometimes("seats were taken again for money that came after all")
            held_price = held.seen.quote or self._price_of(key)
            self._must(held_price in (None, booking.quote), f"booking {key} has another price")
            before = self.bookings[key]
            if hold_id != before.hold_id:
                book.convert(hold_id, self._voucher_of(booking.quote.hash))
                book.no_pool_over(held.draws)
            book.sell(hold_id)
        elif kind in ("booking.cancelled", "booking.parked") and sold is not None:
            self._must(kind == "booking.cancelled" or booking.all_gone, f"booking {key} was sold and is parked")
            book.unsell(hold_id)
        elif kind == "booking.reduced":
            self._must(sold is not None, f"booking {key} was reduced WITHOUT SEATS")
            draws = draws_of(booking.items, booking.extras)
            book.reduce(hold_id, draws, booking.items, booking.extras)
        elif booking.state in FREE:
            self._must(held is None and sold is None, f"booking {key} is {booking.state} and has seats")
        elif kind == "booking.changed" and was == "converting" and booking.order is not None:
            self.world.sometimes("an order event came before the settlement")
        if booking.state == "failed" and was == "converting":
            self.world.sometimes("a conversion was compensated")

    def _begun(self, event: Told, booking: BookingSeen, decided_at: datetime) -> None:
        book, key, hold_id = self.book, booking.booking_id, booking.hold_id
        price = self._price_of(key)
        self._must(price == booking.quote, f"booking {key} has a price that its hold was never told")
        self._must(booking.payment.amount == booking.quote.total, f"booking {key} was paid otherwise")
        if booking.state != "converting":
            self.world.sometimes("money came too late and the seats were gone")
            self._must(book.ended.get(key) == "expired", f"booking {key} is late and its hold has not expired")
            return
        held = book.live.get(hold_id)
        self._must(held is not None, f"booking {key} converts nothing")
        assert held is not None
        if event.late:
            self.world.sometimes("money came too late and the seats were free")
            self._must(book.ended.get(key) == "expired", f"booking {key} is late and its hold has not expired")
            book.no_pool_over(held.draws)
        else:
            self._must(hold_id == key, f"booking {key} has somebody else's seats")
            self._must(held.state == "active", f"booking {key} was converted twice")
            self._must(held.seen.expires_at > decided_at, f"booking {key} was EXPIRED and converts")
        book.convert(hold_id, self._voucher_of(booking.quote.hash))

    def _price_of(self, hold_id: str) -> QuoteSeen | None:
        held: Held | None = (
            self.book.live.get(hold_id) or self.book.gone.get(hold_id) or self.book.sold.get(hold_id)
        )
        return None if held is None else held.seen.quote

    # --- what was answered --------------------------------------------------------------------------------------

    def grant(self, request: Request, reply: Reply) -> bool:
        """Judge what was not refused; False if it is not about selling."""
        match reply.outcome:
            case "converting" | "cancelled":
                key = request.fields.get("hold_id") or request.fields["booking_id"]
                booking = self.bookings.get(key)
                self._must(booking is not None and booking == reply.booking, f"booking {key} is told otherwise")
                self._must(booking is not None and booking.state == reply.outcome, f"{key} is not {reply.outcome}")
                if reply.outcome == "converting":
                    assert booking is not None
                    self._must(request.fields["quote_hash"] == booking.quote.hash, "PRICE CHANGED and was charged")
                    self._must(
                        request.fields["payment"].amount == booking.quote.total, "another amount was charged"
                    )
            case "booking":
                booking = self.bookings.get(request.fields["booking_id"])
                self._must(booking is not None and booking == reply.booking, "a booking is told otherwise")
            case "waiting":
                place = list(self.line).index(request.id) + 1
                self._must(
                    reply.position == place, f"{request.id} is at {place} in line and was told {reply.position}"
                )
            case "left_waitlist":
                entry_id = request.fields["entry_id"]
                self._must(
                    entry_id not in self.line and entry_id not in self.book.live, f"{entry_id} did not leave"
                )
            case "swept":
                served = self._offered_at == self.book.version
                self._must(reply.expired > 0 or served, "a sweep of nothing was recorded")
            case "cart_started" | "quoting":
                pass
            case _:
                return False
        return True

    def refuse(self, request: Request, reply: Reply, decided_at: datetime) -> bool:
        """Judge a refusal; False if it is not about selling."""
        fields = request.fields
        hold_id = fields.get("hold_id", "")
        booking = self.bookings.get(fields.get("booking_id") or hold_id)
        price = self._price_of(hold_id)
        match reply.reason:
            case "unpriced":
                self._must(price is None, f"hold {hold_id} had a price")
            case "price_changed" | "quote_expired":
                self._must(
                    price is not None and fields["quote_hash"] != price.hash, f"hold {hold_id} has that price"
                )
                self.world.sometimes(f"a conversion was refused: {reply.reason}")
            case "payment_mismatch":
                self._must(price is not None and fields["payment"].amount != price.total, "it was paid as agreed")
            case "parked" | "refund_required":
                self._must(
                    booking is not None and booking.state == reply.reason, f"{hold_id} is not {reply.reason}"
                )
            case "unpaid":
                self._must(
                    booking is not None and booking.payment.status != "paid",
                    f"booking {fields['booking_id']} is paid",
                )
            case "booking_not_found":
                theirs = booking is not None and booking.session_id == fields["session_id"]
                self._must(not theirs, f"booking {fields['booking_id']} was there")
            case "booking_final":
                self._must(booking is not None and booking.state != "confirmed", "it could have been cancelled")
            case "entry_not_found":
                entry_id = fields["entry_id"]
                offered = entry_id in self._offers and self.book.owners.get(entry_id) == fields["session_id"]
                self._must(entry_id not in self.line and not offered, f"{entry_id} stood in line")
            case "already_waiting":
                session_id = fields["session_id"]
                self._must(any(one.session_id == session_id for one in self.line.values()), "nobody was in line")
            case "not_sold_out":
                draws = draws_of(fields["items"], fields["extras"])
                self._must(
                    all(number <= self.book.free(pool) for pool, number in draws.items()), "FALSE not_sold_out"
                )
            case _:
                return False
        return True

    def money_is_told(self, request: Request, reply: Reply, events: Sequence[Told]) -> None:
        """What was paid for a conversion that is refused is told of, unless a booking has it."""
        told = [event for event in events if event.type == "payment.refused.v1"]
        payment = request.fields.get("payment") if request.kind == "booking.convert.v1" else None
        is_refused = reply.outcome == "refused" and reply.reason not in ("parked", "refund_required")
        if payment is None or not is_refused or payment.status != "paid" or not payment.amount:
            self._must(not told, f"{request.kind} tells of money that was not refused")
            return
        booking = self.bookings.get(request.fields["hold_id"])
        if booking is not None and booking.payment.amount == payment.amount:
            self._must(not told, f"{booking.booking_id} has that money")
            return
        said = [(event.hold_id, event.payment and event.payment.amount, event.reason) for event in told]
        expected = [(request.fields["hold_id"], payment.amount, reply.reason)]
        self._must(said == expected, f"MONEY WAS REFUSED and {said or 'nothing'} is told of it, not {expected}")
        self.world.sometimes("a payment was refused")

    def _must(self, ok: bool, otherwise: str) -> None:
        if not ok:
            raise Violation(f"{otherwise} ({self.book.id} at version {self.book.version})")
