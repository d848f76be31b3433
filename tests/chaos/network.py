"""Places that processes run in: namespaces on a network of the run's own, or plain loopback where that cannot be.

Every namespace has one wire, to a hub. The hub forwards by rules, and a rule can say that whatever comes from one
place for another is to vanish without a word: that is a cut in one direction. Only iproute2 is needed.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PREFIX = "hgchaos"
"""Of the names of all namespaces; the run's process id follows."""
PROBES = 5

_CLONE_NEWNET = 0x40000000
_PROBE_PORT = 9
_PROBE_SECONDS = 0.3
_HUB, _HERE = 254, 253
_FIRST_PREFERENCE = 100


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process runs: its address, and the words to put before its command."""

    name: str
    address: str
    prefix: tuple[str, ...] = ()


Cut = tuple[Place, Place]
"""What the first sends never comes to the second."""


def both_ways(some: Iterable[Place], others: Sequence[Place]) -> list[Cut]:
    """The cuts that part these places from those."""
    return [cut for one in some for other in others for cut in ((one, other), (other, one))]


class Loopback:
    """No network to break: everything shares the machine's own."""

    can_cut = False

    def __init__(self, why: str) -> None:
        self.why = why

    def place(self, name: str) -> Place:
        """Where everybody is."""
        return Place(name, "127.0.0.1")

    def name_hosts(self, names: Mapping[str, Sequence[Place]]) -> None:
        """Nothing has a name of its own."""

    def heal(self) -> None:
        """Nothing was cut."""

    def close(self) -> None:
        """Nothing was made."""


class Network:
    """Namespaces around a hub. Needs root and iproute2; raises OSError or CalledProcessError without."""

    can_cut = True
    why = ""

    def __init__(self) -> None:
        self._tag = f"{PREFIX}{os.getpid()}"
        self._places: list[Place] = []
        self._cuts: dict[Cut, int] = {}
        self._probes: dict[Place, socket.socket] = {}
        self._lock, self._probing = threading.Lock(), threading.Lock()
        self._pause = threading.Event()
        self._net = _free_net()
        self._hub = f"{self._tag}-hub"
        _ip("netns", "add", self._hub)
        try:
            _in_namespace(self._hub, "echo 1 >/proc/sys/net/ipv4/ip_forward")
            _ip("-n", self._hub, "link", "set", "lo", "up")
            self._wire(_HERE, None)
        except BaseException:
            self.close()
            raise

    def place(self, name: str) -> Place:
        """A new namespace, connected to all others and to the machine itself."""
        number = len(self._places) + 1
        namespace = f"{self._tag}-{name}"
        _ip("netns", "add", namespace)
        made = Place(name, f"{self._net}.{number}", ("ip", "netns", "exec", namespace))
        self._places.append(made)
        _ip("-n", namespace, "link", "set", "lo", "up")
        self._wire(number, namespace)
        self._probes[made] = _socket_in(namespace, made.address)
        return made

    def name_hosts(self, names: Mapping[str, Sequence[Place]]) -> None:
        """What /etc/hosts says in every place. A name may stand for several; each place begins with another one."""
        for turn, place in enumerate(self._places):
            lines = [f"127.0.0.1 localhost {socket.gethostname()}"]
            for name, places in names.items():
                first = turn % len(places)
                lines += [f"{one.address} {name}" for one in (*places[first:], *places[:first])]
            folder = _configuration(f"{self._tag}-{place.name}")
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "hosts").write_text("\n".join(lines) + "\n", encoding="utf-8")
            (folder / "host.conf").write_text("multi on\n", encoding="utf-8")

    # --- cutting ------------------------------------------------------------------------------------------------

    def cut(self, cuts: Iterable[Cut]) -> None:
        """From now on these say nothing to those. A cut that is there already counts twice."""
        for cut in cuts:
            with self._lock:
                self._cuts[cut] = self._cuts.get(cut, 0) + 1
                if self._cuts[cut] == 1:
                    self._rule("add", cut)

    def mend(self, cuts: Iterable[Cut]) -> None:
        """Take back as many cuts."""
        for cut in cuts:
            with self._lock:
                self._cuts[cut] -= 1
                if not self._cuts[cut]:
                    self._rule("del", cut)
                    del self._cuts[cut]

    def heal(self) -> None:
        """Take back every cut."""
        with self._lock:
            for cut in list(self._cuts):
                self._rule("del", cut)
            self._cuts.clear()

    def probe(self, cuts: Iterable[Cut]) -> dict[Cut, int]:
        """How many of `PROBES` datagrams arrive on each of these ways: none, where it is cut."""
        ways = list(cuts)
        arrived = dict.fromkeys(ways, 0)
        numbers = {(cut[0].address, cut[1]): cut for cut in ways}
        with self._probing:
            for sender, receiver in ways:
                for _ in range(PROBES):
                    self._probes[sender].sendto(b"?", (receiver.address, _PROBE_PORT))
            self._pause.wait(_PROBE_SECONDS)
            for receiver in self._places:
                for address in _all_of(self._probes[receiver]):
                    cut = numbers.get((address, receiver))
                    if cut is not None:
                        arrived[cut] += 1
        return arrived

    def is_cut(self, cut: Cut) -> bool:
        """Whether anybody has cut that."""
        return cut in self._cuts

    def _rule(self, what: str, cut: Cut) -> None:
        sender, receiver = cut
        words = ("from", sender.address, "to", receiver.address, "pref", str(_FIRST_PREFERENCE))
        _ip("-n", self._hub, "rule", what, *words, "blackhole")

    # --- making and unmaking ------------------------------------------------------------------------------------

    def _wire(self, number: int, namespace: str | None) -> None:
        """A wire from the hub to a namespace, or to where we are."""
        outer, inner, address = f"to{number}", "eth0", f"{self._net}.{number}"
        where = [] if namespace is None else ["-n", namespace]
        if namespace is None:
            inner = self._tag
        there = ["netns", namespace] if namespace else []
        _ip("link", "add", outer, "netns", self._hub, "type", "veth", "peer", "name", inner, *there)
        _ip(*where, "addr", "add", f"{address}/32", "dev", inner)
        _ip(*where, "link", "set", inner, "up")
        _ip("-n", self._hub, "addr", "add", f"{self._net}.{_HUB}/32", "dev", outer)
        _ip("-n", self._hub, "link", "set", outer, "up")
        _ip("-n", self._hub, "route", "add", address, "dev", outer)
        # A hub that asked whether a sender could be answered would cut both ways.
        for name in ("all", outer):
            _in_namespace(self._hub, f"echo 0 >/proc/sys/net/ipv4/conf/{name}/rp_filter")
        _ip(*where, "route", "add", f"{self._net}.{_HUB}", "dev", inner)
        _ip(*where, "route", "add", f"{self._net}.0/24", "via", f"{self._net}.{_HUB}", "dev", inner)

    def close(self) -> None:
        """Everything that was made, without a trace."""
        for probe in self._probes.values():
            probe.close()
        for name in (*(f"{self._tag}-{place.name}" for place in self._places), self._hub):
            _remove(name)


