"""Statements that travel together: sent in one piece, answered in one piece.

The driver's own pipeline hands every statement to the network by itself, which wakes the server for each and is woken
by its answer; with a dozen small statements that costs more than all their work. So the hot path speaks to libpq
through the driver's `psycopg.pq`: "Pipeline Mode" in the PostgreSQL manual. Statements are prepared when a connection
meets them for the first time; values go and come as text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from select import POLLIN, POLLOUT, poll

import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGconn, PGresult

Row = tuple[str | None, ...]

_LOST = "the connection was lost before the server had answered"
_ERRORS = (ExecStatus.FATAL_ERROR, ExecStatus.BAD_RESPONSE)


@dataclass(slots=True, frozen=True)
class _Statement:
    """The name and the text that the server knows it by."""

    name: bytes
    text: bytes


class _Statements(dict[str, _Statement]):
    """Every statement that was ever sent, by its text with `%s` for each parameter."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def __missing__(self, sql: str) -> _Statement:
        first, *others = sql.split("%s")
        text = first + "".join(f"${number}{part}" for number, part in enumerate(others, start=1))
        self[sql] = statement = _Statement(b"holdgate_%d" % next(self._numbers), text.replace("%%", "%").encode())
        return statement


_statements = _Statements()


@dataclass(slots=True)
class Answer:
    """What a statement returned, once the trip is over."""

    rows: list[Row] = field(default_factory=list)


class Trip:
    """One trip to the server: statements are taken along with `execute`, then all of them are sent. Not thread-safe;
    whoever has sent one must `wait` before anything else is done on that connection."""

    def __init__(self) -> None:
        self._connection: PGconn | None = None
        self._prepared: set[bytes] = set()
        self._asked: list[tuple[_Statement, list[bytes | None], Answer]] = []
        self._sent: list[tuple[bytes | None, Answer | None]] = []
        """In the order of the answers: the name that is being prepared, or where the rows go."""

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> Answer:
        """Take a statement along."""
        answer = Answer()
        values = [None if value is None else str(value).encode() for value in parameters]
        self._asked.append((_statements[sql], values, answer))
        return answer

    def send(self, connection: PGconn, prepared: set[bytes]) -> None:
        """Hand all of it to the server. Raises `psycopg.OperationalError` if the connection is lost.

        `prepared` belongs to the connection: the names of the statements that it knows.
        """
        self._connection, self._prepared, sent = connection, prepared, self._sent
        connection.enter_pipeline_mode()
        new: set[bytes] = set()
        for statement, values, answer in self._asked:
            if statement.name not in prepared and statement.name not in new:
                connection.send_prepare(statement.name, statement.text)
                new.add(statement.name)
                sent.append((statement.name, None))
            connection.send_query_prepared(statement.name, values)
            sent.append((None, answer))
        connection.pipeline_sync()
        while connection.flush():
            if _ready(connection, POLLIN | POLLOUT) & POLLIN:
                connection.consume_input()  # or both sides would wait for the other to read

    def wait(self) -> None:
        """Wait until all is answered. Raises what the first statement that failed raises: `psycopg.Error`."""
        connection = self._connection
        assert connection is not None, "nothing was sent"
        failure: psycopg.Error | None = None
        for name, answer in self._sent:
            result = _result(connection)
            if result.status in _ERRORS:
                failure = failure or error_from_result(result)
            elif result.status != ExecStatus.PIPELINE_ABORTED:
                if name is not None:
                    self._prepared.add(name)
                elif answer is not None:
                    answer.rows = _rows(result)
            if _next(connection) is not None:
                raise psycopg.OperationalError("a statement was answered twice")
        if _result(connection).status != ExecStatus.PIPELINE_SYNC:
            raise psycopg.OperationalError("the end of the answers is missing")
        connection.exit_pipeline_mode()
        if failure is not None:
            raise failure


def _result(connection: PGconn) -> PGresult:
    result = _next(connection)
    if result is None or connection.status == ConnStatus.BAD:
        raise psycopg.OperationalError(_LOST) if result is None else error_from_result(result)
    return result


def _next(connection: PGconn) -> PGresult | None:
    while connection.is_busy():
        _ready(connection, POLLIN)
        connection.consume_input()
    return connection.get_result()


def _ready(connection: PGconn, events: int) -> int:
    waiting = poll()
    waiting.register(connection.socket, events)
    found = waiting.poll()
    return found[0][1] if found else 0


def _rows(result: PGresult) -> list[Row]:
    columns = range(result.nfields)
    return [tuple(_text(result.get_value(row, column)) for column in columns) for row in range(result.ntuples)]


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()
