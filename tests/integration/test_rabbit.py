"""What RabbitMQ does to its clients, and that ours survive it."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pika
import pytest
from msgspec.structs import replace
from tests.conformance.transport_harness import RecordingSink, numbered, request
from tests.support.rabbit import AMQP_PORT, channel, eventually, rabbitmqctl, vhost_of
from tests.support.tcp_proxy import proxied

from holdgate_schema import topology
from holdgate_schema.envelope import (
    BODY_BYTES_KEPT,
    BODY_BYTES_MAX,
    HEADERS_BYTES_HEADER,
    property_errors,
)
from holdgate_schema.routing import slot_key
from holdgate_schema.topology import DEAD_EXCHANGE, DEAD_QUEUE, REQUESTS_EXCHANGE, partition_queue
from holdgate_workers.adapters.rabbit.amqp.frames import UNREADABLE_HEADER
from holdgate_workers.adapters.rabbit.consumer import RabbitConsumer
from holdgate_workers.adapters.rabbit.dead_letters import RabbitDeadLetters
from holdgate_workers.adapters.rabbit.health_checks import examine
from holdgate_workers.adapters.rabbit.publishing.publisher import RabbitPublisher
from holdgate_workers.adapters.rabbit.topology import (
    DifferentArguments,
    PermissionMissing,
    declare,
    inspect,
)
from holdgate_workers.app.ports import Outgoing, TransportError

pytestmark = pytest.mark.services

WAIT = 15.0
PARTITIONS_USED = 5


@pytest.fixture
def url(vhost_url: str) -> str:
    """The session's virtual host with two partitions, whose queues are made anew for each test."""
    _clear(vhost_url)
    declare(vhost_url, 2)
    return vhost_url


def _clear(url: str) -> None:
    with channel(url) as raw:
        for name in [DEAD_QUEUE, *map(partition_queue, range(PARTITIONS_USED))]:
            raw.queue_delete(name)
        for partitions in {*range(1, PARTITIONS_USED + 1)} - {2}:
            raw.exchange_delete(f"holdgate.partitions.{partitions:02d}")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


Make = Callable[..., Any]


@pytest.fixture
def consumer(stack: ExitStack) -> Make:
    def make(url: str, sink: RecordingSink, **options: int) -> RabbitConsumer:
        made = RabbitConsumer(url, sink, name="worker", **options)
        stack.callback(made.close)
        return made

    return make


@pytest.fixture
def publisher(stack: ExitStack) -> Make:
    def make(url: str, **options: int) -> RabbitPublisher:
        made = RabbitPublisher(url, name="worker", **options)
        stack.callback(made.close, 1.0)
        return made

    return make


def publish(publisher: RabbitPublisher, messages: list[Outgoing]) -> None:
    assert publisher.publish(messages).wait(WAIT) == []


# --- topology ---------------------------------------------------------------------------------------------------


def test_declaring_twice_changes_nothing(url: str) -> None:
    declare(url, 2)
    found = inspect(url, 2)
    assert all(item.exists for item in found)
    assert {item.name for item in found} >= {REQUESTS_EXCHANGE, DEAD_QUEUE, partition_queue(1)}


def test_inspect_tells_what_is_missing_and_how_much_waits(url: str, publisher: Make) -> None:
    publish(publisher(url), numbered(1, 3))
    found = {item.name: item for item in inspect(url, 3)}
    assert found[partition_queue(0)].messages == 3
    assert found[partition_queue(0)].consumers == 0
    assert not found[partition_queue(2)].exists
    assert found[partition_queue(1)].exists


def test_other_arguments_are_an_error_that_names_the_queue_and_a_way_out(url: str) -> None:
    with channel(url) as raw:
        raw.queue_delete(DEAD_QUEUE)
        raw.queue_declare(DEAD_QUEUE, durable=True)
    with pytest.raises(DifferentArguments) as caught:
        declare(url, 2)
    assert caught.value.name == DEAD_QUEUE
    assert "inequivalent arg" in str(caught.value)
    assert "declare again" in caught.value.way_out


def test_missing_rights_are_an_error_that_names_the_command(url: str) -> None:
    rabbitmqctl("add_user", "holdgate-powerless", "secret")
    try:
        rabbitmqctl("set_permissions", "-p", vhost_of(url), "holdgate-powerless", "^$", ".*", ".*")
        mine = pika.URLParameters(url)
        powerless = f"amqp://holdgate-powerless:secret@{mine.host}:{mine.port}/{vhost_of(url)}"
        with pytest.raises(PermissionMissing) as caught:
            declare(powerless, 2)
        assert "set_permissions" in caught.value.way_out
    finally:
        rabbitmqctl("delete_user", "holdgate-powerless")


