"""A second installation beside the one of a test: another database, and what it is told about the queues."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from tests.support.cli import Ran, Terminal
from tests.support.postgres import fresh_database

from holdgate_workers.adapters.postgres.maintenance import migrations
from holdgate_workers.adapters.postgres.maintenance.installation import House
from holdgate_workers.app.installation import Installation

SCHEMA = "second_house"


@contextmanager
def second_database() -> Iterator[str]:
    """A database with an id of its own: the tests' usual ones are copies of each other."""
    with fresh_database() as url:
        migrations.migrate(url)
        yield url


def second_schema(url: str) -> str:
    """The URL of another installation in another schema of the same database, so that both have one embedded queue."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {SCHEMA}")
    second = f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3D{SCHEMA}"
    migrations.migrate(second)
    return second


def installation_of(url: str) -> Installation:
    """Which one a database is."""
    house = House(url)
    try:
        return house.installation()
    finally:
        house.close()


def holdgate(folder: Path, *words: str, **variables: str | None) -> Ran:
    """The real command, run to its end with exactly these variables."""
    given = {f"HOLDGATE_{name.upper()}": value for name, value in variables.items() if value is not None}
    return Terminal(folder / "data")(*words, **given)
