"""A database of one's own in a MariaDB, if there is one."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import pymysql

from . import Absent

URL = os.environ.get("HOLDGATE_BENCH_MARIADB_URL", "mysql://root@127.0.0.1:3306/")
DURABLE = "SELECT @@innodb_flush_log_at_trx_commit"


def connect(url: str) -> Any:
    """A connection that commits what it is not told to keep open."""
    parts = urlsplit(url)
    return pymysql.connect(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 3306,
        user=unquote(parts.username or "root"),
        password=unquote(parts.password or ""),
        database=parts.path.strip("/") or None,
        autocommit=True,
    )


@contextmanager
def fresh_database() -> Iterator[str]:
    """A new database; its URL. Raises `Absent` if no server is there, or if it does not flush its commits."""
    try:
        admin = connect(URL)
    except pymysql.err.OperationalError as exc:
        raise Absent(f"no MariaDB at {urlsplit(URL).hostname}: {exc.args[-1]}") from exc
    cursor = admin.cursor()
    cursor.execute(DURABLE)
    if cursor.fetchone() != (1,):
        raise Absent("the MariaDB does not flush at a commit, which would not be the same durability")
    name = f"holdgate_bench_{secrets.token_hex(4)}"
    cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    try:
        yield urlunsplit(urlsplit(URL)._replace(path=f"/{name}"))
    finally:
        cursor.execute(f"DROP DATABASE {name}")
        admin.close()
