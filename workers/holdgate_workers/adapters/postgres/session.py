"""A connection for one thread's small statements, replaced when it breaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from psycopg import Connection

from .connection import DatabaseUnavailable, connect, translated

T = TypeVar("T")


class Session:
    """Runs work on a connection of its own. Not thread-safe. Raises `DatabaseUnavailable` and `DatabaseError`."""

    def __init__(self, url: str, *, name: str) -> None:
        self._url = url
        self._name = name
        self._connection: Connection[tuple[Any, ...]] | None = None

    def run(self, work: Callable[[Connection[tuple[Any, ...]]], T]) -> T:
        """Do the work in one transaction, committed if it returns."""
        try:
            with translated():
                connection = self._open()
                with connection.transaction():
                    return work(connection)
        except DatabaseUnavailable:
            self.close()
            raise

    def run_outside(self, work: Callable[[Connection[tuple[Any, ...]]], T]) -> T:
        """Do the work without a transaction around it."""
        try:
            with translated():
                return work(self._open())
        except DatabaseUnavailable:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; the next work opens another. Idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except psycopg.Error:
                return

    def _open(self) -> Connection[tuple[Any, ...]]:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._url, name=self._name)
        return self._connection
