"""Bugs that a named test finds: planted in a run of that test alone (`pytest -p tests.mutants.named`)."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from typing import Any

from psycopg import Connection

from holdgate_workers.adapters.postgres.cursor import Cursor
from holdgate_workers.adapters.postgres.tasks.feed import TaskFeed
from holdgate_workers.adapters.redis import scripts
from holdgate_workers.app.tasks.tasks import Fed

PLANTED = "HOLDGATE_PLANTED"
"""The environment variable that names the bug."""


def stale_write_overwrites() -> None:
    """Whatever is written into the projection last is kept, however old it is."""
    text = scripts.WRITE
    assert "  if older then" in text, "the script no longer looks at what is older: plant this mutant anew"
    scripts.WRITE = text.replace("  if older then", "  if false then")


def tasks_written_in_another_transaction() -> None:
    """The tasks of a page are committed, and the cursor moves in the next transaction."""
    feed, advance = TaskFeed._feed, Cursor.advance

    def advance_apart(self: Cursor, connection: Connection[tuple[Any, ...]], step: Any) -> bool:
        connection.pgconn.exec_(b"COMMIT")
        connection.pgconn.exec_(b"BEGIN")
        return advance(self, connection, step)

    def feed_apart(
        self: TaskFeed, connection: Connection[tuple[Any, ...]], rows_max: int, told: Collection[str]
    ) -> Fed:
        setattr(Cursor, "advance", advance_apart)  # noqa: B010 - a method of a class that is not ours to change
        try:
            return feed(self, connection, rows_max, told)
        finally:
            setattr(Cursor, "advance", advance)  # noqa: B010

    setattr(TaskFeed, "_feed", feed_apart)  # noqa: B010


NAMED: dict[str, tuple[Callable[[], None], str]] = {
    "stale_write_overwrites": (
        stale_write_overwrites,
        "tests/integration/test_projection.py::test_a_write_that_comes_late_never_overwrites_a_newer_one",
    ),
    "tasks_written_in_another_transaction": (
        tasks_written_in_another_transaction,
        "tests/integration/test_task_table.py::test_tasks_and_cursor_are_one_transaction",
    ),
}
"""Bug -> how to plant it, and the test that finds it."""


def pytest_configure() -> None:
    """Plant what the environment names."""
    name = os.environ.get(PLANTED)
    if name:
        NAMED[name][0]()