def test_an_unreachable_broker_is_a_transport_error_without_the_password() -> None:
    with pytest.raises(TransportError) as caught:
        declare("amqp://someone:hunter2@127.0.0.1:1/x", 2)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("after", [1, 3, 5])
def test_another_number_of_partitions_binds_each_slot_to_one_queue(url: str, publisher: Make, after: int) -> None:
    declare(url, after)
    sent = publisher(url)
    for slot in range(topology.SLOTS):
        message = replace(request(b""), routing_key=slot_key(slot))
        sent.publish([message])
    publish(sent, [request(b"last")])
    with channel(url) as raw:
        counts = [
            raw.queue_declare(partition_queue(partition), passive=True).method.message_count
            for partition in range(after)
        ]
    assert sum(counts) == topology.SLOTS + 1
    assert max(counts) - min(counts) <= 2
    markers = {item.name: item.exists for item in inspect(url, after)}
    assert markers[f"holdgate.partitions.{after:02d}"]


# --- consuming --------------------------------------------------------------------------------------------------


def test_a_missing_queue_is_waited_for(url: str, consumer: Make) -> None:
    sink = RecordingSink()
    consumer(url, sink).subscribe(2)
    with pytest.raises(AssertionError):
        sink.wait_for(lambda: sink.subscriptions, timeout=0.5)
    declare(url, 3)
    sink.wait_for_subscription()
    assert sink.losses == []


def test_a_deleted_queue_loses_the_channel_once_and_is_subscribed_again(url: str, consumer: Make) -> None:
    """The broker cancels the consumer; pika does not answer that, so the connection must go."""
    sink = RecordingSink()
    consumer(url, sink).subscribe(0)
    first = sink.wait_for_subscription()
    with channel(url) as raw:
        raw.queue_delete(partition_queue(0))
    sink.wait_for_loss()
    declare(url, 2)
    second = sink.wait_for_subscription(2)
    assert second != first
    assert sink.losses == [(0, first)]


def test_a_channel_that_the_broker_closes_comes_back_with_everything(
    url: str, consumer: Make, publisher: Make
) -> None:
    sink = RecordingSink()
    mine = consumer(url, sink)
    publish(publisher(url), numbered(1, 20))
    mine.subscribe(0)
    first = sink.wait_for_deliveries(20)[0]
    mine._io.call(lambda: mine._lives[first.channel]._channel.basic_ack(999_999))
    sink.wait_for_deliveries(40)
    assert sink.losses == [(0, first.channel)]
    assert sink.bodies[:20] == sink.bodies[20:]
    assert all(delivery.redelivered for delivery in sink.deliveries[20:])


def test_connections_closed_by_an_operator_come_back(url: str, consumer: Make, publisher: Make) -> None:
    sink = RecordingSink()
    mine, sent = consumer(url, sink), publisher(url)
    mine.subscribe(0)
    mine.subscribe(1)
    sink.wait_for_subscription(2)
    publish(sent, numbered(1, 1))
    rabbitmqctl("close_all_connections", "--vhost", vhost_of(url), "test")
    sink.wait_for_subscription(4)
    assert sorted(sink.losses) == sorted(sink.subscriptions[:2])
    publish(sent, [request(b"again", 1)])
    sink.wait_for(lambda: b"again" in sink.bodies)


@pytest.mark.parametrize("heir_prefetch", [50, 80])
def test_two_takeovers_in_a_row_keep_the_order(
    url: str, consumer: Make, publisher: Make, heir_prefetch: int
) -> None:
    """With a smaller prefetch they would not: what comes back goes behind what came back before."""
    sinks = [RecordingSink() for _ in range(3)]
    line = [consumer(url, sinks[0], prefetch=50)]
    line += [consumer(url, sink, prefetch=heir_prefetch) for sink in sinks[1:]]
    publish(publisher(url), numbered(1, 100))
    for worker, sink in zip(line, sinks, strict=True):
        worker.subscribe(0)
        sink.wait_for_subscription()
    sinks[0].wait_for_deliveries(50)
    line[0].leave(sinks[0].subscriptions[0][1])
    third = sinks[1].wait_for_deliveries(50)[2]
    line[1].ack(third.channel, third.tag)
    line[1].leave(third.channel)
    last = sinks[2].wait_for_deliveries(heir_prefetch)[-1]
    line[2].ack(last.channel, last.tag)
    sinks[2].wait_for_deliveries(97)
    assert sinks[2].bodies == [b"%d" % number for number in range(4, 101)]


