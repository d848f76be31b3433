"""What the use cases may rely on, whatever the queue is made of."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from uuid import UUID

import pytest
from msgspec.structs import replace
from tests.conformance.transport_harness import (
    PATIENCE_SECONDS,
    RecordingSink,
    TransportHarness,
    numbered,
    occurrence_of_partition,
    request,
)
from tests.support.rabbit import eventually

from holdgate_schema.envelope import BODY_BYTES_KEPT, BODY_BYTES_MAX, Properties
from holdgate_schema.routing import routing_key
from holdgate_schema.topology import DEAD_EXCHANGE, DEAD_QUEUE, REPLY_QUEUE_PREFIX
from holdgate_workers.app.dead_letters.replay import REPLAYS_HEADER, replayable
from holdgate_workers.app.ports import Consumer, DeadLetter, Outgoing, Oversized, Publisher

pytestmark = pytest.mark.services


def bodies(first: int, last: int) -> list[bytes]:
    return [b"%d" % number for number in range(first, last + 1)]


def publish(publisher: Publisher, messages: list[Outgoing]) -> None:
    assert publisher.publish(messages).wait(PATIENCE_SECONDS) == []


def leave(transport: TransportHarness, consumer: Consumer) -> None:
    channel = consumer.standing()[0]
    assert channel is not None
    consumer.leave(channel)


def close(transport: TransportHarness, consumer: Consumer) -> None:
    consumer.close()


def crash(transport: TransportHarness, consumer: Consumer) -> None:
    transport.crash(consumer)


every_way_out = pytest.mark.parametrize("go", [leave, close, crash])

# --- publishing and being delivered -----------------------------------------------------------------------------


def test_what_is_published_is_confirmed_and_delivered_in_order(transport: TransportHarness) -> None:
    sink = RecordingSink()
    transport.consumer(sink).subscribe(0)
    publisher = transport.publisher()
    receipts = [publisher.publish(numbered(first, first + 99)) for first in range(1, 1001, 100)]
    assert [receipt.wait(PATIENCE_SECONDS) for receipt in receipts] == [[]] * 10
    assert publisher.unconfirmed == 0
    sink.wait_for_deliveries(1000)
    assert sink.bodies == bodies(1, 1000)
    assert [delivery.tag for delivery in sink.deliveries] == sorted({d.tag for d in sink.deliveries})
    assert not any(delivery.redelivered for delivery in sink.deliveries)


def test_whoever_waits_for_confirms_is_called(transport: TransportHarness) -> None:
    publisher = transport.publisher()
    settled = threading.Event()
    receipt = publisher.publish(numbered(1, 100))
    receipt.on_settled(settled.set)
    assert settled.wait(PATIENCE_SECONDS)
    assert receipt.is_settled
    again = threading.Event()
    receipt.on_settled(again.set)
    assert again.is_set()


def test_groups_published_from_several_calls_do_not_overtake_each_other(transport: TransportHarness) -> None:
    sink = RecordingSink()
    publisher = transport.publisher()
    receipts = [publisher.publish([message]) for message in numbered(1, 300)]
    assert not any(receipt.wait(PATIENCE_SECONDS) for receipt in receipts)
    transport.consumer(sink).subscribe(0)
    sink.wait_for_deliveries(300)
    assert sink.bodies == bodies(1, 300)


def test_an_empty_group_is_confirmed_at_once(transport: TransportHarness) -> None:
    assert transport.publisher().publish([]).wait(0) == []


def test_each_partition_gets_its_own_messages_and_channel(transport: TransportHarness) -> None:
    sink = RecordingSink()
    consumer = transport.consumer(sink)
    consumer.subscribe(0)
    consumer.subscribe(1)
    publish(transport.publisher(), [request(b"zero", 0), request(b"one", 1)])
    sink.wait_for_deliveries(2)
    by_partition = {delivery.partition: delivery for delivery in sink.deliveries}
    assert by_partition[0].body == b"zero"
    assert by_partition[1].body == b"one"
    assert by_partition[0].channel != by_partition[1].channel
    assert set(sink.subscriptions) == {(d.partition, d.channel) for d in sink.deliveries}


def test_a_mandatory_message_that_no_queue_takes_is_reported_and_no_other(transport: TransportHarness) -> None:
    publisher = transport.publisher()
    astray = Outgoing(exchange="", routing_key="no.such.queue", body=b"?", properties=Properties(), mandatory=True)
    lonely = [replace(astray, body=b"%d" % number) for number in range(3)]
    good = numbered(1, 3)
    mixed = [good[0], lonely[0], good[1], lonely[1], lonely[2], good[2]]
    problems = publisher.publish(mixed).wait(PATIENCE_SECONDS)
    assert [(problem.kind, problem.message) for problem in problems] == [("unroutable", item) for item in lonely]
    assert publisher.unconfirmed == 0


def test_a_reply_to_a_client_that_is_gone_is_harmless(transport: TransportHarness) -> None:
    replies, sink = transport.reply_queue(), RecordingSink()
    publisher = transport.publisher()

    def reply(body: bytes) -> Outgoing:
        return Outgoing(
            exchange="",
            routing_key=replies.address,
            body=body,
            properties=Properties(correlation_id="c"),
            persistent=False,
        )

    publish(publisher, [reply(b"first")])
    assert replies.read()[0] == b"first"
    replies.vanish()
    publish(publisher, [reply(b"second"), request(b"after", 0), reply(b"third")])
    transport.consumer(sink).subscribe(0)
    assert sink.wait_for_deliveries(1)[0].body == b"after"


@pytest.mark.parametrize(
    "properties",
    [
        Properties(),
        Properties(content_type=None),
        Properties(
            message_id="3f0f6a52-9a0e-4a39-8a4b-5a3d3f0c6f10",
            correlation_id="ünïcode ✓",
            reply_to=f"{REPLY_QUEUE_PREFIX}x",
            type="hold.place.v1",
            app_id="shop",
            timestamp=1_763_800_000,
            headers={"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
        ),
        Properties(headers={"n": 1, "big": 2**40, "minus": -5, "yes": True, "none": None, "raw": b"\x00\xff"}),
    ],
    ids=["defaults", "nothing", "everything", "headers"],
)
def test_properties_arrive_as_they_were_sent(transport: TransportHarness, properties: Properties) -> None:
    sink = RecordingSink()
    transport.consumer(sink).subscribe(0)
    message = replace(request(b"{}"), properties=properties)
    publish(transport.publisher(), [message])
    (delivery,) = sink.wait_for_deliveries(1)
    assert delivery.properties == properties
    assert delivery.routing_key == message.routing_key


@pytest.mark.parametrize("size", [0, 1, BODY_BYTES_MAX])
def test_bodies_of_any_size_up_to_the_limit_arrive(transport: TransportHarness, size: int) -> None:
    sink = RecordingSink()
    transport.consumer(sink).subscribe(0)
    body = (b"\xce\x00\x3c\x00\x3c" * (size // 5 + 1))[:size]
    publish(transport.publisher(), [request(b"before"), request(body), request(b"after")])
    sink.wait_for_deliveries(3)
    assert sink.bodies == [b"before", body, b"after"]
    assert {delivery.oversized for delivery in sink.deliveries} == {None}


@pytest.mark.parametrize("size", [BODY_BYTES_MAX + 1, 131_064, 131_065, 4 << 20])
def test_of_a_body_over_the_limit_only_the_beginning_arrives(transport: TransportHarness, size: int) -> None:
    sink = RecordingSink()
    consumer = transport.consumer(sink)
    consumer.subscribe(0)
    body = (b"\xce\x00\x3c\x00\x3c" * (size // 5 + 1))[:size]
    sent = [request(b"before"), request(body, correlation_id="c"), request(body), request(b"after")]
    publish(transport.publisher(), sent)
    sink.wait_for_deliveries(4)
    assert sink.bodies == [b"before", body[:BODY_BYTES_KEPT], body[:BODY_BYTES_KEPT], b"after"]
    whole = Oversized(size, sha256(body).hexdigest())
    assert [delivery.oversized for delivery in sink.deliveries] == [None, whole, whole, None]
    assert sink.deliveries[1].properties == sent[1].properties
    consumer.ack(sink.deliveries[-1].channel, sink.deliveries[-1].tag)
    consumer.close()
    again = RecordingSink()
    transport.consumer(again).subscribe(0)
    publish(transport.publisher(), [request(b"next")])
    assert again.wait_for_deliveries(1)[0].body == b"next", "what was cut was acknowledged like any other"


def test_a_letter_over_the_limit_is_shown_by_its_beginning_and_told_from_a_whole_one(
    transport: TransportHarness,
) -> None:
    body = b"z" * (BODY_BYTES_MAX + 5)
    message = replace(request(body), exchange="", routing_key=DEAD_QUEUE)
    publish(transport.publisher(), [message, letter(1, "occ-1")])
    found, small = transport.dead_letters().list(10)
    assert (found.body, found.oversized) == (
        body[:BODY_BYTES_KEPT],
        Oversized(len(body), sha256(body).hexdigest()),
    )
    assert small.oversized is None


def test_a_sender_cannot_invent_why_a_letter_died(transport: TransportHarness) -> None:
    """Only what comes from a gate or from the broker itself is believed."""
    invented: dict[str, object] = {
        "x-holdgate-reason": "poison",
        "x-holdgate-detail": "all is well",
        "x-holdgate-partition": 3,
        "x-holdgate-routing-key": "slot.001",
        "x-holdgate-died-at": "1999-01-01T00:00:00Z",
        "x-holdgate-body-bytes": 7,
        "x-holdgate-body-sha256": "0" * 64,
        "x-first-death-reason": "rejected",
        "traceparent": "00-a-b-01",
    }
    message = replace(request(b"{}", headers=invented), exchange="", routing_key=DEAD_QUEUE)
    publish(transport.publisher(), [message])
    (found,) = transport.dead_letters().list(10)
    assert (found.reason, found.detail, found.oversized) == ("unroutable", "", None)
    assert found.routing_key == DEAD_QUEUE
    assert found.partition is None
    assert "1999" not in found.died_at


# --- acknowledging ----------------------------------------------------------------------------------------------


def test_no_more_than_the_prefetch_is_delivered_before_an_acknowledgement(transport: TransportHarness) -> None:
    sink = RecordingSink()
    consumer = transport.consumer(sink, prefetch=10)
    publish(transport.publisher(), numbered(1, 30))
    consumer.subscribe(0)
    tenth = sink.wait_for_deliveries(10)[9]
    with suppress(AssertionError):
        sink.wait_for(lambda: len(sink.deliveries) > 10, timeout=0.3)
    assert len(sink.deliveries) == 10
    consumer.ack(tenth.channel, tenth.tag)
    sink.wait_for_deliveries(20)
    assert sink.bodies[:20] == bodies(1, 20)


def test_an_acknowledgement_covers_all_before_it(transport: TransportHarness) -> None:
    sink, other = RecordingSink(), RecordingSink()
    consumer = transport.consumer(sink)
    publish(transport.publisher(), numbered(1, 10))
    consumer.subscribe(0)
    sixth = sink.wait_for_deliveries(10)[5]
    consumer.ack(sixth.channel, sixth.tag)
    consumer.leave(sixth.channel)
    sink.wait_for_loss()
    transport.consumer(other).subscribe(0)
    other.wait_for_deliveries(4)
    assert other.bodies == bodies(7, 10)


def test_what_is_rejected_goes_to_the_dead_letters_and_the_rest_is_acknowledged_around_it(
    transport: TransportHarness,
) -> None:
    """Whether it is the first, one in the middle, or the very one that the acknowledgement names."""
    sink = RecordingSink()
    consumer = transport.consumer(sink)
    consumer.subscribe(0)
    publish(transport.publisher(), numbered(1, 6))
    deliveries = sink.wait_for_deliveries(6)
    channel = deliveries[0].channel
    for index in (0, 2, 4):
        consumer.reject(channel, deliveries[index].tag)
    consumer.reject(channel, deliveries[2].tag)  # once more does no harm
    consumer.ack(channel, deliveries[4].tag)
    dead = transport.dead_letters()
    eventually(lambda: dead.count() == 3, "the three are among the dead letters")
    assert [letter.body for letter in dead.list(10)] == bodies(1, 6)[0:5:2]
    assert {letter.reason for letter in dead.list(10)} == {"rejected"}
    consumer.ack(channel, deliveries[5].tag)
    assert sink.losses == []
    consumer.close()
    again = RecordingSink()
    transport.consumer(again).subscribe(0)
    publish(transport.publisher(), [request(b"next")])
    assert again.wait_for_deliveries(1)[0].body == b"next"


def test_the_highest_of_many_acknowledgements_counts(transport: TransportHarness) -> None:
    sink, other = RecordingSink(), RecordingSink()
    consumer = transport.consumer(sink)
    publish(transport.publisher(), numbered(1, 100))
    consumer.subscribe(0)
    for delivery in reversed(sink.wait_for_deliveries(100)[:90]):
        consumer.ack(delivery.channel, delivery.tag)
    consumer.close()
    transport.consumer(other).subscribe(0)
    other.wait_for_deliveries(10)
    assert other.bodies == bodies(91, 100)


def test_acknowledging_on_a_lost_channel_does_nothing(transport: TransportHarness) -> None:
    sink = RecordingSink()
    consumer = transport.consumer(sink)
    publish(transport.publisher(), numbered(1, 5))
    consumer.subscribe(0)
    old = sink.wait_for_deliveries(5)[4]
    consumer.leave(old.channel)
    sink.wait_for_loss()
    consumer.subscribe(0)
    sink.wait_for_deliveries(10)
    new = sink.deliveries[5]
    assert new.channel != old.channel
    consumer.ack(old.channel, old.tag)
    consumer.ack(new.channel, new.tag)
    consumer.leave(new.channel)
    sink.wait_for_loss(2)
    consumer.subscribe(0)
    sink.wait_for_deliveries(14)
    assert sink.bodies[10:] == bodies(2, 5)


def test_acknowledging_twice_or_too_much_keeps_the_channel(transport: TransportHarness) -> None:
    sink = RecordingSink()
    consumer = transport.consumer(sink)
    publisher = transport.publisher()
    publish(publisher, numbered(1, 2))
    consumer.subscribe(0)
    last = sink.wait_for_deliveries(2)[1]
    for tag in (last.tag, last.tag, last.tag - 1):
        consumer.ack(last.channel, tag)
    publish(publisher, numbered(3, 3))
    sink.wait_for_deliveries(3)
    assert sink.losses == []
    assert sink.deliveries[2].channel == last.channel


# --- leaving ----------------------------------------------------------------------------------------------------


@every_way_out
def test_whoever_takes_over_gets_what_was_unacknowledged_first_and_in_order(
    transport: TransportHarness, go: Callable[[TransportHarness, Consumer], None]
) -> None:
    first, second = RecordingSink(), RecordingSink()
    leaver, heir = transport.consumer(first, prefetch=50), transport.consumer(second)
    publish(transport.publisher(), numbered(1, 100))
    leaver.subscribe(0)
    first.wait_for_deliveries(50)
    heir.subscribe(0)
    second.wait_for_subscription()
    go(transport, leaver)
    second.wait_for_deliveries(100)
    assert second.bodies == bodies(1, 100)
    assert [delivery.redelivered for delivery in second.deliveries] == [True] * 50 + [False] * 50
    first.wait_for_loss()
    assert first.losses == first.subscriptions[:1]


@every_way_out
def test_what_was_acknowledged_is_not_delivered_again(
    transport: TransportHarness, go: Callable[[TransportHarness, Consumer], None]
) -> None:
    first, second = RecordingSink(), RecordingSink()
    leaver, heir = transport.consumer(first, prefetch=50), transport.consumer(second)
    publish(transport.publisher(), numbered(1, 100))
    leaver.subscribe(0)
    thirtieth = first.wait_for_deliveries(50)[29]
    heir.subscribe(0)
    second.wait_for_subscription()
    leaver.ack(thirtieth.channel, thirtieth.tag)
    if go is crash:
        # Only what the broker has heard of counts; that it delivers more says that it has.
        first.wait_for_deliveries(80)
    go(transport, leaver)
    second.wait_for_deliveries(70)
    assert second.bodies == bodies(31, 100)


def test_there_is_one_active_consumer_for_a_partition(transport: TransportHarness) -> None:
    first, second = RecordingSink(), RecordingSink()
    transport.consumer(first).subscribe(0)
    first.wait_for_subscription()
    transport.consumer(second).subscribe(0)
    second.wait_for_subscription()
    publish(transport.publisher(), numbered(1, 100))
    # Which of two that stand in line is served is told by its first delivery alone.
    eventually(lambda: len(first.deliveries) + len(second.deliveries) == 100, "all were delivered")
    assert sorted((len(first.deliveries), len(second.deliveries))) == [0, 100]


def test_leaving_one_partition_leaves_the_other_alone(transport: TransportHarness) -> None:
    sink = RecordingSink()
    consumer = transport.consumer(sink)
    consumer.subscribe(0)
    consumer.subscribe(1)
    sink.wait_for_subscription(2)
    consumer.leave(next(channel for partition, channel in sink.subscriptions if partition == 0))
    sink.wait_for_loss()
    publish(transport.publisher(), [request(b"still", 1)])
    assert sink.wait_for_deliveries(1)[0].partition == 1
    assert [partition for partition, _ in sink.losses] == [0]


def test_subscribing_and_leaving_twice_is_like_once(transport: TransportHarness) -> None:
    sink = RecordingSink()
    consumer = transport.consumer(sink)
    consumer.subscribe(0)
    consumer.subscribe(0)
    sink.wait_for_subscription()
    consumer.subscribe(0)
    publish(transport.publisher(), numbered(1, 3))
    sink.wait_for_deliveries(3)
    assert sink.bodies == bodies(1, 3)
    channel = sink.subscriptions[0][1]
    consumer.leave(channel)
    consumer.leave(channel)
    sink.wait_for_loss()
    consumer.leave(channel)
    consumer.close()
    consumer.close()
    assert len(sink.subscriptions) == len(sink.losses) == 1


def test_a_partition_can_be_wanted_again_at_once(transport: TransportHarness) -> None:
    sink = RecordingSink()
    consumer = transport.consumer(sink)
    publish(transport.publisher(), numbered(1, 10))
    consumer.subscribe(0)
    consumer.leave(sink.wait_for_deliveries(10)[0].channel)
    consumer.subscribe(0)
    sink.wait_for_deliveries(20)
    assert sink.bodies == bodies(1, 10) * 2
    assert sink.losses == sink.subscriptions[:1]
    assert {delivery.channel for delivery in sink.deliveries[10:]} == {sink.subscriptions[1][1]}


def test_a_leave_means_the_channel_that_it_names_and_none_after_it(transport: TransportHarness) -> None:
    """It may have waited for a batch to end while the channel was cut and the partition joined anew."""
    sink = RecordingSink()
    consumer = transport.consumer(sink)
    consumer.subscribe(0)
    old = sink.wait_for_subscription()
    consumer.leave(old)
    consumer.subscribe(0)
    consumer.leave(old)
    new = sink.wait_for_subscription(2)
    consumer.leave(old)
    publish(transport.publisher(), numbered(1, 3))
    assert {delivery.channel for delivery in sink.wait_for_deliveries(3)} == {new}
    assert sink.losses == [(0, old)]
    assert consumer.standing() == {0: new}


def test_a_consumer_says_what_it_wants_and_where_it_stands(transport: TransportHarness) -> None:
    sink = RecordingSink()
    consumer = transport.consumer(sink)
    assert consumer.standing() == {}
    consumer.subscribe(0)
    consumer.subscribe(1)
    sink.wait_for_subscription(2)
    channels = dict(sink.subscriptions)
    assert consumer.standing() == channels
    consumer.leave(channels[0])
    sink.wait_for_loss()
    assert consumer.standing() == {1: channels[1]}
    transport.crash(consumer)
    sink.wait_for_loss(2)
    eventually(lambda: consumer.standing() == {1: None}, "what is cut off is wanted and stands nowhere")


def test_a_queue_says_whether_it_serves_somebody(transport: TransportHarness) -> None:
    sinks = [RecordingSink(), RecordingSink()]
    first, second = (transport.consumer(sink) for sink in sinks)
    eventually(lambda: transport.served() == frozenset(), "nobody is served")
    for consumer, sink in zip((first, second), sinks, strict=True):
        consumer.subscribe(1)
        sink.wait_for_subscription()
    eventually(lambda: transport.served() == {1}, "one is served, and one waits behind it")
    transport.crash(first)
    sinks[0].wait_for_loss()
    eventually(lambda: transport.served() == {1}, "the other one is")
    second.close()
    eventually(lambda: transport.served() == frozenset(), "nobody is served any more")


# --- the publisher's end ----------------------------------------------------------------------------------------


def test_closing_the_publisher_waits_for_its_confirms(transport: TransportHarness) -> None:
    publisher = transport.publisher()
    receipt = publisher.publish(numbered(1, 500))
    publisher.close(PATIENCE_SECONDS)
    assert receipt.wait(0) == []
    assert publisher.unconfirmed == 0


def test_a_closed_publisher_refuses_what_it_is_given(transport: TransportHarness) -> None:
    publisher = transport.publisher()
    publisher.close(PATIENCE_SECONDS)
    publisher.close(PATIENCE_SECONDS)
    problems = publisher.publish(numbered(1, 2)).wait(PATIENCE_SECONDS)
    assert [problem.kind for problem in problems] == ["lost", "lost"]


# --- dead letters -----------------------------------------------------------------------------------------------


def letter(number: int, occurrence: str, **properties: object) -> Outgoing:
    request_id = str(UUID(int=number))
    body = json.dumps({"request_id": request_id, "occurrence_id": occurrence}).encode()
    headers = {
        "x-holdgate-reason": "undecidable",
        "x-holdgate-detail": "it raised",
        "x-holdgate-partition": 1,
        "x-holdgate-routing-key": "slot.007",
        "x-holdgate-died-at": "2026-11-22T10:00:00+00:00",
        "traceparent": "00-a-b-01",
    }
    return Outgoing(
        exchange=DEAD_EXCHANGE,
        routing_key="slot.007",
        body=body,
        properties=Properties(message_id=request_id, reply_to="holdgate.reply.gone", headers=headers),
        mandatory=True,
    )


def test_looking_at_dead_letters_changes_nothing(transport: TransportHarness) -> None:
    occurrence = occurrence_of_partition(0)
    sent = [letter(number, occurrence) for number in range(1, 21)]
    publish(transport.publisher(), sent)
    dead = transport.dead_letters()
    looks = [dead.list(100), dead.list(5), dead.list(100)]
    assert [item.body for item in looks[0]] == [message.body for message in sent]
    assert [item.body for item in looks[1]] == [message.body for message in sent[:5]]
    assert [item.id for item in looks[2]] == [item.id for item in looks[0]]
    assert len({item.id for item in looks[0]}) == 20
    assert dead.count() == 20


def test_a_dead_letter_says_why_it_died(transport: TransportHarness) -> None:
    publish(transport.publisher(), [letter(1, "occ-1")])
    (found,) = transport.dead_letters().list(10)
    assert (found.reason, found.detail, found.partition) == ("undecidable", "it raised", 1)
    assert (found.died_at, found.routing_key, found.replays) == ("2026-11-22T10:00:00+00:00", "slot.007", 0)
    assert found.headers["traceparent"] == "00-a-b-01"


def test_a_request_without_a_queue_comes_back_and_is_no_dead_letter(transport: TransportHarness) -> None:
    message = replace(request(b"{}"), routing_key="slot.999")
    problems = transport.publisher().publish([message]).wait(PATIENCE_SECONDS)
    assert [(problem.kind, problem.message) for problem in problems] == [("unroutable", message)]
    assert transport.dead_letters().count() == 0


def test_a_replayed_letter_is_a_request_again_and_no_letter_any_more(transport: TransportHarness) -> None:
    occurrence, sink = occurrence_of_partition(1), RecordingSink()
    sent = letter(7, occurrence)
    publish(transport.publisher(), [sent])
    dead = transport.dead_letters()
    transport.consumer(sink).subscribe(1)
    replayed = dead.replay(replayable, 10)
    assert [item.body for item in replayed] == [sent.body]
    (delivery,) = sink.wait_for_deliveries(1)
    assert delivery.body == sent.body
    assert delivery.routing_key == routing_key(occurrence)
    assert delivery.properties.message_id == sent.properties.message_id
    assert delivery.properties.reply_to is None
    assert delivery.properties.headers == {"traceparent": "00-a-b-01", REPLAYS_HEADER: 1}
    assert dead.count() == 0
    assert dead.replay(replayable, 10) == []


def test_letters_that_are_not_chosen_stay_as_they_were(transport: TransportHarness) -> None:
    occurrence = occurrence_of_partition(0)
    sent = [letter(number, occurrence) for number in range(1, 6)]
    publish(transport.publisher(), sent)
    dead = transport.dead_letters()

    def second_and_fourth(item: DeadLetter) -> Outgoing | None:
        return replayable(item) if item.body in (sent[1].body, sent[3].body) else None

    replayed = dead.replay(second_and_fourth, 10)
    assert [item.body for item in replayed] == [sent[1].body, sent[3].body]
    assert [item.body for item in dead.list(10)] == [sent[0].body, sent[2].body, sent[4].body]


def test_a_letter_that_dies_again_counts_its_replays(transport: TransportHarness) -> None:
    publish(transport.publisher(), [letter(1, "occ-1")])
    dead = transport.dead_letters()

    def to_the_dead(item: DeadLetter) -> Outgoing:
        return replace(replayable(item), exchange=DEAD_EXCHANGE)

    assert len(dead.replay(to_the_dead, 100)) == 1
    assert len(dead.replay(to_the_dead, 100)) == 1
    (found,) = dead.list(10)
    assert found.replays == 2


def test_a_letter_that_no_queue_takes_stays(transport: TransportHarness) -> None:
    publish(transport.publisher(), [letter(1, "occ-1")])
    dead = transport.dead_letters()
    assert dead.replay(lambda item: replace(replayable(item), exchange="", routing_key="no.such.queue"), 10) == []
    assert dead.count() == 1
