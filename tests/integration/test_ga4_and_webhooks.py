"""Webhooks and analytics as they arrive at a real HTTP peer, and what becomes of them when it is unwell."""

from __future__ import annotations

import base64
import hmac
import json
import logging
import re
from collections import deque
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from tests.support.http_peer import RETRY_AFTER_SECONDS, Fault, HttpPeer, Reply, Request, http_peer
from tests.support.notices import NOW, a_booking

from holdgate_schema.events.holds import CapacityDeficit
from holdgate_workers.adapters.analytics.ga4 import EUROPE_URL, Ga4Sender, Ga4Stream, InvalidGa4
from holdgate_workers.adapters.http.client import Timeouts
from holdgate_workers.adapters.webhooks.posting import WebhookPoster
from holdgate_workers.app.circuit_breaker import BackOff, CircuitBreaker
from holdgate_workers.app.notifications.analytics import AnalyticsEvent, analytics_after
from holdgate_workers.app.notifications.delivery.outcomes import Delivered, Failed, Outcome
from holdgate_workers.app.notifications.delivery.retries import Delivery, RetryPolicy
from holdgate_workers.app.notifications.ports import WebhookSender
from holdgate_workers.app.notifications.webhooks import (
    InvalidWebhook,
    WebhookMessage,
    WebhookTarget,
    webhook_message,
)

OLD, NEW = "an old secret of 24 bytes or more", "whsec_" + base64.b64encode(b"a new secret of 24 bytes").decode()
SHORT = Timeouts(connect_seconds=15.0, read_seconds=0.5, total_seconds=1.0)
PATIENT = Timeouts(connect_seconds=15.0, read_seconds=15.0, total_seconds=30.0)
SECRET_PATH = "/hook/t0ken"


@pytest.fixture
def peer() -> Iterator[HttpPeer]:
    with http_peer(lambda request: Reply(204, b"")) as peer:
        yield peer


# --- webhooks --------------------------------------------------------------------------------------------------------


def a_message(number: int = 0) -> WebhookMessage:
    event = CapacityDeficit(
        event_id=f"6f1f7c3e-8a51-4c0e-9a63-0d2f6a1b7c01/{number}",
        occurrence_id="occ-1",
        version=4,
        occurred_at=NOW,
        pool="total",
        target=3,
        taken=5,
    )
    return webhook_message(msgspec.json.encode(event))


def a_poster(
    peer: HttpPeer, *, secrets: tuple[str, ...] = (OLD,), timeouts: Timeouts = PATIENT, now: datetime = NOW
) -> WebhookPoster:
    target = WebhookTarget(name="crm", url=peer.url + SECRET_PATH, secrets=secrets)
    return WebhookPoster(target, lambda: now, timeouts=timeouts)


def is_signed(request: Request, key: bytes) -> bool:
    """Worked out from the specification alone, as a receiver would."""
    headers = request.headers
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request.body
    expected = "v1," + base64.b64encode(hmac.new(key, content, "sha256").digest()).decode()
    return expected in headers["webhook-signature"].split(" ")


def test_an_event_arrives_signed_and_in_its_envelope(peer: HttpPeer) -> None:
    message = a_message()
    assert a_poster(peer).send(message) == Delivered("204")
    [request] = peer.requests
    assert (request.method, request.path) == ("POST", SECRET_PATH)
    assert request.headers["content-type"] == "application/cloudevents+json"
    assert request.headers["webhook-id"] == message.id == request.json()["id"]
    assert request.headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert request.body == message.body
    assert request.json()["type"] == "capacity.deficit.v1"
    assert is_signed(request, OLD.encode())


def test_a_forged_body_or_another_secret_does_not_verify(peer: HttpPeer) -> None:
    a_poster(peer).send(a_message())
    [request] = peer.requests
    forged = Request("POST", request.path, {}, request.headers, request.body.replace(b'"taken":5', b'"taken":6'))
    assert forged.body != request.body
    assert not is_signed(forged, OLD.encode())
    assert not is_signed(request, b"another secret of 24 byte")


def test_while_a_secret_is_replaced_both_verify(peer: HttpPeer) -> None:
    a_poster(peer, secrets=(NEW, OLD)).send(a_message())
    [request] = peer.requests
    assert is_signed(request, OLD.encode())
    assert is_signed(request, b"a new secret of 24 bytes")