def test_tries_to_connect_are_spaced_out(url: str, consumer: Make, caplog: pytest.LogCaptureFixture) -> None:
    sink = RecordingSink()
    with proxied(url, AMQP_PORT) as (proxy, through):
        proxy.cut()
        mine = consumer(through, sink)
        mine.subscribe(0)
        eventually(lambda: mine._lines.get(0) is not None and mine._lines[0].attempts >= 4, "four tries")
        proxy.open()
        sink.wait_for_subscription()
        mine.close()
    tries = [record for record in caplog.records if "next try in" in record.getMessage()]
    assert 4 <= len(tries) <= 8
    assert sink.losses == sink.subscriptions


@pytest.mark.slow
def test_a_silent_broker_is_noticed_by_its_missing_heartbeat(url: str, consumer: Make) -> None:
    sink = RecordingSink()
    with proxied(url, AMQP_PORT) as (proxy, through):
        mine = consumer(through, sink, heartbeat_seconds=1)
        mine.subscribe(0)
        sink.wait_for_subscription()
        proxy.hold_answers()
        sink.wait_for_loss()
        proxy.release_answers()
        sink.wait_for_subscription(2)
        mine.close()


class Raw(pika.BasicProperties):  # type: ignore[misc]
    """Properties whose table of headers is whatever the test says."""

    table = b""

    def encode(self) -> list[bytes]:
        text = [struct.pack("B", len(part)) + part for part in (b"application/json", b"corr", b"holdgate.reply.x")]
        return [struct.pack(">H", 0x8000 | 0x2000 | 0x0400 | 0x0200), text[0], self.table, text[1], text[2]]


def _table(*fields: bytes) -> bytes:
    joined = b"".join(fields)
    return struct.pack(">I", len(joined)) + joined


NESTED = _table()
for _ in range(2000):
    NESTED = _table(b"\x01nF" + NESTED)

STRANGE = {
    "a date in milliseconds": _table(b"\x04when", b"T" + struct.pack(">Q", 1_763_800_000_000_000)),
    "deeply nested": NESTED,
}


@pytest.mark.parametrize("table", STRANGE.values(), ids=STRANGE.keys())
@pytest.mark.parametrize("size", [10, BODY_BYTES_MAX, 300_000])
def test_headers_that_cannot_be_read_spoil_neither_their_message_nor_the_others(
    url: str, consumer: Make, table: bytes, size: int
) -> None:
    sink = RecordingSink()
    properties = Raw()
    properties.table = table
    body = b"x" * size
    with channel(url) as raw:
        raw.basic_publish("", partition_queue(0), b"before")
        raw.basic_publish("", partition_queue(0), body, properties)
        raw.basic_publish("", partition_queue(0), b"after")
        raw.basic_publish("", DEAD_QUEUE, body, properties)
        raw.queue_declare(partition_queue(0), passive=True)
    consumer(url, sink).subscribe(0)
    sink.wait_for_deliveries(3)
    kept = body if size <= BODY_BYTES_MAX else body[:BODY_BYTES_KEPT]
    assert sink.bodies == [b"before", kept, b"after"]
    found = sink.deliveries[1].properties
    assert (found.correlation_id, found.reply_to) == ("corr", "holdgate.reply.x")
    assert list(found.headers) in ([UNREADABLE_HEADER], [HEADERS_BYTES_HEADER])
    assert sink.losses == []
    (letter,) = RabbitDeadLetters(url).list(10)
    assert letter.body == kept
    assert letter.properties.correlation_id == "corr"


def test_more_headers_than_are_read_are_cut_off(url: str, consumer: Make) -> None:
    sink = RecordingSink()
    headers = {f"h{number}": "x" for number in range(50)} | {"list": [1, {"a": 2}]}
    with channel(url) as raw:
        raw.basic_publish("", partition_queue(0), b"{}", pika.BasicProperties(headers=headers))
    consumer(url, sink).subscribe(0)
    found = sink.wait_for_deliveries(1)[0].properties.headers
    assert len(found) == 33


@pytest.mark.parametrize("name", ["h{}", "x-holdgate-{}"])
def test_headers_over_their_limit_are_not_kept(url: str, consumer: Make, name: str) -> None:
    """Nor do names that look like ours make an exception."""
    sink = RecordingSink()
    headers = {name.format(number): "x" * 500 for number in range(200)}
    with channel(url) as raw:
        raw.basic_publish("", partition_queue(0), b"{}", pika.BasicProperties(headers=headers))
        raw.basic_publish("", partition_queue(0), b"{}", pika.BasicProperties(headers={"long": "x" * 2000}))
    consumer(url, sink).subscribe(0)
    sink.wait_for_deliveries(2)
    found = sink.deliveries[0].properties
    assert list(found.headers) == [HEADERS_BYTES_HEADER]
    (error,) = property_errors(found, request_id=None, message_type=None)
    assert error.field == "headers"
    assert sink.deliveries[1].properties.headers == {"long": "x" * 512}


