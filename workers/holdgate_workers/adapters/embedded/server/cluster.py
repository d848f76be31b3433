"""Making a database folder, and starting and stopping the server on it."""

import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from .account import Account, make_private, run_as
from .binaries import Binaries, find_binaries
from .errors import EmbeddedServerError
from .folders import shared_state, socket_folder
from .postmaster import PORT, USER, Postmaster, make_database, serves, wait_until

_STOP_SECONDS = 10.0
_LARGEST_LOG_BYTES = 10_000_000
_LOG_TAIL_BYTES = 4_000
_INITDB_OPTIONS = (
    f"--username={USER}",
    "--encoding=UTF8",
    "--locale=C",
    "--auth=trust",
    "--data-checksums",
    "--no-instructions",
)
_SETTINGS = """
# Written once by Holdgate; yours to change.
shared_buffers = '128MB'
max_connections = 100
wal_level = logical
fsync = on
synchronous_commit = on
full_page_writes = on
timezone = 'UTC'
log_timezone = 'UTC'
"""
# The socket's folder is 0700: who can enter it is the server's account or root.
_HOST_BASED_ACCESS = "local all all trust\nlocal replication all trust\n"
_NEVER_TCP = ("-c", "listen_addresses=", "-c", "unix_socket_permissions=0700")
_CAUSES = (
    ("No space left on device", "the disk is full", "Free some space and start again."),
    (
        "could not create any Unix-domain sockets",
        "it cannot listen on its socket",
        "End the other server that uses the socket's folder, or choose another data folder.",
    ),
    (
        "has wrong ownership",
        "the folder belongs to another account",
        "Run as the folder's owner, or choose another data folder.",
    ),
)


class _Attempt(NamedTuple):
    pid: int
    log: Path
    log_start: int

    def said(self) -> str:
        """The end of what this attempt logged."""
        with self.log.open("rb") as file:
            file.seek(max(self.log_start, self.log.stat().st_size - _LOG_TAIL_BYTES))
            return file.read().decode(errors="replace").strip()


def suitable_binaries(pgdata: Path, account: Account | None) -> Binaries:
    """The programs to use on a database folder; an existing one is bound to its major version.

    Raises EmbeddedServerError if they are not installed.
    """
    made_by = pgdata / "PG_VERSION"
    major = made_by.read_text().strip() if made_by.exists() else None
    return find_binaries(account, None if account is None else shared_state(account), major)


