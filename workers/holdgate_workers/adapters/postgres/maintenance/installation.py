"""What all processes must agree on, and the settings that operations may change at run time."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection

from holdgate_workers.adapters.postgres.connection import DatabaseError
from holdgate_workers.adapters.postgres.session import Session
from holdgate_workers.app.installation import Installation
from holdgate_workers.domain.settings.settings import DEFINITIONS, Settings, parse

_LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(slots=True, frozen=True)
class SettingChange:
    """One entry of the settings' history."""

    name: str
    old_value: str | None
    new_value: str | None
    changed_at: datetime
    changed_by: str


class House:
    """The table of agreements and the settings. Not thread-safe; raises `DatabaseUnavailable`."""

    def __init__(self, url: str) -> None:
        self._session = Session(url, name="house")

    def session_secret(self) -> bytes:
        """The secret that signs the session ids issued here."""
        value = self._agreement("session_secret")
        if value is None:
            raise DatabaseError("the house has no session secret; was the database restored in part?")
        return value.encode()

    def installation(self) -> Installation:
        """Which installation this database is."""

        def work(connection: Connection[tuple[Any, ...]]) -> Installation:
            row = connection.execute("SELECT value FROM house WHERE name = 'installation_id'").fetchone()
            if row is None:
                raise DatabaseError("the house has no installation id; was the database restored in part?")
            return Installation(row[0], _place(connection))

        return self._session.run(work)

    def renew_installation(self) -> Installation:
        """Give the database another id, as a copy needs that is to work beside its original."""
        self._session.run(
            lambda connection: connection.execute(
                "UPDATE house SET value = gen_random_uuid()::text WHERE name = 'installation_id'"
            )
        )
        return self.installation()

    def partitions(self, default: int) -> int:
        """How many partition queues there are; the first process to ask decides."""

        def work(connection: Connection[tuple[Any, ...]]) -> int:
            connection.execute(
                "INSERT INTO house (name, value) VALUES ('partitions', %s) ON CONFLICT DO NOTHING", [str(default)]
            )
            row = connection.execute("SELECT value FROM house WHERE name = 'partitions'").fetchone()
            assert row is not None
            return int(row[0])

        return self._session.run(work)

    def clock_accepted(self) -> str | None:
        """When somebody last said that the database's clock is right after a jump."""
        return self._agreement("clock_accepted")

    def accept_clock(self) -> None:
        """Say that the database's clock is right: expiry goes on."""
        self._session.run(
            lambda connection: connection.execute(
                "INSERT INTO house (name, value) VALUES ('clock_accepted', clock_timestamp()::text) "
                "ON CONFLICT (name) DO UPDATE SET value = excluded.value"
            )
        )

    def settings(self) -> Settings:
        """The settings in force; raises `InvalidSettings` if the table was tampered with."""
        return parse(self.values())

    def values(self) -> dict[str, str]:
        """The settings that differ from their defaults."""
        rows = self._session.run(
            lambda connection: connection.execute("SELECT name, value FROM settings").fetchall()
        )
        return dict(rows)

    def change(self, changes: Mapping[str, str | None], *, changed_by: str) -> Settings:
        """Set (or, with None, reset) settings, all or none; raises `InvalidSettings` and then changes nothing."""

        def work(connection: Connection[tuple[Any, ...]]) -> Settings:
            connection.execute("LOCK TABLE settings IN SHARE ROW EXCLUSIVE MODE")
            old = dict(connection.execute("SELECT name, value FROM settings").fetchall())
            new = {**old, **changes}
            settings = parse({name: value for name, value in new.items() if value is not None})
            for name, value in changes.items():
                if old.get(name) != value:
                    _write(connection, name, old.get(name), value, changed_by)
            return settings

        return self._session.run(work)

    def history(self, name: str | None = None, limit: int = 200) -> list[SettingChange]:
        """Who changed what, the latest first."""
        rows = self._session.run(
            lambda connection: connection.execute(
                "SELECT name, old_value, new_value, changed_at, changed_by FROM settings_history "
                "WHERE %s::text IS NULL OR name = %s ORDER BY id DESC LIMIT %s",
                [name, name, limit],
            ).fetchall()
        )
        return [SettingChange(*row) for row in rows]

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._session.close()

    def _agreement(self, name: str) -> str | None:
        row = self._session.run(
            lambda connection: connection.execute("SELECT value FROM house WHERE name = %s", [name]).fetchone()
        )
        return row[0] if row else None


def _place(connection: Connection[tuple[Any, ...]]) -> str:
    """Where the database is, without the login. An address that means another machine on each is completed."""
    info = connection.info
    host = info.host or "localhost"
    if host.startswith(("/", "@")) or host in _LOCAL:
        host = f"{socket.gethostname()} ({host})"
    return f"database {info.dbname} on {host}:{info.port}"


def _write(
    connection: Connection[tuple[Any, ...]], name: str, old: str | None, new: str | None, changed_by: str
) -> None:
    assert name in DEFINITIONS or new is None, f"{name} is not a setting"
    if new is None:
        connection.execute("DELETE FROM settings WHERE name = %s", [name])
    else:
        connection.execute(
            "INSERT INTO settings (name, value, changed_by) VALUES (%s, %s, %s) "
            "ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed_at = clock_timestamp(), "
            "changed_by = excluded.changed_by",
            [name, new, changed_by],
        )
    connection.execute(
        "INSERT INTO settings_history (name, old_value, new_value, changed_by) VALUES (%s, %s, %s, %s)",
        [name, old, new, changed_by],
    )
