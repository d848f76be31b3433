"""What the test double decides beyond holds: prices by adding up, orders that always succeed, carts, a waiting list.

A piece costs what the test says, without rules and fees; what the test gives no price for is `unpriced`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from msgspec.structs import replace

from holdgate_producer.core.ids import new_request_id
from holdgate_schema.answers.holds import Answer, FieldProblem, HoldView, Reason, Refused
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
    Quoting,
    Waiting,
    WaitlistPlace,
)
from holdgate_schema.commands.holds import ChangeHold, Command, PlaceHold
from holdgate_schema.commands.selling import (
    CancelBooking,
    ConvertBooking,
    GetBooking,
    GetQuote,
    GetWaitlistEntry,
    JoinWaitlist,
    LeaveWaitlist,
    PlaceCart,
    ReduceBooking,
)
from holdgate_schema.ids import TOTAL_POOL
from holdgate_schema.values.quotes import Quote, QuoteLine, sealed
from holdgate_schema.values.views import (
    BookedOrder,
    BookingView,
    OrderStatus,
    Payment,
    QuoteRef,
    QuoteView,
    RefundState,
)

if TYPE_CHECKING:
    from .house import FakeHouse, Occurrence

CURRENCY = "EUR"
QUOTE_MINUTES = 15
CONVERSION_MINUTES = 10


@dataclass
class FakeSelling:
    """Prices, bookings and lines of a house."""

    house: FakeHouse
    prices: Mapping[str, int] = field(default_factory=dict)
    bookings: dict[str, BookingView] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    """Why the next orders fail, one each."""
    lines: dict[str, list[Waiting]] = field(default_factory=dict)
    joined: dict[str, JoinWaitlist] = field(default_factory=dict)
    """What each entry in line asked for."""
    methods: dict[str, str | None] = field(default_factory=dict)
    """How each hold is to be paid, as it was last asked for."""

    def answers(self, command: Command, occurrence: Occurrence) -> list[Answer]:
        """One answer or two."""
        match command:
            case GetQuote():
                return self._quote(command)
            case ConvertBooking():
                return self._convert(command, occurrence)
            case CancelBooking() | ReduceBooking() | GetBooking():
                return [self._on_booking(command, occurrence)]
            case PlaceCart():
                return self._cart(command)
            case JoinWaitlist():
                return [self._join(command, occurrence)]
            case GetWaitlistEntry():
                return [self._place_in_line(command)]
            case LeaveWaitlist():
                return [self._leave(command)]
        return [self.house.refuse(command, Reason.FORBIDDEN)]

    def priced(self, command: PlaceHold | ChangeHold, occurrence: Occurrence, hold: HoldView) -> list[Answer]:
        """Give the hold its price; the second answer, if it was asked for."""
        if command.pricing is not None:
            self.methods[hold.hold_id] = command.pricing.payment_method
        method = self.methods.get(hold.hold_id)
        quote = self._price(command, hold.items, hold.extras, method)
        if isinstance(quote, QuoteView):
            ref = QuoteRef(
                hash=quote.hash, currency=quote.currency, total=quote.total, payment_method=quote.payment_method
            )
            hold = occurrence.store(replace(hold, quote=ref))
        if command.pricing is None:
            return []
        if isinstance(quote, Refused):
            return [quote]
        return [Priced(**self.house.base(command), hold=hold, quote=quote)]

    # --- prices -------------------------------------------------------------------------------------------------

    def _quote(self, command: GetQuote) -> list[Answer]:
        quote = self._price(command, command.items, command.extras, command.payment_method)
        base = self.house.base(command)
        if isinstance(quote, Refused):
            return [Quoting(**base), quote]
        return [
            Quoting(**base),
            Quoted(**base, quote=quote, valid_until=self.house.now + timedelta(minutes=QUOTE_MINUTES)),
        ]

    def _price(
        self,
        command: GetQuote | PlaceHold | ChangeHold,
        items: Mapping[str, int],
        extras: Mapping[str, int],
        method: str | None,
    ) -> QuoteView | Refused:
        pieces = [("ticket", *piece) for piece in items.items()] + [("extra", *piece) for piece in extras.items()]
        missing = [
            FieldProblem(code="unknown", field=f"{w}.{key}", reason="no price")
            for w, key, _ in pieces
            if key not in self.prices
        ]
        if missing:
            return self.house.refuse(command, Reason.UNPRICED, errors=missing)
        lines = [
            QuoteLine(
                kind="ticket" if what == "ticket" else "extra",
                label=key,
                key=key,
                quantity=number,
                each=str(self.prices[key]),
                amount=self.prices[key] * number,
            )
            for what, key, number in pieces
        ]
        tickets = sum(line.amount for line in lines if line.kind == "ticket")
        total = sum(line.amount for line in lines)
        quote = sealed(
            Quote(
                product_id="product-1",
                occurrence_id=command.occurrence_id,
                currency=CURRENCY,
                items=dict(items),
                extras=dict(extras),
                lines=lines,
                tickets_total=tickets,
                extras_total=total - tickets,
                total=total,
                payment_method=method,
            )
        )
        return QuoteView(
            hash=quote.hash,
            currency=CURRENCY,
            total=total,
            tickets_total=tickets,
            extras_total=total - tickets,
            lines=lines,
            payment_method=method,
        )

    # --- bookings -----------------------------------------------------------------------------------------------

    def _convert(self, command: ConvertBooking, occurrence: Occurrence) -> list[Answer]:
        hold = occurrence.holds.get(command.hold_id)
        if hold is None or hold.session_id != command.session_id:
            return [self.house.refuse(command, Reason.HOLD_NOT_FOUND)]
        if hold.state != "active":
            return [self.house.refuse(command, Reason.HOLD_FINAL, hold_state=hold.state)]
        reason = _mismatch(hold.quote, command)
        if reason is not None:
            return [self.house.refuse(command, reason, quote=hold.quote)]
        assert hold.quote is not None
        notice = command.payment
        booking = BookingView(
            booking_id=hold.hold_id,
            hold_id=hold.hold_id,
            occurrence_id=hold.occurrence_id,
            session_id=hold.session_id,
            state="converting",
            items=hold.items,
            extras=hold.extras,
            seats=hold.seats,
            user_id=hold.user_id,
            quote=hold.quote,
            payment=Payment(
                method=notice.method,
                amount=notice.amount,
                currency=notice.currency,
                status=notice.status,
                reference=notice.reference,
            ),
            created_at=self.house.now,
            timeout_at=self.house.now + timedelta(minutes=CONVERSION_MINUTES),
        )
        converting = occurrence.store(replace(hold, state="converting"))
        first = Converting(**self.house.base(command), booking=booking)
        return [first, self._ordered(command, occurrence, converting, booking)]

    def _ordered(
        self, command: ConvertBooking, occurrence: Occurrence, hold: HoldView, booking: BookingView
    ) -> Answer:
        if self.failures:
            why = self.failures.pop(0)
            occurrence.store(replace(hold, state="released"))
            self.bookings[booking.booking_id] = replace(
                booking, state="failed", reason=why, ended_at=self.house.now
            )
            return self.house.refuse(command, Reason.ORDER_FAILED, message=why, booking_id=booking.booking_id)
        occurrence.store(replace(hold, state="confirmed"))
        status: OrderStatus = "paid" if booking.payment.status == "paid" else "pending"
        order = BookedOrder(gateway="fake", order_id=f"order-{len(self.bookings) + 1}", status=status)
        booking = replace(booking, state="confirmed", order=order, confirmed_at=self.house.now)
        self.bookings[booking.booking_id] = booking
        return Confirmed(**self.house.base(command), booking=booking)

    def _on_booking(self, command: CancelBooking | ReduceBooking | GetBooking, occurrence: Occurrence) -> Answer:
        booking = self.bookings.get(command.booking_id)
        if booking is None or booking.session_id != command.session_id:
            return self.house.refuse(command, Reason.BOOKING_NOT_FOUND, booking_id=command.booking_id)
        if isinstance(command, GetBooking):
            return Booked(**self.house.base(command), booking=booking)
        if booking.state != "confirmed":
            return self.house.refuse(command, Reason.BOOKING_FINAL, booking_id=command.booking_id)
        if isinstance(command, ReduceBooking):
            return self._reduce(command, booking, occurrence)
        due = booking.payment.amount if booking.payment.status == "paid" else 0
        refund: RefundState = "due" if due else "none"
        booking = replace(
            booking,
            state="cancelled",
            reason=command.reason,
            refund=refund,
            refund_due=due,
            ended_at=self.house.now,
        )
        self.bookings[booking.booking_id] = booking
        occurrence.store(replace(occurrence.holds[booking.hold_id], state="cancelled"))
        return Cancelled(**self.house.base(command), booking=booking, refund=refund)

    def _reduce(self, command: ReduceBooking, booking: BookingView, occurrence: Occurrence) -> Answer:
        kept = sum(command.items.values())
        if kept >= booking.seats:
            said = "must be fewer than the booking has"
            problem = FieldProblem(code="conflict", field="items", pointer="/items", reason=said)
            return self.house.refuse(command, Reason.INVALID, errors=[problem])
        if booking.payment.status != "paid":
            return self.house.refuse(command, Reason.UNPAID, booking_id=command.booking_id)
        due = booking.refund_due + booking.payment.amount * (booking.seats - kept) // booking.seats
        kept_basket = {"items": dict(command.items), "extras": dict(command.extras), "seats": kept}
        booking = replace(booking, **kept_basket, refund="due" if due else "none", refund_due=due)
        self.bookings[booking.booking_id] = booking
        occurrence.store(replace(occurrence.holds[booking.hold_id], **kept_basket))
        return Booked(**self.house.base(command), booking=booking)

    # --- carts and lines ----------------------------------------------------------------------------------------

    def _cart(self, command: PlaceCart) -> list[Answer]:
        session = command.session_id or self.house.new_session()
        started = CartStarted(
            **self.house.base(command),
            cart_id=command.request_id,
            session_id=session,
            occurrence_ids=[leg.occurrence_id for leg in command.legs],
        )
        held: dict[str, HoldView] = {}
        for leg in command.legs:
            place = PlaceHold(
                request_id=new_request_id(),
                occurrence_id=leg.occurrence_id,
                items=leg.items,
                extras=leg.extras,
                session_id=session,
                ttl_seconds=command.ttl_seconds,
            )
            answer = self.house.decide(place)
            if isinstance(answer, Refused):
                for hold in held.values():
                    self.house.occurrences[hold.occurrence_id].store(replace(hold, state="released"))
                told = {"subject": leg.occurrence_id, "cart_id": command.request_id}
                return [started, self.house.refuse(command, answer.reason, **told)]
            occurrence = self.house.occurrences[leg.occurrence_id]
            hold = replace(occurrence.holds[place.request_id], cart_id=command.request_id)
            held[leg.occurrence_id] = occurrence.store(hold)
        ids = {name: hold.hold_id for name, hold in held.items()}
        return [started, CartHeld(**self.house.base(command), cart_id=command.request_id, hold_ids=ids)]

    def _join(self, command: JoinWaitlist, occurrence: Occurrence) -> Answer:
        line = self.lines.setdefault(command.occurrence_id, [])
        seats = sum(command.items.values())
        session = command.session_id or self.house.new_session()
        if any(place.session_id == session for place in line):
            return self.house.refuse(command, Reason.ALREADY_WAITING)
        if seats <= (occurrence.available[TOTAL_POOL] or 0):
            return self.house.refuse(command, Reason.NOT_SOLD_OUT, available=occurrence.available)
        place = Waiting(
            **self.house.base(command),
            entry_id=command.request_id,
            session_id=session,
            position=len(line) + 1,
            seats=seats,
        )
        line.append(place)
        self.joined[place.entry_id] = command
        return place

    def _place_in_line(self, command: GetWaitlistEntry) -> Answer:
        for position, place in enumerate(self.lines.get(command.occurrence_id, []), start=1):
            if (place.entry_id, place.session_id) == (command.entry_id, command.session_id):
                joined = self.joined[place.entry_id]
                return WaitlistPlace(
                    **self.house.base(command),
                    entry_id=place.entry_id,
                    session_id=place.session_id,
                    state="waiting",
                    items=joined.items,
                    extras=joined.extras,
                    seats=place.seats,
                    position=position,
                )
        return self.house.refuse(command, Reason.ENTRY_NOT_FOUND, subject=command.entry_id)

    def _leave(self, command: LeaveWaitlist) -> Answer:
        line = self.lines.get(command.occurrence_id, [])
        for place in line:
            if (place.entry_id, place.session_id) == (command.entry_id, command.session_id):
                line.remove(place)
                return LeftWaitlist(**self.house.base(command), entry_id=command.entry_id)
        return self.house.refuse(command, Reason.ENTRY_NOT_FOUND, subject=command.entry_id)


def _mismatch(quote: QuoteRef | None, command: ConvertBooking) -> Reason | None:
    if quote is None:
        return Reason.UNPRICED
    if quote.hash != command.quote_hash:
        return Reason.PRICE_CHANGED
    agreed = (quote.total, quote.currency, quote.payment_method or command.payment.method)
    paid = (command.payment.amount, command.payment.currency, command.payment.method)
    return None if agreed == paid else Reason.PAYMENT_MISMATCH
