"""From a priced hold to an order in a shop and back, over the real services."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request as HttpRequest
from urllib.request import urlopen

import psycopg
import pytest
from tests.support.fake_woocommerce import FakeWooCommerce, fake_woocommerce
from tests.support.http_peer import Fault, Request
from tests.support.rabbit import eventually
from tests.support.recount import Books
from tests.support.selling import (
    alive,
    cancel_of,
    convert_of,
    document_of,
    priced,
    sell,
    shop_problems,
    sold,
    state_of,
    wait_state,
    woocommerce,
)
from tests.support.site import TestSite, open_test_site

from holdgate_producer import Booked, BookingClient, Held, Priced, Released, new_request_id
from holdgate_schema.answers.holds import Refused
from holdgate_schema.answers.selling import Cancelled, Confirmed, Converting
from holdgate_schema.commands.selling import ResolveBooking
from holdgate_workers.adapters.postgres.maintenance.installation import House
from holdgate_workers.adapters.postgres.tasks.table import TaskBook
from holdgate_workers.app.seals import Seals, internal_message

pytestmark = pytest.mark.services

LONG = 120.0
QUICK = {
    "HOLDGATE_ORDER_CONNECT_SECONDS": "1",
    "HOLDGATE_ORDER_READ_SECONDS": "1",
    "HOLDGATE_ORDER_TOTAL_SECONDS": "2",
    "HOLDGATE_ORDER_SETTLE_SECONDS": "2",
    "HOLDGATE_ORDER_WEBHOOK_PORT": "0",
    "HOLDGATE_ORDER_WEBHOOK_SECRET": "s" * 32,
    "HOLDGATE_TEST_LEASE_SECONDS": "5",
    "HOLDGATE_TEST_BREAKER_SECONDS": "1",
}


@pytest.fixture(scope="module")
def shop() -> Iterator[FakeWooCommerce]:
    with fake_woocommerce() as opened:
        opened.now = datetime.now(UTC)  # noqa: TID251 - the shop's own clock
        yield opened


@pytest.fixture(scope="module")
def house(shop: FakeWooCommerce, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestSite]:
    """A site that sells to the shop. When all is done its books and the shop's are checked."""
    with open_test_site("rabbit", tmp_path_factory.mktemp("orders")) as site:
        gate = site.start("gate", "feeder", "relay", "expiry", "pricing")
        site.start("orders", name="orders", **woocommerce(shop, **QUICK))
        site.wait_lines(gate)
        yield site
        assert Books(site.database_url).problems() == []
        assert shop_problems(site, shop) == []


@pytest.fixture(scope="module")
def client(house: TestSite) -> BookingClient:
    return house.client()


def test_a_priced_hold_becomes_an_order_and_is_confirmed(
    house: TestSite, client: BookingClient, shop: FakeWooCommerce
) -> None:
    sell(house, client, "plain")
    hold = priced(client, "plain", adults=2)
    answers = client.follow(convert_of(hold))
    assert isinstance(answers.first.result(LONG), Converting)
    confirmed = answers.final.result(LONG)
    assert isinstance(confirmed, Confirmed), confirmed
    [order] = shop.under(f"hg-{hold.hold.hold_id}")
    assert (order["status"], order["total"]) == ("processing", f"{hold.quote.total / 100:.2f}")
    assert order["billing"]["first_name"] == "Ada"
    assert confirmed.booking.order is not None
    assert confirmed.booking.order.order_id == str(order["id"])
    assert (sold(house, "plain"), house.held("plain")) == (2, 0)
    worker = next(worker for worker in house.workers if worker.name == "orders")
    assert worker.metric("holdgate_conversions_total", result="ordered") >= 1
    assert worker.metric("holdgate_saga_steps_total", call="create", result="created") >= 1
    assert worker.metric("holdgate_order_gateway_seconds_count", call="create") >= 1
    assert worker.metric("holdgate_order_circuit") == 0