def open_network() -> Network | Loopback:
    """Namespaces if they can be had, and else the reason why not."""
    if os.geteuid() != 0:
        return Loopback("network faults need root")
    if shutil.which("ip") is None:
        return Loopback("network faults need iproute2 (the `ip` command), which is not installed")
    _sweep()
    try:
        return Network()
    except (OSError, subprocess.CalledProcessError) as exc:
        said = (getattr(exc, "stderr", None) or str(exc)).strip()
        return Loopback(f"network faults need namespaces, which cannot be made here: {said}")


def _sweep() -> None:
    """Remove what runs left behind that were killed."""
    said = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=False).stdout
    for line in said.splitlines():
        name = line.split()[0]
        owner = name.removeprefix(PREFIX).partition("-")[0]
        if name.startswith(PREFIX) and owner.isdigit() and not Path(f"/proc/{owner}").exists():
            _remove(name)


def _remove(namespace: str) -> None:
    """The namespace, and whatever still runs in it: some servers start helpers that outlive them."""
    inside = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True, check=False)
    for pid in map(int, inside.stdout.split()):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    subprocess.run(["ip", "netns", "del", namespace], capture_output=True, check=False)
    shutil.rmtree(_configuration(namespace), ignore_errors=True)


def _configuration(namespace: str) -> Path:
    """Where `ip netns exec` looks for files to lay over those in /etc."""
    return Path("/etc/netns") / namespace


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], capture_output=True, text=True, check=True)


def _in_namespace(namespace: str, script: str) -> None:
    command = ["ip", "netns", "exec", namespace, "sh", "-c", script]
    subprocess.run(command, capture_output=True, text=True, check=True)


def _free_net() -> str:
    """The first three numbers of addresses that nobody uses: of those set aside for measuring networks (RFC 2544)."""
    used = subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout
    start = os.getpid() % 256
    for third in (*range(start, 256), *range(start)):
        if f"198.18.{third}." not in used:
            return f"198.18.{third}"
    raise OSError("all addresses for test networks are in use")


def _socket_in(namespace: str, address: str) -> socket.socket:
    """A datagram socket that lives in a namespace. Threads may be in different ones, so a thread makes it."""
    made: list[socket.socket] = []

    def make() -> None:
        with Path(f"/run/netns/{namespace}").open("rb") as handle:
            if ctypes.CDLL(None, use_errno=True).setns(handle.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        probe.bind((address, _PROBE_PORT))
        probe.setblocking(False)
        made.append(probe)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    if not made:
        raise OSError(f"no socket in {namespace}")
    return made[0]


def _all_of(probe: socket.socket) -> Iterator[str]:
    """Who has sent something there."""
    while True:
        try:
            yield probe.recvfrom(16)[1][0]
        except BlockingIOError:
            return
