"""Conversions against a shop that fails, made by workers that are killed at every step of the saga, and their money.

What buyers paid and what went back is counted by the payment provider alone, which knows nothing of bookings: at the
end what was paid is what was kept and what went back, to the cent.

`HOLDGATE_TEST_CONVERSIONS` says how many, and that there is time for all the ways to die.
"""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.support import http_peer
from tests.support.fake_woocommerce import FakeWooCommerce, fake_woocommerce
from tests.support.http_peer import Fault, Reply, Request
from tests.support.payment_provider import PaymentProvider
from tests.support.processes import WorkerProcess
from tests.support.rabbit import eventually
from tests.support.recount import Books
from tests.support.selling import alive, cancel_of, convert_of, sell, shop_problems, woocommerce
from tests.support.site import TestSite, open_test_site

from holdgate_producer import BookingClient, Priced
from holdgate_schema.answers.holds import Answer, Refused
from holdgate_schema.answers.selling import Cancelled, Confirmed
from holdgate_schema.commands.selling import Customer, PaymentNotice

pytestmark = [pytest.mark.services, pytest.mark.slow]

IS_WHOLE = "HOLDGATE_TEST_CONVERSIONS" in os.environ
CONVERSIONS = int(os.environ.get("HOLDGATE_TEST_CONVERSIONS", "60"))
OCCURRENCES = 5
TIMEOUTS, OTHERS, LATE = 0.20, 0.10, 0.02
CALM_REQUESTS, MAINTENANCE_REQUESTS = (600 if IS_WHOLE else 150), 8
"""After so many requests the next so many meet a shop in maintenance, which asks for ten minutes."""
ADDRESSES = ("ada@example.org", "info@müller.it", "ada@localhost", "jörg@example.org")
FREE = "gratis"
SEED = 4
LONG = 1800.0 if IS_WHOLE else 600.0
"""The last one is asked for while all others still wait."""
KILLED_SECONDS = 300.0
"""A step may have to wait until the shop, which asks for ten minutes, is asked again: a minute, more than once."""
STEPS = ("LookAt", "Begin", "AskShop Create", "Record", "Send", "AskShop Get", "AskShop Refund", "AskShop Cancel")
EVERY = (
    *(f"{when}:{step}" for step in STEPS for when in ("before", "after")),
    "shop:POST /orders",
    "shop:PUT /orders",
    "shop:POST /refunds",
)
"""Where the worker dies: at an effect of the saga, or while the shop is at work for it."""
KILLS = EVERY if IS_WHOLE else ("after:Begin", "after:AskShop Create", "after:Send", *EVERY[-3::2])
LEGAL = ("confirmed", "cancelled", "failed", "parked", "refund_required")
TOLD = {
    "HOLDGATE_ORDER_CONNECT_SECONDS": "1",
    "HOLDGATE_ORDER_READ_SECONDS": "1",
    "HOLDGATE_ORDER_TOTAL_SECONDS": "1.5",
    "HOLDGATE_ORDER_SETTLE_SECONDS": "2",
    "HOLDGATE_TEST_BREAKER_SECONDS": "0.5",
    "HOLDGATE_TEST_LEASE_SECONDS": "3",
    "HOLDGATE_TEST_RESEND_SECONDS": "3",
}


class Weather:
    """What goes wrong in the shop, by a drawn number; and whom it takes with it."""

    def __init__(self, seed: int, shop: FakeWooCommerce) -> None:
        self._shop = shop
        self._draw = random.Random(seed)
        self._lock = threading.Lock()
        self._victim: tuple[str, WorkerProcess] | None = None
        self._requests = 0
        self.met: Counter[str] = Counter()

    def take(self, victim: WorkerProcess, where: str) -> None:
        """The next such request is the worker's last."""
        with self._lock:
            self._victim = where, victim

    def choose(self, request: Request) -> Fault | None:
        resource = "/refunds" if request.path.endswith("/refunds") else "/orders"
        # What the provider says of these is heard: if that were lost, too, nobody could know whether it has paid.
        is_for_a_person = resource == "/refunds" and self._is_for_a_person(request)
        with self._lock:
            if (
                self._victim is not None
                and self._victim[0] == f"{request.method} {resource}"
                and not is_for_a_person
            ):
                _, victim = self._victim
                self._victim = None
                victim.process.kill()
                self.met["killed"] += 1
                return Fault.RESET
            drawn, which = self._draw.random(), self._draw.randrange(4)
            self._requests += 1
            place = self._requests % (CALM_REQUESTS + MAINTENANCE_REQUESTS)
        fault = None
        if is_for_a_person:
            pass
        elif place >= CALM_REQUESTS:
            fault = Fault.MAINTENANCE
        elif drawn < LATE and request.method == "POST" and resource == "/orders":
            fault = Fault.LATE
        elif drawn < TIMEOUTS and request.method == "POST":
            fault = Fault.HANG
        elif TIMEOUTS <= drawn < TIMEOUTS + OTHERS:
            fault = (Fault.ERROR, Fault.BUSY, Fault.GARBAGE, Fault.ERROR_BEFORE)[which]
        self.met["none" if fault is None else fault.name] += 1
        return fault

    def _is_for_a_person(self, request: Request) -> bool:
        payment = self._shop.orders[int(request.path.split("/")[-2])]["transaction_id"]
        return payment in self._shop.provider.refuses_payments | self._shop.provider.silent_about


