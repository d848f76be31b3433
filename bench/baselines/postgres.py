"""What the baselines on PostgreSQL share: two tables, one row of counters per occurrence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import psycopg
from tests.support.postgres import fresh_database

from .basket import TTL, Answer, Basket, again, held, sold_out

TABLES = """
CREATE TABLE occurrences (
  id text PRIMARY KEY,
  seats_left integer NOT NULL CHECK (seats_left >= 0),
  reduced_left integer NOT NULL CHECK (reduced_left >= 0)
) WITH (fillfactor = 70);
CREATE TABLE holds (
  request_id uuid PRIMARY KEY,
  occurrence_id text NOT NULL,
  session_id text NOT NULL,
  items jsonb NOT NULL,
  seats integer NOT NULL,
  expires_at timestamptz NOT NULL,
  answer text NOT NULL
);
CREATE INDEX ON holds (expires_at);
CREATE INDEX ON holds (session_id);
"""
HOLD = """INSERT INTO holds (request_id, occurrence_id, session_id, items, seats, expires_at, answer)
VALUES (%s, %s, %s, %s, %s, %s, %s)"""
TAKE = "UPDATE occurrences SET seats_left = seats_left - %s, reduced_left = reduced_left - %s WHERE id = %s"

Connection = psycopg.Connection[tuple[Any, ...]]


@contextmanager
def store(occurrence_id: str, capacity: int) -> Iterator[str]:
    """A database with one occurrence in it; its URL."""
    with fresh_database() as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(TABLES)
            connection.execute(
                "INSERT INTO occurrences VALUES (%s, %s, %s)", [occurrence_id, capacity, capacity // 2]
            )
        yield url


def seats_held(url: str) -> int:
    """What the rows say."""
    with connect(url) as connection:
        return int(one(connection, "SELECT coalesce(sum(seats), 0) FROM holds")[0])


def connect(url: str) -> Connection:
    """As durable as the server lets us: `synchronous_commit` is on, as it is for us."""
    return psycopg.connect(url, autocommit=True, options="-c synchronous_commit=on")


def decide_under(connection: Connection, look: Callable[[str], tuple[Any, ...]], basket: Basket) -> Answer:
    """The same for every kind of lock: `look` takes it and reads what is left, and when."""
    command = basket.command
    try:
        with connection.transaction():
            seats_left, reduced_left, now = look(command.occurrence_id)
            if seats_left < basket.seats or reduced_left < basket.reduced:
                return stored(connection, basket) or sold_out(basket, now, seats_left, reduced_left)
            answer = held(basket, now, seats_left - basket.seats, reduced_left - basket.reduced)
            connection.execute(HOLD, hold_row(basket, now, answer))
            connection.execute(TAKE, [basket.seats, basket.reduced, command.occurrence_id])
            return answer
    except psycopg.errors.UniqueViolation:
        repeated = stored(connection, basket)
        assert repeated is not None
        return repeated


def stored(connection: Connection, basket: Basket) -> Answer | None:
    """The answer that the request got before, if it was held."""
    row = connection.execute(
        "SELECT answer FROM holds WHERE request_id = %s", [basket.command.request_id]
    ).fetchone()
    return None if row is None else again(row[0])


def one(connection: Connection, statement: str, *values: object) -> tuple[Any, ...]:
    """The one row that there is."""
    row = connection.execute(statement, values).fetchone()
    assert row is not None
    return row


def hold_row(basket: Basket, now: Any, answer: Answer) -> list[object]:
    """The values of `HOLD`."""
    command = basket.command
    items = msgspec.json.encode(command.items).decode()
    return [
        command.request_id,
        command.occurrence_id,
        command.session_id,
        items,
        basket.seats,
        now + TTL,
        answer[1].decode(),
    ]