def initialise(pgdata: Path, account: Account | None, binaries: Binaries) -> None:
    """Make the database folder unless it is there; a crash half-way leaves nothing that looks finished.

    Raises EmbeddedServerError if `initdb` fails.
    """
    if (pgdata / "PG_VERSION").exists():
        return
    unfinished = pgdata.with_name("pg.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    make_private(unfinished, account)
    command: list[str | Path] = [binaries.initdb, "-D", unfinished, *_INITDB_OPTIONS]
    _must(run_as(account, command, timeout_seconds=300), "initdb")
    # Written by the account itself: root follows no path that the account could have changed.
    script = 'printf %s "$1" >>"$3/postgresql.conf" && printf %s "$2" >"$3/pg_hba.conf"'
    command = ["/bin/sh", "-c", script, "sh", _SETTINGS, _HOST_BASED_ACCESS, unfinished]
    _must(run_as(account, command, timeout_seconds=30), "writing its settings")
    for path in (unfinished / "postgresql.conf", unfinished / "pg_hba.conf", unfinished):
        _flush(path)
    unfinished.rename(pgdata)
    _flush(pgdata.parent)


def ensure_running(
    home: Path, account: Account | None, binaries: Binaries, *, timeout_seconds: float
) -> Postmaster:
    """Start the server of `home`, or wait for the one that is on its way up or down, until it answers.

    Raises EmbeddedServerError if it does not within `timeout_seconds`, psycopg.Error if it refuses to work.
    """
    pgdata = home / "pg"
    pause = threading.Event()
    deadline = monotonic() + timeout_seconds
    attempt: _Attempt | None = None
    while monotonic() < deadline:
        found = Postmaster.read(pgdata)
        if found is not None and found.runs:
            if found.ready and found.socket_folder is not None:
                make_database(found.socket_folder)
                return found
        elif attempt is None or not serves(attempt.pid, pgdata):
            if attempt is not None:
                _raise_unless_worth_another(attempt)
            attempt = _launch(home, account, binaries)
        pause.wait(0.01)
    raise EmbeddedServerError(
        f"The embedded PostgreSQL was not ready within {timeout_seconds:g} s.",
        f"If {home / 'server.log'} says that it recovers from a crash, call again later.",
    )


def shut_down(running: Postmaster) -> None:
    """Stop a server: in order, or at once (it recovers at its next start) if that takes over ten seconds.

    Raises EmbeddedServerError if it does not end.
    """
    for order in (signal.SIGINT, signal.SIGQUIT):
        try:
            os.kill(running.pid, order)
        except ProcessLookupError:
            break
        if wait_until(lambda: not running.runs, timeout_seconds=_STOP_SECONDS):
            break
    else:
        raise EmbeddedServerError(
            f"The embedded PostgreSQL (pid {running.pid}) does not stop.",
            "See its server.log, and end it by hand.",
        )
    folder = running.socket_folder
    if folder is not None and folder.parent != running.pgdata.parent:
        shutil.rmtree(folder, ignore_errors=True)


def _launch(home: Path, account: Account | None, binaries: Binaries) -> _Attempt:
    sockets = socket_folder(home, account)
    for lock in (home / "pg" / "postmaster.pid", sockets / f".s.PGSQL.{PORT}.lock"):
        _drop_if_stale(lock, home / "pg")
    log = home / "server.log"
    if log.exists() and log.stat().st_size > _LARGEST_LOG_BYTES:
        log.replace(log.with_name("server.log.1"))
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        start = os.fstat(handle).st_size
        # The shell leaves at once, so that the server is nobody's child here and outlives us without a zombie.
        shell = ["/bin/sh", "-c", '"$@" >&2 & echo "$!"', "sh"]
        where: list[str | Path] = ["-D", home / "pg", "-k", sockets, "-p", str(PORT)]
        command: list[str | Path] = [*shell, binaries.postgres, *where, *_NEVER_TCP]
        said = run_as(account, command, timeout_seconds=30, stderr=handle)
    finally:
        os.close(handle)
    return _Attempt(int(said.stdout), log, start)


def _drop_if_stale(lock: Path, pgdata: Path) -> None:
    """Remove a lock file left by a killed server if its pid is in use again; PostgreSQL would believe it.

    If the pid is not in use PostgreSQL sees that itself, and also looks for what the dead server left running.
    """
    try:
        pid = abs(int(lock.read_text(errors="replace").split("\n", 1)[0]))
        os.kill(pid, 0)
    except PermissionError:
        pass
    except (OSError, ValueError):
        return
    if not serves(pid, pgdata):
        lock.unlink(missing_ok=True)


def _raise_unless_worth_another(attempt: _Attempt) -> None:
    said = attempt.said()
    if "pre-existing shared memory block" in said:
        return  # children of a killed server are still leaving
    for sign, cause, way_out in _CAUSES:
        if sign in said:
            raise EmbeddedServerError(f"The embedded PostgreSQL did not start: {cause}.\n{said}", way_out)
    raise EmbeddedServerError(
        f"The embedded PostgreSQL ended as soon as it was started. The end of {attempt.log}:\n{said}",
        "Correct what it complains about, or choose another data folder.",
    )


def _must(done: subprocess.CompletedProcess[str], what: str) -> None:
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        full = "No space left on device" in said
        raise EmbeddedServerError(
            f"The embedded PostgreSQL could not be set up: {what} ended with {done.returncode}.\n{said}",
            "Free some space and start again." if full else "Correct that, or choose another data folder.",
        )


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
