"""Who stands in the lines once everything has come to rest: the judge looks at the broker, not at the record."""

from __future__ import annotations

from collections.abc import Sequence

from holdgate_workers.app.partitions.membership import ranked

from .broker import Broker
from .gate_worker import GateWorker


def amiss(broker: Broker, alive: Sequence[GateWorker]) -> str:
    """What is not as it must be: first and second choice stand in every line and nobody else, and each worker wants
    what it has. Empty if nothing is. Which of the two is first is not asked: without a message nobody can know."""
    names = sorted(gate.name for gate in alive)
    for partition, line in enumerate(broker.lines):
        standing = {channel.id: channel.owner for channel in line}
        wanted = ranked(partition, names)[:2]
        for gate in alive:
            mine = [number for number, owner in standing.items() if owner is gate]
            believed = gate.standing.in_line.get(partition)
            if len(mine) != (gate.name in wanted) or believed != (mine[0] if mine else None):
                return (
                    f"{gate.name} stands in line {partition} as {mine}, and believes {believed}; wanted {wanted}"
                )
            if (partition in gate.standing.wanted) != bool(mine):
                return f"{gate.name} stands in line {partition} as {mine}, and wants {gate.standing.wanted}"
        if len(standing) != len(wanted):
            return f"{len(standing)} stand in line {partition}, wanted {wanted}"
    return ""