class Buyers:
    """Convert priced holds in the background; some give their booking back at once. They pay `provider`, which will not
    pay back every sixth of those, and is silent about some."""

    def __init__(self, client: BookingClient, provider: PaymentProvider) -> None:
        self._client = client
        self._provider = provider
        self.answers: list[tuple[Priced, Future[Answer]]] = []
        self.cancelled: list[Future[Answer]] = []
        self._returners: list[Future[Answer]] = []
        self._lock = threading.Lock()

    def convert(self, numbers: list[int], names: list[str]) -> None:
        places = [
            self._client.place_priced(
                FREE if number % 9 == 4 else names[number % OCCURRENCES], {"adult": 1 + number % 3}
            )
            for number in numbers
        ]
        for number, place in zip(numbers, places, strict=True):
            hold = place.final.result(LONG)
            assert isinstance(hold, Priced), hold
            self._convert(hold, number)

    def _convert(self, hold: Priced, number: int) -> None:
        status = "pending" if number % 5 == 2 else "paid"
        reference, quote = payment_of(hold.hold.hold_id), hold.quote
        if number % 30 == 6:
            self._provider.refuses_payments.add(reference)
        if number % 50 == 11:
            self._provider.silent_about.add(reference)
        if status == "paid":
            self._provider.take(reference, Decimal(quote.total).scaleb(-2))
        payment = PaymentNotice(
            method="card",
            amount=quote.total,
            currency=quote.currency,
            status=status,  # type: ignore[arg-type]
            reference=reference,
        )
        customer = Customer(name="Ada Lovelace", email=ADDRESSES[number % len(ADDRESSES)])
        command = convert_of(hold, payment=payment, customer=customer)
        final = self._client.follow(command, timeout_seconds=LONG).final
        self.answers.append((hold, final))
        if number % 5 in (1, 2):
            self._returners.append(final)
            final.add_done_callback(lambda done: self._give_back(hold, done))

    def _give_back(self, hold: Priced, done: Future[Answer]) -> None:
        if done.exception() is None and isinstance(done.result(), Confirmed):
            with self._lock:
                self.cancelled.append(self._client.send(cancel_of(hold), timeout_seconds=LONG))

    def returned(self) -> list[Answer]:
        """What was answered to those who gave their booking back. A future has its result before it calls back."""
        confirmed = sum(isinstance(final.result(LONG), Confirmed) for final in self._returners)
        eventually(lambda: len(self.cancelled) == confirmed, "all have asked for it", LONG)
        return [cancelled.result(LONG) for cancelled in self.cancelled]


def payment_of(booking_id: str) -> str:
    """The payment provider's name for what was paid for a booking."""
    return f"pi_{booking_id}"


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeWooCommerce]:
    busy = Reply(429, {"code": "too_many_requests"}, {"Retry-After": "1"})
    monkeypatch.setitem(http_peer._NOT_DONE, Fault.BUSY, busy)
    with fake_woocommerce() as opened:
        yield opened


@pytest.fixture
def house(tmp_path: Path) -> Iterator[TestSite]:
    with open_test_site("rabbit", tmp_path) as site:
        gate = site.start("gate", "feeder", "relay", "expiry", "pricing", name="house")
        site.wait_lines(gate)
        yield site


def test_every_conversion_ends_rightly_whatever_the_shop_does_and_whoever_dies(
    house: TestSite, shop: FakeWooCommerce, capsys: pytest.CaptureFixture[str]
) -> None:
    client = house.client(timeout_seconds=LONG)
    weather = Weather(SEED, shop)
    names = [f"show-{number}" for number in range(OCCURRENCES)]
    for name in names:
        sell(house, client, name, capacity=3 * CONVERSIONS)
    sell(house, client, FREE, capacity=3 * CONVERSIONS, price=0)
    buyers, numbers = Buyers(client, shop.provider), iter(range(CONVERSIONS))
    shop.peer.choose = weather.choose
    with ExitStack() as at_end:
        at_end.callback(weather.met.clear)
        for batch, kill in zip(_batches(CONVERSIONS, len(KILLS)), KILLS, strict=True):
            victim = house.start(
                "orders", name=f"victim-{KILLS.index(kill)}", ready=False, **woocommerce(shop, **TOLD)
            )
            if kill.startswith("shop:"):
                weather.take(victim, kill.removeprefix("shop:"))
            else:
                victim.arm(f"{kill}:1:kill")
            buyers.convert([next(numbers) for _ in range(batch)], names)
            assert victim.process.wait(KILLED_SECONDS) == -9, f"{kill} did not kill: {list(victim.log())[-5:]}"
        house.start("orders", name="heir", **woocommerce(shop, **TOLD))
        answers = [(hold, final.result(LONG)) for hold, final in buyers.answers]
        returned = buyers.returned()
        _settled(house, shop)
        _look_once_more(house, shop)
        report = dict(weather.met)
    assert all(isinstance(answer, Cancelled) for answer in returned), returned
    _check(house, shop, answers)
    with capsys.disabled():
        print(f"\n{CONVERSIONS} conversions, {len(KILLS)} kills, the shop: {report}", end=" ")


