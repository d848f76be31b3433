"""One baseline working off a backlog: the requests that we get, the answers that we give, a store of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import pika
from pika import spec
from tests.support.rabbit import fresh_vhost

from holdgate_schema.codec import encode
from holdgate_schema.commands.holds import PlaceHold
from holdgate_schema.routing import routing_key
from holdgate_schema.topology import REQUESTS_EXCHANGE

from .amqp import Wire, encoded
from .baselines import dramatiq_actor, get_lock, postgres, redis_lua
from .drain import Drained, drain
from .load import REPLY_QUEUE, message
from .processes import children, start_ready


@dataclass(frozen=True)
class Baseline:
    """A way to take holds. `store` may raise `Absent`."""

    name: str
    store: Callable[[str, int], AbstractContextManager[str]]
    seats_held: Callable[[str], int]
    requests: int
    """How long a backlog it gets: some three seconds' worth."""
    processes: int = 8


DRAMATIQ = "dramatiq"
BASELINES = (
    Baseline("for_update", postgres.store, postgres.seats_held, 3_000),
    Baseline("conditional_update", postgres.store, postgres.seats_held, 5_000),
    Baseline("advisory_lock", postgres.store, postgres.seats_held, 3_000),
    Baseline("get_lock", get_lock.store, get_lock.seats_held, 2_000),
    Baseline(DRAMATIQ, postgres.store, postgres.seats_held, 3_000, processes=2),
    Baseline("redis_lua", redis_lua.store, redis_lua.seats_held, 10_000),
)


@contextmanager
def arena() -> Iterator[str]:
    """A vhost with our requests exchange in it, for one baseline after another."""
    with fresh_vhost() as url:
        wire = Wire(url)
        wire.call(
            spec.Exchange.Declare(exchange=REQUESTS_EXCHANGE, type="direct", durable=True),
            spec.Exchange.DeclareOk,
        )
        wire.close()
        yield url


def drain_baseline(baseline: Baseline, amqp_url: str, commands: Sequence[PlaceHold], capacity: int) -> Drained:
    """Work off a backlog for one occurrence in an `arena`, and check that the rows say what the answers said.

    Raises `Absent`, and `AssertionError` if a seat was sold that was not there.
    """
    occurrence_id = commands[0].occurrence_id
    queue = f"bench.{baseline.name}"
    with baseline.store(occurrence_id, capacity) as store, children() as started:
        if baseline.name == DRAMATIQ:
            started += start_ready(baseline.processes, dramatiq_actor.__name__, [amqp_url, queue, store])
            drained = drain(amqp_url, [_enveloped(command, queue) for command in commands], started)
        else:
            with _bound(amqp_url, queue, occurrence_id):
                worker = "bench.baselines.worker"
                started += start_ready(baseline.processes, worker, [baseline.name, amqp_url, queue, store])
                drained = drain(amqp_url, [message(command) for command in commands], started)
        in_rows = baseline.seats_held(store)
    assert in_rows == drained.seats <= capacity, f"{baseline.name}: {in_rows} in rows, {drained.seats} told"
    return drained


@contextmanager
def _bound(amqp_url: str, queue: str, occurrence_id: str) -> Iterator[None]:
    """As durable as ours. Without a single active consumer: here a lock keeps them apart, not the queue."""
    wire = Wire(amqp_url)
    key = routing_key(occurrence_id)
    wire.call(
        spec.Queue.Declare(queue=queue, durable=True, arguments={"x-queue-type": "quorum"}), spec.Queue.DeclareOk
    )
    wire.call(spec.Queue.Bind(queue=queue, exchange=REQUESTS_EXCHANGE, routing_key=key), spec.Queue.BindOk)
    try:
        yield
    finally:
        wire.call(spec.Queue.Delete(queue=queue), spec.Queue.DeleteOk)
        wire.close()


def _enveloped(command: PlaceHold, queue: str) -> bytes:
    """The same request in dramatiq's envelope, in dramatiq's queue."""
    body = dramatiq_actor.envelope(queue, encode(command).decode(), REPLY_QUEUE, command.request_id)
    return encoded("", queue, pika.BasicProperties(delivery_mode=2), body)
