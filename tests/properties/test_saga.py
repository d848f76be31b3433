"""The conversion saga against a shop that does its worst, by workers that die, stand still and come back: by seeds.

The gate is the real `decide`, the saga the real protocol; rows, shop and clock are models. The shop keeps its
contract and no more: what was sent may be stored at once, later (until nothing can be at work any more) or never, and
an answer may be lost.
"""

from __future__ import annotations

import random
from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from tests.support.box_office import TOTAL, BoxOffice

from holdgate_schema.codec import decode_command
from holdgate_schema.values.quotes import Quote, QuoteLine, sealed
from holdgate_workers.app.ordering.facts import CHANGING, Call, Cancel, Create, Find, Get, Refund, Saga, Terms
from holdgate_workers.app.ordering.handler import LATE_SECONDS
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
    Unknown,
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
    SagaEffect,
    Send,
    look_after,
)
from holdgate_workers.app.seals import Seals

SEEDS = 300
STEPS = 120
CALL, SETTLE = 10.0, 20.0
TERMS = Terms(gateway="shop", call_seconds=CALL, settle_seconds=SETTLE, is_watched=True)
SEALS = Seals(b"a secret that only this test house has")
LINE = QuoteLine(kind="ticket", label="Adult", key="adult", quantity=2, amount=TOTAL)
QUOTE = sealed(
    Quote(
        product_id="show",
        occurrence_id="occ-1",
        currency="EUR",
        items={"adult": 2},
        lines=[LINE],
        tickets_total=TOTAL,
        extras_total=0,
        total=TOTAL,
    )
)


class Shop:
    """A shop without idempotency keys."""

    def __init__(self) -> None:
        self.orders: dict[str, ShopOrder] = {}
        self.refunds: list[str] = []
        self.doubles = 0

    def create(self, order: NewOrder) -> ShopOrder:
        self.doubles += bool(self.alive)
        order_id = str(len(self.orders) + 1)
        status = "paid" if order.payment.is_paid else "pending"
        made = ShopOrder(
            order_id=order_id, reference=order.reference, status=status, currency="EUR", total=order.total
        )
        self.orders[order_id] = made
        return made

    @property
    def alive(self) -> list[ShopOrder]:
        return [order for order in self.orders.values() if not order.is_over]

    def find(self) -> Found | NotFound:
        found = sorted(self.orders.values(), key=lambda order: (order.is_over, order.order_id))
        if not found:
            return NotFound()
        return Found(found[0], tuple(order for order in found[1:] if not order.is_over))

    def cancel(self, order_id: str) -> ShopOrder:
        order = self.orders[order_id]
        if not order.is_over:
            order = self.orders[order_id] = replace(order, status="cancelled")
        return order

    def refund(self, order_id: str, refund: NewRefund) -> Refunded | Refused:
        order = self.orders[order_id]
        if refund.reference not in self.refunds:
            if refund.amount > order.total - order.refunded:
                return Refused("more_than_is_left", permanent=True)
            self.refunds.append(refund.reference)
            self.orders[order_id] = replace(order, status="refunded", refunded=order.refunded + refund.amount)
        return Refunded("r1", refund.amount)


@dataclass
class Worker:
    """One look at the booking, at an effect that is not done yet."""

    saga: Generator[SagaEffect, Any, Looked]
    effect: SagaEffect
    begun_at: float = 0.0


