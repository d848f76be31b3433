"""The recount goes through everything piece by piece, and misses nothing at the seams."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest
from tests.support.postgres import migrated_database

from holdgate_workers.adapters.postgres.maintenance import recounting
from holdgate_workers.adapters.postgres.maintenance.recounting import Recount
from holdgate_workers.ids import new_request_id

pytestmark = pytest.mark.services

OCCURRENCES = ("a", "b", "c")
Break = Callable[[psycopg.Connection], object]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A migrated database."""
    with migrated_database() as fresh:
        yield fresh


@pytest.fixture
def house(url: str) -> Iterator[psycopg.Connection]:
    """Three occurrences, each with a hold of two seats and a sold one of three, all counted."""
    with psycopg.connect(url, autocommit=True) as connection:
        for name in OCCURRENCES:
            connection.execute(
                "INSERT INTO occurrences (id, product_id, starts_at, ends_at, status, definition, version) "
                "VALUES (%s, %s, now() + interval '1 day', now() + interval '2 days', 'active', '{}', 1)",
                [name, name],
            )
            connection.execute(
                "INSERT INTO pools (occurrence_id, key, capacity, overbooking_percent, buffer, sellable, held, sold) "
                "VALUES (%s, 'total', 10, 0, 0, 10, 2, 3)",
                [name],
            )
            add_hold(connection, name, f"session-{name}", 2)
            add_hold(connection, name, f"buyer-{name}", 3, state="confirmed")
            connection.execute(
                "INSERT INTO shared_limits (scope, key, used, cap) VALUES ('session', %s, 1, 9)",
                [f"session-{name}"],
            )
        yield connection
        connection.execute("TRUNCATE occurrences, pools, holds, shared_limits CASCADE")


def add_hold(
    connection: psycopg.Connection, occurrence_id: str, session_id: str, seats: int, *, state: str = "active"
) -> None:
    connection.execute(
        "INSERT INTO holds (id, occurrence_id, session_id, state, basket, seats, ttl_seconds, created_at, expires_at, "
        "extensions_used) VALUES (%s, %s, %s, %s, jsonb_build_object('draws', jsonb_build_object('total', %s::int)), "
        "%s, 900, now(), now() + interval '1 hour', 0)",
        [new_request_id(), occurrence_id, session_id, state, seats, seats],
    )


def found_by(url: str, steps: int) -> tuple[list[str], int]:
    recount = Recount(url)
    try:
        named = [name for _ in range(steps) for name in recount.step()]
        return named, recount.differences
    finally:
        recount.close()


def a_clock_by_which_everything_is_slow() -> Callable[[], float]:
    now = 0.0

    def monotonic() -> float:
        nonlocal now
        now += 1.0
        return now

    return monotonic


def test_where_everything_agrees_nothing_is_found(url: str, house: psycopg.Connection) -> None:
    assert found_by(url, 3) == ([], 0)


BROKEN: dict[str, tuple[Break, list[str]]] = {
    "too few are counted as held": (
        lambda c: c.execute("UPDATE pools SET held = 1 WHERE occurrence_id = 'b'"),
        ["b/total"],
    ),
    "too many are counted as sold": (
        lambda c: c.execute("UPDATE pools SET sold = 4 WHERE occurrence_id = 'c'"),
        ["c/total"],
    ),
    "a hold nobody counted": (lambda c: add_hold(c, "a", "session-a", 1), ["a/total"]),
    "a pool that is missing": (lambda c: c.execute("DELETE FROM pools WHERE occurrence_id = 'a'"), ["a/total"]),
    "a session that holds more than counted": (
        lambda c: c.execute("UPDATE shared_limits SET used = 2 WHERE key = 'session-b'"),
        [],
    ),
    "a session that is not counted, before all others": (lambda c: uncounted(c, "0"), []),
    "a session that is not counted, between two": (lambda c: uncounted(c, "session-bb"), []),
    "a session that is not counted, after all others": (lambda c: uncounted(c, "zzz"), []),
}


def uncounted(connection: psycopg.Connection, session_id: str) -> None:
    add_hold(connection, "a", session_id, 0)


@pytest.mark.parametrize("rows", [1, 2, 100])
@pytest.mark.parametrize("what", BROKEN)
def test_each_disagreement_is_found_once_a_pass_however_small_the_pieces(
    url: str, house: psycopg.Connection, what: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_it, pools = BROKEN[what]
    break_it(house)
    monkeypatch.setattr(recounting, "ROWS_MAX", rows)
    monkeypatch.setattr(recounting, "ROWS_FIRST", rows)
    recount = Recount(url)
    for walk in (recount._pools, recount._sessions):
        walk.rows = rows
    named = [name for _ in range(2 * (len(OCCURRENCES) // rows + 1)) for name in recount.step()]
    assert sorted(set(named)) == pools
    expected = 1
    if what in ("a hold nobody counted",):
        expected = 2  # its session is not counted either
    assert recount.differences == expected
    recount.close()


def test_what_was_mended_is_no_longer_counted_after_the_next_pass(url: str, house: psycopg.Connection) -> None:
    house.execute("UPDATE pools SET held = 1 WHERE occurrence_id = 'b'")
    recount = Recount(url)
    recount.step()
    assert recount.differences == 1
    house.execute("UPDATE pools SET held = 2 WHERE occurrence_id = 'b'")
    recount.step()
    assert recount.differences == 0
    recount.close()


def test_pieces_become_smaller_when_they_take_long(url: str, house: psycopg.Connection) -> None:
    recount = Recount(url, a_clock_by_which_everything_is_slow())
    for _ in range(10):
        recount.step()
    assert recount._pools.rows == recount._sessions.rows == 1
    recount.close()
