"""Which schema a database has, and whether this code can serve it.

Every process asks at its start, so this does without what migrating needs, which takes half a second to import.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from psycopg import Connection

from holdgate_workers.adapters.postgres.session import Session

TABLE = "holdgate_migrations"
"""Where the revision of a database is written."""


class SchemaMismatch(Exception):
    """The database's schema is not one that this version can serve; says what to do."""


def check(url: str) -> str:
    """The schema's revision; raises `SchemaMismatch` unless it is the one this code was written for,
    `DatabaseUnavailable` if the database cannot be asked."""
    found = _revision_of(url)
    if found is None:
        raise SchemaMismatch("The database is empty. Run `holdgate migrate`.")
    refuse_newer(found)
    if found != head():
        raise SchemaMismatch(f"The schema is at {found}, this version needs {head()}. Run `holdgate migrate`.")
    return found


def is_current(url: str) -> bool:
    """Whether there is nothing to migrate. Raises `DatabaseUnavailable`."""
    return _revision_of(url) == head()


def refuse_newer(found: str | None) -> None:
    """Raises `SchemaMismatch` if this is a revision that this code does not know."""
    if found is not None and found not in known():
        raise SchemaMismatch(
            f"The schema is at {found}, which is newer than this version of Holdgate ({head()}). "
            "Install the newer version, or restore the database from before its migration."
        )


def head() -> str:
    """The revision that this code was written for."""
    return known()[-1]


@cache
def known() -> tuple[str, ...]:
    """All revisions, in their order. A migration's file begins with its revision."""
    names = (script.name for script in (scripts() / "versions").iterdir())
    return tuple(sorted(name.partition("_")[0] for name in names if name[0].isdigit()))


def scripts() -> Traversable:
    """The folder of the migrations."""
    return files("holdgate_schema") / "migrations"


def _revision_of(url: str) -> str | None:
    session = Session(url, name="revision")
    try:
        return session.run(_found)
    finally:
        session.close()


def _found(connection: Connection[tuple[Any, ...]]) -> str | None:
    there = connection.execute("SELECT to_regclass(%s)", [TABLE]).fetchone()
    if there is None or there[0] is None:
        return None
    row = connection.execute("SELECT version_num FROM holdgate_migrations").fetchone()
    return None if row is None else str(row[0])
