"""The tables that are the queue, and the embedded twin of declaring a topology on RabbitMQ.

Two kinds of advisory lock carry the guarantees. `GATE` is held shared by every publishing transaction and
exclusively by whoever changes queues or bindings, so that no message goes to a queue that is gone or no longer
bound. A session lock per partition queue, (`LOCK_SPACE`, the queue's id), makes its holder the single active
consumer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, LiteralString

from holdgate_schema import topology
from holdgate_workers.app.installation import Installation, StillServed

from . import stamp
from .session import Connection, connect, translated

LOCK_SPACE = 0x486F6C64
"""The first key of our advisory locks: "Hold". The second is a queue's id, or 0 for the gate."""
GATE = 0

REPLY_QUEUE_LIFE_SECONDS = 60
"""A reply queue whose owner was not heard of for so long is removed with its messages."""

_TABLES: tuple[LiteralString, ...] = (
    "CREATE SCHEMA IF NOT EXISTS holdgate_queue",
    """CREATE TABLE IF NOT EXISTS holdgate_queue.queues (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name text NOT NULL UNIQUE,
        heartbeat_at timestamptz)""",
    "COMMENT ON COLUMN holdgate_queue.queues.heartbeat_at IS 'Null: durable. Else when its owner was seen'",
    """CREATE TABLE IF NOT EXISTS holdgate_queue.exchanges (
        name text PRIMARY KEY,
        kind text NOT NULL CHECK (kind IN ('direct', 'fanout', 'topic')),
        alternate text)""",
    """CREATE TABLE IF NOT EXISTS holdgate_queue.bindings (
        exchange text NOT NULL REFERENCES holdgate_queue.exchanges ON DELETE CASCADE,
        pattern text NOT NULL,
        queue integer NOT NULL REFERENCES holdgate_queue.queues ON DELETE CASCADE,
        PRIMARY KEY (exchange, pattern, queue))""",
    """CREATE TABLE IF NOT EXISTS holdgate_queue.generation (
        one boolean PRIMARY KEY DEFAULT true CHECK (one),
        number bigint NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS holdgate_queue.installation (
        one boolean PRIMARY KEY DEFAULT true CHECK (one),
        id text NOT NULL,
        name text NOT NULL,
        stamped_at timestamptz NOT NULL DEFAULT clock_timestamp())""",
    "COMMENT ON TABLE holdgate_queue.installation IS 'Whose queue this is: schemas of one database share it'",
    "COMMENT ON TABLE holdgate_queue.generation IS 'Counts the changes of exchanges and bindings'",
    "INSERT INTO holdgate_queue.generation (number) VALUES (0) ON CONFLICT DO NOTHING",
    "CREATE SEQUENCE IF NOT EXISTS holdgate_queue.channels",
    # The fetch marks a row in place, so each page keeps room for the second version; rows live for milliseconds,
    # so vacuum must come by number and at once.
    """CREATE TABLE IF NOT EXISTS holdgate_queue.messages (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        queue integer NOT NULL,
        deliveries integer NOT NULL DEFAULT 0,
        channel bigint,
        routing_key text NOT NULL,
        properties bytea NOT NULL,
        body bytea NOT NULL,
        put_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        dead_reason text,
        dead_from integer,
        dead_at timestamptz
    ) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
            autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 20000,
            autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000,
            autovacuum_vacuum_cost_delay = 0)""",
    "CREATE INDEX IF NOT EXISTS messages_queue_id ON holdgate_queue.messages (queue, id)",
    "COMMENT ON COLUMN holdgate_queue.messages.channel IS 'The consumer''s life that it was last delivered to'",
    "COMMENT ON COLUMN holdgate_queue.messages.properties IS 'MessagePack'",
)

_CONSUMERS = """SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = %s AND objid <> %s
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
_STALE = """SELECT id FROM holdgate_queue.queues
    WHERE heartbeat_at < clock_timestamp() - make_interval(secs => %s) FOR UPDATE SKIP LOCKED"""


CHANGE_WAIT_SECONDS = 2


def declare(url: str, partitions: int, installation: Installation | None = None) -> None:
    """Make the tables, the exchanges, the queues of a house with so many partitions, and their bindings.

    Safe to run again and by several processes at once. With another number of partitions the slots are bound
    anew in one step; queues that are no longer bound stay, with their messages. The queue is stamped with the
    installation. Raises `NotOurs`, and changes nothing, if it belongs to another; `TransportError`, and ValueError
    for a number of partitions that is not 1 to 64.
    """
    if not 1 <= partitions <= topology.PARTITIONS_MAX:
        raise ValueError(f"partitions must be 1 to {topology.PARTITIONS_MAX}, not {partitions}")
    with translated(), connect(url, "holdgate-declare") as connection, changing(connection):
        for statement in _TABLES:
            connection.execute(statement)
        if installation is not None:
            stamp.claim(connection, installation)
        before = _bindings(connection)
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO holdgate_queue.exchanges (name, kind, alternate) VALUES (%s, %s, %s)"
                " ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, alternate = excluded.alternate",
                [(item.name, item.kind, item.arguments.get("alternate-exchange")) for item in topology.EXCHANGES],
            )
        _make_queues(connection, [queue.name for queue in topology.queues(partitions)])
        connection.execute(
            "DELETE FROM holdgate_queue.bindings WHERE exchange = %s", (topology.REQUESTS_EXCHANGE,)
        )
        _bind(connection, topology.bindings(partitions))
        if _bindings(connection) != before:
            _count_change(connection)


def declare_queue(url: str, name: str, *bindings: tuple[str, str]) -> None:
    """Make one more durable queue and bind it to (exchange, pattern) pairs; idempotent. Raises `TransportError`.

    The patterns of a topic exchange mean what they mean in AMQP: `*` is one word, `#` any number of them.
    """
    with translated(), connect(url, "holdgate-declare") as connection, changing(connection):
        _make_queues(connection, [name])
        _bind(connection, [topology.Binding(name, exchange, pattern) for exchange, pattern in bindings])
        _count_change(connection)


def remove_queue(url: str, name: str) -> None:
    """Remove a queue with its bindings and its messages; nothing happens if there is none."""
    with translated(), connect(url, "holdgate-declare") as connection, changing(connection):
        found = connection.execute("SELECT id FROM holdgate_queue.queues WHERE name = %s", (name,))
        drop_queues(connection, [queue for (queue,) in found])
        _count_change(connection)


def verify(url: str, installation: Installation) -> None:
    """Raises `NotOurs` or `NotSetUp` unless the queue is this installation's; else `TransportError`."""
    with translated(), connect(url, "holdgate-verify") as connection:
        stamp.check(connection, installation)


