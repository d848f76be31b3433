"""Servers that belong to one test, which may therefore kill them."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pika
import psycopg
import pytest
from pika.exceptions import AMQPError
from tests.support import newer_debian
from tests.support.rabbit import eventually

from holdgate_workers.adapters.embedded.server.server import EmbeddedServer, remove

# Debian's wrappers in the PATH change the user and read the machine's own configuration; these do not.
_RABBIT = Path("/usr/lib/rabbitmq/bin")
START_SECONDS = 90.0
NEWER_ROOT_VARIABLE = "HOLDGATE_TEST_NEWER_ROOT"
"""The folder of a newer Debian, if private servers are to be those in it (see `newer_debian`)."""


class PrivatePostgres:
    """A PostgreSQL in a folder."""

    def __init__(self, folder: Path) -> None:
        self._server = EmbeddedServer(folder)
        self.url = self._server.start()

    def crash(self) -> None:
        """The immediate shutdown: every backend is gone at once, recovery at the next start."""
        with psycopg.connect(self.url) as connection:
            row = connection.execute("SELECT pg_backend_pid()").fetchone()
            assert row is not None
            postmaster = int(Path(f"/proc/{row[0]}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(postmaster, signal.SIGQUIT)
        eventually(
            lambda: not Path(f"/proc/{postmaster}").exists() or _is_zombie(postmaster), "the server is gone"
        )

    def start(self) -> None:
        """Start again, at the same address."""
        assert self._server.start() == self.url

    def stop(self) -> None:
        self._server.stop()


class PrivateRabbit:
    """A RabbitMQ node with ports, folders and a name of its own.

    With `root` it is the one of the Debian in that folder, and its files are kept in there, too.
    """

    def __init__(self, folder: Path, *, root: Path | None = None) -> None:
        token = secrets.token_hex(4)
        self._root = root
        self._host_folder = folder
        host = socket.gethostname().split(".")[0] if root is None else "localhost"
        self._node = f"holdgate-test-{token}@{host}"
        self._port, distribution, self._epmd = free_ports(3)
        if root is not None:
            self._host_folder = root / "srv" / f"rabbit-{token}"
            self._host_folder.mkdir(parents=True)
            folder = Path("/", self._host_folder.relative_to(root))
        self._folder = self._host_folder
        self.url = f"amqp://guest:guest@127.0.0.1:{self._port}/%2F"
        (self._folder / "plugins").write_text("[].\n", encoding="utf-8")
        cookie = self._folder / ".erlang.cookie"
        cookie.write_text(secrets.token_hex(10), encoding="utf-8")
        cookie.chmod(0o400)
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RABBITMQ_")},
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(self._epmd),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(folder / "none"),
            "RABBITMQ_NODENAME": self._node,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self._port),
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_MNESIA_BASE": str(folder / "db"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1",
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start, or start again, and wait until it takes connections."""
        with (self._folder / "out").open("ab") as out:
            self._process = subprocess.Popen(
                self._command("rabbitmq-server"),
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        eventually(self._answers, f"RabbitMQ starts, see {self._folder / 'out'}", START_SECONDS)

    def crash(self) -> None:
        """SIGKILL for all its processes."""
        process = self._process
        assert process is not None
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)

    def rabbitmqctl(self, *words: str) -> str:
        """Its own tool."""
        command = [*self._command("rabbitmqctl"), "--quiet", "-n", self._node, *words]
        return subprocess.run(
            command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout

    @property
    def tool(self) -> list[str]:
        """The command that `rabbitmqctl` is for this node, from anywhere on this machine."""
        needed = ("HOME", "ERL_EPMD_PORT", "RABBITMQ_CONF_ENV_FILE", "RABBITMQ_NODENAME")
        return ["env", *(f"{name}={self._environment[name]}" for name in needed), *self._command("rabbitmqctl")]

    @property
    def log(self) -> str:
        """What the node has written into its log."""
        files = sorted((self._folder / "log").glob("*.log"))
        return "".join(file.read_text(encoding="utf-8", errors="replace") for file in files)

    def _command(self, program: str) -> list[str]:
        path = str(_RABBIT / program)
        return [path] if self._root is None else newer_debian.inside(path, root=self._root)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.crash()
        for epmd in Path(self._root or "/", "usr/lib/erlang").glob("erts-*/bin/epmd"):
            # It stays while it thinks that the node is still there.
            eventually(partial(self._ends, epmd), "the name server is gone")
        if self._root is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _ends(self, epmd: Path) -> bool:
        ask = [str(epmd), "-port", str(self._epmd)]
        subprocess.run([*ask, "-kill"], capture_output=True, check=False)
        return subprocess.run([*ask, "-names"], capture_output=True, check=False).returncode != 0

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "out").read_text(errors="replace")[-3000:]
        try:
            socket.create_connection(("127.0.0.1", self._port), 1).close()  # pika says a lot about a refusal
            pika.BlockingConnection(pika.URLParameters(self.url)).close()
        except (AMQPError, OSError):
            return False
        return True


@contextmanager
def private_postgres(folder: Path) -> Iterator[PrivatePostgres]:
    """A PostgreSQL of the test's own. Nothing of it stays: as root its data is kept elsewhere than in the folder."""
    folder.mkdir()
    server = PrivatePostgres(folder)
    try:
        yield server
    finally:
        server.stop()
        remove(folder)


@contextmanager
def private_rabbit(folder: Path) -> Iterator[PrivateRabbit]:
    """A RabbitMQ of the test's own; skips the test where the server is not installed."""
    root = newer_root()
    if root is None and (not (_RABBIT / "rabbitmq-server").exists() or shutil.which("erl") is None):
        pytest.skip("RabbitMQ is not installed on this machine, so the test cannot have a node of its own")
    folder.mkdir()
    server = PrivateRabbit(folder, root=root)
    try:
        yield server
    finally:
        server.stop()


def newer_root() -> Path | None:
    """The folder with the newer Debian that private servers are to be taken from; None for this machine's own."""
    root = os.environ.get(NEWER_ROOT_VARIABLE)
    return Path(root) if root else None


def free_ports(count: int) -> list[int]:
    """Ports of this machine that are free right now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
