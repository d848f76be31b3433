"""Analytics and webhooks from decision to receiver: the real gate and feeder on PostgreSQL, real HTTP peers."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.support.http_peer import Fault, HttpPeer, Reply, Request, http_peer
from tests.support.postgres import migrated_database
from tests.support.telling import OCCURRENCE, PRODUCT, SECRET, TITLE, ZOE, Teller, hooks, soon

from holdgate_workers.app.notifications.delivery.retries import RetryPolicy
from holdgate_workers.app.tasks.tasks import Again, Dead, Done

pytestmark = pytest.mark.services

SESSION = "session-of-zoe"
GA4 = {"ga4_measurement_id": "G-AB12CD34EF", "ga4_api_secret": "geheim", "ga4_salt": "salt of the house"}


@pytest.fixture
def url() -> Iterator[str]:
    with migrated_database() as url:
        yield url


@pytest.fixture
def peer() -> Iterator[HttpPeer]:
    with http_peer(lambda request: Reply(204, b"")) as peer:
        yield peer


@pytest.fixture
def world(url: str) -> Iterator[ExitStack]:
    """What is closed at the end."""
    with ExitStack() as stack:
        yield stack


def a_teller(world: ExitStack, url: str, **fields: Any) -> Teller:
    teller = Teller(url, **fields)
    world.callback(teller.close)
    return teller


# --- Google Analytics ---------------------------------------------------------------------------------------------


@pytest.fixture
def reporter(world: ExitStack, url: str, peer: HttpPeer) -> Teller:
    return a_teller(world, url, ga4_url=f"{peer.url}/mp/collect", **GA4)


def reported(peer: HttpPeer) -> list[dict[str, Any]]:
    events = []
    for request in peer.requests:
        assert request.query == {"measurement_id": "G-AB12CD34EF", "api_secret": "geheim"}
        content: Any = request.json()
        [event] = content["events"]
        events.append({**event, "client_id": content["client_id"]})
    return events


def test_a_booking_is_reported_step_by_step(reporter: Teller, peer: HttpPeer) -> None:
    booking_id = reporter.sell()
    reporter.tell()
    reporter.cancel(booking_id)
    reporter.tell()
    events = reported(peer)
    assert sorted(event["name"] for event in events) == ["add_to_cart", "begin_checkout", "purchase", "refund"]
    by_name = {event["name"]: event["params"] for event in events}
    assert (by_name["purchase"]["currency"], by_name["purchase"]["value"]) == ("EUR", 50.0)
    assert by_name["refund"]["value"] == 50.0
    assert by_name["purchase"]["transaction_id"] == by_name["refund"]["transaction_id"]
    [item] = by_name["purchase"]["items"]
    assert (item["item_id"], item["item_name"], item["item_variant"], item["quantity"]) == (
        PRODUCT,
        TITLE,
        "Adult",
        2,
    )
    assert len({event["client_id"] for event in events}) == 1


def test_what_is_given_back_part_by_part_is_a_refund_of_its_items_and_the_rest_another(
    reporter: Teller, peer: HttpPeer
) -> None:
    """Together they are what was paid, to the cent; a free part and what was never bought are no refund."""
    booking_id = reporter.sell(adults=3)
    reporter.resolve(booking_id, "reduce", items={"adult": 2}, refund_amount=1700)
    reporter.resolve(booking_id, "reduce", items={"adult": 1}, refund_amount=0)
    reporter.tell()
    reporter.cancel(booking_id)
    reporter.resolve(reporter.park("session-of-ida"), "refund")
    reporter.tell()
    refunds = [event["params"] for event in reported(peer) if event["name"] == "refund"]
    told = sorted((one["value"], [item["quantity"] for item in one["items"]]) for one in refunds)
    assert told == [(17.0, [1]), (33.0, [1])]
    assert {item["item_variant"] for one in refunds for item in one["items"]} == {"Adult"}
    assert len({one["transaction_id"] for one in refunds}) == 1


def test_a_booking_that_is_parked_because_its_money_went_back_is_a_refund_once(
    reporter: Teller, peer: HttpPeer
) -> None:
    booking_id = reporter.sell()
    reporter.note_order(booking_id, "paid", soon(1), refunded=5000)
    reporter.resolve(booking_id, "refund")
    reporter.tell()
    assert [event["params"]["value"] for event in reported(peer) if event["name"] == "refund"] == [50.0]


def test_nobody_is_in_what_is_reported(reporter: Teller, peer: HttpPeer) -> None:
    reporter.sell()
    reporter.tell()
    assert len(peer.requests) == 3
    for request in peer.requests:
        text = request.body.decode() + str(request.headers)
        assert not any(word in text for word in (SESSION, ZOE.email, "Zoë", ZOE.phone))


def test_a_purchase_is_reported_once_however_often_it_is_confirmed(reporter: Teller, peer: HttpPeer) -> None:
    booking_id = reporter.sell()
    reporter.tell()
    reporter.note_order(booking_id, "cancelled", soon(1))
    reporter.note_order(booking_id, "paid", soon(2))
    reporter.tell()
    reporter.rows("DELETE FROM relay_cursors")
    reporter.tell()
    assert [event["name"] for event in reported(peer)].count("purchase") == 1


def test_what_may_have_been_counted_is_not_reported_again_unless_it_is_a_purchase(
    reporter: Teller, peer: HttpPeer
) -> None:
    """Google knows a purchase that comes twice by its transaction and nothing else."""
    peer.choose = lambda _: Fault.ERROR
    reporter.sell()
    outcomes = dict(reporter.tell())
    kinds = {key.split("/")[1]: type(outcome) for key, outcome in outcomes.items()}
    assert kinds == {"add_to_cart": Dead, "begin_checkout": Dead, "purchase": Again}


# --- webhooks -----------------------------------------------------------------------------------------------------


@pytest.fixture
def caller(world: ExitStack, url: str, peer: HttpPeer, tmp_path: Path) -> Teller:
    """Two targets on one peer; one wants bookings alone."""
    targets = {
        "all": f"{peer.url}/all",
        "crm": {"url": f"{peer.url}/crm", "events": ["booking.*"]},
    }
    return a_teller(world, url, webhooks_file=hooks(tmp_path, **targets), policy=RetryPolicy(attempts_max=3))


def posts(peer: HttpPeer, path: str) -> list[Request]:
    return [request for request in peer.requests if request.path == path]


def is_signed(request: Request) -> bool:
    """Worked out from the specification alone, as a receiver would."""
    headers = request.headers
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request.body
    expected = "v1," + base64.b64encode(hmac.new(SECRET.encode(), content, "sha256").digest()).decode()
    return expected in headers["webhook-signature"].split(" ")


def types(requests: list[Request]) -> list[str]:
    return sorted(str(request.json()["type"]) for request in requests)


def test_each_target_gets_each_event_that_it_asked_for_signed(caller: Teller, peer: HttpPeer) -> None:
    caller.sell()
    caller.tell()
    bookings = ["booking.confirmed.v1", "booking.converting.v1"]
    assert types(posts(peer, "/crm")) == bookings
    assert set(bookings) < set(types(posts(peer, "/all")))
    assert "occurrence.changed.v1" in types(posts(peer, "/all"))
    assert all(is_signed(request) for request in peer.requests)


def test_a_part_that_is_given_back_is_posted_as_it_was_decided(caller: Teller, peer: HttpPeer) -> None:
    booking_id = caller.sell()
    caller.resolve(booking_id, "reduce", items={"adult": 1}, refund_amount=1700)
    caller.tell()
    for path in {request.path for request in peer.requests}:
        told = [request.json()["data"] for request in posts(peer, path)]
        reduced = [event for event in told if event["type"] == "booking.reduced.v1"]
        assert [(event["items"], event["amount"]) for event in reduced] == [({"adult": 1}, 1700)], path


def test_the_event_arrives_as_the_journal_has_it_byte_for_byte(caller: Teller, peer: HttpPeer) -> None:
    caller.sell()
    caller.tell()
    journal = "".join(row[0] for row in caller.rows("SELECT events::text FROM journal WHERE events IS NOT NULL"))
    for request in posts(peer, "/all"):
        event = request.body.partition(b'"data":')[2][:-1].decode()
        assert json.loads(event)["event_id"] == request.headers["webhook-id"]
        assert event in journal


def test_no_event_goes_to_a_target_twice_by_itself(caller: Teller, peer: HttpPeer) -> None:
    caller.sell()
    caller.tell()
    number = len(peer.requests)
    caller.rows("DELETE FROM relay_cursors")
    caller.tell()
    assert len(peer.requests) == number


def test_the_log_tells_what_became_of_each_delivery_per_target(caller: Teller, peer: HttpPeer) -> None:
    peer.choose = lambda request: Fault.ERROR_BEFORE if request.path == "/crm" else None
    caller.sell()
    caller.tell()
    of = {receiver: [row[1:] for row in caller.deliveries() if row[0] == receiver] for receiver in RECEIVERS}
    assert set(of["webhook/all"]) == {("delivered", 1, "204")}
    assert of["webhook/crm"] == [("waiting", 1, "HTTP 500 (may have arrived)")] * 2


RECEIVERS = ("webhook/all", "webhook/crm")


def test_after_the_last_attempt_a_delivery_is_dead_and_listed_and_can_be_made_again(
    caller: Teller, peer: HttpPeer
) -> None:
    peer.choose = lambda request: Fault.ERROR_BEFORE if request.path == "/crm" else None
    caller.convert()
    caller.tell()
    for _ in range(2):
        caller.bring_forward("webhook/crm/%")
        caller.work()
    [dead] = caller.book.find(("dead",), 10)
    assert dead.last_error == "HTTP 500 (may have arrived)"
    assert ("webhook/crm", "failed", 3, "HTTP 500 (may have arrived)") in caller.deliveries()
    peer.choose = lambda _: None
    assert caller.book.retry(dead.id)
    assert caller.work() == [(dead.key, Done())]
    ids = [request.headers["webhook-id"] for request in posts(peer, "/crm")]
    assert (len(ids), len(set(ids))) == (4, 1)


def test_a_target_that_is_down_is_left_alone_and_costs_no_attempts(caller: Teller, peer: HttpPeer) -> None:
    """Its circuit opens; the other target notices nothing."""
    peer.choose = lambda request: Fault.RESET if request.path == "/crm" else None
    for _ in range(6):
        caller.sell()
    caller.tell()
    asked = len(posts(peer, "/crm"))
    assert asked == 5
    assert caller.receivers.circuits() == {"webhook/all": "closed", "webhook/crm": "open"}
    waiting = [row for row in caller.deliveries() if row[0] == "webhook/crm"]
    assert sorted(row[2] for row in waiting) == [0] * 7 + [1] * 5
    assert {row[1] for row in caller.deliveries() if row[0] == "webhook/all"} == {"delivered"}


def test_a_target_that_says_that_it_is_gone_is_not_asked_again(caller: Teller, peer: HttpPeer) -> None:
    peer.work = lambda request: Reply(410 if request.path == "/crm" else 204, b"")
    caller.sell()
    caller.tell()
    assert len(posts(peer, "/crm")) == 2
    assert [row[1:3] for row in caller.deliveries() if row[0] == "webhook/crm"] == [("failed", 1)] * 2


def test_what_was_for_a_target_that_is_no_more_is_dead_and_listed(
    world: ExitStack, url: str, caller: Teller, tmp_path: Path
) -> None:
    caller.sell()
    caller.feed()
    later = a_teller(world, url, starts_at=caller.starts_at)
    outcomes = {outcome for key, outcome in later.work() if key.startswith("webhook/crm/")}
    assert outcomes == {Dead("there is no target of this name any more")}
    assert OCCURRENCE not in str(later.deliveries())
