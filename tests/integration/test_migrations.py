"""From one release's schema to the next: what there is stays, and nobody who works is stopped."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import as_file, files
from itertools import count
from pathlib import Path
from threading import Event

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from tests.support.postgres import fresh_database

from holdgate_workers.adapters.postgres.maintenance import migrations, revision
from holdgate_workers.adapters.postgres.maintenance.installation import House
from holdgate_workers.adapters.postgres.pricing.products import PriceBook

pytestmark = pytest.mark.services

FIRST = "0001"
OCCURRENCE = """
INSERT INTO occurrences (id, product_id, starts_at, ends_at, status, definition, version)
VALUES ('occ-1', 'tour', '2030-05-01T08:00Z', '2030-05-01T09:00Z', 'active', '{"timezone": "Europe/Rome"}', 7)"""
POOL = """
INSERT INTO pools (occurrence_id, key, capacity, overbooking_percent, buffer, sellable, held, sold)
VALUES ('occ-1', 'total', 12, 0, 0, 12, 3, 2)"""
SETTING = "INSERT INTO settings (name, value, changed_by) VALUES ('hold.ttl_minutes', '20', 'ada')"
COLUMNS = """
SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns
WHERE table_schema = 'public' AND table_name <> ALL (%s) ORDER BY 1, 2"""
NEW = ["order_refunds", "orders", "products", "vouchers"]


def upgrade(url: str, revision: str) -> None:
    """The schema as a release had it."""
    config = Config()
    config.set_main_option("script_location", str(files("holdgate_schema") / "migrations"))
    config.set_main_option("path_separator", "os")
    engine = migrations.engine_for(url)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


def test_the_revisions_are_known_without_what_migrates_them() -> None:
    """A process asks at its start, and a command that is called by hand should answer at once."""
    scripts = ScriptDirectory.from_config(migrations._config())
    assert [script.revision for script in scripts.walk_revisions()][::-1] == list(revision.known())
    assert scripts.get_current_head() == revision.head()


def test_the_first_schema_with_data_in_it_is_brought_up_to_date() -> None:
    """What was there is there; and only what is new was added."""
    with fresh_database() as url:
        upgrade(url, FIRST)
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in (OCCURRENCE, POOL, SETTING):
                connection.execute(statement)
            before = connection.execute(COLUMNS, [NEW]).fetchall()
        with pytest.raises(revision.SchemaMismatch, match=r"at 0001, .* Run `holdgate migrate`"):
            revision.check(url)
        assert migrations.migrate(url) == revision.check(url) == revision.head()
        with psycopg.connect(url) as connection:
            assert set(before) <= set(connection.execute(COLUMNS, [NEW]).fetchall())
        house, book = House(url), PriceBook(url)
        assert house.settings().ttl_minutes == 20
        assert house.session_secret()
        assert book.products.in_force(10) == []
        basis = book.basis("tour", version=None, occurrence_id="occ-1", voucher=None)
        assert basis.occurrence is not None
        assert (basis.occurrence.occasion.taken, basis.occurrence.occasion.sellable) == (5, 12)
        house.close()
        book.close()


def test_workers_of_the_release_before_go_on_while_the_schema_is_brought_up_to_date() -> None:
    """Between two of their transactions the migration has all the locks that it asks for, and the next one works."""
    with fresh_database() as url:
        upgrade(url, FIRST)
        finish, worked = Event(), Event()

        def work() -> int:
            with psycopg.connect(url, autocommit=True) as worker:
                for turn in count():
                    with worker.transaction():
                        worker.execute(
                            "INSERT INTO settings (name, value, changed_by) VALUES (%s, '1', 'x')", [turn]
                        )
                        worker.execute("SELECT h.id FROM holds h JOIN journal j ON j.hold_id = h.id").fetchall()
                    worked.set()
                    if finish.is_set():
                        return turn
            raise AssertionError("it goes on for ever")

        with ThreadPoolExecutor(1) as pool:
            working = pool.submit(work)
            assert worked.wait(10)
            impatient = url + ("&" if "?" in url else "?") + "options=-c%20lock_timeout%3D5s"
            assert migrations.migrate(impatient) == revision.head()
            finish.set()
            assert working.result(10) > 0


def test_a_release_that_knows_only_the_first_schema_refuses_the_newer_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its start and in its own `holdgate migrate`, and says what to do."""
    with as_file(files("holdgate_schema") / "migrations") as folder:
        shutil.copytree(folder, tmp_path / "migrations")
    for script in (tmp_path / "migrations" / "versions").glob("0*.py"):
        if not script.name.startswith(FIRST):
            script.unlink()
    with fresh_database() as url:
        migrations.migrate(url)
        config = Config()
        config.set_main_option("script_location", str(tmp_path / "migrations"))
        config.set_main_option("path_separator", "os")
        monkeypatch.setattr(migrations, "_config", lambda: config)
        monkeypatch.setattr(revision, "known", lambda: (FIRST,))
        assert revision.head() == FIRST
        for refuse in (revision.check, migrations.migrate):
            with pytest.raises(revision.SchemaMismatch, match=r"newer .* \(0001\)\. Install the newer version"):
                refuse(url)
