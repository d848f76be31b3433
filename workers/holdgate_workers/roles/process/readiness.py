"""Whether a role could do its work now: tried in the background, with its own logins, on what it really uses.

Each look writes to the tables and exchanges of the role in a way that leaves nothing: a row that is taken back, an
update of no row, a message that the broker refuses for its expiration, after it has checked the right to publish it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from holdgate_schema import topology
from holdgate_workers.adapters.postgres.probe import TryDatabase
from holdgate_workers.app.tasks.tasks import NOTIFICATIONS, ORDERS, PRICING
from holdgate_workers.wiring.outside import is_ours_to_mend, mail_fault, shop_fault
from holdgate_workers.wiring.site import Site

if TYPE_CHECKING:
    from holdgate_workers.app.faults import Fault
    from holdgate_workers.config.environment import ServiceConfig

log = structlog.get_logger("holdgate.readiness")

LOOK_SECONDS = 5.0
FIRST_LOOK_SECONDS = 0.5
"""Until the first that found nothing wrong: a process that has just started is waited for."""
BROKER_SECONDS = 30.0
"""Each try of the broker is a connection of its own, as a login that has lost its rights notices nothing on one that it
has: so seldom while all is well, with each look while it is not."""
OUTSIDE_SECONDS = 300.0
"""Mail server and shop belong to others: they are tried so seldom, and"""
OUTSIDE_AGAIN_SECONDS = 30.0
"""so often while they do not take us as we are set up."""
OVERDUE_SECONDS = 60.0
"""A look that takes longer hangs: its steps have shorter bounds, but a network may swallow anything."""
FAILURES_MIN = 2
"""Who was ready stays so over one look that failed: a slow answer is no outage."""


@dataclass(slots=True, frozen=True)
class Needs:
    """What a role writes to: tables of the house, exchanges, and whether queues of partitions or a role's wake-ups must
    be there."""

    tables: Sequence[str]
    exchanges: Sequence[str] = ()
    partitions: bool = False
    wakeups: Sequence[str] = ()
    redis: bool = False


NEEDS: Mapping[str, Needs] = {
    "gate": Needs(
        ("occurrences", "pools", "holds", "journal", "workers", "partition_lines"),
        ("", topology.DEAD_EXCHANGE),
        partitions=True,
    ),
    "expiry": Needs(("holds", "journal"), (topology.REQUESTS_EXCHANGE,), partitions=True),
    "relay": Needs(("relay_cursors",), (topology.EVENTS_EXCHANGE,)),
    "feeder": Needs(("relay_cursors", "tasks"), ("",), wakeups=topology.TASK_ROLES),
    PRICING: Needs(("tasks", "quotes"), ("", topology.REQUESTS_EXCHANGE), wakeups=(PRICING,)),
    ORDERS: Needs(("tasks", "bookings"), ("", topology.REQUESTS_EXCHANGE), wakeups=(ORDERS,)),
    NOTIFICATIONS: Needs(("tasks",), wakeups=(NOTIFICATIONS,)),
    "projection": Needs(("relay_cursors",), redis=True),
}


OUTSIDE: Mapping[str, Callable[[ServiceConfig], Fault | None]] = {NOTIFICATIONS: mail_fault, ORDERS: shop_fault}


class Readiness:
    """Looks every few seconds, on a thread of its own; `problem` answers at once. Not ready before the first look."""

    def __init__(self, site: Site, role: str) -> None:
        self._site = site
        self._needs = NEEDS[role]
        self._role = role
        self._database = TryDatabase(site.database_url, self._needs.tables, name=f"readiness {role}")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"{role}-readiness", daemon=True)
        self._failures = 0
        self._broker_at = 0.0
        self._outside_at = 0.0
        self._outside_fault: Fault | None = None
        self._looking_since: float | None = None
        self._said: str | None = "was not tried yet"

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End. Idempotent."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(5)

    def problem(self) -> str | None:
        """Why the role could not work; None if it could when that was tried last, which is not long ago."""
        since = time.monotonic() - self._looking_since if self._looking_since is not None else 0.0
        if since > OVERDUE_SECONDS:
            return f"the try that began {since:.0f} s ago has not come back; `holdgate doctor` says what hangs"
        return self._said

    def look(self) -> list[Fault]:
        """Try everything once, now."""
        return [fault for fault in self._looks() if fault is not None]

    def _looks(self) -> Iterator[Fault | None]:
        fault = self._database.fault()
        yield fault
        if self._site.config.amqp_url is not None and (self._needs.exchanges or self._queues()):
            yield self._broker(self._site.config.amqp_url)
        elif self._site.is_embedded and fault is None and self._needs.exchanges:
            yield self._database.fault_of_queue()
        if self._needs.redis and self._site.config.redis_url is not None:
            from holdgate_workers.adapters.redis.diagnosis import try_writing

            yield try_writing(self._site.config.redis_url, f"holdgate:{{{self._site.config.house}}}:tried")
        yield self._outside()

    def _broker(self, url: str) -> Fault | None:
        from holdgate_workers.adapters.rabbit.probe import fault_of_use

        if time.monotonic() < self._broker_at:
            return None
        fault = fault_of_use(url, self._site.installation, exchanges=self._needs.exchanges, queues=self._queues())
        self._broker_at = time.monotonic() + BROKER_SECONDS if fault is None else 0.0
        return fault

    def _outside(self) -> Fault | None:
        """A mistake in how the mail server or the shop is set up here, as of the last time that it was tried."""
        outside = OUTSIDE.get(self._role)
        if outside is not None and time.monotonic() >= self._outside_at:
            found = outside(self._site.config)
            self._outside_fault = found if found is not None and is_ours_to_mend(found) else None
            pause = OUTSIDE_SECONDS if self._outside_fault is None else OUTSIDE_AGAIN_SECONDS
            self._outside_at = time.monotonic() + pause
        return self._outside_fault

    def _queues(self) -> list[str]:
        partitions = range(self._site.partitions if self._needs.partitions else 0)
        return [
            *(topology.partition_queue(number) for number in partitions),
            *(topology.tasks_queue(role) for role in self._needs.wakeups),
        ]

    def _run(self) -> None:
        with closing(self._database):
            while not self._stopping.is_set():
                self._looking_since = time.monotonic()
                try:
                    said = "; ".join(str(fault) for fault in self.look()) or None
                except Exception as exc:  # whatever it is, the looking must go on
                    log.exception("look_failed", role=self._role)
                    said = f"it could not be tried: {type(exc).__name__}"
                self._looking_since = None
                self._tell(said)
                self._stopping.wait(FIRST_LOOK_SECONDS if self._said is not None else LOOK_SECONDS)

    def _tell(self, said: str | None) -> None:
        self._failures = 0 if said is None else self._failures + 1
        if said is not None and self._said is None and self._failures < FAILURES_MIN:
            return
        if said != self._said:
            if said is None:
                log.info("ready", role=self._role)
            else:
                log.error("not_ready", role=self._role, problem=said)
        self._said = said
