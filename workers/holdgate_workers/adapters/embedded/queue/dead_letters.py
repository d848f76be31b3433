"""The dead-letter queue of the embedded transport."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace

from holdgate_schema import topology
from holdgate_schema.envelope import BODY_BYTES_KEPT, BODY_BYTES_MAX
from holdgate_workers.app.dead_letters.replay import (
    DETAIL_HEADER,
    DIED_AT_HEADER,
    PARTITION_HEADER,
    REASON_HEADER,
    REPLAYS_HEADER,
    ROUTING_KEY_HEADER,
    oversized_of,
)
from holdgate_workers.app.ports import DeadLetter, Outgoing, Oversized

from .routes import Posting, Routes, unpack
from .session import connect, translated

_APPLICATION_NAME = "holdgate-dead-letters"
_PARTITION = re.compile(r"holdgate\.requests\.(\d{2})\Z")

_LETTERS = """
    SELECT m.id, m.routing_key, m.properties,
        CASE WHEN octet_length(m.body) <= %s THEN m.body ELSE substr(m.body, 1, %s) END,
        octet_length(m.body), CASE WHEN octet_length(m.body) > %s THEN encode(sha256(m.body), 'hex') END,
        m.dead_reason, origin.name,
        to_char(coalesce(m.dead_at, m.put_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
    FROM holdgate_queue.messages m LEFT JOIN holdgate_queue.queues origin ON origin.id = m.dead_from
    WHERE m.queue = (SELECT id FROM holdgate_queue.queues WHERE name = %s)
    ORDER BY m.id LIMIT %s"""
_LIMITS = (BODY_BYTES_MAX, BODY_BYTES_KEPT, BODY_BYTES_MAX)
_COUNT = """
    SELECT count(*) FROM holdgate_queue.messages
    WHERE queue = (SELECT id FROM holdgate_queue.queues WHERE name = %s)"""


class EmbeddedDeadLetters:
    """Implements `DeadLetters` on the tables of the embedded queue. Each call raises `TransportError`."""

    def __init__(self, url: str) -> None:
        self._url = url

    def list(self, limit: int) -> Sequence[DeadLetter]:
        with translated(), connect(self._url, _APPLICATION_NAME) as connection:
            rows = connection.execute(_LETTERS, (*_LIMITS, topology.DEAD_QUEUE, limit)).fetchall()
        return [_letter(row) for row in rows]

    def count(self) -> int:
        with translated(), connect(self._url, _APPLICATION_NAME) as connection:
            row = connection.execute(_COUNT, (topology.DEAD_QUEUE,)).fetchone()
        return row[0] if row is not None else 0

    def replay(self, choose: Callable[[DeadLetter], Outgoing | None], limit: int) -> Sequence[DeadLetter]:
        """As the port says, among the `limit` oldest. What no queue takes stays.

        It is one transaction, so here even a crash in between replays nothing twice.
        """
        with translated(), connect(self._url, _APPLICATION_NAME) as connection, connection.transaction():
            # Two who replay at once share the letters out instead of sending each twice.
            wanted = (*_LIMITS, topology.DEAD_QUEUE, limit)
            rows = connection.execute(_LETTERS + " FOR UPDATE OF m SKIP LOCKED", wanted)
            chosen = [
                (letter, replace(message, mandatory=True))
                for letter in map(_letter, rows)
                if (message := choose(letter)) is not None
            ]
            posting = Posting([message for _, message in chosen])
            posting.place(connection, Routes())
            replayed = [letter for place, (letter, _) in enumerate(chosen) if place not in posting.problems]
            connection.execute(
                "DELETE FROM holdgate_queue.messages WHERE id = ANY(%s::bigint[])",
                ([int(letter.id) for letter in replayed],),
            )
        return replayed


def _letter(row: tuple[Any, ...]) -> DeadLetter:
    number, routing_key, raw, body, size, sha256, reason, origin, died_at = row
    properties = unpack(raw)
    headers = properties.headers
    replays = headers.get(REPLAYS_HEADER)
    oversized = oversized_of(headers) if sha256 is None else Oversized(size, sha256)
    return DeadLetter(
        id=str(number),
        reason=str(reason or headers.get(REASON_HEADER) or "unroutable"),
        detail=str(headers.get(DETAIL_HEADER) or ""),
        died_at=str(headers.get(DIED_AT_HEADER) or died_at),
        partition=_partition(origin, headers.get(PARTITION_HEADER)),
        routing_key=str(headers.get(ROUTING_KEY_HEADER) or routing_key),
        body=body,
        properties=properties,
        oversized=oversized,
        replays=replays if isinstance(replays, int) else 0,
        headers=headers,
    )


def _partition(origin: str | None, said: object) -> int | None:
    if isinstance(said, int):
        return said
    found = _PARTITION.match(origin or "")
    return int(found[1]) if found else None
