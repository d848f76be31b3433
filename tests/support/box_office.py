"""One occurrence whose holds are priced, sold and given back: the real `decide`, and the seats counted by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace
from tests.support.domain import KEYS, NOW, OCCURRENCE, SESSION, LimitsTable, a_place, a_put, a_sweep, request_id

from holdgate_schema.answers.holds import Answer
from holdgate_schema.codec import decode_answer, decode_event, encode
from holdgate_schema.commands.holds import CloseOccurrence, Command
from holdgate_schema.commands.selling import (
    CancelBooking,
    ConvertBooking,
    NoteOrder,
    PaymentNotice,
    PriceHold,
    ReduceBooking,
    ResolveBooking,
    SettleBooking,
)
from holdgate_schema.events.holds import Event
from holdgate_schema.values.views import BookedOrder, QuoteView
from holdgate_workers.domain.bookings.booking import Booking
from holdgate_workers.domain.decide import decide
from holdgate_workers.domain.decision import Context
from holdgate_workers.domain.occurrences.occurrence import Hold, Occurrence
from holdgate_workers.domain.settings.settings import Settings, parse

HASH = "a" * 64
TOTAL = 5000
ORDER_ID = "77"
STARTS = NOW + timedelta(days=30)


@dataclass
class BoxOffice:
    """Whatever is sent is decided and applied at once; after each the seats are counted again from the holds."""

    policy: str = "fulfil_or_park"
    capacity: int = 4
    put: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.now: datetime = NOW
        self.settings: Settings = parse({"conversion.late_payment": self.policy})
        self.occurrence: Occurrence | None = None
        self.limits = LimitsTable()
        self.holds: dict[str, Hold] = {}
        self.bookings: dict[str, Booking] = {}
        self.events: list[Event] = []
        self._requests = 0
        fields = {"capacity": self.capacity, "starts_at": STARTS, **self.put}
        self.do(a_put(OCCURRENCE, **fields))

    # --- doing --------------------------------------------------------------------------------------------------

    def do(self, command: Command) -> Answer:
        """Decide and apply."""
        self._requests += 1
        command = replace(command, request_id=request_id(self._requests))
        decision = decide(self.occurrence, command, self._context())
        assert decode_answer(encode(decision.answer)) == decision.answer
        assert [decode_event(encode(event)) for event in decision.events] == decision.events
        if self.occurrence is None:
            assert decision.definition is not None
            assert decision.pools is not None
            self.occurrence = Occurrence(id=OCCURRENCE, definition=decision.definition, pools=decision.pools)
        decision.apply_to(self.occurrence)
        if decision.recorded:
            self.limits.apply(decision.claims)
            self.holds |= {hold.id: hold for hold in decision.holds}
            self.bookings |= {booking.id: booking for booking in decision.bookings}
            self.events += decision.events
        self.count_again()
        return decision.answer

    def hold(
        self,
        seats: int = 2,
        *,
        session_id: str = SESSION,
        voucher: str | None = None,
        free: bool = False,
        **fields: Any,
    ) -> str:
        """A hold that has its price."""
        answer: Any = self.do(a_place(seats, session_id=session_id, **fields))
        self.price(answer.hold.hold_id, voucher=voucher, total=0 if free else TOTAL)
        hold_id: str = answer.hold.hold_id
        return hold_id

    def price(self, hold_id: str, hash_: str = HASH, total: int = TOTAL, **fields: Any) -> Answer:
        """What the pricing worker says."""
        hold = self.holds[hold_id]
        quote = QuoteView(hash=hash_, currency="EUR", total=total, tickets_total=total, extras_total=0)
        given: dict[str, Any] = {"items": hold.items, "extras": hold.extras, "quote": quote, **fields}
        return self.do(PriceHold(request_id="", occurrence_id=OCCURRENCE, hold_id=hold_id, **given))

    def convert(self, hold_id: str, *, status: Any = "paid", amount: int = TOTAL, **fields: Any) -> Answer:
        """The buyer pays."""
        hold = self.holds[hold_id]
        payment = PaymentNotice(method="card", amount=amount, currency="EUR", status=status)
        given: dict[str, Any] = {"quote_hash": HASH, "session_id": hold.session_id, "payment": payment, **fields}
        return self.do(ConvertBooking(request_id="", occurrence_id=OCCURRENCE, hold_id=hold_id, **given))

    def settle(self, booking_id: str, outcome: Any = "ordered", status: Any = "paid", **fields: Any) -> Answer:
        """What the orders worker says."""
        order = BookedOrder(gateway="shop", order_id=ORDER_ID, status=status) if outcome == "ordered" else None
        given: dict[str, Any] = {"order": order, **fields}
        return self.do(
            SettleBooking(request_id="", occurrence_id=OCCURRENCE, booking_id=booking_id, outcome=outcome, **given)
        )

    def cancel(self, booking_id: str) -> Answer:
        """The owner gives it back."""
        session_id = self.bookings[booking_id].session_id
        return self.do(
            CancelBooking(request_id="", occurrence_id=OCCURRENCE, booking_id=booking_id, session_id=session_id)
        )

    def reduce(self, booking_id: str, items: dict[str, int], **fields: Any) -> Answer:
        """The owner gives some of it back and keeps these."""
        ids = {"occurrence_id": OCCURRENCE, "booking_id": booking_id}
        given = {"session_id": self.bookings[booking_id].session_id, **fields}
        return self.do(ReduceBooking(request_id="", items=items, **ids, **given))

    def note(self, booking_id: str, status: Any, at_seconds: int = 1, *, refunded: int = 0) -> Answer:
        """What the shop says."""
        return self.do(
            NoteOrder(
                request_id="",
                occurrence_id=OCCURRENCE,
                booking_id=booking_id,
                order_id=ORDER_ID,
                status=status,
                changed_at=NOW + timedelta(seconds=at_seconds),
                refunded=refunded,
            )
        )

    def resolve(self, booking_id: str, action: Any, amount: int | None = None, **fields: Any) -> Answer:
        """What a person says."""
        return self.do(
            ResolveBooking(
                request_id="",
                occurrence_id=OCCURRENCE,
                booking_id=booking_id,
                action=action,
                by="bob",
                refund_amount=amount,
                **fields,
            )
        )

    def call_off(self) -> Answer:
        """The house cancels the occurrence."""
        return self.do(CloseOccurrence(request_id="", occurrence_id=OCCURRENCE, status="cancelled"))

    def pass_its(self, instant: str) -> None:
        """The occurrence's `starts_at` or `ends_at` comes."""
        assert self.occurrence is not None
        self.now = getattr(self.occurrence.definition, instant)

    def live_past(self, hold_id: str, instant: str) -> None:
        """The instant comes, and the hold still lives a minute."""
        assert self.occurrence is not None
        self.pass_its(instant)
        hold = replace(self.holds[hold_id], expires_at=self.now + timedelta(minutes=1))
        self.holds[hold_id] = hold
        self.occurrence.keep(hold)

    def sweep(self) -> Answer:
        """What the expiry worker says."""
        return self.do(a_sweep())

    def fill(self) -> str:
        """Somebody else takes all that is left."""
        assert self.occurrence is not None
        left = self.occurrence.pools["total"].available()
        assert left
        answer: Any = self.do(a_place(left, session_id="somebody-else"))
        hold_id: str = answer.hold.hold_id
        return hold_id

    def story(self, state: str) -> str:
        """A booking in this state, on the shortest way to it; returns its id."""
        booking_id = self.hold()
        stories[state](self, booking_id)
        expected = state.partition(" ")[0]
        assert self.bookings[booking_id].state == expected, (state, self.bookings[booking_id])
        return booking_id

    # --- looking ------------------------------------------------------------------------------------------------

    @property
    def seats(self) -> tuple[int, int]:
        """Held and sold, by the counters."""
        assert self.occurrence is not None
        pool = self.occurrence.pools["total"]
        return pool.held, pool.sold

    def count_again(self) -> None:
        """The counters against the holds, the holds against the bookings, the voucher and the stock against both."""
        taken = {"held": 0, "sold": 0}
        for hold in self.holds.values():
            if hold.state in ("active", "converting"):
                taken["held"] += hold.seats
            elif hold.state == "confirmed":
                taken["sold"] += hold.seats
        if self.occurrence is not None:
            assert self.seats == (taken["held"], taken["sold"]), (self.seats, taken)
            assert sum(self.seats) <= self.capacity, "oversold"
        seated = {hold.id for hold in self.holds.values() if hold.state in ("converting", "confirmed")}
        for booking in self.bookings.values():
            has_seats = booking.hold_id in seated
            if booking.state in ("converting", "confirmed"):
                assert has_seats, f"{booking.state} without seats"
            elif booking.state != "parked":
                assert not has_seats, f"{booking.state} with seats"
        assert seated <= {booking.hold_id for booking in self.bookings.values()}, "seats without a booking"
        for limit, used in self.limits.numbers.items():
            if limit.scope == "voucher":
                assert used == sum(
                    booking.quote.voucher == limit.key and booking.hold_id in seated
                    for booking in self.bookings.values()
                )
            if limit.scope == "stock":
                live = ("active", "converting", "confirmed")
                assert used == sum(h.stock.get(limit.key, 0) for h in self.holds.values() if h.state in live)

    def _context(self) -> Context:
        live = ("active", "converting")
        return Context(
            now=self.now,
            settings=self.settings,
            sessions=KEYS,
            limits=self.limits,
            ended_holds={hold.id: hold for hold in self.holds.values() if hold.state not in live},
            bookings=dict(self.bookings),
        )


