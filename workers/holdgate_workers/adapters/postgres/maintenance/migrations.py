"""Bringing the schema up to date."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, OperationalError

from holdgate_workers.adapters.postgres.connection import DatabaseError, DatabaseUnavailable

from . import revision

_LOCK = 0x686F6C64
"""Key of the advisory lock that lets one process migrate at a time ("hold")."""


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
            revision.refuse_newer(_current(connection))
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            return revision.head()
    except OperationalError as exc:
        raise DatabaseUnavailable(str(exc.orig).strip()) from exc
    except DBAPIError as exc:
        raise DatabaseError(f"the migration failed: {str(exc.orig).strip()}") from exc
    finally:
        engine.dispose()


def _current(connection: Connection) -> str | None:
    context = MigrationContext.configure(connection, opts={"version_table": revision.TABLE})
    return context.get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(revision.scripts()))
    config.set_main_option("path_separator", "os")
    return config
