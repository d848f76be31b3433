"""What is particular to the queue inside PostgreSQL. What it shares with RabbitMQ is in the conformance suite."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest
from tests.conformance.transport_harness import RecordingSink
from tests.support.embedded_process import consuming_elsewhere
from tests.support.postgres import fresh_database

from holdgate_schema import topology
from holdgate_schema.envelope import Properties
from holdgate_workers.adapters.embedded.queue import tables as queue_tables
from holdgate_workers.adapters.embedded.queue.consumer import EmbeddedConsumer
from holdgate_workers.adapters.embedded.queue.dead_letters import EmbeddedDeadLetters
from holdgate_workers.adapters.embedded.queue.publisher import EmbeddedPublisher
from holdgate_workers.adapters.embedded.queue.routes import pack, topic_matches, unpack
from holdgate_workers.app.ports import Outgoing, TransportError

pytestmark = pytest.mark.services

PARTITIONS = 4
SLOT = "slot.001"  # of partition 1
CONFIRM_SECONDS = 10.0


@pytest.fixture
def url() -> Iterator[str]:
    with fresh_database() as database:
        queue_tables.declare(database, PARTITIONS)
        yield database


@contextmanager
def publishing(url: str) -> Iterator[EmbeddedPublisher]:
    publisher = EmbeddedPublisher(url, name="test")
    try:
        yield publisher
    finally:
        publisher.close(1.0)


@contextmanager
def consuming(url: str, *partitions: int, prefetch: int = 100) -> Iterator[tuple[EmbeddedConsumer, RecordingSink]]:
    sink = RecordingSink()
    consumer = EmbeddedConsumer(url, sink, name="test", prefetch=prefetch)
    try:
        for partition in partitions:
            consumer.subscribe(partition)
        sink.wait_for(lambda: len(sink.subscriptions) >= len(partitions))
        yield consumer, sink
    finally:
        consumer.close()


def message(body: str, key: str = SLOT, exchange: str = topology.REQUESTS_EXCHANGE) -> Outgoing:
    return Outgoing(
        exchange=exchange,
        routing_key=key,
        body=body.encode(),
        properties=Properties(message_id=body),
        mandatory=True,
    )


def publish(url: str, *messages: Outgoing) -> list[str]:
    """Publish one group: the kinds of problems there were."""
    with publishing(url) as publisher:
        return [problem.kind for problem in publisher.publish(messages).wait(CONFIRM_SECONDS)]


def bodies(sink: RecordingSink, number: int) -> list[bytes]:
    """The bodies of all deliveries, once there are so many."""
    sink.wait_for_deliveries(number)
    return sink.bodies


def in_queue(url: str, name: str) -> list[bytes]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT m.body FROM holdgate_queue.messages m JOIN holdgate_queue.queues q ON q.id = m.queue"
            " WHERE q.name = %s ORDER BY m.id",
            (name,),
        )
        return [row[0] for row in rows]


def eventually(condition: Callable[[], bool], timeout_seconds: float = 10.0) -> None:
    pause = threading.Event()
    for _ in range(int(timeout_seconds / 0.02)):
        if condition():
            return
        pause.wait(0.02)
    raise AssertionError("it did not come true in time")


# --- declaring --------------------------------------------------------------------------------------------------


def test_a_topology_declared_by_many_at_once_is_there_once() -> None:
    with fresh_database() as url:
        with ThreadPoolExecutor(6) as pool:
            for done in [pool.submit(queue_tables.declare, url, PARTITIONS) for _ in range(6)]:
                done.result()
        with psycopg.connect(url) as connection:
            queues = connection.execute("SELECT name FROM holdgate_queue.queues").fetchall()
            bindings = connection.execute("SELECT count(*) FROM holdgate_queue.bindings").fetchone()
    assert sorted(name for (name,) in queues) == sorted(queue.name for queue in topology.queues(PARTITIONS))
    assert bindings == (256 + 1,)


def test_declaring_another_number_of_partitions_moves_the_slots_and_keeps_the_messages(url: str) -> None:
    with publishing(url) as publisher:
        assert not publisher.publish([message("before", "slot.003")]).wait(CONFIRM_SECONDS)
        queue_tables.declare(url, 2)
        assert not publisher.publish([message("after", "slot.003")]).wait(CONFIRM_SECONDS)
    assert in_queue(url, topology.partition_queue(3)) == [b"before"]
    assert in_queue(url, topology.partition_queue(1)) == [b"after"]


def test_declaring_again_changes_nothing_that_publishers_remember(url: str) -> None:
    def generation() -> object:
        with psycopg.connect(url) as connection:
            return connection.execute("SELECT number FROM holdgate_queue.generation").fetchone()

    before = generation()
    queue_tables.declare(url, PARTITIONS)
    assert generation() == before


def test_an_unreachable_server_is_a_transport_error() -> None:
    with pytest.raises(TransportError):
        queue_tables.declare("postgresql://nobody@127.0.0.1:1/none", PARTITIONS)


# --- routing ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "key", "matches"),
    [
        ("hold.created", "hold.created", True),
        ("hold.created", "hold.created.v1", False),
        ("hold.*", "hold.created", True),
        ("hold.*", "hold", False),
        ("hold.*", "hold.created.v1", False),
        ("*.*", "hold.created", True),
        ("#", "", True),
        ("#", "hold.created.v1", True),
        ("hold.#", "hold", True),
        ("hold.#", "hold.created.v1", True),
        ("hold.#", "holds", False),
        ("#.v1", "hold.created.v1", True),
        ("#.v1", "v1", True),
        ("#.created.#", "hold.created", True),
        ("#.created.#", "hold.expired", False),
        ("*.#.v1", "v1", False),
        ("*.#.v1", "hold.v1", True),
        ("#.#", "hold", True),
        ("#.*", "", True),  # RabbitMQ too takes the empty key for one empty word
    ],
)
def test_topic_patterns_mean_what_they_mean_in_amqp(pattern: str, key: str, matches: bool) -> None:
    assert topic_matches(pattern, key) is matches


def test_an_event_goes_once_to_every_queue_bound_for_it(url: str) -> None:
    events = topology.EVENTS_EXCHANGE
    queue_tables.declare_queue(url, "mails", (events, "booking.#"), (events, "booking.*"))
    queue_tables.declare_queue(url, "everything", (events, "#"))
    assert publish(url, message("b", "booking.confirmed", events), message("h", "hold.created", events)) == []
    assert in_queue(url, "mails") == [b"b"]
    assert in_queue(url, "everything") == [b"b", b"h"]


def test_an_event_that_nobody_is_bound_for_is_dropped(url: str) -> None:
    event = Outgoing(
        exchange=topology.EVENTS_EXCHANGE, routing_key="hold.created", body=b"", properties=Properties()
    )
    assert publish(url, event) == []
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM holdgate_queue.messages").fetchone() == (0,)


def test_a_binding_made_later_holds_for_publishers_that_run(url: str) -> None:
    with publishing(url) as publisher:
        event = message("e", "hold.created", topology.EVENTS_EXCHANGE)
        assert [problem.kind for problem in publisher.publish([event]).wait(CONFIRM_SECONDS)] == ["unroutable"]
        queue_tables.declare_queue(url, "late", (topology.EVENTS_EXCHANGE, "hold.*"))
        assert not publisher.publish([event]).wait(CONFIRM_SECONDS)
    assert in_queue(url, "late") == [b"e"]


def test_a_request_without_a_slot_comes_back_and_so_does_what_is_for_an_unknown_queue(url: str) -> None:
    nowhere = message("nowhere", "holdgate.reply.gone", "")
    group = [message("stray", "no-slot"), message("good"), nowhere, message("odd", "x", "no.such.exchange")]
    assert publish(url, *group) == ["unroutable", "unroutable", "nacked"]
    assert EmbeddedDeadLetters(url).count() == 0
    assert in_queue(url, topology.partition_queue(1)) == [b"good"]


def test_a_group_that_the_server_refuses_does_not_take_another_with_it(url: str) -> None:
    # A routing key that no text of the database can be.
    nul = message("nul", "slot\0", topology.EVENTS_EXCHANGE)
    queue_tables.declare_queue(url, "all", (topology.EVENTS_EXCHANGE, "#"))
    with publishing(url) as publisher:
        receipts = [publisher.publish([item]) for item in (message("a"), nul, message("b"))]
        assert [[p.kind for p in receipt.wait(CONFIRM_SECONDS)] for receipt in receipts] == [[], ["nacked"], []]
    assert in_queue(url, topology.partition_queue(1)) == [b"a", b"b"]


def test_properties_come_back_as_they_were_and_odd_ones_are_mended() -> None:
    whole = Properties(
        message_id="m", timestamp=7, content_type=None, headers={"a": 1, "b": b"\xff", "c": None, "d": 1.5}
    )
    assert unpack(pack(whole)) == whole
    odd = Properties(message_id="\ud800", headers={"big": 2**70})
    assert unpack(pack(odd)) == Properties(message_id="?", headers={"big": str(2**70)})


# --- delivering -------------------------------------------------------------------------------------------------


def test_a_message_committed_late_under_a_lower_id_is_delivered(url: str) -> None:
    """Ids are given out before the commit, so a reader that only goes forward would lose this one."""
    with psycopg.connect(url) as slow, consuming(url, 1) as (consumer, sink):
        slow.execute(
            "INSERT INTO holdgate_queue.messages (queue, routing_key, properties, body)"
            " SELECT id, '', %s, 'late' FROM holdgate_queue.queues WHERE name = %s",
            (pack(Properties()), topology.partition_queue(1)),
        )
        publish(url, message("early"))
        assert bodies(sink, 1) == [b"early"]
        consumer.ack(sink.deliveries[0].channel, 1)
        eventually(lambda: in_queue(url, topology.partition_queue(1)) == [])
        slow.commit()
        assert bodies(sink, 2) == [b"early", b"late"]
        consumer.ack(sink.deliveries[1].channel, 2)
        eventually(lambda: in_queue(url, topology.partition_queue(1)) == [])


def test_a_message_is_delivered_even_if_its_notification_is_lost(url: str) -> None:
    with consuming(url, 1) as (_, sink), psycopg.connect(url) as silent:
        silent.execute(
            "INSERT INTO holdgate_queue.messages (queue, routing_key, properties, body)"
            " SELECT id, '', %s, 'quiet' FROM holdgate_queue.queues WHERE name = %s",
            (pack(Properties()), topology.partition_queue(1)),
        )
        silent.commit()
        assert bodies(sink, 1) == [b"quiet"]


def test_a_crashed_process_is_replaced_and_its_messages_come_again_in_order(url: str) -> None:
    names = [f"m{number}" for number in range(20)]
    with consuming_elsewhere(url, 1) as elsewhere, consuming(url, 1) as (_, sink):
        publish(url, *map(message, names))
        assert [elsewhere.line() for _ in names] == names
        assert sink.deliveries == []
        elsewhere.kill()
        assert bodies(sink, 20) == [name.encode() for name in names]
    assert all(delivery.redelivered for delivery in sink.deliveries)


def test_only_one_of_two_processes_is_served_and_the_other_may_have_another_partition(url: str) -> None:
    with consuming_elsewhere(url, 1) as elsewhere, consuming(url, 1, 2) as (_, sink):
        publish(url, message("one"), message("two", "slot.002"), message("three"))
        assert [elsewhere.line(), elsewhere.line()] == ["one", "three"]
        assert bodies(sink, 1) == [b"two"]


def test_a_broken_connection_is_told_and_made_again(url: str) -> None:
    with consuming(url, 1) as (consumer, sink):
        publish(url, message("m"))
        sink.wait_for_deliveries(1)
        with psycopg.connect(url) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'test.consume'"
            )
        assert bodies(sink, 2) == [b"m", b"m"]
        first, second = sink.deliveries
        assert sink.losses == [(1, first.channel)]
        assert second.channel != first.channel
        assert (first.redelivered, second.redelivered) == (False, True)
        consumer.ack(first.channel, first.tag)  # void
        consumer.ack(second.channel, second.tag)
        eventually(lambda: in_queue(url, topology.partition_queue(1)) == [])


def test_leaving_flushes_what_was_acknowledged_and_returns_the_rest(url: str) -> None:
    publish(url, *(message(f"m{number}") for number in range(6)))
    with consuming(url, 1, prefetch=4) as (consumer, sink), consuming(url, 1) as (_, next_sink):
        sink.wait_for_deliveries(4)
        consumer.ack(sink.deliveries[0].channel, 2)
        consumer.leave(sink.deliveries[0].channel)
        sink.wait_for(lambda: sink.losses == [(1, sink.deliveries[0].channel)])
        assert bodies(next_sink, 4)[:4] == [b"m2", b"m3", b"m4", b"m5"]
    # What it had fetched between the acknowledgement and the leave, if anything, counts as delivered before.
    assert [delivery.redelivered for delivery in next_sink.deliveries][:2] == [True, True]


def test_a_message_delivered_too_often_goes_to_the_dead_letters(url: str) -> None:
    publish(url, message("poison"), message("fine"))
    with psycopg.connect(url) as connection:
        connection.execute(
            "UPDATE holdgate_queue.messages SET deliveries = CASE body WHEN 'poison' THEN %s ELSE %s END",
            (topology.DELIVERY_LIMIT + 1, topology.DELIVERY_LIMIT),
        )
    with consuming(url, 1) as (_, sink):
        assert bodies(sink, 1) == [b"fine"]
    (letter,) = EmbeddedDeadLetters(url).list(10)
    assert (letter.body, letter.reason, letter.partition, letter.routing_key) == (
        b"poison",
        "delivery_limit",
        1,
        SLOT,
    )
    assert letter.properties.message_id == "poison"


# --- publishing without a server --------------------------------------------------------------------------------


def test_messages_without_a_server_are_kept_up_to_a_bound() -> None:
    publisher = EmbeddedPublisher("postgresql://nobody@127.0.0.1:1/none", name="test", waiting_max=2)
    kept = publisher.publish([message("a"), message("b")])
    refused = publisher.publish([message("c")]).wait(CONFIRM_SECONDS)
    assert publisher.blocked
    assert publisher.unconfirmed == 2
    assert [problem.kind for problem in refused] == ["lost"]
    publisher.close(0.0)
    assert [problem.kind for problem in kept.wait(CONFIRM_SECONDS)] == ["lost", "lost"]


def test_a_publisher_whose_connection_broke_sends_what_it_is_given_afterwards(url: str) -> None:
    with publishing(url) as publisher:
        assert not publisher.publish([message("a")]).wait(CONFIRM_SECONDS)
        with psycopg.connect(url) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'test.publish'"
            )
        assert not publisher.publish([message("b")]).wait(CONFIRM_SECONDS)
    assert in_queue(url, topology.partition_queue(1)) == [b"a", b"b"]


# --- dead letters and reply queues ------------------------------------------------------------------------------


def test_replaying_removes_a_letter_in_the_transaction_that_publishes_it(url: str) -> None:
    publish(url, *(message(body, "", topology.DEAD_EXCHANGE) for body in ("a", "b", "c")))
    letters = EmbeddedDeadLetters(url)
    replayed = letters.replay(lambda letter: message(letter.body.decode()) if letter.body != b"b" else None, 10)
    assert [letter.body for letter in replayed] == [b"a", b"c"]
    assert [letter.body for letter in letters.list(10)] == [b"b"]
    assert letters.count() == 1
    assert in_queue(url, topology.partition_queue(1)) == [b"a", b"c"]


def test_a_reply_queue_whose_owner_is_gone_is_removed_with_its_messages(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO holdgate_queue.queues (name, heartbeat_at) VALUES"
            " ('holdgate.reply.gone', clock_timestamp() - interval '61 s'),"
            " ('holdgate.reply.here', clock_timestamp() - interval '5 s')"
        )
        publish(
            url, message("g", "holdgate.reply.gone", ""), message("h", "holdgate.reply.here", ""), message("m")
        )
        assert queue_tables.sweep_reply_queues(connection) == 1
        assert connection.execute("SELECT body FROM holdgate_queue.messages ORDER BY id").fetchall() == [
            (b"h",),
            (b"m",),
        ]
    assert publish(url, message("g", "holdgate.reply.gone", "")) == ["unroutable"]
