"""A server that takes no commit, for one reason or the other, makes nobody ready and lets nobody hang."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from tests.support.private_servers import PrivatePostgres
from tests.support.rabbit import eventually

from holdgate_workers.adapters.postgres.diagnosis import try_writing
from holdgate_workers.adapters.postgres.maintenance.migrations import migrate
from holdgate_workers.adapters.postgres.probe import TryDatabase

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivatePostgres]:
    opened = PrivatePostgres(tmp_path_factory.mktemp("standby"))
    try:
        migrate(opened.url)
        yield opened
    finally:
        opened.stop()


def tried(url: str) -> set[str]:
    """What readiness and the doctor find."""
    database = TryDatabase(url, ("relay_cursors",), name="test")
    try:
        found = (database.fault(), try_writing(url))
    finally:
        database.close()
    return {"none" if fault is None else fault.kind for fault in found}


def changed(server: PrivatePostgres, statement: str) -> None:
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = local")
        connection.execute(statement)  # type: ignore[call-overload]
        connection.execute("SELECT pg_reload_conf()")


def test_a_synchronous_standby_that_does_not_answer_is_told_and_waited_for_by_nobody(
    server: PrivatePostgres,
) -> None:
    assert tried(server.url) == {"none"}
    changed(server, "ALTER SYSTEM SET synchronous_standby_names = 'gone'")
    try:
        eventually(lambda: tried(server.url) == {"commit_hangs"}, "both say what hangs")
    finally:
        changed(server, "ALTER SYSTEM RESET synchronous_standby_names")
    eventually(lambda: tried(server.url) == {"none"}, "all is well again")


def test_a_hot_standby_is_read_only(server: PrivatePostgres) -> None:
    with psycopg.connect(server.url) as connection:
        row = connection.execute("SHOW data_directory").fetchone()
    assert row is not None
    signal = Path(row[0]) / "standby.signal"
    server.stop()
    signal.touch()
    server.start()
    try:
        assert tried(server.url) == {"read_only"}
    finally:
        server.stop()
        signal.unlink()
        server.start()