def test_closing_leaves_no_thread_and_no_connection(url: str) -> None:
    before = threading.active_count()
    mine, sent = RabbitConsumer(url, RecordingSink(), name="w"), RabbitPublisher(url, name="w")
    mine.subscribe(0)
    publish(sent, numbered(1, 1))
    mine.close()
    sent.close(WAIT)
    eventually(lambda: threading.active_count() == before, "the threads' end")


def test_closing_without_a_broker_is_quick() -> None:
    mine = RabbitConsumer("amqp://guest:guest@127.0.0.1:1/", RecordingSink(), name="w")
    sent = RabbitPublisher("amqp://guest:guest@127.0.0.1:1/", name="w")
    mine.subscribe(0)
    receipt = sent.publish(numbered(1, 2))
    mine.close()
    sent.close(0.1)
    assert [problem.kind for problem in receipt.wait(1)] == ["lost", "lost"]
    assert sent.unconfirmed == 0


# --- publishing -------------------------------------------------------------------------------------------------


def test_a_message_that_closes_the_channel_loses_the_open_ones_and_no_later_ones(
    url: str, publisher: Make
) -> None:
    sent = publisher(url)
    publish(sent, numbered(1, 1))
    bad = replace(request(b"?"), exchange="no.such.exchange")
    problems = sent.publish([bad]).wait(WAIT)
    assert [problem.kind for problem in problems] == ["lost"]
    assert "404" in problems[0].detail
    publish(sent, numbered(2, 50))
    assert sent.unconfirmed == 0


def test_a_message_that_amqp_cannot_hold_is_refused_alone(url: str, publisher: Make) -> None:
    sent = publisher(url)
    good = numbered(1, 2)
    bad = replace(request(b"?"), routing_key="k" * 256)
    problems = sent.publish([good[0], bad, good[1]]).wait(WAIT)
    assert [(problem.kind, problem.message) for problem in problems] == [("unroutable", bad)]


def test_a_full_queue_refuses(url: str, publisher: Make) -> None:
    with channel(url) as raw:
        raw.queue_declare("full", arguments={"x-max-length": 1, "x-overflow": "reject-publish"}, exclusive=True)
        messages = [replace(request(b"%d" % number), exchange="", routing_key="full") for number in range(20)]
        problems = publisher(url).publish(messages).wait(WAIT)
    assert problems
    assert {problem.kind for problem in problems} == {"nacked"}


@contextmanager
def policy(url: str, queue: str, definition: str) -> Iterator[None]:
    """One that operations set: of it and the queue's own argument the lower number counts."""
    rabbitmqctl("set_policy", "-p", vhost_of(url), "--apply-to", "queues", "short", f"^{queue}$", definition)
    try:
        yield
    finally:
        rabbitmqctl("clear_policy", "-p", vhost_of(url), "short")


@pytest.mark.parametrize("definition", ['{"max-length": 5}', '{"max-length-bytes": 5000}'])
def test_a_full_partition_refuses_and_takes_again_when_there_is_room(
    url: str, publisher: Make, consumer: Make, definition: str
) -> None:
    """The `basic.nack` of the contract: the sender is told, and nothing that was taken is lost."""
    sent, sink = publisher(url), RecordingSink()
    with policy(url, partition_queue(0), definition):
        taken = 0

        def refused() -> bool:
            nonlocal taken
            problems = sent.publish([request(b"x" * 1000)]).wait(WAIT)
            taken += not problems
            return [problem.kind for problem in problems] == ["nacked"]

        eventually(refused, "the queue is full")
        reader = consumer(url, sink)
        reader.subscribe(0)
        deliveries = sink.wait_for_deliveries(taken)
        reader.ack(deliveries[-1].channel, deliveries[-1].tag)
        eventually(lambda: not refused(), "there is room again")
        assert sink.wait_for_deliveries(taken)


def test_a_message_for_full_dead_letters_is_refused(url: str, publisher: Make) -> None:
    sent = publisher(url)
    astray = replace(request(b"{}"), exchange=DEAD_EXCHANGE)
    with policy(url, DEAD_QUEUE, '{"max-length": 2}'):
        eventually(
            lambda: [problem.kind for problem in sent.publish([astray]).wait(WAIT)] == ["nacked"],
            "its sender is told",
        )


