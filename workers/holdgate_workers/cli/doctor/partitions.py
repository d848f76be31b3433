"""The doctor on the partition queues: has each one a consumer, and a second one that would take over?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from holdgate_workers.cli.output.formats import span

from .check import Check, Checks

if TYPE_CHECKING:
    from holdgate_workers.adapters.postgres.maintenance.health_checks import WorkerLine
    from holdgate_workers.adapters.postgres.partitions.gaps import Gap

NAMES_SHOWN = 16
START = "start one: holdgate worker gate"
MOVING = "it mends itself within seconds: look again"
STUCK = (
    "if it stays, restart the gates one after another, and report it with their logs "
    "(partition_joined, partition_left, line_corrected)"
)


def partitions(
    url: str, served: Callable[[], frozenset[int]], gates: Sequence[WorkerLine], number: int, *, embedded: bool
) -> Checks:
    """Which partition queues serve nobody, by the queues' own word, and behind which nobody waits."""
    from holdgate_workers.adapters.postgres.partitions.gaps import PartitionGaps

    gaps = PartitionGaps(url)
    try:
        found = gaps.found(served(), number)
    finally:
        gaps.close()
    yield _consumers([gap for gap in found if gap.missing == "consumer"], gates, number)
    yield _standbys([gap for gap in found if gap.missing == "standby"], gates, number, embedded=embedded)


def _consumers(without: Sequence[Gap], gates: Sequence[WorkerLine], number: int) -> Check:
    if not without:
        return Check("house", "partitions", "ok", f"all {number} have a consumer")
    detail = f"without a consumer: {_named(without)}; requests to them wait"
    recorded = {partition for gate in gates for partition in gate.partitions}
    if not gates:
        mend = START
    elif all(gap.partition in recorded for gap in without):
        mend = f"gates are recorded there, and the queue serves none of them: {MOVING}; {STUCK}"
    else:
        mend = f"{MOVING}; {STUCK}"
    return Check("house", "partitions", "fail", detail, mend)


def _standbys(without: Sequence[Gap], gates: Sequence[WorkerLine], number: int, *, embedded: bool) -> Check:
    if not without:
        return Check("house", "standby", "ok", f"all {number} have a second gate in line")
    if len(gates) < 2 and embedded:
        return Check("house", "standby", "ok", "one gate, and none that would take over: usual for `holdgate up`")
    if len(gates) < 2:
        detail = f"fewer than two gates live, so none would take over ({_named(without)})"
        return Check(
            "house", "standby", "warn", detail, f"start a second gate: {START.removeprefix('start one: ')}"
        )
    detail = f"without a second gate in line: {_named(without)}; if the first one ends, requests to them wait"
    return Check("house", "standby", "warn", detail, f"{MOVING}; {STUCK}")


def _named(gaps: Sequence[Gap]) -> str:
    more = len(gaps) - NAMES_SHOWN
    named = ", ".join(_one(gap) for gap in gaps[:NAMES_SHOWN])
    return named + (f" and {more} more" if more > 0 else "")


def _one(gap: Gap) -> str:
    # Remembered by the expiry worker; without one nobody can say since when.
    return f"{gap.partition:02d} (for {span(gap.seconds)})" if gap.seconds >= 1 else f"{gap.partition:02d}"
