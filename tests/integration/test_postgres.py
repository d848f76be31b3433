"""PostgreSQL as the truth: migrations, cursors, agreements, heartbeats."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy.dialects.postgresql.base import ischema_names
from tests.support.postgres import admin_url, fresh_database
from tests.support.rabbit import eventually

from holdgate_schema.tables import XID8, metadata
from holdgate_workers.adapters.postgres.connection import DatabaseUnavailable
from holdgate_workers.adapters.postgres.cursor import JournalCursor
from holdgate_workers.adapters.postgres.expiry.due import DueHolds
from holdgate_workers.adapters.postgres.maintenance import migrations, revision
from holdgate_workers.adapters.postgres.maintenance.durability import durability_problems
from holdgate_workers.adapters.postgres.maintenance.health_checks import Examination
from holdgate_workers.adapters.postgres.maintenance.installation import House
from holdgate_workers.adapters.postgres.partitions.members import Member, Membership
from holdgate_workers.app.partitions.membership import News
from holdgate_workers.app.relay.relay import Advance, JournalPage, ReadJournal
from holdgate_workers.cli.doctor.cursors import behind
from holdgate_workers.domain.settings.settings import InvalidSettings, Settings

pytestmark = pytest.mark.services

INSERT = """
INSERT INTO journal (request_id, fingerprint, occurrence_id, version, kind, outcome, reply, events, decided_at)
VALUES (gen_random_uuid(), '', 'occ', %s, 'hold.place.v1', 'held', '{}', %s, clock_timestamp())"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A migrated database."""
    with fresh_database() as fresh:
        migrations.migrate(fresh)
        yield fresh


