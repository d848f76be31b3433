"""A slot that has lost its binding or its queue: who sends there is told, and so is who looks after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support.rabbit import channel, eventually, fresh_vhost

from holdgate_producer import BookingClient, ClientConfig, Unroutable
from holdgate_producer.client.commands import place_hold
from holdgate_schema.routing import routing_key, slot_key, slot_of
from holdgate_schema.topology import DEAD_QUEUE, REQUESTS_EXCHANGE, partition_queue
from holdgate_workers.adapters.rabbit.slots import try_slots
from holdgate_workers.adapters.rabbit.topology import declare
from holdgate_workers.app.ports import TransportError
from holdgate_workers.cli.doctor.broker import slots
from holdgate_workers.roles.metrics.metrics import Metrics
from holdgate_workers.roles.process.partition_watch import PartitionWatch

pytestmark = pytest.mark.services

PARTITIONS = 2
LOST = "occ-1"  # slot 192, in partition 0


class Unread:
    """A reader of both partition queues, so that somebody stands there; what it is sent is given to `seen`."""

    def __init__(self, raw: Any) -> None:
        self.seen: list[str] = []
        self._connection = raw.connection
        for partition in range(PARTITIONS):
            raw.basic_consume(
                partition_queue(partition),
                lambda _channel, method, *_: self.seen.append(method.routing_key),
                auto_ack=True,
            )

    def read(self, number: int) -> list[str]:
        """What has come, once it is so many."""

        def come() -> bool:
            self._connection.process_data_events(time_limit=0.05)
            return len(self.seen) >= number

        eventually(come, f"{number} requests")
        return self.seen


def unbind(raw: Any) -> set[int]:
    raw.queue_unbind(partition_queue(0), REQUESTS_EXCHANGE, routing_key(LOST))
    return {slot_of(LOST)}


def delete(raw: Any) -> set[int]:
    raw.queue_delete(partition_queue(0))
    return set(range(0, 256, PARTITIONS))


lost = pytest.mark.parametrize("lose", [unbind, delete], ids=["binding", "queue"])


@pytest.fixture
def url() -> Iterator[str]:
    with fresh_vhost() as vhost:
        declare(vhost, PARTITIONS)
        yield vhost


@lost
def test_a_request_that_no_queue_takes_comes_back_and_is_not_confirmed_in_silence(
    url: str, lose: Callable[[Any], set[int]]
) -> None:
    with channel(url) as raw:
        lose(raw)
    config = ClientConfig(url=url, app_id="shop", timeout_seconds=60)
    with BookingClient(config) as client, pytest.raises(Unroutable) as caught:
        client.place(LOST, {"adult": 1})
    assert str(caught.value.request_id) in str(caught.value)
    with channel(url) as raw:
        assert raw.queue_declare(DEAD_QUEUE, passive=True).method.message_count == 0
    declare(url, PARTITIONS)  # as `migrate` does
    with channel(url) as consuming, BookingClient(config) as client:
        client.send(place_hold(LOST, {"adult": 1}))
        assert set(Unread(consuming).read(1)) == {routing_key(LOST)}


@lost
def test_the_doctor_names_the_slots_and_says_how_to_mend_them(url: str, lose: Callable[[Any], set[int]]) -> None:
    with channel(url) as raw, channel(url) as consuming:
        reader = Unread(consuming)
        assert slots(url, PARTITIONS).status == "ok"
        reader.read(256)
        gone = lose(raw)
        assert try_slots(url, PARTITIONS).unbound == gone
        check = slots(url, PARTITIONS)
    assert check.status == "fail"
    assert f"{len(gone)} of 256" in check.detail
    assert slot_key(min(gone)) in check.detail
    assert partition_queue(0) in check.detail
    assert "holdgate migrate" in check.mend


def test_where_nobody_reads_no_request_is_left_to_find_out(url: str) -> None:
    with channel(url) as raw:
        unbind(raw)
        assert slots(url, PARTITIONS).status == "skip", "not told as well"
        waiting = [raw.queue_declare(partition_queue(n), passive=True).method.message_count for n in range(2)]
    assert waiting == [0, 0]


def test_the_metric_names_the_slots_as_long_as_nobody_takes_their_requests() -> None:
    answers: list[Any] = [frozenset({3, 192})]
    asked_in_vain: list[int] = []

    def ask(_: int) -> frozenset[int]:
        if isinstance(answers[0], Exception):
            asked_in_vain.append(1)
            raise answers[0]
        return answers[0]  # type: ignore[no-any-return]

    class NoGaps:
        def note(self, *_: Any) -> list[Any]:
            return []

        def close(self) -> None:
            pass

    metrics = Metrics(version="1", role="expiry")

    def told() -> set[str]:
        return {
            sample.labels["slot"]
            for family in metrics.registry.collect()
            for sample in family.samples
            if sample.name == "holdgate_slot_without_queue"
        }

    watch = PartitionWatch(
        lambda _: frozenset(),
        NoGaps(),  # type: ignore[arg-type]
        metrics,
        partitions=1,
        unbound=ask,
        interval_seconds=0.01,
        slots_seconds=0.01,
    )
    watch.start()
    try:
        eventually(lambda: told() == {"slot.003", "slot.192"}, "both are named")
        answers[0] = TransportError("no broker")
        eventually(lambda: asked_in_vain, "it could not ask")
        assert told() == {"slot.003", "slot.192"}, "what was seen last"
        answers[0] = frozenset({192})
        eventually(lambda: told() == {"slot.192"}, "the one that is left is named")
        answers[0] = frozenset()
        eventually(lambda: told() == set(), "none is")
    finally:
        watch.stop()