def owner(url: str) -> Installation | None:
    """Whose the queue is; None if it is nobody's. Raises `TransportError`."""
    with translated(), connect(url, "holdgate-verify") as connection:
        return stamp.owner(connection)


def take_over(url: str, installation: Installation) -> Installation | None:
    """Stamp the queue anew: whose it was. Raises `StillServed` while consumers work there, `TransportError`."""
    with translated(), connect(url, "holdgate-take-over") as connection:
        theirs = stamp.owner(connection)
        if theirs is None or theirs.id == installation.id:
            return theirs
        with changing(connection):
            row = connection.execute(_CONSUMERS, (LOCK_SPACE, GATE)).fetchone()
            if row is not None and row[0]:
                raise StillServed(stamp.PLACE, row[0])
            stamp.replace(connection, installation)
        return theirs


def sweep_reply_queues(connection: Connection) -> int:
    """Remove the reply queues whose owner is gone, with their messages: how many there were."""
    with translated():
        # The gate stops every publisher for a moment, so it is taken only when there is something to do.
        if not connection.execute(_STALE, (REPLY_QUEUE_LIFE_SECONDS,)).fetchall():
            return 0
        with changing(connection):
            stale = connection.execute(_STALE, (REPLY_QUEUE_LIFE_SECONDS,)).fetchall()
            return drop_queues(connection, [queue for (queue,) in stale])


@contextmanager
def changing(connection: Connection) -> Iterator[None]:
    """A transaction that nobody publishes beside.

    It waits for publishers at work no longer than `CHANGE_WAIT_SECONDS`: everybody else waits behind it, and one of
    those at work may be frozen.
    """
    with connection.transaction():
        connection.execute(f"SET LOCAL lock_timeout = '{CHANGE_WAIT_SECONDS}s'")
        connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (LOCK_SPACE, GATE))
        yield


def drop_queues(connection: Connection, queues: Sequence[int]) -> int:
    """Remove these queues with their messages: how many there were. To be used while `changing`."""
    gone = connection.execute("DELETE FROM holdgate_queue.queues WHERE id = ANY(%s)", (list(queues),))
    connection.execute("DELETE FROM holdgate_queue.messages WHERE queue = ANY(%s)", (list(queues),))
    return gone.rowcount


def _make_queues(connection: Connection, names: Iterable[str]) -> None:
    # Not ON CONFLICT DO NOTHING, which would burn an id for each queue that is there.
    connection.execute(
        "INSERT INTO holdgate_queue.queues (name) SELECT name FROM unnest(%s::text[]) AS wanted (name)"
        " WHERE name NOT IN (SELECT name FROM holdgate_queue.queues)",
        (list(names),),
    )


def _bind(connection: Connection, bindings: Iterable[topology.Binding]) -> None:
    rows = [(item.exchange, item.routing_key, item.queue) for item in bindings]
    exchanges, patterns, queues = map(list, zip(*rows, strict=True)) if rows else ([], [], [])
    connection.execute(
        "INSERT INTO holdgate_queue.bindings (exchange, pattern, queue)"
        " SELECT wanted.exchange, wanted.pattern, q.id"
        " FROM unnest(%s::text[], %s::text[], %s::text[]) AS wanted (exchange, pattern, queue)"
        " JOIN holdgate_queue.queues q ON q.name = wanted.queue ON CONFLICT DO NOTHING",
        (exchanges, patterns, queues),
    )


def _bindings(connection: Connection) -> list[tuple[Any, ...]]:
    return connection.execute(
        "SELECT e.name, e.kind, e.alternate, b.pattern, b.queue"
        " FROM holdgate_queue.exchanges e LEFT JOIN holdgate_queue.bindings b ON b.exchange = e.name"
        " ORDER BY 1, 4, 5"
    ).fetchall()


def _count_change(connection: Connection) -> None:
    connection.execute("UPDATE holdgate_queue.generation SET number = number + 1")