def _late(box: BoxOffice, booking_id: str) -> None:
    """Paid after the hold's time, when somebody else has the seats."""
    box.now += timedelta(hours=1)
    box.sweep()
    other = box.fill()
    box.convert(booking_id)
    hold = box.holds[other]
    box.now = hold.expires_at
    box.sweep()


def _refund_required(box: BoxOffice, booking_id: str) -> None:
    settings, box.settings = box.settings, parse({"conversion.late_payment": "refund"})
    _late(box, booking_id)
    box.settings = settings


def _converting(box: BoxOffice, booking_id: str) -> None:
    box.convert(booking_id)


def _confirmed(box: BoxOffice, booking_id: str) -> None:
    box.convert(booking_id)
    box.settle(booking_id)


def _cancelled_by_owner(box: BoxOffice, booking_id: str) -> None:
    _confirmed(box, booking_id)
    box.cancel(booking_id)


def _cancelled_by_shop(box: BoxOffice, booking_id: str) -> None:
    _confirmed(box, booking_id)
    box.note(booking_id, "cancelled", 0)


def _failed(box: BoxOffice, booking_id: str) -> None:
    box.convert(booking_id)
    box.settle(booking_id, "failed", reason="the shop said no")


def _parked(box: BoxOffice, booking_id: str) -> None:
    box.convert(booking_id)
    box.settle(booking_id, "unknown", reason="nobody knows")


stories = {
    "converting": _converting,
    "confirmed": _confirmed,
    "parked (with seats)": _parked,
    "parked (without)": _late,
    "refund_required": _refund_required,
    "failed": _failed,
    "cancelled (by the buyer)": _cancelled_by_owner,
    "cancelled (by the shop)": _cancelled_by_shop,
}
"""How a booking comes to be in each state. Seats are free again at the end of each."""