def test_a_repeat_has_the_same_id_and_body_and_a_fresh_signature(peer: HttpPeer) -> None:
    peer.plan(Fault.ERROR)
    a_poster(peer).send(a_message())
    a_poster(peer, now=NOW + timedelta(hours=1)).send(a_message())
    first, second = peer.requests
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
    assert is_signed(second, OLD.encode())


@pytest.mark.parametrize(
    "reply",
    [Reply(200, b"OK", {"X-Content": "text"}), Reply(201, {}), Reply(202, b"not json"), Reply(204, b"")],
    ids=lambda reply: str(reply.status),
)
def test_any_answer_from_200_to_299_will_do(peer: HttpPeer, reply: Reply) -> None:
    peer.work = lambda request: reply
    assert a_poster(peer).send(a_message()) == Delivered(str(reply.status))


@pytest.mark.parametrize("fault", [Fault.HTML, Fault.HUGE, Fault.TRICKLE])
def test_what_stands_in_the_answer_is_nobodys_concern(peer: HttpPeer, fault: Fault) -> None:
    peer.work = lambda request: Reply(200, {})
    peer.plan(fault)
    outcome = a_poster(peer, timeouts=SHORT).send(a_message())
    assert isinstance(outcome, Delivered)


@pytest.mark.parametrize(
    ("status", "is_final", "may_have_arrived"),
    [(400, False, False), (401, False, False), (404, False, False), (410, True, False), (502, False, True)],
)
def test_only_who_is_gone_is_left_alone(
    peer: HttpPeer, status: int, is_final: bool, may_have_arrived: bool
) -> None:
    peer.work = lambda request: Reply(status, {})
    assert a_poster(peer).send(a_message()) == Failed(
        reason=f"HTTP {status}", is_final=is_final, may_have_arrived=may_have_arrived
    )


def test_who_is_busy_says_when(peer: HttpPeer) -> None:
    peer.plan(Fault.BUSY)
    assert a_poster(peer).send(a_message()) == Failed(reason="HTTP 429", retry_after_seconds=RETRY_AFTER_SECONDS)


