"""The role `expiry`: tells the queues what is due, and checks that the counters agree with the rows."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

import structlog

from holdgate_workers.adapters.postgres.connection import DatabaseError, DatabaseUnavailable
from holdgate_workers.adapters.postgres.expiry.due import DueHolds
from holdgate_workers.adapters.postgres.maintenance.installation import House
from holdgate_workers.adapters.postgres.maintenance.recounting import Recount
from holdgate_workers.adapters.postgres.partitions.gaps import PartitionGaps
from holdgate_workers.app.expiry.sweep import ReadDue, ReadWorked, Round, SendSweeps, SweepEffect, Sweeper
from holdgate_workers.ids import new_request_id
from holdgate_workers.wiring.faults import told
from holdgate_workers.wiring.site import Site, database_time

from .gate.membership import SharedSettings
from .process.loops import LoopWorker
from .process.partition_watch import PartitionWatch

log = structlog.get_logger("holdgate.expiry")

CONFIRM_SECONDS = 5.0
BUSY_SECONDS = 0.25
PATIENCE_SECONDS = 0.008
"""Between two looks at what was worked, during a storm: about a batch of a busy gate."""
RECOUNT_SECONDS = 1.0
OPEN_WORK_SECONDS = 15.0
HOUSEKEEPING_SECONDS = 600.0


class ExpiryWorker(LoopWorker):
    """Looks every second for holds that are due."""

    role = "expiry"

    def __init__(self, site: Site, *, name: str | None = None) -> None:
        super().__init__(name)
        self._interval_seconds = site.config.sweep_interval_seconds
        self._database_url = site.database_url
        self._due = DueHolds(site.database_url)
        self._house = House(site.database_url)
        self._counters = Recount(site.database_url)
        self._settings = SharedSettings(self._house.settings(), self._house.settings, self._house.clock_accepted)
        self._clock = database_time()
        self._publisher = site.transport.publisher(name=self.name)
        self._sweeper = Sweeper(self._clock, time.monotonic, new_request_id)
        self._partitions = PartitionWatch(
            site.transport.served,
            PartitionGaps(site.database_url),
            self.metrics,
            partitions=site.partitions,
            unbound=site.transport.unbound,
        )
        self._recount_at = 0.0
        self._open_work_at = 0.0
        self._clean_at = 0.0
        self._was_paused = False

    def start(self) -> None:
        """Begin."""
        self._partitions.start()
        super().start()

    def round(self) -> float:
        """One look, and now and then a recount."""
        result = self._drive(self._sweeper.round())
        self._tell(result)
        try:
            self._settings.refresh(self._clock)
            self._recount()
            self._count_open_work()
            self._clean()
        except (DatabaseUnavailable, DatabaseError) as exc:
            log.warning("recount_failed", detail=told(exc, self._database_url))
        if result.unfinished:
            return 0.0
        return min(BUSY_SECONDS, self._interval_seconds) if result.busy else self._interval_seconds

    def close(self) -> None:
        """Close the connections."""
        self._partitions.stop()
        self._publisher.close(1.0)
        self._due.close()
        self._counters.close()
        self._house.close()

    def perform(self, effect: SweepEffect) -> Any:
        """Do one thing that the protocol asks for. The seam for failure injection."""
        if isinstance(effect, ReadDue):
            return self._due.read(effect)
        if isinstance(effect, ReadWorked):
            if effect.patiently:
                self.pause(PATIENCE_SECONDS)
            return self._due.read_worked(effect)
        assert isinstance(effect, SendSweeps)
        return not self._publisher.publish(effect.messages).wait(CONFIRM_SECONDS)

    def _drive(self, protocol: Generator[SweepEffect, Any, Round]) -> Round:
        try:
            effect = next(protocol)
            while True:
                effect = protocol.send(self.perform(effect))
        except StopIteration as done:
            result: Round = done.value
            return result

    def _tell(self, result: Round) -> None:
        self.problem = "the last round failed" if result.failed else None
        self.metrics.due.set(result.due)
        self.metrics.expiry_lag.set(result.lag_seconds)
        self.metrics.expiry_paused.set(result.paused)
        self.metrics.clock_jump.set(self._clock.jump.total_seconds() if self._clock.jump else 0.0)
        self.metrics.sweeps.inc(result.sent)
        if result.paused and not self._was_paused:
            log.error(
                "expiry_paused",
                why="the database's clock jumped ahead; if it is right now, run `holdgate expiry resume`",
                jump_seconds=self._clock.jump.total_seconds() if self._clock.jump else 0.0,
            )
        self._was_paused = result.paused

    def _recount(self) -> None:
        if time.monotonic() < self._recount_at:
            return
        self._recount_at = time.monotonic() + RECOUNT_SECONDS
        for pool in self._counters.step():
            log.error("pool_disagrees", pool=pool)
        self.metrics.conservation.set(self._counters.differences)

    def _count_open_work(self) -> None:
        if time.monotonic() < self._open_work_at:
            return
        self._open_work_at = time.monotonic() + OPEN_WORK_SECONDS
        work = self._due.open_work()
        self.metrics.waitlist.set(work.waiting)
        for state, number in work.bookings.items():
            self.metrics.bookings_open.labels(state).set(number)
        self.metrics.conversions_overdue.set(work.conversions_overdue)
        self.metrics.count_money(work.money)

    def _clean(self) -> None:
        if time.monotonic() < self._clean_at:
            return
        self._clean_at = time.monotonic() + HOUSEKEEPING_SECONDS
        erased = self._due.erase_addresses(self._settings.current.personal_days)
        forgotten = self._due.forget_idle_limits()
        answers = self._due.forget_answers(self._settings.current.journal_days)
        if answers:
            self._clean_at = 0.0  # there may be more
        if erased or forgotten or answers:
            log.info(
                "house_kept", addresses_erased=erased, idle_limits_forgotten=forgotten, answers_forgotten=answers
            )