def test_a_cancelled_booking_is_refunded_once_and_the_gate_knows(
    house: TestSite, client: BookingClient, shop: FakeWooCommerce
) -> None:
    sell(house, client, "given-back")
    hold = priced(client, "given-back")
    assert isinstance(client.follow(convert_of(hold)).final.result(LONG), Confirmed)
    answer = client.call(cancel_of(hold))
    assert isinstance(answer, Cancelled)
    assert answer.refund == "due"
    booking_id = hold.hold.hold_id
    eventually(lambda: document_of(house, booking_id).get("refund") == "done", "the refund is noted", LONG)
    [order] = shop.under(f"hg-{booking_id}")
    assert order["status"] == "refunded"
    assert [refund["amount"] for refund in order["_refunds"]] == [f"{hold.quote.total / 100:.2f}"]
    assert sold(house, "given-back") == 0
    before = house.value("SELECT count(*) FROM tasks WHERE kind = 'order.refund'")
    house.rows(
        "UPDATE tasks SET state = 'open', ended_at = NULL, due_at = now(), wake_at = now() "
        "WHERE kind = 'order.refund'"
    )
    eventually(
        lambda: house.value("SELECT count(*) FROM tasks WHERE kind = 'order.refund' AND state = 'done'") == before,
        "it was done again",
        LONG,
    )
    assert len(order["_refunds"]) == 1


def test_the_share_of_a_ticket_is_refunded_the_order_lives_on_and_the_rest_follows_with_the_rest(
    house: TestSite, client: BookingClient, shop: FakeWooCommerce
) -> None:
    sell(house, client, "reduced")
    hold = priced(client, "reduced", adults=3)
    assert isinstance(client.follow(convert_of(hold)).final.result(LONG), Confirmed)
    booking_id = hold.hold.hold_id
    answer = client.reduce_booking("reduced", hold.hold.session_id, booking_id, {"adult": 2})
    assert isinstance(answer, Booked)
    share = answer.booking.refund_due
    assert share == hold.quote.total // 3
    eventually(lambda: document_of(house, booking_id).get("refunded") == share, "the share went back", LONG)
    [order] = shop.under(f"hg-{booking_id}")
    assert (order["status"], sold(house, "reduced")) == ("processing", 2)
    assert isinstance(client.call(cancel_of(hold)), Cancelled)
    whole = hold.quote.total
    eventually(lambda: document_of(house, booking_id).get("refunded") == whole, "the rest went back", LONG)
    amounts = [f"{share / 100:.2f}", f"{(whole - share) / 100:.2f}"]
    assert [refund["amount"] for refund in order["_refunds"]] == amounts
    assert (order["status"], sold(house, "reduced")) == ("refunded", 0)


def test_a_refund_that_the_shop_refuses_is_left_to_a_person_and_made_once_when_it_is_mended(
    house: TestSite, client: BookingClient, shop: FakeWooCommerce
) -> None:
    sell(house, client, "no-refunds")
    hold = priced(client, "no-refunds")
    assert isinstance(client.follow(convert_of(hold)).final.result(LONG), Confirmed)
    booking_id = hold.hold.hold_id
    [order] = shop.under(f"hg-{booking_id}")
    dead = "SELECT last_error FROM tasks WHERE kind = 'order.refund' AND state = 'dead' AND key LIKE %s"
    shop.provider.refuses = True
    try:
        assert isinstance(client.call(cancel_of(hold)), Cancelled)
        eventually(lambda: house.rows(dead, f"{booking_id}/%"), "a person has to look", LONG)
    finally:
        shop.provider.refuses = False
    assert (order["status"], order["_refunds"]) == ("cancelled", [])
    assert document_of(house, booking_id)["refund"] == "due"
    with closing(TaskBook(house.database_url)) as book:
        [task] = [task for task in book.find(["dead"], 100) if task.key.startswith(booking_id)]
        assert "no money back" in str(task.last_error)
        assert book.retry(task.id)
    eventually(lambda: document_of(house, booking_id).get("refund") == "done", "the refund is noted", LONG)
    assert len(order["_refunds"]) == 1


