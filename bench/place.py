"""A database and a vhost of the benchmark's own, thrown away afterwards."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg

from holdgate_workers.bootstrap import Site, open_site
from holdgate_workers.config import read_config

DATABASE_URL = os.environ.get("HOLDGATE_TEST_DATABASE_URL", "postgresql://root@127.0.0.1:5432/test")
AMQP_URL = os.environ.get("HOLDGATE_TEST_AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/")


@dataclass(frozen=True)
class Place:
    """Where one run happens."""

    database_url: str
    amqp_url: str
    site: Site


@contextmanager
def fresh_place(partitions: int = 4) -> Iterator[Place]:
    """A new database and vhost with everything declared."""
    name = f"holdgate_bench_{secrets.token_hex(4)}"
    database_url = _replace_path(DATABASE_URL, name)
    amqp_url = _replace_path(AMQP_URL, quote(name, safe=""))
    user = urlsplit(AMQP_URL).username or "guest"
    with psycopg.connect(DATABASE_URL, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
        _rabbitmqctl("add_vhost", name)
        _rabbitmqctl("set_permissions", "-p", name, user, ".*", ".*", ".*")
        try:
            config = read_config(database_url=database_url, amqp_url=amqp_url, partitions=partitions)
            yield Place(database_url, amqp_url, open_site(config, database_url, migrate=True))
        finally:
            _rabbitmqctl("delete_vhost", name)
            admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _replace_path(url: str, name: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, f"/{name}", parts.query, ""))


def _rabbitmqctl(*arguments: str) -> None:
    subprocess.run(["rabbitmqctl", "-q", *arguments], check=True, capture_output=True)
