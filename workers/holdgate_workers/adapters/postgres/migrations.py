"""Bringing the schema up to date, and refusing one that this code cannot serve."""

from __future__ import annotations

from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, OperationalError

from .connection import DatabaseError, DatabaseUnavailable

_LOCK = 0x686F6C64
"""Key of the advisory lock that lets one process migrate at a time ("hold")."""


class SchemaMismatch(Exception):
    """The database's schema is not one that this version can serve; says what to do."""


def engine_for(url: str) -> Engine:
    """A SQLAlchemy engine for work off the hot path."""
    bare = url.removeprefix("postgresql+psycopg://").removeprefix("postgresql://").removeprefix("postgres://")
    return create_engine(f"postgresql+psycopg://{bare}", pool_pre_ping=True, pool_size=2)


def migrate(url: str) -> str:
    """Apply what is missing, one process at a time; returns the revision. Raises `SchemaMismatch` if the schema is
    newer than this code knows."""
    engine = engine_for(url)
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            _refuse_newer(connection)
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            return head()
    except OperationalError as exc:
        raise DatabaseUnavailable(str(exc.orig).strip()) from exc
    except DBAPIError as exc:
        raise DatabaseError(f"the migration failed: {str(exc.orig).strip()}") from exc
    finally:
        engine.dispose()


def check(url: str) -> str:
    """The schema's revision; raises `SchemaMismatch` unless it is the one this code was written for."""
    engine = engine_for(url)
    try:
        with engine.connect() as connection:
            found = _current(connection)
            if found is None:
                raise SchemaMismatch("The database is empty. Run `holdgate migrate`.")
            _refuse_newer(connection)
            if found != head():
                raise SchemaMismatch(
                    f"The schema is at {found}, this version needs {head()}. Run `holdgate migrate`."
                )
            return found
    except OperationalError as exc:
        raise DatabaseUnavailable(str(exc.orig).strip()) from exc
    finally:
        engine.dispose()


def head() -> str:
    """The revision that this code was written for."""
    revision = _scripts().get_current_head()
    assert revision is not None
    return revision


def _refuse_newer(connection: Connection) -> None:
    found = _current(connection)
    known = {script.revision for script in _scripts().walk_revisions()}
    if found is not None and found not in known:
        raise SchemaMismatch(
            f"The schema is at {found}, which is newer than this version of Holdgate ({head()}). "
            "Install the newer version, or restore the database from before its migration."
        )


def _current(connection: Connection) -> str | None:
    context = MigrationContext.configure(connection, opts={"version_table": "holdgate_migrations"})
    return context.get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("holdgate_schema") / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())