def test_a_persons_word_reaches_the_shop_though_another_look_writes_first(
    house: TestSite, client: BookingClient, shop: FakeWooCommerce
) -> None:
    """The look that a person asked for stands at its first write, and another look at the booking is quicker there."""
    sell(house, client, "word-first")
    hold = priced(client, "word-first")
    assert isinstance(client.follow(convert_of(hold)).final.result(LONG), Confirmed)
    booking_id = hold.hold.hold_id
    [order] = shop.under(f"hg-{booking_id}")
    dead = "SELECT id FROM tasks WHERE kind = 'order.refund' AND state = 'dead' AND key LIKE %s"
    shop.provider.refuses = True
    try:
        assert isinstance(client.call(cancel_of(hold)), Cancelled)
        eventually(lambda: house.rows(dead, f"{booking_id}/%"), "a person has to look", LONG)
    finally:
        shop.provider.refuses = False
    [(task_id,)] = house.rows(dead, f"{booking_id}/%")
    waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with psycopg.connect(house.database_url) as another, closing(TaskBook(house.database_url)) as book:
        another.execute("SELECT FROM sagas WHERE booking_id = %s FOR UPDATE", [booking_id])
        assert book.retry(task_id)
        eventually(lambda: house.rows(waits), "the look stands at its first write", LONG)
        another.execute("UPDATE sagas SET rev = rev + 1 WHERE booking_id = %s", [booking_id])
    eventually(lambda: document_of(house, booking_id).get("refund") == "done", "the refund is noted", LONG)
    assert len(order["_refunds"]) == 1


def test_an_unpaid_order_is_cancelled_with_its_booking(
    house: TestSite, client: BookingClient, shop: FakeWooCommerce
) -> None:
    sell(house, client, "unpaid")
    hold = priced(client, "unpaid")
    assert isinstance(client.follow(convert_of(hold, status="pending")).final.result(LONG), Confirmed)
    [order] = shop.under(f"hg-{hold.hold.hold_id}")
    assert order["status"] == "pending"
    assert isinstance(client.call(cancel_of(hold)), Cancelled)
    eventually(lambda: order["status"] == "cancelled", "the order is over", LONG)
    assert order["_refunds"] == []


@pytest.mark.parametrize("fault", [Fault.HANG, Fault.ERROR, Fault.GARBAGE, Fault.RESET, Fault.BUSY])
def test_an_order_whose_answer_is_lost_is_found_and_not_made_twice(
    house: TestSite, client: BookingClient, shop: FakeWooCommerce, fault: Fault
) -> None:
    name = f"lost-{fault.name.lower()}"
    sell(house, client, name)
    hold = priced(client, name)
    shop.peer.plan(fault)
    assert isinstance(client.follow(convert_of(hold)).final.result(LONG), Confirmed)
    assert len(shop.under(f"hg-{hold.hold.hold_id}")) == 1


def test_an_order_that_the_shop_refuses_gives_the_seats_back(
    house: TestSite, client: BookingClient, shop: FakeWooCommerce
) -> None:
    """B41: nobody is left with seats and without an order, or the other way round."""
    sell(house, client, "refused")
    hold = priced(client, "refused")
    shop.tax_percent = type(shop.tax_percent)(7)
    try:
        answer = client.follow(convert_of(hold, status="pending")).final.result(LONG)
    finally:
        shop.tax_percent = type(shop.tax_percent)(0)
    assert isinstance(answer, Refused)
    assert (answer.reason, "total_mismatch" in answer.message) == ("order_failed", True)
    assert (sold(house, "refused"), house.held("refused")) == (0, 0)
    assert alive(shop.under(f"hg-{hold.hold.hold_id}")) == []
    # Of another total than the quote's, and therefore over: not to be counted as an order of this booking.
    shop.orders = {
        number: order
        for number, order in shop.orders.items()
        if order not in shop.under(f"hg-{hold.hold.hold_id}")
    }


def test_a_quote_that_is_gone_or_tampered_with_is_parked_and_never_priced_anew(
    house: TestSite, client: BookingClient, shop: FakeWooCommerce
) -> None:
    sell(house, client, "tampered")
    for change in (
        "DELETE FROM quotes WHERE hash = %s",
        "UPDATE quotes SET document = jsonb_set(document, '{total}', '1') WHERE hash = %s",
    ):
        hold = priced(client, "tampered")
        house.rows(change, hold.quote.hash)
        answer = client.follow(convert_of(hold)).final.result(LONG)
        assert isinstance(answer, Refused)
        assert answer.reason == "parked"
        assert state_of(house, hold.hold.hold_id) == "parked"
        assert shop.under(f"hg-{hold.hold.hold_id}") == []
        house.rows("DELETE FROM quotes WHERE hash = %s", hold.quote.hash)
    assert house.held("tampered") == 2, "nothing is lost while a person has not decided"


