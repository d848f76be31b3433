"""The store: loads and commits for one worker, on a connection that it replaces when it breaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from psycopg import Connection
from psycopg.pq import TransactionStatus

from holdgate_workers.adapters.postgres.connection import DatabaseUnavailable, connect
from holdgate_workers.adapters.postgres.pipeline import Trip
from holdgate_workers.app.gate.effects import (
    Commit,
    CommitResult,
    Conflict,
    Impossible,
    Load,
    Loaded,
    Unavailable,
    Unknown,
)

from .commit import PackedCommit
from .load import load
from .sqlstates import EARLY, LIMIT, STALE

T = TypeVar("T")

FROZEN_AFTER_SECONDS = 4
"""Less than the lock timeout: whoever waited for that long has waited for somebody who is frozen."""

_LOCK_TIMEOUT = "55P03"
_UNIQUE, _EXCLUSION = "23505", "23P01"
_CONFLICTS = {
    STALE: "stale",
    LIMIT: "limit",
    EARLY: "early",
    "40001": "retry",
    "40P01": "retry",
    _LOCK_TIMEOUT: "retry",
}
_DUPLICATES = {
    "journal_pkey": "duplicate",
    "occurrences_pkey": "stale",
    "occurrences_product_id_starts_at_key": "stale",
}
_TRANSIENT_CLASSES = {"08", "25", "26", "53", "55", "57", "58"}
"""Connection, transaction state, prepared statements that somebody threw away, resources, object state, operator
intervention, system: not a message's fault."""

# In the middle of a pipeline the server counts a transaction as active, not as idle, and none of its timeouts
# applies: without this, a frozen process would keep an occurrence for as long as it stays frozen. Its own outcome
# is `Unknown` when it wakes up.
_END_FROZEN = """
SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.usename = current_user AND a.pid <> pg_backend_pid()
  AND a.application_name LIKE 'holdgate %%' AND a.wait_event = 'ClientRead'
  AND a.xact_start < clock_timestamp() - make_interval(secs => %s)"""


class PostgresStore:
    """One store for one thread. Never raises for what PostgreSQL may say; answers with a value."""

    def __init__(self, url: str, *, name: str) -> None:
        self._url = url
        self._name = name
        self._connection: Connection[tuple[Any, ...]] | None = None
        self._prepared: set[bytes] = set()
        self._packed: PackedCommit | None = None
        self._sent: PackedCommit | None = None
        self._result: CommitResult | None = None

    def load(self, wanted: Load) -> Loaded | Unavailable:
        """Read what a batch needs."""
        try:
            return self._run(lambda connection: load(connection, wanted))
        except (DatabaseUnavailable, psycopg.Error) as exc:
            self._give_up()
            return Unavailable(_first_line(exc))

    def prepare(self, plan: Commit) -> None:
        """Have a batch ready to be sent; also while another one is on its way."""
        self._packed = PackedCommit(plan)

    def commit(self, plan: Commit) -> None:
        """Send a batch to be made durable. `outcome` must follow before anything else but `prepare`."""
        packed, self._packed = self._packed, None
        if packed is None or packed.plan is not plan:
            packed = PackedCommit(plan)
        self._sent = packed
        try:
            packed.send(self._open().pgconn, self._prepared)
        except DatabaseUnavailable as exc:
            self._result = Unavailable(_first_line(exc))
        except psycopg.Error as exc:
            self._result = self._failed(exc)

    def outcome(self) -> CommitResult:
        """Wait until the batch that was sent is durable, or say what stood in the way."""
        sent, self._sent = self._sent, None
        result, self._result = self._result, None
        if result is not None:
            return result
        assert sent is not None, "nothing was sent"
        try:
            return sent.outcome()
        except psycopg.Error as exc:
            return self._failed(exc)

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._give_up()

    def _failed(self, exc: psycopg.Error) -> CommitResult:
        result = self._explain(exc)
        if isinstance(result, Unavailable):
            self._give_up()
        else:
            self._recover()
        if exc.sqlstate == _LOCK_TIMEOUT:
            self._end_frozen()
        return result

    def _explain(self, exc: psycopg.Error) -> CommitResult:
        """What the error says about the transaction: the server's own word means that it was rolled back."""
        state = exc.sqlstate
        if state is None or self._is_broken():
            return Unknown(_first_line(exc))
        constraint = exc.diag.constraint_name or ""
        if state in _CONFLICTS:
            return Conflict(_CONFLICTS[state], _first_line(exc))
        if state in (_UNIQUE, _EXCLUSION) and constraint in _DUPLICATES:
            return Conflict(_DUPLICATES[constraint], _first_line(exc))
        if state[:2] in _TRANSIENT_CLASSES:
            return Unavailable(_first_line(exc))
        return Impossible(f"{state} {_first_line(exc)}")

    def _end_frozen(self) -> None:
        """Take the rows away from a process that stopped in the middle of sending its commit."""
        connection = self._connection
        if connection is None:
            return
        try:
            connection.execute(_END_FROZEN, [FROZEN_AFTER_SECONDS])
        except psycopg.Error:
            self._give_up()

    def _run(self, work: Callable[[Connection[tuple[Any, ...]]], T]) -> T:
        return work(self._open())

    def _open(self) -> Connection[tuple[Any, ...]]:
        if self._connection is None or self._connection.closed:
            self._connection, self._prepared = connect(self._url, name=self._name), set()
        return self._connection

    def _is_broken(self) -> bool:
        connection = self._connection
        return connection is None or connection.closed or connection.broken

    def _recover(self) -> None:
        """Leave the failed transaction, or the connection if that does not work."""
        connection = self._connection
        if connection is None:
            return
        try:
            if connection.info.transaction_status != TransactionStatus.IDLE:
                # Not the driver's own rollback, which makes the server forget every prepared statement.
                back = Trip()
                back.execute("ROLLBACK")
                back.send(connection.pgconn, self._prepared)
                back.wait()
        except psycopg.Error:
            self._give_up()
            return
        if connection.closed or connection.broken:
            self._give_up()

    def _give_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except psycopg.Error:
                return


def _first_line(exc: BaseException) -> str:
    text = str(exc).strip()
    return text.splitlines()[0] if text else type(exc).__name__
