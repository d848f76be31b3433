"""Whose the queue in a database is.

Its tables have a schema of their own, so two installations that live in two schemas of one database (by `search_path`)
would share them.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import psycopg

from holdgate_workers.app.installation import Installation, NotOurs, NotSetUp

PLACE = "The queue in the database"

_Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

_THERE = "SELECT to_regclass('holdgate_queue.installation') IS NOT NULL"
_OWNER = "SELECT id, name FROM holdgate_queue.installation"


def claim(connection: _Connection, ours: Installation) -> None:
    """Make the queue ours if it is nobody's, in the caller's transaction. Raises `NotOurs`."""
    connection.execute(
        "INSERT INTO holdgate_queue.installation (id, name) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        (ours.id, ours.name),
    )
    check(connection, ours)
    connection.execute("UPDATE holdgate_queue.installation SET name = %s WHERE name <> %s", (ours.name, ours.name))


def replace(connection: _Connection, ours: Installation) -> None:
    """Make the queue ours, whosever it was."""
    connection.execute(
        "UPDATE holdgate_queue.installation SET id = %s, name = %s, stamped_at = clock_timestamp()",
        (ours.id, ours.name),
    )


def owner(connection: _Connection) -> Installation | None:
    """Whose it is; None if it is nobody's."""
    row = connection.execute(_THERE).fetchone()
    if row is None or not row[0]:
        return None
    found = connection.execute(_OWNER).fetchone()
    return None if found is None else Installation(*found)


def check(connection: _Connection, ours: Installation) -> None:
    """Raises `NotOurs` or `NotSetUp` unless the queue is ours."""
    theirs = owner(connection)
    if theirs is None:
        raise NotSetUp(PLACE, ours)
    if theirs.id != ours.id:
        raise NotOurs(
            PLACE,
            ours,
            theirs,
            "Give it a database of its own in HOLDGATE_DATABASE_URL, or RabbitMQ; or, if the other one is gone for "
            "good, run `holdgate installation take-over`.",
        )
