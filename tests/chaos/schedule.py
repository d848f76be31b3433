"""What is broken when: drawn from one seed, before anything is started, so that a run can be told and repeated."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

CALM_SECONDS = 3.0
"""Nothing is broken before that."""
GAP_SECONDS = (3.0, 15.0)
"""From the beginning of one fault to that of the next."""

NODES = ("n1", "n2", "n3")
GATES = ("gate1", "gate2", "gate3")
WORKERS = (*GATES, "expiry", "relay")


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to break something.

    Faults of one territory never overlap, those of different ones may. `needs` names the ability of the machine
    without which there is no such fault.
    """

    name: str
    territory: str
    about: str
    targets: tuple[str, ...]
    seconds: tuple[float, float]
    recovery_seconds: float
    needs: str = ""


KINDS = (
    Kind("isolated-node", "brokers", "one node cut off from everybody", NODES, (4, 14), 10, "cuts"),
    Kind("halves", "brokers", "one node and a third of the workers and clients here, the rest there",
         NODES, (4, 14), 10, "cuts"),
    Kind("one-way-node", "brokers", "one node hears the others, and they do not hear it", NODES, (4, 14), 10, "cuts"),
    Kind("bridge", "brokers", "two nodes cannot talk, and the third talks to both", NODES, (4, 14), 10, "cuts"),
    Kind("node-killed", "brokers", "SIGKILL, and started again", NODES, (0.5, 6), 10),
    Kind("memory-alarm", "brokers", "no memory left on one node: publishers are blocked", NODES, (3, 9), 3),
    Kind("disk-alarm", "brokers", "no disk left on one node: publishers are blocked", NODES, (3, 9), 3),
    Kind("database-stopped", "database", "immediate shutdown, and started again", ("db",), (0.2, 6), 3),
    Kind("log-volume-full", "database", "no room for the write-ahead log", ("db",), (2, 6), 4, "volume"),
    Kind("clock-ahead", "database", "the database's clock jumps ahead, and back again", ("db",), (3, 10), 2, "clock"),
    Kind("clock-behind", "database", "the database's clock jumps back, and ahead again", ("db",), (3, 10), 2, "clock"),
    Kind("worker-killed", "workers", "SIGKILL, and started again", WORKERS, (0.2, 3), 3),
    Kind("worker-frozen", "workers", "SIGSTOP, and SIGCONT", WORKERS, (2, 25), 3),
    Kind("rolling-restart", "workers", "SIGTERM to one gate after the other", ("gates",), (0, 0), 15),
    Kind("broker-deaf", "wires", "the broker does not hear a worker", WORKERS, (3, 14), 3, "cuts"),
    Kind("broker-mute", "wires", "a worker does not hear the broker", WORKERS, (3, 14), 3, "cuts"),
    Kind("database-deaf", "wires", "the database does not hear a worker", WORKERS, (3, 14), 3, "cuts"),
    Kind("database-mute", "wires", "a worker does not hear the database: commits with unknown outcome",
         WORKERS, (3, 14), 3, "cuts"),
)  # fmt: skip

CLOCK_STEPS = {"clock-ahead": (20, 45, 90), "clock-behind": (-5, -20, -45)}
"""Seconds. More than a minute ahead is not believed by the workers, and stops expiry."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One planned fault: it begins `at` seconds after the start, and lasts so long."""

    number: int
    at: float
    kind: Kind
    target: str
    seconds: float
    step: int = 0
    """By how many seconds the clock jumps."""

    def __str__(self) -> str:
        how = f" by {self.step:+d} s" if self.step else ""
        long = f" for {self.seconds:.1f} s" if self.seconds else ""
        return f"{self.at:6.1f} s  {self.kind.name:16} {self.target}{how}{long}"


def plan(
    seed: int,
    seconds: float,
    missing: Mapping[str, str],
    only: Collection[str] = (),
    gap_seconds: tuple[float, float] = GAP_SECONDS,
) -> list[Fault]:
    """The faults of a run. `missing` has the abilities that the machine lacks; `only` leaves out all other kinds.

    Kinds come in shuffled rounds, so that each comes about as often as any other; one whose territory is busy waits
    for its turn.
    """
    chance = random.Random(seed)
    kinds = [kind for kind in KINDS if kind.needs not in missing and (not only or kind.name in only)]
    faults: list[Fault] = []
    busy: dict[str, float] = {}
    bag: list[Kind] = []
    at = CALM_SECONDS
    while kinds and at < seconds:
        if not any(busy.get(kind.territory, 0.0) <= at for kind in bag):
            bag += chance.sample(kinds, len(kinds))
        kind = next((kind for kind in bag if busy.get(kind.territory, 0.0) <= at), None)
        if kind is not None:
            bag.remove(kind)
            fault = _draw(chance, len(faults) + 1, at, kind)
            busy[kind.territory] = at + fault.seconds + kind.recovery_seconds
            faults.append(fault)
        at = round(at + chance.uniform(*gap_seconds), 1)
    return faults


def left_out(missing: Mapping[str, str]) -> Iterator[str]:
    """What cannot be broken on this machine, and why."""
    for ability, why in missing.items():
        names = [kind.name for kind in KINDS if kind.needs == ability]
        yield f"without {', '.join(names)}: {why}"


def _draw(chance: random.Random, number: int, at: float, kind: Kind) -> Fault:
    step = chance.choice(CLOCK_STEPS.get(kind.name, (0,)))
    return Fault(number, at, kind, chance.choice(kind.targets), round(chance.uniform(*kind.seconds), 1), step)