@pytest.fixture
def connection(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection
        connection.execute("TRUNCATE journal, relay_cursors, workers, partition_lines, settings, settings_history")


# --- the schema -------------------------------------------------------------------------------------------------


def test_the_migrations_make_exactly_the_tables_that_the_code_knows(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ischema_names, "xid8", XID8)  # SQLAlchemy does not know this type by itself
    engine = migrations.engine_for(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": "holdgate_migrations", "compare_server_default": False}
        )
        differences = compare_metadata(context, metadata)
    engine.dispose()
    assert differences == []


def test_migrating_twice_changes_nothing(url: str) -> None:
    assert migrations.migrate(url) == migrations.migrate(url) == revision.head()


def test_an_empty_database_is_refused_with_the_way_out() -> None:
    with fresh_database() as fresh, pytest.raises(revision.SchemaMismatch, match="holdgate migrate"):
        revision.check(fresh)


def test_a_schema_newer_than_the_code_is_refused() -> None:
    """Also by the migration: it must not walk over what it does not know."""
    with fresh_database() as fresh:
        migrations.migrate(fresh)
        with psycopg.connect(fresh, autocommit=True) as connection:
            connection.execute("UPDATE holdgate_migrations SET version_num = '9999'")
        for refuse in (revision.check, migrations.migrate):
            with pytest.raises(revision.SchemaMismatch, match="newer"):
                refuse(fresh)


def test_a_database_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(DatabaseUnavailable):
        revision.check("postgresql://nobody@127.0.0.1:1/none")


def test_this_server_keeps_what_it_commits(url: str) -> None:
    assert durability_problems(url) == []


# --- cursors ----------------------------------------------------------------------------------------------------


@pytest.fixture
def cursor(url: str, connection: psycopg.Connection) -> Iterator[JournalCursor]:
    """The only one with the right to `test`; whatever becomes of the test, the next one gets it."""
    with closing(JournalCursor(url, name="test")) as cursor:
        yield cursor


def read(cursor: JournalCursor) -> JournalPage:
    page = cursor.read(ReadJournal(100))
    assert isinstance(page, JournalPage)
    return page


def events(cursor: JournalCursor, count: int) -> list[str | None]:
    """So many rows, as soon as no older transaction of the whole server holds the horizon back."""
    eventually(lambda: len(read(cursor).events) >= count)
    return list(read(cursor).events)


def test_a_row_that_commits_late_is_not_skipped(
    url: str, connection: psycopg.Connection, cursor: JournalCursor
) -> None:
    """A row written earlier and committed later comes first, and nothing after it comes before it."""
    with psycopg.connect(url) as slow:
        slow.execute(INSERT, [1, '["late"]'])
        connection.execute(INSERT, [2, '["early"]'])
        assert read(cursor).events == ()
        slow.commit()
        assert events(cursor, 2) == ['["late"]', '["early"]']


def test_rows_that_wait_for_an_older_transaction_of_any_database_are_behind_and_it_is_named(
    url: str, connection: psycopg.Connection, cursor: JournalCursor
) -> None:
    """Nothing can be told, and both the metric and the doctor say for how long and because of whom."""
    with psycopg.connect(admin_url()) as elsewhere, closing(Examination(url)) as examination:
        elsewhere.execute("SET application_name = 'a long report'")
        elsewhere.execute("SELECT pg_current_xact_id()")

        def is_oldest() -> bool:
            """Those who were there before, other tests' for example, have ended."""
            [lag] = examination.cursor_lags()
            return lag.waits_for is not None and lag.waits_for.pid == elsewhere.info.backend_pid

        connection.execute(INSERT, [1, '["one"]'])
        connection.execute("UPDATE journal SET decided_at = decided_at - interval '1 hour'")
        page = read(cursor)
        assert (page.events, page.lag_seconds >= 3600) == ((), True)
        eventually(is_oldest, "no older transaction is left")
        [lag] = examination.cursor_lags()
        assert lag.name == "test"
        assert lag.seconds >= 3600
        assert lag.waits_for is not None
        check = behind(lag, "relay", "test is late", "start a relay")
        assert f"process {elsewhere.info.backend_pid}, a long report" in check.detail
        assert f"pg_terminate_backend({elsewhere.info.backend_pid})" in check.mend
        elsewhere.rollback()
        assert events(cursor, 1)


def test_a_cursor_reads_in_the_order_of_the_numbers_and_skips_none_at_the_end_of_a_page(
    connection: psycopg.Connection, cursor: JournalCursor
) -> None:
    """Transaction 10 comes after 9, though "10" comes before "9"."""
    for version, xid in enumerate(("9", "10", "100")):
        connection.execute(INSERT, [version, f'["{xid}"]'])
        connection.execute("UPDATE journal SET xid = %s::xid8 WHERE version = %s", [xid, version])
    told = []
    for _ in range(3):
        page = cursor.read(ReadJournal(1))
        assert isinstance(page, JournalPage)
        told += page.events
        assert cursor.advance(Advance(page.start, page.end))
    assert told == ['["9"]', '["10"]', '["100"]']


def test_a_cursor_moves_only_from_where_it_was_read(connection: psycopg.Connection, cursor: JournalCursor) -> None:
    connection.execute(INSERT, [1, '["one"]'])
    events(cursor, 1)
    page = read(cursor)
    assert cursor.advance(Advance(page.start, page.end))
    assert not cursor.advance(Advance(page.start, page.end))
    assert read(cursor).events == ()
    connection.execute(INSERT, [2, '["two"]'])
    assert events(cursor, 1) == ['["two"]']


def test_of_two_relays_one_has_the_cursor_and_the_other_gets_it_when_the_first_dies(
    url: str, connection: psycopg.Connection
) -> None:
    connection.execute(INSERT, [1, '["one"]'])
    with closing(JournalCursor(url, name="test")) as first, closing(JournalCursor(url, name="test")) as second:
        assert events(first, 1)
        assert read(second).events == ()
        first.close()
        assert events(second, 1)


# --- agreements and settings ------------------------------------------------------------------------------------


@pytest.fixture
def house(url: str, connection: psycopg.Connection) -> Iterator[House]:
    house = House(url)
    yield house
    house.close()


def test_the_first_to_ask_decides_the_number_of_partitions(house: House) -> None:
    assert house.partitions(4) == 4
    assert house.partitions(16) == 4


def test_the_session_secret_is_long_and_stays(house: House) -> None:
    secret = house.session_secret()
    assert len(secret) >= 32
    assert house.session_secret() == secret


def test_b43_settings_change_at_run_time_with_a_history(house: House) -> None:
    assert house.settings() == Settings()
    house.change({"hold.ttl_minutes": "20"}, changed_by="ops")
    assert house.settings().ttl_minutes == 20
    house.change({"hold.ttl_minutes": None}, changed_by="ops")
    assert house.settings().ttl_minutes == 15
    changes = [(change.old_value, change.new_value) for change in house.history("hold.ttl_minutes")]
    assert changes == [("20", None), (None, "20")]


def test_b43_junk_changes_nothing_at_all(house: House) -> None:
    with pytest.raises(InvalidSettings, match="from 5 to 120"):
        house.change({"hold.max_per_session": "20", "hold.ttl_minutes": "soon"}, changed_by="ops")
    assert house.values() == {}
    assert house.history() == []


def test_an_accepted_clock_can_be_told_from_an_earlier_one(house: House) -> None:
    before = house.clock_accepted()
    house.accept_clock()
    assert house.clock_accepted() != before


# --- heartbeats -------------------------------------------------------------------------------------------------


def test_the_line_is_in_the_order_of_joining(url: str, connection: psycopg.Connection) -> None:
    a, b = (Membership(url, Member(name, "gate", "host", 1, "1")) for name in ("a", "b"))
    a.beat(News(joined=(0, 1)))
    view = b.beat(News(joined=(0,)))
    assert view.alive == ("a", "b")
    assert dict(view.lines) == {0: ("a", "b"), 1: ("a",)}
    view = a.beat(News(joined=(0,), left=(0,)))
    assert view.lines[0] == ("b", "a")
    a.close()
    b.close()


def test_who_is_served_strikes_out_whoever_was_recorded_before(url: str, connection: psycopg.Connection) -> None:
    """Twice is no more than once, and who is not recorded strikes nobody out."""
    a, b, c = (Membership(url, Member(name, "gate", "host", 1, "1")) for name in ("a", "b", "c"))
    a.beat(News(joined=(0, 1)))
    b.beat(News(joined=(0, 1)))
    c.beat(News(joined=(0,)))
    for _ in range(2):
        assert dict(b.beat(News(served=(0,))).lines) == {0: ("b", "c"), 1: ("a", "b")}
    assert dict(c.beat(News(served=(1,))).lines) == {0: ("b", "c"), 1: ("a", "b")}
    for member in (a, b, c):
        member.close()


def test_who_has_not_beaten_for_a_while_is_not_counted(url: str, connection: psycopg.Connection) -> None:
    a, b = (Membership(url, Member(name, "gate", "host", 1, "1")) for name in ("a", "b"))
    a.beat(News(joined=(0,)))
    connection.execute("UPDATE workers SET seen_at = seen_at - interval '10 s'")
    view = b.beat(News(joined=(0,)))
    assert view.alive == ("b",)
    assert view.lines[0] == ("b",)
    a.close()
    b.close()


def test_goodbye_frees_the_lines(url: str, connection: psycopg.Connection) -> None:
    a, b = (Membership(url, Member(name, "gate", "host", 1, "1")) for name in ("a", "b"))
    a.beat(News(joined=(0,)))
    a.goodbye()
    assert b.beat(News()).lines == {}
    a.close()
    b.close()


# --- keeping house ----------------------------------------------------------------------------------------------


def test_answers_are_forgotten_after_their_time_and_not_before(url: str, connection: psycopg.Connection) -> None:
    connection.execute(INSERT, [1, None])
    connection.execute(INSERT, [2, None])
    connection.execute("UPDATE journal SET decided_at = decided_at - interval '401 days' WHERE version = 1")
    due = DueHolds(url)
    assert due.forget_answers(400) == 1
    assert connection.execute("SELECT version FROM journal").fetchall() == [(2,)]
    due.close()


def test_b38_client_addresses_are_erased_after_their_time(url: str, connection: psycopg.Connection) -> None:
    connection.execute(
        "INSERT INTO holds (id, occurrence_id, session_id, state, basket, seats, ttl_seconds, created_at, "
        "expires_at, extensions_used, client_address, ended_at) "
        "SELECT gen_random_uuid(), 'o', 's', 'expired', '{}', 1, 1, "
        "clock_timestamp() - make_interval(days => days), clock_timestamp(), 0, '203.0.113.9', clock_timestamp() "
        "FROM unnest(ARRAY[6, 8]) AS days"
    )
    due = DueHolds(url)
    assert due.erase_addresses(7) == 1
    kept = connection.execute("SELECT count(*) FROM holds WHERE client_address IS NOT NULL").fetchone()
    assert kept == (1,)
    connection.execute("TRUNCATE holds")
    due.close()
