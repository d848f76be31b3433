"""Statements that travel together: in order, all or nothing with BEGIN and COMMIT, and never waiting for each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from threading import Thread

import psycopg
import pytest
from tests.support.postgres import fresh_database

from holdgate_workers.adapters.postgres.pipeline import Trip

pytestmark = pytest.mark.services

Send = Callable[[Trip], None]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A database with a table of numbers."""
    with fresh_database() as fresh:
        with psycopg.connect(fresh, autocommit=True) as connection:
            connection.execute("CREATE TABLE numbers (n integer PRIMARY KEY, text text)")
        yield fresh


@pytest.fixture
def connection(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("TRUNCATE numbers")
        yield connection


@pytest.fixture
def send(connection: psycopg.Connection) -> Send:
    return partial(Trip.send, connection=connection.pgconn, prepared=set())


@pytest.fixture
def go(send: Send) -> Send:
    """There and back."""

    def there_and_back(trip: Trip) -> None:
        send(trip)
        trip.wait()

    return there_and_back


def test_each_statement_sees_what_those_before_it_did_and_has_its_own_rows(go: Send) -> None:
    for turn in range(2):  # the second time they are prepared already
        trip = Trip()
        trip.execute(
            "INSERT INTO numbers SELECT n, %s FROM unnest(%s::integer[]) AS n", [f"it's {turn} %s", f"{{{turn}}}"]
        )
        rows = trip.execute("SELECT n, text, NULL, n %% 2 = 0 FROM numbers ORDER BY n")
        none = trip.execute("SELECT 1 WHERE false")
        go(trip)
        assert rows.rows[-1] == (str(turn), f"it's {turn} %s", None, "t" if turn == 0 else "f")
        assert len(rows.rows) == turn + 1
        assert none.rows == []


def test_a_statement_that_fails_takes_all_with_it_and_says_why(
    send: Send, go: Send, connection: psycopg.Connection
) -> None:
    trip = Trip()
    trip.execute("BEGIN")
    trip.execute("INSERT INTO numbers VALUES (%s)", [1])
    trip.execute("INSERT INTO numbers VALUES (%s)", [1])
    never = trip.execute("SELECT 2")
    trip.execute("COMMIT")
    send(trip)
    with pytest.raises(psycopg.errors.UniqueViolation) as raised:
        trip.wait()
    assert raised.value.diag.constraint_name == "numbers_pkey"
    assert never.rows == []
    back = Trip()
    back.execute("ROLLBACK")
    go(back)
    # What was skipped is prepared when it is needed.
    again = Trip()
    late = again.execute("SELECT 2")
    empty = again.execute("SELECT count(*) FROM numbers")
    go(again)
    assert (late.rows, empty.rows) == ([("2",)], [("0",)])


def test_more_than_fits_on_the_wire_in_both_directions_at_once_goes_through(go: Send) -> None:
    trip = Trip()
    answers = [trip.execute("SELECT %s::text, repeat(%s, 1000000)", ["y" * 1_000_000, "x"]) for _ in range(20)]
    go(trip)
    assert {(len(str(row[0])), len(str(row[1]))) for answer in answers for row in answer.rows} == {
        (1_000_000, 1_000_000)
    }


def test_a_connection_that_dies_on_the_way_is_known_to_be_broken(
    send: Send, url: str, connection: psycopg.Connection
) -> None:
    """So that nobody takes it for the server's word that the transaction is over."""
    trip = Trip()
    trip.execute("SELECT pg_advisory_lock(1)")
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(1)")
        send(trip)
        pid = connection.info.backend_pid

        def kill() -> None:
            while not other.execute(
                "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event = 'advisory'", [pid]
            ).fetchone():
                pass
            other.execute("SELECT pg_terminate_backend(%s)", [pid])

        killer = Thread(target=kill)
        killer.start()
        with pytest.raises(psycopg.OperationalError):
            trip.wait()
        killer.join()
    assert connection.broken or connection.closed
