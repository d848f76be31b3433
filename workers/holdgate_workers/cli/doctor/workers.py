"""The doctor on what runs: workers, partitions, requests end to end, dead letters, the counters, the settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from time import monotonic
from typing import TYPE_CHECKING

from holdgate_schema.commands.holds import GetAvailability
from holdgate_schema.routing import SLOTS, slot_of
from holdgate_workers.cli import exits
from holdgate_workers.cli.access import Access
from holdgate_workers.cli.failures import one_line
from holdgate_workers.cli.output.formats import span

from .check import Check, Checks
from .cursors import behind

if TYPE_CHECKING:
    from holdgate_workers.adapters.postgres.maintenance.health_checks import Examination

ROLES = {
    "gate": "no request is decided: holdgate worker gate",
    "expiry": "holds are not expired: holdgate worker expiry",
    "relay": "events are not published: holdgate worker relay",
    "feeder": "nothing follows from decisions, no price, order or mail: holdgate worker feeder",
}
CURSORS = {"tasks": "feeder"}
"""Cursor of the journal -> who moves it, if it is not the relay."""
LAG_WARN_SECONDS = 30.0
OVERDUE_WARN_SECONDS = 10.0
PROBE_SECONDS = 5.0


PLACES = {"queue": "the queues", "redis": "the read side"}


def installation(access: Access) -> Checks:
    """Whose the queues and the read side are: two databases behind the same queues would sell the same seats twice."""
    from holdgate_workers.cli.running.installation import owners

    ours, found = owners(access)
    others = [
        (PLACES[place], whose) for place, whose in found.items() if whose is not None and whose.id != ours.id
    ]
    if others:
        yield Check(
            "house",
            "installation",
            "fail",
            f"this is {ours}; " + ", and ".join(f"{place} are of {whose}" for place, whose in others),
            "give this one a virtual host (HOLDGATE_AMQP_URL) and a HOLDGATE_HOUSE of its own; if the other one is "
            "gone for good, holdgate installation take-over",
            exits.NOT_OURS,
        )
    elif found["queue"] is None:
        detail = f"the queues bear no stamp of {ours}"
        mend = "holdgate migrate; find out first where queues and messages went if it was set up before"
        yield Check("house", "installation", "fail", detail, mend, exits.NOT_OURS)
    else:
        yield Check("house", "installation", "ok", f"{ours}, and so are {' and '.join(PLACES[p] for p in found)}")


def workers(examination: Examination) -> Checks:
    """Who beats."""
    found = examination.workers()
    alive = [worker for worker in found if worker.is_alive]
    # Only gates say that they live: the others leave no trace but what they do.
    gates = [worker for worker in alive if worker.role == "gate"]
    if gates:
        versions = sorted({worker.version for worker in gates})
        yield Check("house", "gate workers", "ok", f"{len(gates)} alive, version {', '.join(versions)}")
    else:
        yield Check("house", "gate workers", "fail", "none is alive", ROLES["gate"])
    silent = [worker for worker in found if not worker.is_alive]
    if silent:
        names = ", ".join(f"{worker.id} ({span(worker.silent_seconds)})" for worker in silent)
        mend = "dead or cut off; others have taken over, and it is forgotten after two minutes"
        yield Check("house", "silent workers", "warn", names, mend)


def expiry_and_relay(examination: Examination) -> Checks:
    """Whether holds end in time and events go out, which is how one sees that those workers run."""
    number, seconds = examination.overdue()
    late = seconds > OVERDUE_WARN_SECONDS
    yield Check(
        "house",
        "expiry",
        "warn" if late else "ok",
        f"{number} due holds, the oldest for {span(seconds)}" if late else "no hold is overdue",
        f"{ROLES['expiry']}; after a jump of the clock: holdgate expiry resume" if late else "",
    )
    # The projection's has a check of its own.
    lags = [lag for lag in examination.cursor_lags() if lag.name != "projection"]
    slow = [lag for lag in lags if lag.seconds > LAG_WARN_SECONDS]
    if not lags:
        yield Check("house", "relay", "warn", "has never run", ROLES["relay"])
    elif not slow:
        yield Check("house", "relay", "ok", "events go out")
    for lag in slow:
        role = CURSORS.get(lag.name, "relay")
        yield behind(lag, role, f"{lag.name} is {span(lag.seconds)} behind", ROLES[role])


def round_trip(access: Access) -> Check:
    """One question per slot, each about an occurrence that nobody has: answered like any, and leaves no trace."""
    from holdgate_producer.core.errors import ProducerError
    from holdgate_workers.ids import new_request_id

    commands = [GetAvailability(request_id=new_request_id(), occurrence_id=name) for name in _one_per_slot()]
    started, silent, problem = monotonic(), [], ""
    try:
        with access.client(PROBE_SECONDS) as client:
            futures = client.send_many(commands, timeout_seconds=PROBE_SECONDS)
            for slot, future in enumerate(futures):
                try:
                    future.result()
                except ProducerError as exc:
                    silent.append(slot)
                    problem = one_line(str(exc))
    except ProducerError as exc:
        return Check("house", "round trip", "fail", one_line(str(exc)), "see the broker's checks above")
    if silent:
        detail = f"{len(silent)} of {SLOTS} slots gave no answer: {problem}"
        return Check("house", "round trip", "fail", detail, "holdgate migrate, and a worker for each partition")
    return Check(
        "house", "round trip", "ok", f"all {SLOTS} slots answer, in {monotonic() - started:.2f} s altogether"
    )


def _one_per_slot() -> Iterator[str]:
    names: dict[int, str] = {}
    number = 0
    while len(names) < SLOTS:
        name = f"holdgate-doctor-{number}"
        names.setdefault(slot_of(name), name)
        number += 1
    return (names[slot] for slot in range(SLOTS))


def dead_letters(access: Access) -> Check:
    """How many wait for a human."""
    from holdgate_workers.app.ports import TransportError

    letters = access.dead_letters()
    try:
        number = letters.count()
    except TransportError:
        return Check("house", "dead letters", "skip", "there is no dead-letter queue, see the topology above")
    if not number:
        return Check("house", "dead letters", "ok", "none")
    why = ", ".join(
        f"{count} {reason}"
        for reason, count in Counter(letter.reason for letter in letters.list(100)).most_common(3)
    )
    return Check(
        "house", "dead letters", "warn", f"{number} ({why})", "holdgate dlq list, then holdgate dlq replay"
    )


def conservation(url: str) -> Checks:
    """Whether the counters agree with the rows."""
    from holdgate_workers.adapters.postgres.expiry.due import DueHolds

    due = DueHolds(url)
    try:
        pools, sessions = due.differences(), due.session_differences()
    finally:
        due.close()
    if not pools and not sessions:
        yield Check("house", "conservation", "ok", "every counter equals a recount of its holds")
        return
    mend = "stop the gate workers, keep a copy of the database, and report it: this must never be"
    oversold = [item for item in pools if item.oversold]
    named = ", ".join(f"{item.occurrence_id}/{item.pool}" for item in (oversold or pools)[:4])
    if pools:
        word = "oversold" if oversold else "differ"
        yield Check("house", "conservation", "fail", f"{len(oversold or pools)} pools {word}: {named}", mend)
    if sessions:
        yield Check("house", "session counts", "fail", f"{len(sessions)} differ from their holds", mend)


def settings(url: str) -> Check:
    """Whether the settings make sense, and which differ from their defaults."""
    from holdgate_workers.adapters.postgres.maintenance.installation import House
    from holdgate_workers.domain.settings.settings import InvalidSettings

    house = House(url)
    try:
        values = house.values()
        house.settings()
    except InvalidSettings as exc:
        return Check("house", "settings", "fail", one_line(str(exc)), "holdgate settings reset NAME")
    finally:
        house.close()
    said = ", ".join(f"{name}={value}" for name, value in sorted(values.items()))
    return Check("house", "settings", "ok", said or "all at their defaults")
