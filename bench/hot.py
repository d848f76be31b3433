"""One hot occurrence with a backlog: how fast it drains, beside the floor and beside everybody else's way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from holdgate_schema.routing import partition_of, slot_of
from holdgate_schema.topology import partition_queue

from .baselines import Absent
from .contest import BASELINES, arena, drain_baseline
from .drain import Drained, drain
from .load import an_occurrence, message, places
from .place import Place, fresh_place
from .processes import Child, children, start_ready
from .result import Options, Result, Row, Target, shown

OCCURRENCE = "bench-hot"
REQUESTS = 50_000
FLOOR = "floor"
FIRST_NAMED = ("for_update", "get_lock", FLOOR)
"""In the last line, which others read."""
TARGETS = (
    Target("hot: holds/s against SELECT … FOR UPDATE", "ratio_for_update", 10, at_least=True),
    Target("hot: holds/s against GET_LOCK", "ratio_get_lock", 20, at_least=True),
    Target("hot: holds/s against the floor", "ratio_floor", 0.60, at_least=True),
)


def ours(requests: int) -> float:
    """Decided and answered holds per second."""
    return drain_ours(requests).per_second


def floor(requests: int) -> float:
    """Replied and acknowledged messages per second."""
    return drain_floor(requests).per_second


def run(options: Options) -> Result:
    """Everybody in turn, again and again; ratios are taken within a turn."""
    requests = options.requests or REQUESTS
    rows = [_turn(requests) for _ in range(options.pairs)]
    backlogs = {baseline.name: min(baseline.requests, requests) for baseline in BASELINES}
    settings = {"requests": {"ours": requests, FLOOR: requests, **backlogs}}
    result = Result(settings, rows, TARGETS)
    names = dict.fromkeys([*FIRST_NAMED, *backlogs])
    return replace(result, closing=" ".join(["ratio", *(f"{name}={_ratio(result, name)}" for name in names)]))


def _ratio(result: Result, name: str) -> str:
    ratio = result.median(f"ratio_{name}")
    return "absent" if ratio is None else f"{ratio:.2f}"


def _turn(requests: int) -> Row:
    """The floor and we ourselves next to one another, then the others."""
    found: dict[str, Drained | None] = {FLOOR: drain_floor(requests), "ours": drain_ours(requests)}
    with arena() as amqp_url:
        for baseline in BASELINES:
            commands = places(min(baseline.requests, requests), [OCCURRENCE])
            try:
                found[baseline.name] = drain_baseline(baseline, amqp_url, commands, len(commands) * 2)
            except Absent as exc:
                print(f"{baseline.name} is absent: {exc}")
                found[baseline.name] = None
    row: Row = {}
    mine = found.pop("ours")
    assert mine is not None
    _note(row, "ours", mine)
    for name, drained in found.items():
        _note(row, name, drained)
        row[f"ratio_{name}"] = None if drained is None else mine.per_second / drained.per_second
    rates = "  ".join(f"{name} {shown(row[f'{name}_per_second'])}/s" for name in ("ours", *found))
    print(rates, flush=True)
    return row


def _note(row: Row, name: str, drained: Drained | None) -> None:
    row[f"{name}_per_second"] = None if drained is None else drained.per_second
    for group, micros in (drained.cpu_us if drained else {}).items():
        row[f"{name}_cpu_{group}_us"] = micros


def drain_ours(requests: int) -> Drained:
    """The gate, with all its promises."""
    with fresh_place() as place:
        place.prepare([an_occurrence(OCCURRENCE, requests * 2)])
        drained = drain_gate(place, _backlog(requests))
        _verify(place, drained)
    return drained


def drain_gate(place: Place, messages: list[bytes]) -> Drained:
    """A backlog worked off by one gate worker of the house."""
    with children() as started:
        started.append(place.gate())
        started[0].wait_ready()
        return drain(place.amqp_url, messages, started)


def drain_floor(requests: int) -> Drained:
    """A consumer of the same queue that only replies and acknowledges."""
    with fresh_place() as place, children() as started:
        started.append(_floor(place, OCCURRENCE))
        return drain(place.amqp_url, _backlog(requests), started)


@contextmanager
def floor_served(place: Place, occurrence_id: str) -> Iterator[None]:
    """The floor at work on the queue of an occurrence."""
    with children() as started:
        started.append(_floor(place, occurrence_id))
        started[0].go()
        yield


def _floor(place: Place, occurrence_id: str) -> Child:
    queue = partition_queue(partition_of(slot_of(occurrence_id), place.site.partitions))
    return start_ready(1, "bench.floor", [place.amqp_url, queue])[0]


def _backlog(requests: int) -> list[bytes]:
    return [message(command) for command in places(requests, [OCCURRENCE])]


def _verify(place: Place, drained: Drained) -> None:
    """The rows say what the answers said."""
    held = drained.outcomes["answer.held.v1"]
    [rows] = place.query("SELECT count(*), sum(seats) FROM holds WHERE state = 'active'")
    [counter] = place.query("SELECT held FROM pools WHERE key = 'total'")
    assert rows == (held, drained.seats) == (len(drained.received), *counter), (rows, counter, drained.outcomes)
