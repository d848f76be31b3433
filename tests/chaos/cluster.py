"""Three RabbitMQ nodes that belong to one run, which may therefore break them."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from time import monotonic

import pika
from pika.exceptions import AMQPError
from tests.chaos.network import Place
from tests.support.rabbit import eventually

VHOST = "chaos"
START_SECONDS = 120.0
ASK_SECONDS = 5.0
OPERATOR_SECONDS = 10.0
"""So long nodes may take to find each other again by themselves."""
# Debian's wrappers in the PATH change the user and read the machine's own configuration; these do not.
_PROGRAMS = Path("/usr/lib/rabbitmq/bin")
_PORT = 5672
_NODENAME = re.compile(r"[\w.-]+@[\w.-]+")
_ONE_SCHEDULER = "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none"
_MEMORY_BYTES, _DISK_BYTES = 1_000_000_000, 50_000_000
_SETTINGS = f"""
loopback_users = none
cluster_partition_handling = pause_minority
net_ticktime = 6
vm_memory_high_watermark.absolute = {_MEMORY_BYTES}
disk_free_limit.absolute = {_DISK_BYTES}
collect_statistics_interval = 30000
cluster_formation.peer_discovery_backend = classic_config
"""


def missing() -> str | None:
    """Why there can be no cluster here, if so."""
    if not (_PROGRAMS / "rabbitmq-server").exists():
        return f"RabbitMQ is not installed ({_PROGRAMS}/rabbitmq-server)"
    without = [program for program in ("erl", "erl_call") if shutil.which(program) is None]
    return f"{' and '.join(without)} of Erlang cannot be found (Debian: erlang-base)" if without else None


class Node:
    """One of them."""

    def __init__(self, place: Place, folder: Path, cookie: str) -> None:
        self.place = place
        self._folder, self._cookie = folder, cookie
        folder.mkdir()
        if place.prefix:
            self._host, self.port, distribution, self._epmd = place.name, _PORT, _PORT + 20000, 4369
        else:
            self._host = "localhost"
            self.port, distribution, self._epmd = _free_ports(3)
        self.nodename = f"{place.name}@{self._host}"
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RABBITMQ_")},
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(self._epmd),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_NODENAME": self.nodename,
            "RABBITMQ_NODE_IP_ADDRESS": place.address,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_MNESIA_BASE": str(folder / "db"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _ONE_SCHEDULER,
        }
        (folder / "plugins").write_text("[].\n", encoding="utf-8")
        (folder / ".erlang.cookie").write_text(cookie, encoding="utf-8")
        (folder / ".erlang.cookie").chmod(0o400)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        return self.place.name

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@{self.place.address}:{self.port}/{VHOST}"

    def join_with(self, nodenames: Sequence[str]) -> None:
        """Who forms the cluster; before the first start."""
        lines = [f"cluster_formation.classic_config.nodes.{n} = {name}" for n, name in enumerate(nodenames, 1)]
        text = _SETTINGS + "\n".join(lines) + "\n"
        (self._folder / "rabbitmq.conf").write_text(text, encoding="utf-8")

    def share_epmd(self, other: Node) -> None:
        """Nodes on one address find each other through one name server."""
        self._epmd = other._epmd
        self._environment["ERL_EPMD_PORT"] = str(other._epmd)

    def start(self) -> None:
        """Start, or start again; does not wait."""
        with (self._folder / "out").open("ab") as out:
            self._process = subprocess.Popen(
                [*self.place.prefix, str(_PROGRAMS / "rabbitmq-server")],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def takes_connections(self) -> bool:
        """Whether it has left the port open: a node that has paused itself has not."""
        try:
            socket.create_connection((self.place.address, self.port), 1).close()
        except OSError:
            return False
        return True

    @property
    def answers(self) -> bool:
        """Whether a client can log in."""
        try:
            # pika says a lot about a refusal, so it is asked second.
            if not self.takes_connections:
                return False
            parameters = pika.URLParameters(self.url.removesuffix(VHOST) + "%2F")
            parameters.socket_timeout = parameters.stack_timeout = 3
            pika.BlockingConnection(parameters).close()
        except (AMQPError, OSError):
            return False
        return True

    def crash(self) -> None:
        """SIGKILL for all its processes."""
        process = self._process
        assert process is not None
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)

    def ctl(self, *words: str) -> str:
        """Its own tool, which takes seconds on a busy machine. Raises SubprocessError."""
        command = [str(_PROGRAMS / "rabbitmqctl"), "--quiet", "-n", self.nodename, *words]
        return self._tool(command, timeout=60)

    def call(self, module: str, function: str, argument: str = "") -> str:
        """Have it call one of its own functions, as its tool does; the result in Erlang's notation. Takes
        milliseconds. Raises SubprocessError.
        """
        wanted = f"{module} {function} [{argument}]"
        who = ["-sname", self.nodename, "-c", self._cookie, "-timeout", f"{ASK_SECONDS:g}"]
        return self._tool(["erl_call", *who, "-a", wanted], timeout=2 * ASK_SECONDS).strip()

    def _tool(self, command: Sequence[str], timeout: float) -> str:
        done = subprocess.run(
            [*self.place.prefix, *command],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=True,
        )
        return done.stdout

    # --- alarms -------------------------------------------------------------------------------------------------

    def raise_alarm(self, kind: str) -> None:
        """Have it think that memory or disk space is used up. It blocks publishers on every node."""
        if kind == "memory":
            self.call("vm_memory_monitor", "set_vm_memory_high_watermark", "0.00001")
        else:
            self.call("rabbit_disk_monitor", "set_disk_free_limit", str(10**18))

    def end_alarm(self, kind: str) -> None:
        """Back to what was configured."""
        if kind == "memory":
            self.call("vm_memory_monitor", "set_vm_memory_high_watermark", f"{{absolute, {_MEMORY_BYTES}}}")
        else:
            self.call("rabbit_disk_monitor", "set_disk_free_limit", str(_DISK_BYTES))

    def alarms(self) -> str:
        """What it is alarmed about, on any node; without spaces."""
        return "".join(self.call("rabbit_alarm", "get_alarms").split())

    def view(self) -> set[str]:
        """The nodes that it takes for running; none if it does not say."""
        try:
            return set(_NODENAME.findall(self.call("rabbit_nodes", "all_running")))
        except subprocess.SubprocessError:
            return set()

    def end_name_server(self) -> None:
        """The process that Erlang starts beside its nodes, once they are gone."""
        for epmd in Path("/usr/lib/erlang").glob("erts-*/bin/epmd"):
            # It stays while it thinks that the node is still there.
            eventually(partial(self._ends, epmd), "the name server is gone")

    def _ends(self, epmd: Path) -> bool:
        ask = [*self.place.prefix, str(epmd), "-port", str(self._epmd)]
        subprocess.run([*ask, "-kill"], capture_output=True, check=False)
        return subprocess.run([*ask, "-names"], capture_output=True, check=False).returncode != 0


class Cluster:
    """All of them."""

    def __init__(self, places: Sequence[Place], folder: Path) -> None:
        cookie = secrets.token_hex(10)
        self._pause = threading.Event()
        self.operator_restarts = 0
        """Nodes that had to be started again by hand because the cluster did not grow together by itself."""
        self.nodes = [Node(place, folder / place.name, cookie) for place in places]
        for node in self.nodes:
            if not node.place.prefix:
                node.share_epmd(self.nodes[0])
            node.join_with([one.nodename for one in self.nodes])

    def start(self) -> None:
        """Start all; does not wait."""
        for node in self.nodes:
            node.start()

    def wait_started(self) -> None:
        """Until it is whole for the first time. A node that did not survive its start has one more: RabbitMQ's own
        parts wait for one another for so long and no longer, and three start at once here.
        """
        again, deadline = list(self.nodes), monotonic() + START_SECONDS
        while not all(node.answers for node in self.nodes) and monotonic() < deadline:
            for node in [node for node in again if not node.is_running]:
                again.remove(node)
                node.start()
            if any(not node.is_running for node in self.nodes):
                break  # it will say below what is missing
            self._pause.wait(0.2)
        self.wait_whole()

    def wait_whole(self, timeout: float = START_SECONDS) -> None:
        """Until every node takes clients and sees the others.

        A cut that heals in the moment in which it is noticed can leave nodes that take clients, hear each other, and
        yet do not work together, for ever. Then those outside the majority are started again, as RabbitMQ's guide
        tells an operator to do.
        """
        deadline, patience = monotonic() + timeout, monotonic() + OPERATOR_SECONDS
        while True:
            views = {node.nodename: node.view() for node in self.nodes}
            if not all(node.answers for node in self.nodes):
                patience = monotonic() + OPERATOR_SECONDS
            elif all(view == views.keys() for view in views.values()):
                return
            elif monotonic() > patience:
                self._operate(views)
            assert monotonic() < deadline, f"the cluster is not whole after {timeout:g} s: {views}"
            self._pause.wait(0.2)

    def _operate(self, views: Mapping[str, set[str]]) -> None:
        """Start again whoever is not in the majority."""
        majority = next((view for view in views.values() if 2 * len(view) > len(views)), {self.nodes[0].nodename})
        for node in self.nodes:
            if node.nodename not in majority:
                self.operator_restarts += 1
                node.crash()
                node.start()

    def make_vhost(self) -> None:
        """A virtual host in which queues are replicated unless they ask for something else."""
        first = self.nodes[0]
        first.ctl("add_vhost", VHOST, "--default-queue-type", "quorum")
        first.ctl("set_permissions", "-p", VHOST, "guest", ".*", ".*", ".*")

    def stop(self) -> None:
        """End everything; nodes on one address share their name server."""
        for node in self.nodes:
            if node.is_running:
                node.crash()
        for node in self.nodes:
            node.end_name_server()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
