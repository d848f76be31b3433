"""The server as a process: is it there, is it ours, does it answer."""

import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from urllib.parse import quote

import psycopg
from psycopg import sql

DATABASE = "holdgate"
USER = "holdgate"
PORT = 5432
_CONNECT_TIMEOUT_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Postmaster:
    """What `postmaster.pid` says about the server of a database folder."""

    pid: int
    pgdata: Path
    socket_folder: Path | None
    ready: bool

    @classmethod
    def read(cls, pgdata: Path) -> "Postmaster | None":
        """The server that the file names, or None if there is no file or it is still being written."""
        try:
            lines = (pgdata / "postmaster.pid").read_text(errors="surrogateescape").splitlines()
            folder = lines[4].strip() if len(lines) > 4 else ""
            ready = len(lines) > 7 and lines[7].strip() == "ready"
            return cls(abs(int(lines[0])), pgdata, Path(folder) if folder else None, ready)
        except (OSError, ValueError, IndexError):
            return None

    @property
    def runs(self) -> bool:
        """Whether the process is alive and is the server of this folder, not somebody with its old pid."""
        return serves(self.pid, self.pgdata)

    def version(self) -> str | None:
        """The version of the server if our database on it answers."""
        if not self.ready or self.socket_folder is None:
            return None
        return answering_version(database_url(self.socket_folder))


def database_url(folder: Path, database: str = DATABASE) -> str:
    """The URL of a database behind the socket in `folder`; the port is in it so that PGPORT cannot mislead."""
    return f"postgresql://{USER}@/{database}?host={quote(str(folder), safe='')}&port={PORT}"


def serves(pid: int, pgdata: Path) -> bool:
    """Whether process `pid` is a PostgreSQL started with `pgdata`; one that only waits to be reaped is not."""
    if sys.platform == "linux":
        try:
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return bytes(pgdata) in arguments
    said = subprocess.run(  # noqa: S603
        ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return str(pgdata) in said.stdout


def answering_version(url: str) -> str | None:
    """The version of the server there, or None if no query gets an answer."""
    try:
        with psycopg.connect(url, connect_timeout=_CONNECT_TIMEOUT_SECONDS) as connection:
            row = connection.execute("SHOW server_version").fetchone()
    except psycopg.Error:
        return None
    return None if row is None else str(row[0]).partition(" ")[0]


def make_database(folder: Path) -> None:
    """Create our database unless it is there. Raises psycopg.Error."""
    url = database_url(folder, "postgres")
    with psycopg.connect(url, connect_timeout=_CONNECT_TIMEOUT_SECONDS, autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        if found is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))


def wait_until(happened: Callable[[], bool], *, timeout_seconds: float, every_seconds: float = 0.01) -> bool:
    """Ask `happened` again and again until it is true or the time is over; says which."""
    pause = threading.Event()
    deadline = monotonic() + timeout_seconds
    while not happened():
        if monotonic() >= deadline:
            return False
        pause.wait(every_seconds)
    return True