@pytest.mark.parametrize("fault", [Fault.HANG, Fault.RESET, Fault.TRICKLE_HEADERS, Fault.REDIRECT, Fault.ERROR])
def test_nothing_secret_is_said_of_what_failed(
    peer: HttpPeer, fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    peer.plan(fault)
    outcome = a_poster(peer, timeouts=SHORT).send(a_message())
    assert isinstance(outcome, Failed)
    assert not outcome.is_final
    assert outcome.may_have_arrived is (fault is not Fault.REDIRECT)
    for said in (outcome.reason, caplog.text):
        for secret in ("t0ken", OLD, "geheim"):
            assert secret not in said


def test_a_peer_that_is_not_there_has_got_nothing() -> None:
    with http_peer(lambda request: Reply(204, b"")) as peer:
        pass
    outcome = a_poster(peer).send(a_message())
    assert isinstance(outcome, Failed)
    assert not outcome.may_have_arrived


@pytest.mark.parametrize(
    ("url", "secret", "field"),
    [
        ("http://crm.example/t0ken", OLD, "crm.url"),
        ("ftp://crm.example/t0ken", OLD, "crm.url"),
        ("https://user:t0ken@crm.example", OLD, "crm.url"),
        ("https://crm.example/t0ken", "t0ken", "crm.secret"),
    ],
)
def test_a_target_that_could_not_be_kept_secret_is_refused(url: str, secret: str, field: str) -> None:
    with pytest.raises(InvalidWebhook) as caught:
        WebhookPoster(WebhookTarget(name="crm", url=url, secrets=(secret,)), lambda: NOW)
    assert [error.field for error in caught.value.errors] == [field]
    assert "t0ken" not in str(caught.value)


# --- two targets, one of them down -----------------------------------------------------------------------------------


class Line:
    """The deliveries to one target, worked through in the order in which they are due, by a clock of its own."""

    policy = RetryPolicy(attempts_max=6, back_off=BackOff(first_seconds=60.0, max_seconds=600.0))

    def __init__(self, sender: WebhookSender, messages: list[WebhookMessage]) -> None:
        self.sender = sender
        self.messages = {message.id: message for message in messages}
        self.deliveries = [Delivery(key=message.id, due_at=NOW) for message in messages]
        self.breaker = CircuitBreaker(failures_max=3, pause=BackOff(first_seconds=30.0, max_seconds=300.0))
        self.outcomes: deque[Outcome] = deque()

    def work(self, steps: int) -> None:
        for _ in range(steps):
            waiting = [delivery for delivery in self.deliveries if not delivery.is_over]
            if not waiting:
                return
            self._work_one(min(waiting, key=lambda delivery: delivery.due_at))

    def _work_one(self, delivery: Delivery) -> None:
        now, seconds = delivery.due_at, (delivery.due_at - NOW).total_seconds()
        permit = self.breaker.admit(seconds)
        if permit is None:
            until = now + timedelta(seconds=self.breaker.wait_seconds(seconds))
            self._keep(delivery.postpone(until, "the circuit is open"))
            return
        begun = delivery.begin(self.policy, now)
        outcome = self.sender.send(self.messages[delivery.key])
        self.outcomes.append(outcome)
        if isinstance(outcome, Delivered) or outcome.is_final:
            self.breaker.succeeded(permit)
        else:
            self.breaker.failed(permit, seconds, 0.5)
        self._keep(begun.settle(outcome, self.policy, now, 0.5))

    def _keep(self, changed: Delivery) -> None:
        self.deliveries = [changed if old.key == changed.key else old for old in self.deliveries]


def test_a_target_that_is_down_is_hardly_asked_and_gets_everything_when_it_is_back(peer: HttpPeer) -> None:
    messages = [a_message(number) for number in range(20)]
    well, unwell = Line(a_poster(peer), messages), Line(a_poster(peer), messages)
    well.work(100)
    assert [delivery.status for delivery in well.deliveries] == ["delivered"] * 20

    del peer.requests[:]
    peer.choose = lambda request: Fault.ERROR_BEFORE
    unwell.work(60)
    assert 3 <= len(peer.requests) <= 8
    assert all(delivery.status == "waiting" for delivery in unwell.deliveries)

    del peer.requests[:]
    peer.choose = lambda request: None
    unwell.work(1000)
    assert [delivery.status for delivery in unwell.deliveries] == ["delivered"] * 20
    assert sorted(request.headers["webhook-id"] for request in peer.requests) == sorted(unwell.messages)
    assert all(is_signed(request, OLD.encode()) for request in peer.requests)


def test_a_target_that_stays_down_is_given_up_in_the_end(peer: HttpPeer) -> None:
    peer.choose = lambda request: Fault.ERROR_BEFORE
    line = Line(a_poster(peer), [a_message()])
    line.work(1000)
    [delivery] = line.deliveries
    assert (delivery.status, delivery.attempts, delivery.detail) == ("failed", 6, "HTTP 500 (may have arrived)")
    assert len(peer.requests) == 6


# --- GA4 -------------------------------------------------------------------------------------------------------------


def an_event(event: str = "booking.confirmed", **fields: Any) -> AnalyticsEvent:
    found = analytics_after(event, a_booking(**fields), NOW, salt=b"salt")
    assert found is not None
    return found


def a_stream(peer: HttpPeer) -> Ga4Stream:
    return Ga4Stream(measurement_id="G-AB12CD34EF", api_secret="hush-hush", url=f"{peer.url}/mp/collect")


@pytest.mark.parametrize(
    ("event", "name"),
    [
        ("hold.created", "add_to_cart"),
        ("booking.converting", "begin_checkout"),
        ("booking.confirmed", "purchase"),
        ("booking.cancelled", "refund"),
    ],
)
def test_an_event_is_collected_as_the_protocol_wants_it(peer: HttpPeer, event: str, name: str) -> None:
    assert Ga4Sender(a_stream(peer)).send(an_event(event)) == Delivered("204")
    [request] = peer.requests
    assert (request.method, request.path) == ("POST", "/mp/collect")
    assert request.query == {"measurement_id": "G-AB12CD34EF", "api_secret": "hush-hush"}
    assert request.headers["content-type"] == "application/json"
    body: dict[str, Any] = request.json()
    assert set(body) == {"client_id", "timestamp_micros", "consent", "events"}
    assert re.fullmatch(r"\d{1,10}\.\d{1,10}", body["client_id"])
    assert body["timestamp_micros"] == int(NOW.timestamp()) * 1_000_000
    assert set(body["consent"].values()) == {"DENIED"}
    [sent] = body["events"]
    assert sent["name"] == name
    assert (sent["params"]["currency"], sent["params"]["value"]) == ("EUR", 156.05)
    assert sent["params"]["items"][0] == {
        "item_id": "harbour-tour",
        "item_name": "Harbour tour",
        "item_category": "ticket",
        "item_variant": "Adult",
        "quantity": 2,
        "price": 75.0,
    }
    assert ("transaction_id" in sent["params"]) is (name in ("purchase", "refund"))


def test_an_event_is_within_the_limits_of_the_protocol(peer: HttpPeer) -> None:
    Ga4Sender(a_stream(peer)).send(an_event())
    [request] = peer.requests
    [sent] = request.json()["events"]  # type: ignore[misc]
    assert len(request.body) < 130_000
    assert len(sent["params"]) <= 25
    texts = [
        value for value in (*sent["params"].values(), *sent["params"]["items"][0].values()) if type(value) is str
    ]
    assert all(len(text) <= 100 for text in texts)
    assert sent["params"]["session_id"].isdigit()


def test_nobody_is_in_it(peer: HttpPeer) -> None:
    Ga4Sender(a_stream(peer)).send(an_event())
    [request] = peer.requests
    whole = json.dumps([request.path, request.query, request.headers]) + request.body.decode()
    for personal in ("session-of-alex", "Zo", "zoe.secret", "example.org"):
        assert personal not in whole


@pytest.mark.parametrize(
    ("fault", "event", "is_final"),
    [
        (Fault.HANG, "booking.confirmed", False),
        (Fault.HANG, "booking.cancelled", True),
        (Fault.HANG, "hold.created", True),
        (Fault.ERROR, "booking.confirmed", False),
        (Fault.ERROR, "booking.cancelled", True),
        (Fault.BUSY, "booking.cancelled", False),
        (Fault.REDIRECT, "booking.cancelled", False),
    ],
)
def test_only_a_purchase_is_counted_once_however_often_it_comes(
    peer: HttpPeer, fault: Fault, event: str, is_final: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdgate_workers.adapters.analytics.ga4.TIMEOUTS", SHORT)
    peer.plan(fault)
    outcome = Ga4Sender(a_stream(peer)).send(an_event(event))
    assert isinstance(outcome, Failed)
    assert outcome.is_final is is_final


def test_what_is_refused_is_not_sent_again(peer: HttpPeer) -> None:
    peer.work = lambda request: Reply(400, {})
    assert Ga4Sender(a_stream(peer)).send(an_event()) == Failed(reason="HTTP 400", is_final=True)


@pytest.mark.parametrize("fault", [None, Fault.RESET, Fault.ERROR])
def test_the_secret_is_in_no_log_and_no_outcome(
    peer: HttpPeer, fault: Fault | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    if fault is not None:
        peer.plan(fault)
    outcome = Ga4Sender(a_stream(peer)).send(an_event())
    assert peer.requests
    assert "hush" not in caplog.text + repr(outcome) + repr(a_stream(peer))


def test_data_stays_in_europe_unless_said_otherwise() -> None:
    assert Ga4Stream(measurement_id="G-AB12CD34EF", api_secret="x").url == EUROPE_URL


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"measurement_id": "UA-1"}, "measurement_id"), ({"api_secret": ""}, "api_secret")],
)
def test_a_stream_that_cannot_be_is_refused_by_its_field(fields: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidGa4) as caught:
        Ga4Stream(**{"measurement_id": "G-AB12CD34EF", "api_secret": "hush"} | fields)
    assert [error.field for error in caught.value.errors] == [field]


def test_a_secret_does_not_travel_in_the_clear() -> None:
    stream = Ga4Stream(measurement_id="G-AB12CD34EF", api_secret="hush", url="http://collect.example")
    with pytest.raises(InvalidGa4, match="https") as caught:
        Ga4Sender(stream)
    assert "hush" not in str(caught.value)