def test_a_shop_that_is_down_holds_up_nobody_else_and_uses_no_attempts_up(
    house: TestSite, client: BookingClient, shop: FakeWooCommerce
) -> None:
    sell(house, client, "down")
    hold = priced(client, "down")
    before = shop.peer.choose
    shop.peer.choose = lambda _: Fault.ERROR_BEFORE
    try:
        answers = client.follow(convert_of(hold), timeout_seconds=120)
        assert isinstance(answers.first.result(LONG), Converting)
        failed = "SELECT (document ->> 'failures')::integer FROM sagas WHERE booking_id = %s"
        booking_id = hold.hold.hold_id
        eventually(lambda: any(n and n >= 2 for (n,) in house.rows(failed, booking_id)), "it tries", LONG)
        other = priced(client, "down")
        assert house.held("down") == 2
        assert state_of(house, booking_id) == "converting"
    finally:
        shop.peer.choose = before
    assert isinstance(answers.final.result(120), Confirmed)
    assert len(shop.under(f"hg-{booking_id}")) == 1
    assert other.hold.state == "active"


def test_what_the_shop_does_without_telling_is_found_by_looking(
    house: TestSite, client: BookingClient, shop: FakeWooCommerce
) -> None:
    """Its webhooks are sent once or not at all."""
    sell(house, client, "silent")
    hold = priced(client, "silent")
    assert isinstance(client.follow(convert_of(hold)).final.result(LONG), Confirmed)
    booking_id = hold.hold.hold_id
    [order] = shop.under(f"hg-{booking_id}")
    order["status"] = "cancelled"
    order["date_modified_gmt"] = "2090-01-01T00:00:00"
    eventually(
        lambda: house.rows("SELECT 1 FROM tasks WHERE kind = 'order.watch' AND key LIKE %s", f"{booking_id}/%"),
        "it is watched",
    )
    house.rows(
        "UPDATE tasks SET due_at = now(), wake_at = now() WHERE kind = 'order.watch' AND key LIKE %s",
        f"{booking_id}/%",
    )
    wait_state(house, booking_id, "cancelled", timeout=LONG)
    assert sold(house, "silent") == 0


def deliver(house: TestSite, headers: dict[str, str], body: bytes) -> int:
    """The shop's webhook comes by; returns the status that it is answered with."""
    worker = next(worker for worker in house.workers if worker.name == "orders")
    [opened] = worker.logged("order_webhooks_taken")
    try:
        with urlopen(
            HttpRequest(f"http://127.0.0.1:{opened['port']}/webhooks/woocommerce", body, headers)
        ) as answer:
            return int(answer.status)
    except HTTPError as refused:
        with refused:
            return refused.code


def test_what_the_shop_tells_moves_the_booking_once(
    house: TestSite, client: BookingClient, shop: FakeWooCommerce
) -> None:
    """B31: its webhooks come twice, out of order, and from others."""
    sell(house, client, "told")
    hold = priced(client, "told")
    assert isinstance(client.follow(convert_of(hold)).final.result(LONG), Confirmed)
    booking_id = hold.hold.hold_id
    [order] = shop.under(f"hg-{booking_id}")
    paid = shop.delivery(order["id"])
    shop.now += timedelta(seconds=5)
    order["status"], order["date_modified_gmt"] = "cancelled", shop._stamp()
    ended = shop.delivery(order["id"])
    assert deliver(house, *shop.delivery(order["id"], secret="x" * 32)) == 401
    assert state_of(house, booking_id) == "confirmed"
    for delivery in (ended, ended, paid, ended):
        assert deliver(house, *delivery) == 200
    wait_state(house, booking_id, "cancelled", timeout=LONG)
    eventually(lambda: sold(house, "told") == 0, "the seats are free", LONG)
    ends = house.value(
        "SELECT count(*) FROM journal WHERE events::text LIKE '%%booking.cancelled.v1%%' AND events::text LIKE %s",
        f"%{booking_id}%",
    )
    assert ends == 1


def resolve(house: TestSite, hold: Priced, action: Any) -> None:
    """What a person decided."""
    with closing(House(house.database_url)) as agreements:
        seals = Seals(agreements.session_secret())
    command = ResolveBooking(
        request_id=new_request_id(),
        occurrence_id=hold.occurrence_id,
        booking_id=hold.hold.hold_id,
        action=action,
        by="bob",
    )
    publisher = house.site.transport.publisher(name="bob")
    try:
        assert publisher.publish([internal_message(command, seals)]).wait(LONG) == []
    finally:
        publisher.close(1.0)


