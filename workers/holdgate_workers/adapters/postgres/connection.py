"""Connections to PostgreSQL, set so that no promise depends on the server's defaults."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict, make_conninfo

STATEMENT_TIMEOUT_SECONDS = 15
LOCK_TIMEOUT_SECONDS = 5
IDLE_IN_TRANSACTION_SECONDS = 5

_SESSION = {
    "timezone": "UTC",
    "datestyle": "ISO",
    "default_transaction_isolation": "read\\ committed",
    "synchronous_commit": "on",
    "statement_timeout": f"{STATEMENT_TIMEOUT_SECONDS}s",
    "lock_timeout": f"{LOCK_TIMEOUT_SECONDS}s",
    "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_SECONDS}s",
}

_UNAVAILABLE = (
    psycopg.errors.OperationalError,
    psycopg.errors.InternalError,
    psycopg.InterfaceError,
)


class DatabaseUnavailable(Exception):
    """The database cannot be reached or cannot work right now; try again later."""

    sqlstate: str | None = None
    """The server's own word, where it gave one."""


class DatabaseError(Exception):
    """The database refused something it should not have: a fault in the code or the schema."""

    sqlstate: str | None = None


def connect(url: str, *, name: str, autocommit: bool = True) -> Connection[tuple[Any, ...]]:
    """Connect; raises `DatabaseUnavailable`. `name` is what `pg_stat_activity` shows."""
    with translated():
        parts = conninfo_to_dict(url)
        options = " ".join(f"-c {key}={value}" for key, value in _SESSION.items())
        given = str(parts.pop("options", "") or "")
        settings: dict[str, Any] = {
            "connect_timeout": 5,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 10_000,
            **parts,
            "options": f"{given} {options}".strip(),
            "application_name": f"holdgate {name}"[:63],
        }
        return psycopg.connect(make_conninfo(**settings), autocommit=autocommit)


@contextmanager
def translated() -> Iterator[None]:
    """Turns the driver's exceptions into this adapter's."""
    try:
        yield
    except _UNAVAILABLE as exc:
        unavailable = DatabaseUnavailable(str(exc).strip() or type(exc).__name__)
        unavailable.sqlstate = exc.sqlstate
        raise unavailable from exc
    except psycopg.Error as exc:
        refused = DatabaseError(f"{type(exc).__name__}: {exc}")
        refused.sqlstate = exc.sqlstate
        raise refused from exc
