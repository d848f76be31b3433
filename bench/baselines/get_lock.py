"""`GET_LOCK` on MariaDB: how the booking plugin did it whose successor we are.

A named lock around a transaction with REPEATABLE READ; what is free is the capacity minus the sum of all live holds,
counted anew for each request. Repaired where the plugin would sell too much or could not be compared: one lock per
occurrence instead of one per ticket type, sums over all types, one clock, one transaction per basket, and a request
id, so that a retry does not book twice. The row per ticket type, the limit of ten holds per session and the look for
a hold of the same session that could be added to are as they were.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from typing import Any

import pymysql

from .basket import REDUCED, TTL, Answer, Basket, Decide, again, held, sold_out
from .mariadb import connect, fresh_database

LOCK_SECONDS = 5
HOLDS_PER_SESSION = 10
TABLES = (
    """CREATE TABLE occurrences (
      id varchar(64) PRIMARY KEY, capacity int unsigned NOT NULL, reduced_capacity int unsigned NOT NULL,
      booked int unsigned NOT NULL DEFAULT 0
    ) ENGINE=InnoDB""",
    """CREATE TABLE holds (
      id bigint unsigned AUTO_INCREMENT PRIMARY KEY, request_id char(36) NOT NULL, occurrence_id varchar(64) NOT NULL,
      session_id varchar(128) NOT NULL, ticket_key varchar(50) NOT NULL, quantity int unsigned NOT NULL,
      expires_at datetime(6) NOT NULL, answer text NOT NULL,
      UNIQUE (request_id, ticket_key), UNIQUE (session_id, occurrence_id, ticket_key),
      KEY (occurrence_id, expires_at), KEY (expires_at)
    ) ENGINE=InnoDB""",
)
FREE = """SELECT o.capacity - o.booked - coalesce(sum(h.quantity), 0),
  o.reduced_capacity - coalesce(sum(if(h.ticket_key IN %s, h.quantity, 0)), 0), utc_timestamp(6)
FROM occurrences o LEFT JOIN holds h ON h.occurrence_id = o.id AND h.expires_at > utc_timestamp(6) WHERE o.id = %s"""
SESSION = "SELECT count(*) FROM holds WHERE session_id = %s AND expires_at > utc_timestamp(6)"
MINE = "SELECT id FROM holds WHERE session_id = %s AND occurrence_id = %s AND expires_at > utc_timestamp(6) FOR UPDATE"
HOLD = """INSERT INTO holds (request_id, occurrence_id, session_id, ticket_key, quantity, expires_at, answer)
VALUES (%s, %s, %s, %s, %s, %s, %s)"""
REPEATED = "SELECT answer FROM holds WHERE request_id = %s LIMIT 1"


@contextmanager
def store(occurrence_id: str, capacity: int) -> Iterator[str]:
    """A database with one occurrence in it; its URL. Raises `Absent` if there is no MariaDB."""
    with fresh_database() as url:
        connection = connect(url)
        cursor = connection.cursor()
        for table in TABLES:
            cursor.execute(table)
        insert = "INSERT INTO occurrences (id, capacity, reduced_capacity) VALUES (%s, %s, %s)"
        cursor.execute(insert, [occurrence_id, capacity, capacity // 2])
        connection.close()
        yield url


def seats_held(url: str) -> int:
    """What the rows say."""
    connection = connect(url)
    seats = _one(connection.cursor(), "SELECT coalesce(sum(quantity), 0) FROM holds")[0]
    connection.close()
    return int(seats)


def decider(url: str) -> Decide:
    """Decides on a connection of its own."""
    connection = connect(url)
    cursor = connection.cursor()
    cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")

    def decide(basket: Basket) -> Answer:
        name = f"hold_{basket.command.occurrence_id}"
        assert _one(cursor, "SELECT GET_LOCK(%s, %s)", name, LOCK_SECONDS)[0] == 1, "lock timeout"
        try:
            return _decide_locked(connection, cursor, basket)
        finally:
            _one(cursor, "SELECT RELEASE_LOCK(%s)", name)

    return decide


def _decide_locked(connection: Any, cursor: Any, basket: Basket) -> Answer:
    command = basket.command
    free, reduced_free, utc = _one(cursor, FREE, REDUCED, command.occurrence_id)
    seats_left, reduced_left, now = int(free), int(reduced_free), utc.replace(tzinfo=UTC)
    if seats_left < basket.seats or reduced_left < basket.reduced:
        cursor.execute(REPEATED, [command.request_id])
        row = cursor.fetchone()
        return again(row[0]) if row else sold_out(basket, now, seats_left, reduced_left)
    assert _one(cursor, SESSION, command.session_id)[0] < HOLDS_PER_SESSION, "the load has a session per request"
    connection.begin()
    cursor.execute(MINE, [command.session_id, command.occurrence_id])
    answer = held(basket, now, seats_left - basket.seats, reduced_left - basket.reduced)
    ids = (command.request_id, command.occurrence_id, command.session_id)
    try:
        for key, quantity in command.items.items():
            cursor.execute(HOLD, [*ids, key, quantity, utc + TTL, answer[1]])
    except pymysql.err.IntegrityError:
        connection.rollback()
        return again(_one(cursor, REPEATED, command.request_id)[0])
    connection.commit()
    return answer


def _one(cursor: Any, statement: str, *values: object) -> tuple[Any, ...]:
    cursor.execute(statement, values or None)
    row: tuple[Any, ...] = cursor.fetchone()
    return row