@dataclass
class World:
    """Everything there is, and what is on its way."""

    draw: random.Random
    is_calm: bool = False
    seconds: float = 0.0
    shop: Shop = field(default_factory=Shop)
    workers: list[Worker] = field(default_factory=list)
    on_the_way: list[tuple[float, Any]] = field(default_factory=list)
    posted: list[bytes] = field(default_factory=list)
    told: set[str] = field(default_factory=set)
    last: Looked | None = None

    def __post_init__(self) -> None:
        self.box = BoxOffice()
        self.hold_id = self.box.hold()
        self.box.price(self.hold_id, QUOTE.hash)
        status = self.draw.choice(["paid", "paid", "pending"])
        self.box.convert(self.hold_id, quote_hash=QUOTE.hash, status=status)
        self.start = self.box.now
        self.rows = Recorded(saga=Saga(booking_id=self.hold_id), now=self.start)

    @property
    def booking(self) -> Any:
        return self.box.bookings[self.hold_id]

    # --- what happens -------------------------------------------------------------------------------------------

    def pass_time(self, seconds: float) -> None:
        self.seconds += seconds
        self.box.now = self.start + timedelta(seconds=self.seconds)
        due = [entry for entry in self.on_the_way if entry[0] <= self.seconds]
        self.on_the_way = [entry for entry in self.on_the_way if entry[0] > self.seconds]
        for _, order in due:
            self.shop.create(order)

    def look(self) -> None:
        errand = Errand(booking_id=self.hold_id, answers="00000000-0000-4000-8000-00000000beef")
        saga = look_after(errand, TERMS, SEALS, self.draw.random())
        self.workers.append(Worker(saga, saga.send(None)))

    def step(self, worker: Worker) -> None:
        result = self.perform(worker)
        try:
            worker.effect = worker.saga.send(result)
        except StopIteration as end:
            self.last = end.value
            self.workers.remove(worker)

    def kill(self, worker: Worker) -> None:
        """If it was asking the shop, what it has sent may be on its way for as long as that can take."""
        self.workers.remove(worker)
        if isinstance(worker.effect, AskShop) and not self.is_late(worker):
            self.ask(worker.effect.call, is_heard=False)

    def perform(self, worker: Worker) -> Any:
        match worker.effect:
            case LookAt():
                hold = self.box.holds[self.booking.hold_id]
                recorded = replace(self.rows, now=self.box.now)
                return Look(
                    booking=self.booking, hold_state=hold.state, recorded=recorded, quote=QUOTE, over_at=None
                )
            case Begin(recorded, saga):
                worker.begun_at = self.seconds
                return self.write(recorded, saga, begun=True)
            case Record(recorded, saga, quiet_seconds=quiet):
                return self.write(recorded, saga, quiet=quiet)
            case Send(messages):
                self.posted += [message.body for message in messages]
                if self.is_calm or self.draw.random() < 0.7:
                    self.deliver()
                return None
            case AskShop(call):
                if isinstance(call, CHANGING) and self.is_late(worker):
                    return Unavailable("stood still")
                return self.ask(call)

    def is_late(self, worker: Worker) -> bool:
        return self.seconds - worker.begun_at > LATE_SECONDS

    def write(self, before: Recorded, saga: Saga, *, begun: bool = False, quiet: float = 0.0) -> Recorded | None:
        if before.rev != self.rows.rev:
            return None
        now = self.box.now
        self.rows = Recorded(
            saga=saga,
            now=now,
            rev=before.rev + 1,
            begun_at=now if begun else None,
            quiet_until=None if begun else now + timedelta(seconds=quiet),
        )
        return self.rows

    def deliver(self) -> None:
        """Have the gate decide what was sent, each request once."""
        while self.posted:
            command, _ = decode_command(self.posted.pop(0))
            if command.request_id not in self.told:
                self.told.add(command.request_id)
                self.box.do(command)

    # --- the shop -----------------------------------------------------------------------------------------------

    def ask(self, call: Call, *, is_heard: bool = True) -> Any:
        fault = None if self.is_calm else self.draw.random()
        match call:
            case Create(order, sent_before):
                return self.create(order, sent_before, fault, is_heard)
            case Find():
                return Unavailable("500") if fault is not None and fault < 0.3 else self.shop.find()
            case Get(order_id):
                return (
                    Unavailable("500") if fault is not None and fault < 0.3 else Found(self.shop.orders[order_id])
                )
            case Cancel(order_id):
                if fault is not None and fault < 0.2:
                    return Unavailable("429")
                done = Cancelled(self.shop.cancel(order_id))
                return Unknown("timeout") if fault is not None and fault < 0.4 else done
            case Refund(order_id, refund):
                if fault is not None and fault < 0.2:
                    return Unavailable("429")
                given = self.shop.refund(order_id, refund)
                return Unknown("timeout") if fault is not None and fault < 0.5 else given

    def create(self, order: NewOrder, sent_before: bool, fault: float | None, is_heard: bool) -> Any:
        if sent_before and isinstance(found := self.shop.find(), Found):
            return found
        if fault is None or fault > 0.6:
            if is_heard or self.draw.random() < 0.5:
                return Created(self.shop.create(order))
            fault = 0.5
        if fault < 0.1:
            return Unavailable("429")
        if fault < 0.15:
            return Refused("keys", permanent=False)
        if fault < 0.2:
            return Refused("no_such_product", permanent=True)
        if fault < 0.35:
            self.shop.create(order)
        elif fault < 0.5:
            most = SETTLE if is_heard else CALL + SETTLE
            self.on_the_way.append((self.seconds + self.draw.uniform(0, most), order))
        return Unknown("timeout")


def storm(world: World) -> None:
    """Anything, in any order."""
    draw = world.draw
    for _ in range(STEPS):
        happens = draw.random()
        if not world.workers or happens < 0.1:
            world.look()
        elif happens < 0.7:
            world.step(draw.choice(world.workers))
        elif happens < 0.78:
            world.kill(draw.choice(world.workers))
        elif happens < 0.93:
            world.pass_time(draw.choice([0.1, 1.0, 7.0, 40.0, 200.0]))
        elif happens < 0.97:
            world.deliver()
        elif world.booking.state == "confirmed":
            world.box.cancel(world.hold_id)


def calm(world: World) -> None:
    """Nothing goes wrong any more: everybody looks until nothing is left to do."""
    while world.workers:
        world.step(world.workers[0])
    world.is_calm = True
    for _ in range(30):
        world.pass_time(120.0)
        world.deliver()
        world.look()
        while world.workers:
            world.step(world.workers[0])
    world.deliver()


@pytest.mark.parametrize("first", range(0, SEEDS, 50))
def test_whatever_happens_there_is_one_order_or_none_and_it_ends_as_the_booking_does(first: int) -> None:
    ends: dict[str, int] = {}
    for seed in range(first, first + 50):
        world = World(random.Random(seed))
        storm(world)
        calm(world)
        state = world.booking.state
        ends[state] = ends.get(state, 0) + 1
        alive, said = world.shop.alive, f"seed {seed}: {state}, {world.shop.orders}, {world.rows.saga}"
        assert world.shop.doubles == 0, f"ordered twice; {said}"
        assert len(world.shop.refunds) <= 1, f"refunded twice; {said}"
        assert state in ("confirmed", "cancelled", "failed"), said
        assert len(alive) == (1 if state == "confirmed" else 0), said
        assert all(order.total == TOTAL for order in world.shop.orders.values()), said
        owed = world.booking.refund == "due" and world.shop.orders
        assert not owed or all(order.status != "paid" for order in world.shop.orders.values()), said
        assert world.box.seats == ((0, 2) if state == "confirmed" else (0, 0)), said
    assert len(ends) >= 2, ends