def test_every_queue_has_a_length_and_another_length_is_found(url: str) -> None:
    for queue in topology.queues(2):
        assert int(queue.arguments["x-max-length"]) > 0
        assert int(queue.arguments["x-max-length-bytes"]) > 0
        assert queue.arguments["x-overflow"] == "reject-publish"
    assert examine(url, 2).different == {}
    with channel(url) as raw:
        raw.queue_delete(DEAD_QUEUE)
        arguments = {**next(iter(topology.queues(2))).arguments, "x-max-length": 7}
        raw.queue_declare(DEAD_QUEUE, durable=True, arguments=arguments)
    assert list(examine(url, 2).different) == [DEAD_QUEUE]


def test_what_waits_for_a_connection_is_sent_when_there_is_one(url: str, publisher: Make) -> None:
    sink = RecordingSink()
    with proxied(url, AMQP_PORT) as (proxy, through):
        proxy.cut()
        sent = publisher(through, waiting_max=100)
        receipts = [sent.publish(numbered(first, first + 9)) for first in range(1, 101, 10)]
        refused = sent.publish(numbered(101, 101))
        assert [problem.kind for problem in refused.wait(WAIT)] == ["lost"]
        assert sent.blocked
        assert sent.unconfirmed == 100
        proxy.open()
        assert [receipt.wait(WAIT) for receipt in receipts] == [[]] * 10
        assert not sent.blocked
        consumer = RabbitConsumer(url, sink, name="reader")
        consumer.subscribe(0)
        sink.wait_for_deliveries(100)
        consumer.close()
        sent.close(WAIT)
    assert sink.bodies == [b"%d" % number for number in range(1, 101)]


def test_what_was_cut_off_is_lost_and_not_sent_again(url: str, publisher: Make) -> None:
    with proxied(url, AMQP_PORT) as (proxy, through), channel(url) as raw:
        sent = publisher(through)
        publish(sent, numbered(1, 1))
        proxy.hold_answers()
        receipt = sent.publish(numbered(2, 11))
        early = receipt.wait(0.05)
        assert [problem.kind for problem in early] == ["lost"] * 10

        def count() -> int:
            return int(raw.queue_declare(partition_queue(0), passive=True).method.message_count)

        eventually(lambda: count() == 11, "the messages in the queue")
        proxy.break_connections()
        assert [problem.kind for problem in receipt.wait(WAIT)] == ["lost"] * 10
        publish(sent, numbered(12, 12))
        assert count() == 12
        sent.close(WAIT)


def test_an_alarm_holds_messages_back_until_it_is_over(url: str, publisher: Make) -> None:
    """The alarm is told by the proxy: a real one would stop every publisher of this broker."""

    def method(number: int, arguments: bytes = b"") -> bytes:
        payload = struct.pack(">HH", 10, number) + arguments
        return struct.pack(">BHI", 1, 0, len(payload)) + payload + b"\xce"

    with proxied(url, AMQP_PORT) as (proxy, through):
        sent = publisher(through, waiting_max=10)
        publish(sent, numbered(1, 1))
        proxy.tell_clients(method(60, b"\x0alow memory"))
        eventually(lambda: sent.blocked)
        receipt = sent.publish(numbered(2, 11))
        refused = sent.publish(numbered(12, 12)).wait(WAIT)
        assert [problem.kind for problem in refused] == ["blocked"]
        assert "low memory" in refused[0].detail
        assert sent.unconfirmed == 10
        proxy.tell_clients(method(61))
        assert receipt.wait(WAIT) == []
        assert not sent.blocked
        sent.close(WAIT)


def test_a_letter_killed_by_the_broker_says_so(url: str, publisher: Make) -> None:
    publish(publisher(url), [request(b"{}", message_id="m-1")])
    with channel(url) as raw:
        _reject_one(raw)
    dead = RabbitDeadLetters(url)
    eventually(lambda: dead.count() == 1, "the dead letter")
    (letter,) = dead.list(10)
    assert letter.reason == "rejected"
    assert letter.partition == 0
    assert letter.id == "m-1"
    assert letter.detail == f"from {partition_queue(0)}"
    assert letter.died_at


def _reject_one(raw: Any) -> None:
    """By consuming: such a queue forbids `basic.get`."""
    for method, _, _ in raw.consume(partition_queue(0), inactivity_timeout=WAIT):
        raw.basic_reject(method.delivery_tag, requeue=False)
        raw.cancel()
        return
