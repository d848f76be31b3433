"""Which slots no queue takes. AMQP lists no bindings, so a request is sent under each key and comes back where nobody
takes it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import count

import pika

from holdgate_schema.codec import encode
from holdgate_schema.commands.holds import GetAvailability, type_name
from holdgate_schema.routing import SLOTS, partition_of, slot_key, slot_of
from holdgate_schema.topology import REQUESTS_EXCHANGE, partition_queue
from holdgate_workers.ids import new_request_id

from .topology import connected, look

ASKING = "holdgate-slots"


@dataclass(slots=True, frozen=True)
class Slots:
    """The slots whose requests come back, and those that could not be tried."""

    unbound: frozenset[int]
    untried: frozenset[int]


def try_slots(url: str, partitions: int) -> Slots:
    """Send through each slot what leaves no trace, and see what comes back.

    It is a read of an occurrence that does not exist, which the broker does not keep, and which a gate decides without
    a trace and answers to nobody. Queues that nobody reads, or that are behind, are left alone: there it would pile up.
    Raises `TransportError`, also if the login may not publish requests.
    """
    with connected(url, ASKING) as connection:
        found = [look(connection, partition_queue(partition)) for partition in range(partitions)]
        returned: set[str] = set()
        untried: set[int] = set()
        channel = connection.channel()
        channel.add_on_return_callback(lambda _channel, method, *_: returned.add(method.routing_key))
        for slot in range(SLOTS):
            queue = found[partition_of(slot, partitions)]
            if queue.exists and (queue.messages or not queue.consumers):
                untried.add(slot)
                continue
            command = GetAvailability(request_id=new_request_id(), occurrence_id=occurrence_in(slot))
            channel.basic_publish(
                REQUESTS_EXCHANGE, slot_key(slot), encode(command), _properties(command), mandatory=True
            )
        # The broker works a channel in order: when it has answered this, whatever comes back has come.
        channel.exchange_declare(REQUESTS_EXCHANGE, passive=True)
        connection.process_data_events(time_limit=0)
    return Slots(frozenset(slot for slot in range(SLOTS) if slot_key(slot) in returned), frozenset(untried))


def _properties(command: GetAvailability) -> pika.BasicProperties:
    return pika.BasicProperties(
        content_type="application/json",
        delivery_mode=1,
        message_id=command.request_id,
        type=type_name(command),
        app_id=ASKING,
    )


@cache
def occurrence_in(slot: int) -> str:
    """An id of this slot that nobody else would take."""
    return next(name for name in (f"holdgate.slot.{number}" for number in count()) if slot_of(name) == slot)
