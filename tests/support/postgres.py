"""A database of one's own for each test that asks for one, on the PostgreSQL that the tests were given."""

from __future__ import annotations

import atexit
import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql
from tests.support.handshakes import RefusedError, UnreachableError, check
from tests.support.servers import SERVICES

from holdgate_workers.adapters.postgres.maintenance import migrations

_SERVICE = next(service for service in SERVICES if service.name == "postgres")


@cache
def admin_url() -> str:
    """The URL of a login that may create databases: HOLDGATE_TEST_DATABASE_URL, or the usual one that works.

    Raises RuntimeError, with what was tried, if there is none.
    """
    given = os.environ.get(_SERVICE.variable)
    said: list[str] = []
    for url in [given] if given else _SERVICE.candidates():
        try:
            check(url)
        except (UnreachableError, RefusedError) as exc:
            said.append(str(exc))
        else:
            return url
    raise RuntimeError(f"no PostgreSQL for the tests (set {_SERVICE.variable}): {'; '.join(dict.fromkeys(said))}")


@contextmanager
def fresh_database(template: str = "template0") -> Iterator[str]:
    """The URL of a new, empty database, dropped at the end whoever is still connected to it."""
    name = f"holdgate_test_{secrets.token_hex(8)}"
    _administer("CREATE DATABASE {} TEMPLATE {}", name, template)
    try:
        yield urlunsplit(urlsplit(admin_url())._replace(path=f"/{name}"))
    finally:
        _administer("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


@contextmanager
def migrated_database() -> Iterator[str]:
    """The URL of a new database with the schema in it, as empty as `holdgate migrate` leaves it.

    They are copies, so all of them are the same house, with the same secret."""
    with fresh_database(_template()) as url:
        yield url


@cache
def _template() -> str:
    """The name of a database that was migrated once for all tests of this process."""
    database = ExitStack()
    url = database.enter_context(fresh_database())
    atexit.register(database.close)
    migrations.migrate(url)
    return url.rpartition("/")[2]


def _administer(statement: str, *names: str) -> None:
    with psycopg.connect(admin_url(), autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
