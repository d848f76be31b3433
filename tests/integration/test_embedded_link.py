"""The client's link over the queue inside PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from tests.conformance.transport_harness import RecordingSink
from tests.support.postgres import fresh_database

from holdgate_producer.core.link import Request
from holdgate_schema import topology
from holdgate_schema.envelope import Properties
from holdgate_schema.routing import slot_of
from holdgate_workers.adapters.embedded.queue import tables as queue_tables
from holdgate_workers.adapters.embedded.queue.consumer import EmbeddedConsumer
from holdgate_workers.adapters.embedded.queue.link import EmbeddedLink
from holdgate_workers.adapters.embedded.queue.publisher import EmbeddedPublisher
from holdgate_workers.app.ports import Outgoing

pytestmark = pytest.mark.services

WAIT_SECONDS = 15.0
OCCURRENCE = "occ-1"
PARTITIONS = 4
PARTITION = slot_of(OCCURRENCE) % PARTITIONS


class Told:
    """Remembers what the link told, and gives what it is asked to whenever the link comes up."""

    def __init__(self) -> None:
        self.link: EmbeddedLink | None = None
        self.events: list[tuple[object, ...]] = []
        self.unanswered: list[Request] = []
        self._changed = threading.Condition()

    def _note(self, *event: object) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def up(self, reply_address: str) -> None:
        if self.link is not None and self.unanswered:
            self.link.send(self.unanswered)
        self._note("up", reply_address)

    def down(self, detail: str) -> None:
        self._note("down", detail)

    def blocked(self, reason: str) -> None:
        self._note("blocked", reason)

    def unblocked(self) -> None:
        self._note("unblocked")

    def confirmed(self, request_id: str) -> None:
        self._note("confirmed", request_id)

    def unroutable(self, request_id: str, detail: str) -> None:
        self._note("unroutable", request_id, detail)

    def nacked(self, request_id: str, detail: str) -> None:
        self._note("nacked", request_id, detail)

    def answered(self, correlation_id: str, body: bytes, type_: str | None) -> None:
        self._note("answered", correlation_id, body, type_)

    def of(self, kind: str) -> list[tuple[object, ...]]:
        return [event[1:] for event in self.events if event[0] == kind]

    def wait_until(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, WAIT_SECONDS), self.events


@pytest.fixture
def url() -> Iterator[str]:
    with fresh_database() as database:
        queue_tables.declare(database, PARTITIONS)
        yield database


@contextmanager
def linked(url: str, *unanswered: Request) -> Iterator[tuple[EmbeddedLink, Told]]:
    told = Told()
    link = EmbeddedLink(url, name="test", app_id="shop")
    told.link, told.unanswered = link, list(unanswered)
    link.open(told)
    try:
        told.wait_until(lambda: bool(told.of("up")))
        yield link, told
    finally:
        link.close()


@contextmanager
def echoing(url: str) -> Iterator[RecordingSink]:
    """A service that answers every request with its own body."""
    publisher = EmbeddedPublisher(url, name="echo")

    class Echo(RecordingSink):
        def delivered(self, delivery):  # type: ignore[no-untyped-def]
            super().delivered(delivery)
            to = delivery.properties.reply_to
            properties = Properties(correlation_id=delivery.properties.correlation_id, type="answer.held.v1")
            answer = Outgoing(
                exchange="", routing_key=to, body=delivery.body, properties=properties, persistent=False
            )
            publisher.publish([answer])
            consumer.ack(delivery.channel, delivery.tag)

    sink = Echo()
    consumer = EmbeddedConsumer(url, sink, name="echo")
    try:
        consumer.subscribe(PARTITION)
        yield sink
    finally:
        consumer.close()
        publisher.close(1.0)


def request(name: str) -> Request:
    return Request(name, OCCURRENCE, "hold.place.v1", name.encode(), traceparent="00-1-2-01")


def terminate(url: str, application_name: str) -> None:
    with psycopg.connect(url) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = %s",
            (application_name,),
        )


def test_requests_are_confirmed_and_answered_in_order(url: str) -> None:
    names = [f"r{number}" for number in range(50)]
    with echoing(url) as sink, linked(url) as (link, told):
        link.send([request(name) for name in names])
        told.wait_until(lambda: len(told.of("answered")) == 50)
        assert told.of("confirmed") == [(name,) for name in names]
        assert told.of("answered") == [(name, name.encode(), "answer.held.v1") for name in names]
        asked = sink.deliveries[0].properties
    assert (asked.message_id, asked.correlation_id, asked.type, asked.app_id) == (
        "r0",
        "r0",
        "hold.place.v1",
        "shop",
    )
    assert asked.headers == {"traceparent": "00-1-2-01"}
    assert topology.may_reply_to(asked.reply_to or "")


def test_requests_given_while_the_link_comes_up_are_sent(url: str) -> None:
    with echoing(url), linked(url, request("a"), request("b")) as (_, told):
        told.wait_until(lambda: len(told.of("answered")) == 2)


def test_a_broken_connection_is_told_and_what_was_unanswered_is_asked_again(url: str) -> None:
    with linked(url, request("a")) as (_, told):
        told.wait_until(lambda: told.of("confirmed") == [("a",)])
        terminate(url, "test.link")
        told.wait_until(lambda: len(told.of("up")) == 2)
        assert [event[0] for event in told.events] == ["up", "confirmed", "down", "up"]
        with echoing(url):
            told.wait_until(lambda: told.of("answered") == [("a", b"a", "answer.held.v1")] * 2)


def test_a_link_that_was_taken_for_gone_gets_its_queue_back(url: str) -> None:
    """A client that was suspended for minutes is swept away; it must not stay deaf."""
    with linked(url) as (link, told), psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE holdgate_queue.queues SET heartbeat_at = heartbeat_at - interval '1 h'")
        assert queue_tables.sweep_reply_queues(connection) == 1
        terminate(url, "test.link")  # the next heartbeat would be in 15 seconds
        told.wait_until(lambda: len(told.of("up")) == 2)
        with echoing(url):
            link.send([request("a")])
            told.wait_until(lambda: len(told.of("answered")) == 1)


def test_a_closed_link_leaves_no_queue_and_tells_nothing_more(url: str) -> None:
    with linked(url) as (link, told):
        link.close()
        link.close()
        before = list(told.events)
        with psycopg.connect(url) as connection:
            left = connection.execute("SELECT count(*) FROM holdgate_queue.queues WHERE heartbeat_at IS NOT NULL")
            assert left.fetchone() == (0,)
        assert told.events == before


def test_a_link_without_a_server_says_so(url: str) -> None:
    told = Told()
    link = EmbeddedLink("postgresql://nobody@127.0.0.1:1/none")
    link.open(told)
    told.wait_until(lambda: len(told.of("down")) >= 2)
    link.close()
    assert told.of("up") == []
