"""What the doctor asks the embedded queue."""

from __future__ import annotations

from dataclasses import dataclass

from holdgate_schema import topology
from holdgate_schema.routing import SLOTS, partition_of, slot_key

from .session import connect, translated
from .tables import LOCK_SPACE

_QUEUES = """
SELECT q.name, count(m.id), coalesce(max(extract(epoch FROM clock_timestamp() - m.put_at)), 0)::float8
FROM holdgate_queue.queues q LEFT JOIN holdgate_queue.messages m ON m.queue = q.id
WHERE q.heartbeat_at IS NULL GROUP BY q.name"""
_BINDINGS = """
SELECT b.exchange, b.pattern, q.name FROM holdgate_queue.bindings b
JOIN holdgate_queue.queues q ON q.id = b.queue"""
_SERVED = """
SELECT q.name FROM holdgate_queue.queues q JOIN pg_locks l ON l.objid = q.id::oid
WHERE l.locktype = 'advisory' AND l.classid = %s AND l.objsubid = 2 AND l.granted
AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND q.name = ANY(%s)"""
_THERE = "SELECT to_regclass('holdgate_queue.messages') IS NOT NULL"


@dataclass(slots=True, frozen=True)
class EmbeddedQueues:
    """What was found: what is missing, and how much waits where."""

    missing: list[str]
    bindings: int
    bindings_wanted: int
    bindings_wrong: int
    waiting: dict[str, int]
    oldest_seconds: float


def examine(url: str, partitions: int) -> EmbeddedQueues:
    """Look at everything that a house with so many partitions needs. Raises `TransportError`."""
    wanted = {(item.exchange, item.routing_key, item.queue) for item in topology.bindings(partitions)}
    names = [queue.name for queue in topology.queues(partitions)]
    with translated(), connect(url, "holdgate-doctor") as connection:
        row = connection.execute(_THERE).fetchone()
        if row is None or not row[0]:
            return EmbeddedQueues(
                [*names, *(item.name for item in topology.EXCHANGES)], 0, len(wanted), 0, {}, 0.0
            )
        exchanges = {name for (name,) in connection.execute("SELECT name FROM holdgate_queue.exchanges")}
        queues = {name: (waiting, age) for name, waiting, age in connection.execute(_QUEUES)}
        bindings = {(exchange, pattern, queue) for exchange, pattern, queue in connection.execute(_BINDINGS)}
    ours = {
        binding
        for binding in bindings
        if binding[0] in {item.name for item in topology.EXCHANGES if item.name != topology.EVENTS_EXCHANGE}
    }
    missing = [name for name in names if name not in queues]
    missing += [item.name for item in topology.EXCHANGES if item.name not in exchanges]
    requests = [queues[name] for name in names if name in queues and name != topology.DEAD_QUEUE]
    return EmbeddedQueues(
        missing=missing,
        bindings=len(wanted & bindings),
        bindings_wanted=len(wanted),
        bindings_wrong=len(ours - wanted),
        waiting={name: queues[name][0] for name in names if name in queues},
        oldest_seconds=max((age for _, age in requests), default=0.0),
    )


def served(url: str, partitions: int) -> frozenset[int]:
    """The partitions whose queue has an active consumer: somebody holds its lock. Raises `TransportError`."""
    names = {topology.partition_queue(partition): partition for partition in range(partitions)}
    with translated(), connect(url, "holdgate-partitions") as connection:
        return frozenset(names[name] for (name,) in connection.execute(_SERVED, (LOCK_SPACE, list(names))))


def unbound(url: str, partitions: int) -> frozenset[int]:
    """The slots that are bound to no queue of a house with so many partitions. Raises `TransportError`."""
    with translated(), connect(url, "holdgate-slots") as connection:
        bound = set(connection.execute(_BINDINGS))
    wanted = {slot: topology.partition_queue(partition_of(slot, partitions)) for slot in range(SLOTS)}
    return frozenset(
        slot for slot, queue in wanted.items() if (topology.REQUESTS_EXCHANGE, slot_key(slot), queue) not in bound
    )
