"""A PostgreSQL server of our own in a folder, for a machine that has no other."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from .account import Account, serving_account
from .cluster import ensure_running, initialise, shut_down, suitable_binaries
from .errors import EmbeddedServerError
from .folders import RECORD, FolderLock, Record, choose_home, prepare_data, read_record, write_record
from .postmaster import Postmaster, database_url, wait_until

__all__ = ["EmbeddedServer", "EmbeddedServerError", "find_running", "remove"]

# Stopping may take ten seconds in order and ten at once.
_STOP_SECONDS = 20.0


class EmbeddedServer:
    """The PostgreSQL of one data folder, shared by every process that starts it.

    The first process to start it owns it: its `stop()` stops the server. Others join, and their `stop()` leaves it
    alone. If the owner dies the server lives on, and the next process to call `start()` becomes the owner.
    Committed data is durable. The server listens on a local socket only and belongs to one system account.
    """

    def __init__(self, data: Path, *, start_timeout_seconds: float = 60.0) -> None:
        self.data = data.expanduser().resolve()
        self._timeout_seconds = start_timeout_seconds
        self._starting = FolderLock(self.data / "start.lock")
        self._ownership = FolderLock(self.data / "owner.lock")
        self._home = self.data
        self._url: str | None = None

    @property
    def url(self) -> str:
        """The database's URL. Raises EmbeddedServerError before `start()` and after `stop()`."""
        if self._url is None:
            raise EmbeddedServerError(f"The server of {self.data} was not started here.", "Call start() first.")
        return self._url

    @property
    def owned(self) -> bool:
        """Whether `stop()` would stop the server."""
        return self._ownership.held

    @property
    def log_file(self) -> Path:
        """What the server says; known for certain after `start()`."""
        return self._home / "server.log"

    def start(self) -> str:
        """Start the server or join the one that runs, and return the URL of its database.

        Safe to call again, from several processes at once, and after any crash.
        Raises EmbeddedServerError, which says what is wrong and what to do.
        """
        was_owner = self._ownership.held
        try:
            account = _account_for(self.data)
            prepare_data(self.data, account)
            with self._turn():
                self._home = choose_home(self.data, account)
                self._ownership.take()
                self._url = self._start(account)
                return self._url
        except BaseException as exc:
            if not was_owner:
                self._ownership.drop()
            if isinstance(exc, OSError | subprocess.SubprocessError | psycopg.Error):
                raise EmbeddedServerError(
                    f"The embedded PostgreSQL of {self.data} cannot be started: {exc}",
                    f"Check the disk's space, the folder's owner and {self.log_file}, or choose another folder.",
                ) from exc
            raise

    def stop(self) -> None:
        """Stop the server if it is ours: what runs is rolled back, what is committed stays.

        Raises EmbeddedServerError if it does not end.
        """
        self._url = None
        if not self._ownership.held:
            return
        try:
            with self._turn():
                self._stop()
        except OSError as exc:
            raise EmbeddedServerError(
                f"The embedded PostgreSQL of {self.data} cannot be stopped: {exc}",
                "If the folder was deleted the server ends by itself within a minute.",
            ) from exc
        finally:
            self._ownership.drop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One process at a time starts or stops."""
        if not wait_until(self._starting.take, timeout_seconds=self._timeout_seconds + _STOP_SECONDS):
            raise EmbeddedServerError(
                f"Another process has been starting or stopping the server of {self.data} for too long.",
                f"See {self.log_file}, and end that process if it hangs.",
            )
        try:
            yield
        finally:
            self._starting.drop()

    def _start(self, account: Account | None) -> str:
        pgdata = self._home / "pg"
        running = Postmaster.read(pgdata)
        version = None if running is None else running.version()
        if running is None or version is None:
            binaries = suitable_binaries(pgdata, account)
            initialise(pgdata, account, binaries)
            running = ensure_running(self._home, account, binaries, timeout_seconds=self._timeout_seconds)
            version = binaries.version
        assert running.socket_folder is not None
        url = database_url(running.socket_folder)
        record = read_record(self.data)
        if self._ownership.held or record is None or record.pid != running.pid:
            home = None if self._home == self.data else str(self._home)
            write_record(self.data, Record(url, running.pid, os.getpid(), version, home))
        return url

    def _stop(self) -> None:
        running = Postmaster.read(self._home / "pg")
        if running is not None and running.runs:
            shut_down(running)
        record = read_record(self.data)
        if record is not None:
            write_record(self.data, Record(None, None, None, record.postgres_version, record.home))


def find_running(data: Path) -> str | None:
    """The URL of the server that runs on a data folder, if it answers; None if none does."""
    data = data.expanduser().resolve()
    record = read_record(data)
    if record is None or record.url is None:
        return None
    running = Postmaster.read(_home_of(data) / "pg")
    if running is None or running.pid != record.pid or running.version() is None:
        return None
    return record.url


def remove(data: Path) -> None:
    """Delete the database of a data folder for ever, wherever it is kept. The folder itself stays.

    Raises EmbeddedServerError if its server is running.
    """
    data = data.expanduser().resolve()
    home = _home_of(data)
    running = Postmaster.read(home / "pg")
    if running is not None and running.runs:
        raise EmbeddedServerError(f"The server of {data} is running (pid {running.pid}).", "Stop it first.")
    for folder in ("pg", "pg.new", "run"):
        shutil.rmtree(home / folder, ignore_errors=True)
    for file in (home / "server.log", home / "server.log.1", data / RECORD):
        file.unlink(missing_ok=True)
    if home != data and home.exists():
        home.rmdir()


def _home_of(data: Path) -> Path:
    record = read_record(data)
    return data if record is None or record.home is None else Path(record.home)


def _account_for(data: Path) -> Account | None:
    return serving_account(_home_of(data) / "pg", data / "pg", data)
