"""Reads for people: one snapshot, nothing written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from psycopg import Connection

from holdgate_workers.adapters.postgres.session import Session

T = TypeVar("T")


class Reader:
    """Base of the readers. Not thread-safe; every call raises `DatabaseUnavailable` or `DatabaseError`."""

    def __init__(self, url: str) -> None:
        self._session = Session(url, name=type(self).__name__.lower())

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._session.close()

    def _read(self, work: Callable[[Connection[tuple[Any, ...]]], T]) -> T:
        """Do the work in one snapshot."""

        def inside(connection: Connection[tuple[Any, ...]]) -> T:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            return work(connection)

        return self._session.run(inside)
