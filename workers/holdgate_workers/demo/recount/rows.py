"""The rows of one occurrence as the database has them, for the verdict and for the picture while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from psycopg import Connection

from holdgate_schema.answers.holds import HoldState
from holdgate_schema.events.holds import Event
from holdgate_workers.adapters.postgres.session import Session

RELAY_CURSOR = "events"

_REMOVE_LIMITS = (
    "DELETE FROM shared_limits WHERE scope = 'session' "
    "AND key IN (SELECT session_id FROM holds WHERE occurrence_id = %s)"
)

_events_decoder: msgspec.json.Decoder[list[Event]] = msgspec.json.Decoder(list[Event])


@dataclass(slots=True, frozen=True)
class JournalRow:
    """One decided command."""

    request_id: str
    version: int
    kind: str
    outcome: str
    reason: str | None
    fingerprint: bytes
    reply: str
    events: Sequence[Event]


@dataclass(slots=True, frozen=True)
class HoldRow:
    """One hold."""

    id: str
    session_id: str
    state: HoldState
    draws: dict[str, int]
    seats: int
    expires_at: datetime


@dataclass(slots=True, frozen=True)
class PoolRow:
    """One counter."""

    key: str
    sellable: int | None
    held: int
    sold: int


@dataclass(slots=True, frozen=True, kw_only=True)
class Rows:
    """Everything about one occurrence, in one snapshot."""

    version: int
    pools: list[PoolRow]
    holds: list[HoldRow]
    journal: list[JournalRow]
    """In the order of versions."""
    session_limits: dict[str, int]
    """Session -> active holds as counted, for the sessions that hold or held something here."""
    told: int
    """How many events the relay has told."""
    now: datetime


@dataclass(slots=True, frozen=True, kw_only=True)
class Progress:
    """How far a run is: numbers for the eye, none of which the verdict uses."""

    decided: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    pools: dict[str, tuple[int, int | None]] = field(default_factory=dict)
    """Pool -> taken, sellable."""
    states: dict[str, int] = field(default_factory=dict)
    told: int = 0
    short_lived: int = 0
    """Active holds that end within seconds."""
    line: tuple[tuple[str, str, int], ...] = ()
    """Who stands in line at the occurrence's queue: worker, host, pid; the head serves."""


