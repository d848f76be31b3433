"""How each kind of fault is done, how it is proven to have bitten, and how it is taken back."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from subprocess import SubprocessError, TimeoutExpired

from tests.chaos.cluster import Node
from tests.chaos.crew import READY_SECONDS, STOP_SECONDS, Hand
from tests.chaos.ground import SHOPPERS, Ground
from tests.chaos.network import PROBES, Cut, Network, Place, both_ways
from tests.chaos.schedule import GATES, NODES, WORKERS, Fault
from tests.support.rabbit import eventually

BITE_SECONDS = 20.0
"""So long after it was done a fault may take to show."""
_ATTEMPTS = 5


class DidNotBite(Exception):
    """A fault was done and nothing came of it: the run proves nothing."""


Way = Callable[[Ground, Fault], AbstractContextManager[str]]
"""Inside the block the fault is in force; the value is the proof. After the block everything works again."""


# --- the network ------------------------------------------------------------------------------------------------


@contextmanager
def _cut(ground: Ground, closed: Sequence[Cut], opened: Iterable[Cut] = ()) -> Iterator[str]:
    network = ground.network
    assert isinstance(network, Network)
    network.cut(closed)
    try:
        ways = [cut for cut in opened if not network.is_cut(cut)]
        arrived = network.probe([*closed, *ways])
        through = [cut for cut in closed if arrived[cut]]
        shut = [cut for cut in ways if not arrived[cut]]
        if through or shut:
            raise DidNotBite(f"datagrams came through {_told(through)}; none came through {_told(shut)}")
        proof = f"{PROBES * len(closed)} datagrams vanished"
        yield f"{proof}, {sum(arrived[cut] for cut in ways)} of {PROBES * len(ways)} came back" if ways else proof
    finally:
        network.mend(closed)


def _told(cuts: Sequence[Cut]) -> str:
    return ", ".join(f"{one.name}>{other.name}" for one, other in cuts) or "nowhere"


def _others(ground: Ground, *names: str) -> list[Place]:
    return [place for name, place in ground.places.items() if name not in names]


@contextmanager
def _until_whole(ground: Ground, cutting: AbstractContextManager[str]) -> Iterator[str]:
    with cutting as proof:
        yield proof
    ground.cluster.wait_whole()


def _isolated_node(ground: Ground, fault: Fault) -> AbstractContextManager[str]:
    node = ground.places[fault.target]
    return _until_whole(ground, _cut(ground, both_ways([node], _others(ground, fault.target))))


def _halves(ground: Ground, fault: Fault) -> AbstractContextManager[str]:
    """The database stays in sight of both."""
    number = NODES.index(fault.target)
    names = (*NODES, *WORKERS, *SHOPPERS)
    here = [name for side in (NODES, WORKERS, SHOPPERS) for name in side if side.index(name) % 3 == number]
    there = [ground.places[name] for name in names if name not in here]
    return _until_whole(ground, _cut(ground, both_ways([ground.places[name] for name in here], there)))


def _one_way_node(ground: Ground, fault: Fault) -> AbstractContextManager[str]:
    node = ground.places[fault.target]
    others = [ground.places[name] for name in NODES if name != fault.target]
    cutting = _cut(ground, [(node, other) for other in others], [(other, node) for other in others])
    return _until_whole(ground, cutting)


def _bridge(ground: Ground, fault: Fault) -> AbstractContextManager[str]:
    bridge = ground.places[fault.target]
    one, other = (ground.places[name] for name in NODES if name != fault.target)
    still = both_ways([bridge], [one, other])
    return _until_whole(ground, _cut(ground, both_ways([one], [other]), still))


def _does_not_hear(listener: str, speaker: str) -> Way:
    """`nodes`, `db` or `worker` does not hear the other; the way back is open."""

    def way(ground: Ground, fault: Fault) -> AbstractContextManager[str]:
        sides = {
            "nodes": [ground.places[name] for name in NODES],
            "db": [ground.places["db"]],
            "worker": [ground.places[fault.target]],
        }
        closed = [(one, other) for one in sides[speaker] for other in sides[listener]]
        return _cut(ground, closed, [(other, one) for one, other in closed])

    return way


# --- brokers ----------------------------------------------------------------------------------------------------


def _node(ground: Ground, fault: Fault) -> Node:
    return next(node for node in ground.cluster.nodes if node.name == fault.target)


@contextmanager
def _node_killed(ground: Ground, fault: Fault) -> Iterator[str]:
    node = _node(ground, fault)
    node.crash()
    try:
        yield f"process gone, {_refused(node.place.address, node.port)}"
    finally:
        node.start()
    ground.cluster.wait_whole()


def _alarm(kind: str) -> Way:
    @contextmanager
    def way(ground: Ground, fault: Fault) -> Iterator[str]:
        node = _node(ground, fault)
        try:
            node.raise_alarm(kind)
            told = node.alarms()
            if f"resource_limit,{kind}" not in told:
                raise DidNotBite(f"no alarm: {told}")
            yield f"the broker says {told}"
        except SubprocessError as exc:
            raise DidNotBite(f"the alarm could not be raised: {exc}") from exc
        finally:
            node.end_alarm(kind)
        eventually(lambda: kind not in node.alarms(), f"the {kind} alarm is over", BITE_SECONDS)

    return way


def _refused(address: str, port: int) -> str:
    """Proof that nobody listens there; a killed process of many threads takes a moment to be gone."""
    _must_show(lambda: all(_is_refused(address, port) for _ in range(_ATTEMPTS)), "connections are still taken")
    return f"{_ATTEMPTS} of {_ATTEMPTS} connections refused"


def _is_refused(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), 2).close()
    except ConnectionRefusedError:
        return True
    return False


# --- the database -----------------------------------------------------------------------------------------------


@contextmanager
def _database_stopped(ground: Ground, fault: Fault) -> Iterator[str]:
    database = ground.database
    database.crash()
    try:
        yield f"process gone, {_refused(database.place.address, database.port)}"
    finally:
        database.start()


@contextmanager
def _log_volume_full(ground: Ground, fault: Fault) -> Iterator[str]:
    database = ground.database
    before = database.times_full()

    def bites() -> bool:
        database.fill()
        return database.times_full() > before

    try:
        _must_show(bites, "the server never missed the room")
        yield f"{database.times_full() - before} times no space left in the server's log"
    finally:
        database.make_room()
        database.recover()


@contextmanager
def _clock(ground: Ground, fault: Fault) -> Iterator[str]:
    database = ground.database
    try:
        database.set_clock(fault.step)
        _must_show(lambda: database.shows_clock(fault.step), "the clock did not move")
        yield f"clock_timestamp() is {database.clock_offset():+.1f} s off"
    finally:
        database.set_clock(0)
        eventually(lambda: database.shows_clock(0), "the clock is right again", BITE_SECONDS)


def _must_show(condition: Callable[[], bool], otherwise: str) -> None:
    try:
        eventually(condition, otherwise, BITE_SECONDS)
    except AssertionError as exc:
        raise DidNotBite(otherwise) from exc


# --- workers ----------------------------------------------------------------------------------------------------


def _running(ground: Ground, name: str) -> Hand:
    """A worker, once it is there: it may be that it could not start, or has not yet."""
    hand = ground.crew.hands[name]
    eventually(lambda: hand.wanted and hand.exit_code is None and hand.was_ready, f"{name} works", READY_SECONDS)
    return hand


@contextmanager
def _worker_killed(ground: Ground, fault: Fault) -> Iterator[str]:
    hand = _running(ground, fault.target)
    pid = hand.pid
    hand.kill()
    try:
        if hand.exit_code != -signal.SIGKILL or Path(f"/proc/{pid}").exists():
            raise DidNotBite(f"process {pid} ended with {hand.exit_code}")
        yield f"process {pid} gone by signal 9"
    finally:
        hand.start()


@contextmanager
def _worker_frozen(ground: Ground, fault: Fault) -> Iterator[str]:
    hand = _running(ground, fault.target)
    hand.signal(signal.SIGSTOP)
    try:
        _must_show(lambda: hand.is_frozen, "the process goes on")
        yield f"process {hand.pid} stopped"
    finally:
        hand.signal(signal.SIGCONT)


@contextmanager
def _rolling_restart(ground: Ground, fault: Fault) -> Iterator[str]:
    took = []
    for name in GATES:
        hand = _running(ground, name)
        try:
            took.append(hand.terminate())
        except TimeoutExpired:
            ground.crew.fell.append(
                f"{name} does not end within {STOP_SECONDS:g} s of SIGTERM: {hand.tail()[-600:]}"
            )
            hand.kill()
        if hand.exit_code not in (0, -signal.SIGKILL):
            ground.crew.fell.append(f"{name} ended with {hand.exit_code} after SIGTERM: {hand.tail()[-600:]}")
        hand.start()
        _running(ground, name)
    yield f"{len(took)} processes replaced, gone after {' '.join(f'{seconds:.1f}' for seconds in took)} s"


WAYS: dict[str, Way] = {
    "isolated-node": _isolated_node,
    "halves": _halves,
    "one-way-node": _one_way_node,
    "bridge": _bridge,
    "node-killed": _node_killed,
    "memory-alarm": _alarm("memory"),
    "disk-alarm": _alarm("disk"),
    "database-stopped": _database_stopped,
    "log-volume-full": _log_volume_full,
    "clock-ahead": _clock,
    "clock-behind": _clock,
    "worker-killed": _worker_killed,
    "worker-frozen": _worker_frozen,
    "rolling-restart": _rolling_restart,
    "broker-deaf": _does_not_hear("nodes", "worker"),
    "broker-mute": _does_not_hear("worker", "nodes"),
    "database-deaf": _does_not_hear("db", "worker"),
    "database-mute": _does_not_hear("worker", "db"),
}
