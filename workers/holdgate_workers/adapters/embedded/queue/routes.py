"""Which queues a message goes to, and the one transaction that puts a group of messages there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import psycopg
from msgspec.structs import replace

from holdgate_schema.envelope import Properties
from holdgate_schema.topology import DEAD_EXCHANGE
from holdgate_workers.app.dead_letters.replay import as_sent
from holdgate_workers.app.ports import Outgoing, PublishProblem, TransportError

from .session import Connection, broken, notify_channel, translated
from .tables import GATE, LOCK_SPACE

_PROPERTIES = Properties.__struct_fields__
_DEFAULTS = Properties()
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode

_STATE = """SELECT number,
        (SELECT coalesce(jsonb_object_agg(name, id), '{}') FROM holdgate_queue.queues WHERE name = ANY(%s))
    FROM holdgate_queue.generation"""
_ENTER = """SELECT pg_advisory_xact_lock_shared(%s, %s),
        set_config('synchronous_commit', CASE WHEN %s THEN 'on' ELSE 'off' END, true)"""
_INSERT = """WITH put AS (
        INSERT INTO holdgate_queue.messages (queue, routing_key, properties, body)
        SELECT * FROM unnest(%s::integer[], %s::text[], %s::bytea[], %s::bytea[])
    )
    SELECT pg_notify(name, '') FROM unnest(%s::text[]) AS touched (name)"""


def pack(properties: Properties) -> bytes:
    """Properties as a row has them: what is not the default, by name.

    What cannot be written (a lone surrogate, an integer over 64 bits) becomes readable text, so that an echoed
    property cannot spoil an answer.
    """
    said = {name: getattr(properties, name) for name in _PROPERTIES}
    said = {name: value for name, value in said.items() if value != getattr(_DEFAULTS, name)}
    try:
        return _encode(said)
    except (ValueError, TypeError, OverflowError):
        return _encode(_mended(said))


def _mended(value: Any) -> Any:
    if isinstance(value, dict):
        return {_mended(str(name)): _mended(item) for name, item in value.items()}
    if value is None or isinstance(value, bytes | bool | float):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return value
    return str(value).encode("utf-8", "replace").decode()


def unpack(raw: bytes) -> Properties:
    """The properties again; names that this version does not know are left out."""
    said: dict[str, Any] = _decode(raw)
    return Properties(**{name: value for name, value in said.items() if name in _PROPERTIES})


def topic_matches(pattern: str, routing_key: str) -> bool:
    """Whether a topic binding takes the key: `*` stands for one word, `#` for any number of words."""
    reached = {0}
    words = pattern.split(".")
    key = routing_key.split(".")
    for word in words:
        if word == "#":
            reached = set(range(min(reached), len(key) + 1))
        else:
            reached = {at + 1 for at in reached if at < len(key) and word in ("*", key[at])}
        if not reached:
            return False
    return len(key) in reached


class Exchange:
    """One exchange with its bindings, as they were when they were read."""

    def __init__(self, kind: str, alternate: str | None) -> None:
        self.kind = kind
        self.alternate = alternate
        self._by_pattern: dict[str, set[int]] = {}

    def bind(self, pattern: str, queue: int) -> None:
        self._by_pattern.setdefault(pattern, set()).add(queue)

    def queues(self, routing_key: str) -> set[int]:
        """The queues bound for the key; each gets the message once."""
        if self.kind == "direct":
            return self._by_pattern.get(routing_key, set())
        found: set[int] = set()
        for pattern, queues in self._by_pattern.items():
            if self.kind == "fanout" or topic_matches(pattern, routing_key):
                found |= queues
        return found


class Routes:
    """Exchanges and bindings, read again whenever their generation has changed."""

    def __init__(self) -> None:
        self._generation = -1
        self._exchanges: dict[str, Exchange] = {}

    def refresh(self, connection: Connection, generation: int) -> None:
        if generation == self._generation:
            return
        exchanges: dict[str, Exchange] = {}
        rows = connection.execute(
            "SELECT e.name, e.kind, e.alternate, b.pattern, b.queue"
            " FROM holdgate_queue.exchanges e LEFT JOIN holdgate_queue.bindings b ON b.exchange = e.name"
        )
        for name, kind, alternate, pattern, queue in rows:
            exchange = exchanges.setdefault(name, Exchange(kind, alternate))
            if pattern is not None:
                exchange.bind(pattern, queue)
        self._exchanges, self._generation = exchanges, generation

    def queues(self, exchange: str, routing_key: str) -> set[int] | None:
        """Where a message goes, by way of alternate exchanges if need be; None if there is no such exchange."""
        found = self._exchanges.get(exchange)
        if found is None:
            return None
        seen = {exchange}
        while not (queues := found.queues(routing_key)) and found.alternate and found.alternate not in seen:
            seen.add(found.alternate)
            following = self._exchanges.get(found.alternate)
            if following is None:
                break
            found = following
        return queues


class Posting:
    """One group of messages on its way into the tables. Committed as a whole, or not at all."""

    def __init__(self, messages: Sequence[Outgoing]) -> None:
        self._messages = messages
        self.problems: dict[int, PublishProblem] = {}
        """By the message's place in the group."""
        self.sent = False
        """Whether the commit may have reached the server: if the connection breaks now, the outcome is unknown."""

    def commit(self, connection: Connection, routes: Routes) -> None:
        """Put the messages into their queues, in the order given, and tell the listeners. Raises `TransportError`.

        Afterwards `problems` says what went nowhere. To be called once.
        """
        try:
            with translated(), connection.pipeline():
                # Not `connection.transaction()`: in a pipeline it waits for all else before it sends the COMMIT.
                connection.execute("BEGIN")
                self.place(connection, routes)
                self.sent = True
                connection.execute("COMMIT")
        except TransportError:
            if not broken(connection):
                with translated():
                    connection.execute("ROLLBACK")
            raise

    def place(self, connection: Connection, routes: Routes) -> None:
        """What `commit` does, inside the caller's transaction. Raises what the driver raises."""
        durable = any(message.persistent for message in self._messages)
        connection.execute(_ENTER, (LOCK_SPACE, GATE, durable))
        # A statement of its own: its snapshot must be younger than the lock.
        answer = connection.execute(_STATE, (_queues_named(self._messages),)).fetchone()
        if answer is None:
            raise psycopg.DataError("the queue was not declared")
        routes.refresh(connection, answer[0])
        self._insert(connection, self._rows(routes, answer[1]))

    def _rows(self, routes: Routes, named: dict[str, int]) -> list[tuple[int, Outgoing]]:
        known: dict[tuple[str, str], set[int] | None] = {}
        rows: list[tuple[int, Outgoing]] = []
        for index, message in enumerate(self._messages):
            key = (message.exchange, message.routing_key)
            if key not in known:
                known[key] = _queues_of(*key, routes, named)
            queues = known[key]
            if queues:
                rows.extend((queue, message) for queue in queues)
            elif queues is None:
                what = f"there is no exchange {message.exchange!r}"
                self.problems[index] = PublishProblem(message, "nacked", what)
            elif message.mandatory:
                where = f"no queue takes {message.routing_key!r} of exchange {message.exchange!r}"
                self.problems[index] = PublishProblem(message, "unroutable", where)
        return rows

    @staticmethod
    def _insert(connection: Connection, rows: list[tuple[int, Outgoing]]) -> None:
        if not rows:
            return
        queues = [queue for queue, _ in rows]
        keys = [message.routing_key for _, message in rows]
        properties = [pack(_believable(message)) for _, message in rows]
        bodies = [message.body for _, message in rows]
        channels = [notify_channel(queue) for queue in set(queues)]
        connection.execute(_INSERT, (queues, keys, properties, bodies, channels))


def _believable(message: Outgoing) -> Properties:
    """The properties; only what is sent to the dead letters may say why it died."""
    properties = message.properties
    if not properties.headers or message.exchange == DEAD_EXCHANGE:
        return properties
    return replace(properties, headers=as_sent(properties))


def _queues_of(exchange: str, routing_key: str, routes: Routes, named: dict[str, int]) -> set[int] | None:
    if exchange:
        return routes.queues(exchange, routing_key)
    return {named[routing_key]} if routing_key in named else set()


def _queues_named(messages: Sequence[Outgoing]) -> list[str]:
    """The routing keys that are names of queues: those of the default exchange."""
    return list({message.routing_key for message in messages if not message.exchange})