def parked(house: TestSite, client: BookingClient, name: str) -> Priced:
    """A booking that was paid too late, when somebody else had the seats."""
    sell(house, client, name, capacity=1)
    hold = priced(client, name)
    released = client.release(name, hold.hold.session_id, hold.hold.hold_id)
    assert isinstance(released, Released)
    house.rows("UPDATE holds SET state = 'expired' WHERE id = %s", hold.hold.hold_id)
    other = client.place(name, {"adult": 1})
    assert isinstance(other, Held)
    answer = client.follow(convert_of(hold)).first.result(LONG)
    assert isinstance(answer, Refused)
    assert answer.reason == "parked"
    assert isinstance(client.release(name, other.hold.session_id, other.hold.hold_id), Released)
    return hold


def test_a_parked_booking_that_a_person_fulfils_gets_its_order(tmp_path: Path) -> None:
    """On a site of its own: a hold's end is rewritten here, which no event tells."""
    with fake_woocommerce() as shop, open_test_site("rabbit", tmp_path) as site:
        gate = site.start("gate", "feeder", "pricing", name="gate")
        site.start("orders", name="orders", **woocommerce(shop, **QUICK))
        site.wait_lines(gate)
        client = site.client()
        hold = parked(site, client, "by-hand")
        assert shop.under(f"hg-{hold.hold.hold_id}") == []
        resolve(site, hold, "fulfil")
        wait_state(site, hold.hold.hold_id, "confirmed", timeout=LONG)
        eventually(lambda: "order" in document_of(site, hold.hold.hold_id), "the gate knows its order", LONG)
        [order] = shop.under(f"hg-{hold.hold.hold_id}")
        assert order["status"] == "processing"
        assert sold(site, "by-hand") == 1


def test_a_twin_is_cancelled(house: TestSite, client: BookingClient, shop: FakeWooCommerce) -> None:
    """Defence in depth: should the shop come to have two, one is one too many."""
    sell(house, client, "twins")
    hold = priced(client, "twins")
    made: list[Request] = []

    def twice(request: Request) -> Fault | None:
        if request.method == "POST" and request.path.endswith("/orders") and not made:
            made.append(request)
            shop.peer.work(request)  # as if it had been sent by somebody who stood still for too long
            return Fault.HANG
        return None

    before, shop.peer.choose = shop.peer.choose, twice
    try:
        assert isinstance(client.follow(convert_of(hold)).final.result(LONG), Confirmed)
    finally:
        shop.peer.choose = before
    orders = shop.under(f"hg-{hold.hold.hold_id}")
    assert len(orders) == 2
    eventually(lambda: len(alive(orders)) == 1, "one is left", LONG)


def test_what_the_shop_answers_itself_beats_an_older_word_with_a_later_time(
    house: TestSite, client: BookingClient, shop: FakeWooCommerce
) -> None:
    """Its clock was ahead once. Words that are too old to be believed make us ask, and then the answer counts."""
    sell(house, client, "ahead")
    hold = priced(client, "ahead")
    assert isinstance(client.follow(convert_of(hold, status="pending")).final.result(LONG), Confirmed)
    booking_id = hold.hold.hold_id
    [order] = shop.under(f"hg-{booking_id}")
    here = shop.now
    shop.now = here + timedelta(minutes=4)
    shop.move(order["id"], "on-hold")
    shop.move(order["id"], "processing")
    assert deliver(house, *shop.delivery(order["id"])) == 200
    eventually(lambda: document_of(house, booking_id)["order"]["status"] == "paid", "it is paid", LONG)
    shop.now = here - timedelta(days=2)
    shop.move(order["id"], "cancelled")
    assert deliver(house, *shop.delivery(order["id"])) == 200
    shop.now = here
    wait_state(house, booking_id, "cancelled", timeout=LONG)
    shop.refund_by_hand(order["id"], Decimal(order["total"]))
    assert deliver(house, *shop.delivery(order["id"])) == 200
    eventually(lambda: document_of(house, booking_id).get("refund") == "done", "the refund is noted", LONG)