class Ledger:
    """Reads (and, at the end, removes) one occurrence's rows. Not thread-safe; raises `DatabaseUnavailable`."""

    def __init__(self, url: str, occurrence_id: str, partition: int) -> None:
        self._session = Session(url, name="onsale")
        self._id = occurrence_id
        self._partition = partition

    def rows(self) -> Rows:
        """Everything, in one snapshot."""
        return self._session.run(self._rows)

    def progress(self) -> Progress:
        """The numbers for the picture."""
        return self._session.run_outside(self._progress)

    def lines(self, partitions: int) -> dict[int, list[str]]:
        """Who stands in line at every partition queue, the head first."""
        rows = self._session.run_outside(
            lambda connection: connection.execute(
                "SELECT partition, worker_id FROM partition_lines WHERE partition < %s ORDER BY partition, place",
                [partitions],
            ).fetchall()
        )
        lines: dict[int, list[str]] = {partition: [] for partition in range(partitions)}
        for partition, worker in rows:
            lines[partition].append(worker)
        return lines

    def remove(self) -> None:
        """Delete the occurrence with everything that was written for it."""
        self._session.run(self._remove)

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._session.close()

    def _rows(self, connection: Connection[tuple[Any, ...]]) -> Rows:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        version = _one(connection, "SELECT max(version) FROM occurrences WHERE id = %s", self._id)
        pools = connection.execute(
            "SELECT key, sellable, held, sold FROM pools WHERE occurrence_id = %s ORDER BY key", [self._id]
        )
        holds = connection.execute(
            "SELECT id::text, session_id, state, basket -> 'draws', seats, expires_at FROM holds "
            "WHERE occurrence_id = %s",
            [self._id],
        )
        journal = connection.execute(
            "SELECT request_id::text, version, kind, outcome, reason, fingerprint, reply::text, "
            "coalesce(events::text, '[]') FROM journal WHERE occurrence_id = %s ORDER BY version, id",
            [self._id],
        )
        limits = connection.execute(
            "SELECT key, used FROM shared_limits WHERE scope = 'session' "
            "AND key IN (SELECT session_id FROM holds WHERE occurrence_id = %s)",
            [self._id],
        )
        return Rows(
            version=version or 0,
            pools=[PoolRow(*row) for row in pools],
            holds=[_hold(row) for row in holds],
            journal=[_decided(row) for row in journal],
            session_limits=dict(limits.fetchall()),
            told=self._told(connection),
            now=_one(connection, "SELECT clock_timestamp()"),
        )

    def _progress(self, connection: Connection[tuple[Any, ...]]) -> Progress:
        outcomes = connection.execute(
            "SELECT coalesce(reason, outcome), count(*) FROM journal WHERE occurrence_id = %s GROUP BY 1",
            [self._id],
        ).fetchall()
        pools = connection.execute(
            "SELECT key, held + sold, sellable FROM pools WHERE occurrence_id = %s ORDER BY key", [self._id]
        )
        states = connection.execute(
            "SELECT state, count(*), "
            "count(*) FILTER (WHERE state = 'active' AND expires_at <= clock_timestamp() + interval '10 s') "
            "FROM holds WHERE occurrence_id = %s GROUP BY 1",
            [self._id],
        ).fetchall()
        line = connection.execute(
            "SELECT w.id, w.host, w.pid FROM partition_lines l JOIN workers w ON w.id = l.worker_id "
            "WHERE l.partition = %s AND w.seen_at > clock_timestamp() - interval '5 s' ORDER BY l.place",
            [self._partition],
        )
        return Progress(
            decided=sum(count for _, count in outcomes),
            outcomes=dict(outcomes),
            pools={key: (taken, sellable) for key, taken, sellable in pools},
            states={row[0]: row[1] for row in states},
            told=self._told(connection),
            short_lived=sum(row[2] for row in states),
            line=tuple((row[0], row[1], row[2]) for row in line),
        )

    def _told(self, connection: Connection[tuple[Any, ...]]) -> int:
        told = _one(
            connection,
            "SELECT sum(json_array_length(j.events)) FROM journal j JOIN relay_cursors c ON c.name = %s "
            "WHERE j.occurrence_id = %s AND j.events IS NOT NULL AND (j.xid, j.id) <= (c.xid, c.id)",
            RELAY_CURSOR,
            self._id,
        )
        return int(told or 0)

    def _remove(self, connection: Connection[tuple[Any, ...]]) -> None:
        for statement in (
            "DELETE FROM occurrences WHERE id = %s",  # and with it the pools
            _REMOVE_LIMITS,
            "DELETE FROM holds WHERE occurrence_id = %s",
            "DELETE FROM journal WHERE occurrence_id = %s",
        ):
            connection.execute(statement, [self._id])


def database_now(url: str) -> datetime:
    """The database's time."""
    session = Session(url, name="onsale")
    try:
        now: datetime = session.run(lambda connection: _one(connection, "SELECT clock_timestamp()"))
    finally:
        session.close()
    return now


def _hold(row: tuple[Any, ...]) -> HoldRow:
    return HoldRow(row[0], row[1], row[2], row[3] or {}, row[4], row[5])


def _decided(row: tuple[Any, ...]) -> JournalRow:
    events = _events_decoder.decode(row[7])
    return JournalRow(row[0], row[1], row[2], row[3], row[4], row[5], row[6], events)


def _one(connection: Connection[tuple[Any, ...]], statement: str, *values: object) -> Any:
    row = connection.execute(statement, list(values)).fetchone()
    return None if row is None else row[0]