def _batches(number: int, parts: int) -> list[int]:
    return [number // parts + (part < number % parts) for part in range(parts)]


def _settled(house: TestSite, shop: FakeWooCommerce) -> None:
    """Every decision has become a task, and nothing is under way: only what looks again from time to time waits."""
    eventually(lambda: house.unread("tasks") == 0, "every decision has been read", LONG)
    waits = """
        SELECT count(*) FROM tasks WHERE role = 'orders' AND state = 'open' AND kind <> 'order.watch'
        AND due_at < now() + interval '70 s'"""
    eventually(lambda: house.value(waits) == 0, "all is done in the shop", LONG)
    left = {payment.removeprefix("pi_") for payment in shop.provider.refuses_payments | shop.provider.silent_about}
    asked = """
        SELECT count(*) FROM bookings WHERE state = 'converting'
        OR document ->> 'refund' = 'due' AND NOT id::text = ANY(%s)"""
    eventually(lambda: house.value(asked, sorted(left)) == 0, "every booking has come to its end", LONG)


def _look_once_more(house: TestSite, shop: FakeWooCommerce) -> None:
    """What was sent long ago comes after all; the usual looks from time to time, which would take hours, find it."""
    shop.peer.release.set()
    shop.peer.choose = lambda _: None
    shop.peer.settle()
    house.rows(
        "UPDATE tasks SET due_at = now(), wake_at = now() WHERE role = 'orders' AND state = 'open' "
        "AND kind IN ('order.watch', 'order.check')"
    )
    over = ("cancelled", "failed")
    most = {
        f"hg-{key}": int(state not in over) for key, state in house.rows("SELECT id::text, state FROM bookings")
    }
    eventually(
        lambda: all(len(alive(shop.under(reference))) <= number for reference, number in most.items()),
        "of two orders one is cancelled, and both where the booking is over",
        LONG,
    )


def _check(house: TestSite, shop: FakeWooCommerce, answers: list[tuple[Priced, Any]]) -> None:
    books = Books(house.database_url)
    assert books.problems() == []
    assert shop_problems(house, shop) == []
    assert house.dead_letters() == []
    states = {document["id"]: state for state, document in books.bookings}
    assert len(states) == len(answers) == CONVERSIONS
    assert set(states.values()) <= set(LEGAL)
    for hold, answer in answers:
        state = states[hold.hold.hold_id]
        if isinstance(answer, Confirmed):
            assert state in ("confirmed", "cancelled"), (state, answer)
        else:
            assert isinstance(answer, Refused), answer
            assert (answer.reason, state) in {("order_failed", "failed"), ("parked", "parked")}, (state, answer)
    parked = {key for key, state in states.items() if state in ("parked", "refund_required")}
    listed = house.rows("SELECT id::text FROM bookings WHERE state IN ('parked', 'refund_required')")
    assert parked == {key for (key,) in listed}
    assert Counter(states.values())["confirmed"] > CONVERSIONS // 3, Counter(states.values())
    _check_money(house, shop, {document["id"]: document for _, document in books.bookings})


def _check_money(house: TestSite, shop: FakeWooCommerce, bookings: dict[str, dict[str, Any]]) -> None:
    """By the provider's books: each payment is kept, or went back once, and the bookings say the same."""
    provider = shop.provider
    dead = {key.partition("/")[0] for (key,) in house.rows("SELECT key FROM tasks WHERE state = 'dead'")}
    paid = kept = returned = Decimal(0)
    for booking_id, booking in bookings.items():
        payment = payment_of(booking_id)
        taken, back = provider.taken(payment), provider.given_back(payment)
        said = (
            f"{booking}: {taken} taken, {back} given back, {provider.asked_to_pay_back[payment]} times asked for"
        )
        paid, returned, kept = paid + taken, returned + back, kept + taken - back
        assert back in (0, taken), said
        assert provider.asked_to_pay_back[payment] <= 1, said
        is_over = booking["state"] in ("cancelled", "failed")
        is_left_to_people = is_over and payment in provider.refuses_payments | provider.silent_about and taken
        assert (booking_id in dead) == bool(is_left_to_people), said
        if is_left_to_people:
            assert booking["refund"] == "due", said
            assert back == (taken if payment in provider.silent_about else 0), said
        else:
            assert booking.get("refund", "none") == ("done" if back else "none"), said
            assert back == (taken if is_over else 0), said
            assert Decimal(booking.get("refunded", 0)).scaleb(-2) == back, said
    assert paid == kept + returned
    assert paid == sum((movement.amount for movement in provider.movements if movement.amount > 0), Decimal(0))
    assert returned > 0
    assert kept > 0
