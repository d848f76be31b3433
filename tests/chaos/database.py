"""A PostgreSQL that belongs to one run: it can be stopped at once, its log volume filled, its clock moved."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import time_ns

import psycopg
from tests.chaos.network import Place
from tests.support.rabbit import eventually

from holdgate_workers.adapters.embedded.server.account import Account, run_as, serving_account
from holdgate_workers.adapters.embedded.server.cluster import suitable_binaries

USER = "holdgate"
WAL_VOLUME_MB = 384
START_SECONDS = 60.0
CLOCK_TOLERANCE_SECONDS = 2.0
_PORT = 5432
_ZEROS = bytes(1 << 20)
_FAKETIME = ("/usr/lib/*/faketime/libfaketime.so.1", "/usr/lib*/faketime/libfaketime.so.1")
_SETTINGS = """
unix_socket_directories = ''
max_connections = 80
shared_buffers = '128MB'
wal_level = logical
# New segments instead of old ones under new names: only then does a full volume show at once.
wal_recycle = off
min_wal_size = '2MB'
max_wal_size = '128MB'
timezone = 'UTC'
log_timezone = 'UTC'
"""


def faketime() -> Path | None:
    """The library that gives a process another clock (Debian: libfaketime), if it is installed."""
    found = [path for pattern in _FAKETIME for path in Path("/").glob(pattern.lstrip("/"))]
    return found[0] if found else None


class Database:
    """One server with one database. Root gives it a volume of its own for the write-ahead log."""

    def __init__(self, place: Place, folder: Path) -> None:
        self.place = place
        self._account = serving_account()
        self._binaries = suitable_binaries(folder / "pg", self._account)
        self._data, self._wal = folder / "pg", folder / "wal"
        self.log_file, self._clock = folder / "log", folder / "clock"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _PORT if place.prefix else _free_port()
        self.url = f"postgresql://{USER}@{place.address}:{self.port}/postgres"
        folder.mkdir()
        self._wal.mkdir()
        self.has_volume = self._account is not None and self._mount()
        for owned in (folder, self._wal):
            self._give(owned)
        self._clock.write_text("+0\n", encoding="utf-8")
        self._clock.chmod(0o644)
        self._initialise()

    # --- life ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start, or start again, and wait until it answers."""
        address = self.place.address
        where = ["-D", str(self._data), "-c", f"listen_addresses={address}", "-p", str(self.port)]
        server = ["env", *self._other_clock(), str(self._binaries.postgres), *where]
        command = [*self.place.prefix, *self._as_account(), *server]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd="/",
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                umask=0o077,
                start_new_session=True,
            )
        eventually(self._has_started, f"PostgreSQL starts, see {self.log_file}", START_SECONDS)

    def crash(self) -> None:
        """The immediate shutdown: every backend is gone at once, recovery at the next start."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(30)

    def recover(self) -> None:
        """Until it answers; started again if it has given up."""
        eventually(self._comes_back, f"PostgreSQL comes back, see {self.log_file}", START_SECONDS)

    def _comes_back(self) -> bool:
        if not self.is_running:
            self.start()
        return self.answers

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def answers(self) -> bool:
        """Whether it takes a connection."""
        try:
            psycopg.connect(self.url, connect_timeout=3).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        if self.is_running:
            self.crash()
        if self.has_volume:
            subprocess.run(["umount", "--lazy", str(self._wal)], capture_output=True, check=False)

    # --- what can be done to it ---------------------------------------------------------------------------------

    def fill(self) -> None:
        """Use up what is left of the volume with the write-ahead log, again if the server has found some room."""
        with self._balloon.open("ab", buffering=0) as balloon, suppress(OSError):
            while balloon.write(_ZEROS):
                pass

    def make_room(self) -> None:
        """Give it back."""
        self._balloon.unlink(missing_ok=True)

    @property
    def _balloon(self) -> Path:
        return self._wal / "balloon"

    def times_full(self) -> int:
        """How often the server has complained about that."""
        return self.log_file.read_text(encoding="utf-8", errors="replace").count("No space left on device")

    def set_clock(self, offset_seconds: int) -> None:
        """Let its clock be ahead of ours by so much, or behind."""
        self._clock.write_text(f"{offset_seconds:+d}\n", encoding="utf-8")

    def clock_offset(self) -> float:
        """By how many seconds its clock is ahead of ours. Raises psycopg.Error."""
        with psycopg.connect(self.url, connect_timeout=3, autocommit=True) as connection:
            row = connection.execute("SELECT extract(epoch FROM clock_timestamp())").fetchone()
        assert row is not None
        return float(row[0]) - time_ns() / 1e9

    def shows_clock(self, offset_seconds: int) -> bool:
        """Whether its clock is where it was set to."""
        try:
            return abs(self.clock_offset() - offset_seconds) < CLOCK_TOLERANCE_SECONDS
        except psycopg.Error:
            return False

    # --- making it ----------------------------------------------------------------------------------------------

    def _initialise(self) -> None:
        options = [f"--username={USER}", "--encoding=UTF8", "--locale=C", "--auth=trust", "--wal-segsize=1"]
        command: list[str | Path] = [self._binaries.initdb, "-D", self._data, "-X", self._wal / "log", *options]
        done = run_as(self._account, command, timeout_seconds=120)
        assert done.returncode == 0, done.stderr
        with (self._data / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(_SETTINGS)
        access = "host all all 0.0.0.0/0 trust\nhost replication all 0.0.0.0/0 trust\n"
        (self._data / "pg_hba.conf").write_text(access, encoding="utf-8")

    def _mount(self) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", f"size={WAL_VOLUME_MB}m", "tmpfs", str(self._wal)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def _has_started(self) -> bool:
        said = self.log_file.read_text(encoding="utf-8", errors="replace")[-3000:]
        assert self.is_running, f"PostgreSQL has ended:\n{said}"
        return self.answers

    def _other_clock(self) -> Sequence[str]:
        """Variables for the server alone: the library leaves things behind that belong to whoever loaded it."""
        library = faketime()
        if library is None:
            return ()
        # The monotonic clock stays as it is: a machine whose time is corrected does not get younger.
        return (
            f"LD_PRELOAD={library}",
            f"FAKETIME_TIMESTAMP_FILE={self._clock}",
            "FAKETIME_NO_CACHE=1",
            "DONT_FAKE_MONOTONIC=1",
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
        )

    def _as_account(self) -> Sequence[str]:
        account: Account | None = self._account
        if account is None:
            return ()
        return ("setpriv", f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups")

    def _give(self, path: Path) -> None:
        if self._account is not None:
            os.chown(path, self._account.uid, self._account.gid)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port
