"""The doctor on the queues."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdgate_schema import topology
from holdgate_schema.routing import SLOTS, partition_of, slot_key
from holdgate_workers.cli import exits
from holdgate_workers.cli.failures import one_line
from holdgate_workers.cli.output.formats import span

from .check import Check, Checks

if TYPE_CHECKING:
    from holdgate_workers.adapters.rabbit.health_checks import Broker

VERSION_LEAST = (3, 10)
WAITING_WARN_SECONDS = 10.0
NAMES_SHOWN = 4
FULL_WARN_PART = 0.5


def embedded_queues(url: str, partitions: int) -> Checks:
    """The queue in the database. Raises `TransportError`."""
    from holdgate_workers.adapters.embedded.queue.health_checks import examine

    found = examine(url, partitions)
    yield Check("queue", "kind", "ok", f"in the database, {partitions} partitions")
    if found.missing or found.bindings < found.bindings_wanted or found.bindings_wrong:
        detail = [f"missing: {_few(found.missing)}"] if found.missing else []
        detail.append(f"{found.bindings} of {found.bindings_wanted} bindings, {found.bindings_wrong} wrong ones")
        yield Check("queue", "topology", "fail", "; ".join(detail), "holdgate migrate")
    else:
        queues = len(list(topology.queues(partitions)))
        yield Check(
            "queue",
            "topology",
            "ok",
            f"{len(topology.EXCHANGES)} exchanges, {queues} queues, {found.bindings} bindings",
        )
    requests = sum(number for name, number in found.waiting.items() if name != topology.DEAD_QUEUE)
    late = found.oldest_seconds > WAITING_WARN_SECONDS
    yield Check(
        "queue",
        "requests waiting",
        "warn" if late else "ok",
        f"{requests}" + (f", the oldest for {span(found.oldest_seconds)}" if late else ""),
        "are the gate workers running and keeping up?" if late else "",
    )


def rabbit(url: str, partitions: int) -> Checks:
    """RabbitMQ. Raises `TransportError`."""
    from holdgate_workers.adapters.rabbit.health_checks import examine

    broker = examine(url, partitions)
    number = tuple(int(part) for part in broker.version.split(".")[:2] if part.isdigit())
    old = number < VERSION_LEAST
    yield Check(
        "broker",
        "server",
        "fail" if old else "ok",
        f"{broker.product} {broker.version}",
        "use RabbitMQ 3.10 or later" if old else "",
    )
    yield _alarm(broker)
    yield from _topology(broker, partitions)
    if len(broker.missing) == len(broker.found):
        yield Check("broker", "permissions", "skip", "nothing is there to try them on")
    elif broker.forbidden:
        yield Check(
            "broker",
            "permissions",
            "warn",
            f"the login may not declare {_few(sorted(broker.forbidden))}",
            "fine for a worker with its own login; for `holdgate migrate` see `holdgate contract topology`",
        )
    else:
        yield Check("broker", "permissions", "ok", "the login may declare and publish")
    requests = {topology.partition_queue(partition) for partition in range(partitions)}
    waiting = sum(item.messages for item in broker.found if item.name in requests)
    yield Check("broker", "requests waiting", "ok", str(waiting))
    yield _lengths(broker, partitions)


def _lengths(broker: Broker, partitions: int) -> Check:
    """How full the queues are, by messages: the broker tells the bytes to nobody who comes by AMQP."""
    limits = {item.name: int(item.arguments["x-max-length"]) for item in topology.queues(partitions)}
    filled = {item.name: item.messages / limits[item.name] for item in broker.found if item.name in limits}
    full = sorted(
        (name for name, part in filled.items() if part >= FULL_WARN_PART), key=lambda name: -filled[name]
    )
    if not full:
        most = max(filled.values(), default=0.0)
        detail = f"the fullest has {most:.0%} of its {topology.PARTITION_MESSAGES_MAX} messages"
        return Check("broker", "queue lengths", "ok", detail)
    shown = _few([f"{name} ({filled[name]:.0%})" for name in full])
    mend = (
        "dead letters: `holdgate dlq replay` or purge them; requests: are the gate workers running and keeping up?"
    )
    over = any(filled[name] >= 1 for name in full)
    return Check("broker", "queue lengths", "fail" if over else "warn", f"nearly full: {shown}", mend)


def _alarm(broker: Broker) -> Check:
    if broker.takes_messages:
        return Check("broker", "alarms", "ok", "it takes messages")
    if broker.takes_messages is None:
        mend = "look at `rabbitmqctl status` (Alarms)"
        return Check("broker", "alarms", "warn", "it said neither yes nor no to a message", mend)
    mend = "free memory or disk: see `rabbitmqctl status` (Alarms); or give the login the right to write"
    return Check("broker", "alarms", "fail", broker.problem, mend)


def _topology(broker: Broker, partitions: int) -> Checks:
    if broker.missing:
        detail = f"missing: {_few(broker.missing)}"
        yield Check("broker", "topology", "fail", detail, "holdgate migrate")
    else:
        queues = len([*topology.queues(partitions), *topology.task_queues()])
        bindings = len(list(topology.bindings(partitions)))
        detail = f"{len(topology.EXCHANGES)} exchanges, {queues} queues, {bindings} bindings (by the marker)"
        yield Check("broker", "topology", "ok", detail)
    if broker.different:
        yield Check(
            "broker",
            "arguments",
            "fail",
            f"others than ours: {_few(sorted(broker.different))}",
            "stop the workers, let the queue run empty, delete it, then `holdgate migrate`",
        )
    elif not broker.missing:
        yield Check("broker", "arguments", "ok", "every queue and exchange has the right ones")


def slots(url: str, partitions: int) -> Check:
    """Whether a queue takes the requests of every slot: AMQP lists no bindings, so each is tried."""
    from holdgate_workers.adapters.rabbit.slots import try_slots
    from holdgate_workers.app.ports import TransportError

    try:
        tried = try_slots(url, partitions)
    except TransportError as exc:
        mend = "the login needs the right to write to holdgate.requests, as a producer's"
        return Check("broker", "slots", "warn", f"they cannot be tried: {one_line(str(exc))}", mend)
    found = tried.unbound
    if not found and tried.untried:
        detail = f"{len(tried.untried)} of {SLOTS} not tried: nobody reads their queues, or requests wait there"
        return Check("broker", "slots", "skip", detail, "look again once the gate workers keep up")
    if not found:
        return Check("broker", "slots", "ok", f"each of the {SLOTS} has a queue that takes its requests")
    names = _few(
        [
            f"{slot_key(slot)} ({topology.partition_queue(partition_of(slot, partitions))})"
            for slot in sorted(found)
        ]
    )
    detail = f"{len(found)} of {SLOTS} without a queue: {names}; their requests come back to who sent them"
    return Check(
        "broker", "slots", "fail", detail, "holdgate migrate makes the queues and bindings that are missing"
    )


def unreachable(problem: Exception) -> Check:
    """The broker, or the queue in the database, does not answer."""
    from holdgate_workers.adapters.rabbit.diagnosis import fault_of

    fault = fault_of(problem)
    if fault.kind == "unknown":
        return Check("broker", "server", "fail", one_line(str(problem)), fault.mend, exits.NOT_RUNNING)
    return Check("broker", "server", "fail", fault.what, fault.mend, exits.NOT_RUNNING)


def _few(names: list[str]) -> str:
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
