"""One booking, its saga and its shop, looked at step by step: the real `decide` and the real protocol, no randomness.

The shop is as shops are with money: its total is its own affair, and `given_back` counts what it gave back apart from
what it says of its orders.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace
from tests.support.box_office import BoxOffice

from holdgate_schema.codec import decode_command
from holdgate_schema.commands.selling import PaymentNotice
from holdgate_schema.values.quotes import Quote, QuoteLine, sealed
from holdgate_schema.values.views import QuoteView
from holdgate_workers.app.ordering.facts import Call, Cancel, Create, Find, Get, Refund, Result, Saga, Terms
from holdgate_workers.app.ordering.orders import (
    Cancelled,
    Created,
    Found,
    NewOrder,
    NewRefund,
    NotFound,
    Refunded,
    Refused,
    ShopOrder,
    Unavailable,
)
from holdgate_workers.app.ordering.protocol import (
    AskShop,
    Begin,
    Errand,
    Look,
    LookAt,
    Looked,
    Record,
    Recorded,
    Send,
    look_after,
)
from holdgate_workers.app.pricing.quoting import shares_of
from holdgate_workers.app.seals import Seals

SEALS = Seals(b"a secret that only this test house has")
TERMS = Terms(gateway="shop", call_seconds=10.0, settle_seconds=20.0, is_watched=True)
LOOKS_MAX = 20


@dataclass
class DeskShop:
    """Orders by id. `charges` is what it makes of any total; `refuses` why it pays nothing back."""

    orders: dict[str, ShopOrder] = field(default_factory=dict)
    charges: int | None = None
    refuses: str = ""
    is_down: Unavailable | None = None
    rounds_to: int = 1
    asked_refunds: list[NewRefund] = field(default_factory=list)
    given_back: int = 0
    now: datetime | None = None

    def add(self, reference: str, total: int, status: Any = "pending", currency: str = "EUR") -> ShopOrder:
        """An order comes into being."""
        order_id = str(100 + len(self.orders))
        made = ShopOrder(
            order_id=order_id,
            reference=reference,
            status=status,
            currency=currency,
            total=total,
            changed_at=self.now,
        )
        self.orders[order_id] = made
        return made

    def change(self, order_id: str, **fields: Any) -> ShopOrder:
        self.orders[order_id] = replace(self.orders[order_id], **fields)
        return self.orders[order_id]

    def do(self, call: Call) -> Result:
        if self.is_down is not None:
            return self.is_down
        match call:
            case Create(order):
                return self._create(order)
            case Find(reference):
                every = sorted(
                    (one for one in self.orders.values() if one.reference == reference),
                    key=lambda one: (one.is_over, one.order_id),
                )
                return Found(every[0], tuple(o for o in every[1:] if not o.is_over)) if every else NotFound()
            case Get(order_id):
                return Found(self.orders[order_id]) if order_id in self.orders else NotFound()
            case Cancel(order_id):
                order = self.orders[order_id]
                return Cancelled(order if order.is_over else self.change(order_id, status="cancelled"))
            case Refund(order_id, refund):
                return self._refund(order_id, refund)

    def _create(self, order: NewOrder) -> Result:
        total = order.total if self.charges is None else self.charges
        if total != order.total:
            self.add(order.reference, total, "cancelled", order.currency)
            return Refused("total_mismatch", permanent=True)
        status = "paid" if order.payment.is_paid else "pending"
        return Created(self.add(order.reference, total, status, order.currency))

    def _refund(self, order_id: str, refund: NewRefund) -> Result:
        self.asked_refunds.append(refund)
        if self.refuses:
            return Refused(self.refuses, permanent=True)
        order = self.orders[order_id]
        amount = refund.amount - refund.amount % self.rounds_to
        if amount > order.total - order.refunded:
            return Refused("more_than_is_left", permanent=True)
        self.given_back += amount
        refunded = order.refunded + amount
        self.change(order_id, refunded=refunded, status="refunded" if refunded == order.total else order.status)
        return Refunded(f"r{len(self.asked_refunds)}", amount)


class SagaDesk:
    """A booking of a quote over `total`, paid or not, that is converted at once."""

    def __init__(
        self, total: int = 5000, *, status: str = "paid", currency: str = "EUR", terms: Terms = TERMS
    ) -> None:
        self.box = BoxOffice()
        self.shop = DeskShop(now=self.box.now)
        self.terms = terms
        lines = [QuoteLine(kind="ticket", label="Adult", key="adult", quantity=2, amount=total)]
        self.quote = sealed(
            Quote(
                product_id="show",
                occurrence_id="occ-1",
                currency=currency,
                items={"adult": 2},
                lines=lines,
                tickets_total=total,
                extras_total=0,
                total=total,
            )
        )
        self.id = self.box.hold()
        view = QuoteView(hash=self.quote.hash, currency=currency, total=total, tickets_total=total, extras_total=0)
        self.box.price(self.id, self.quote.hash, quote=view, shares=shares_of(self.quote))
        payment = PaymentNotice(method="card", amount=total, currency=currency, status=status)  # type: ignore[arg-type]
        self.box.convert(self.id, quote_hash=self.quote.hash, payment=payment)
        self.rows = Recorded(saga=Saga(booking_id=self.id), now=self.box.now)
        self.told: set[str] = set()
        self.calls: list[Call] = []
        self.is_overtaken = False

    @property
    def booking(self) -> Any:
        return self.box.bookings[self.id]

    @property
    def reference(self) -> str:
        return f"hg-{self.id}"

    def look(self, **errand: Any) -> Looked:
        """One look, to its end."""
        saga = look_after(Errand(booking_id=self.id, **errand), self.terms, SEALS, 0.5)
        answer: Any = None
        while True:
            try:
                effect = saga.send(answer)
            except StopIteration as end:
                looked: Looked = end.value
                return looked
            answer = self._perform(effect)

    def settle(self, **errand: Any) -> Looked:
        """Looks until nothing more is done in the shop."""
        for _ in range(LOOKS_MAX):
            calls = len(self.calls)
            looked = self.look(**errand)
            if not any(isinstance(call, Create | Cancel | Refund) for call in self.calls[calls:]):
                return looked
        raise AssertionError("it comes to no end")

    def confirmed(self) -> str:
        """Convert; returns the order's id."""
        self.settle()
        assert self.booking.state == "confirmed", self.booking
        return str(self.booking.order.order_id)

    def _perform(self, effect: Any) -> Any:
        match effect:
            case LookAt():
                hold = self.box.holds[self.booking.hold_id]
                return Look(
                    booking=self.booking,
                    hold_state=hold.state,
                    recorded=replace(self.rows, now=self.box.now),
                    quote=self.quote,
                    over_at=self.box.now + timedelta(days=30),
                )
            case Begin(recorded, saga):
                return self._write(recorded, saga)
            case Record(recorded, saga, quiet_seconds=quiet):
                return self._write(recorded, saga, quiet)
            case AskShop(call):
                self.calls.append(call)
                return self.shop.do(call)
            case Send(messages):
                for message in messages:
                    command, _ = decode_command(message.body)
                    if command.request_id not in self.told:
                        self.told.add(command.request_id)
                        self.box.do(command)
                return None

    def _write(self, before: Recorded, saga: Saga, quiet: float = 0.0) -> Recorded | None:
        if self.is_overtaken:
            return None  # another worker wrote on top of what was read
        assert before.rev == self.rows.rev
        until = self.box.now + timedelta(seconds=quiet) if quiet else None
        self.rows = Recorded(saga=saga, now=self.box.now, rev=before.rev + 1, quiet_until=until)
        return self.rows
