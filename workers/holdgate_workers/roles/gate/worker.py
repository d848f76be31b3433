"""The role `gate`: takes holds."""

from __future__ import annotations

import os
import socket
import time

import structlog

from holdgate_workers.adapters.postgres.connection import DatabaseError, DatabaseUnavailable
from holdgate_workers.adapters.postgres.gate.store import PostgresStore
from holdgate_workers.adapters.postgres.maintenance.installation import House
from holdgate_workers.adapters.postgres.partitions.members import Member, Membership
from holdgate_workers.app.gate.gate import Gate, GateConfig
from holdgate_workers.domain.holds.sessions import SessionKeys
from holdgate_workers.roles.metrics.metrics import Metrics
from holdgate_workers.roles.process.health import Check
from holdgate_workers.wiring.site import VERSION, Site, database_time, worker_name

from .delivery_buffer import Intake
from .engine import Engine
from .membership import MembershipThread, SharedSettings
from .observer import MetricsObserver

log = structlog.get_logger("holdgate.gate")

ENGINE_STOP_SECONDS = 2.0
REPLIES_FLUSH_SECONDS = 1.0
STUCK_SECONDS = 60.0


class GateWorker:
    """Consumes its partitions until stopped. `engine_class` is the seam for failure injection."""

    role = "gate"

    def __init__(self, site: Site, *, name: str | None = None, engine_class: type[Engine] = Engine) -> None:
        self.name = name or worker_name(self.role)
        self.metrics = Metrics(version=VERSION, role=self.role)
        self._house = House(site.database_url)
        clock = database_time()
        settings = SharedSettings(self._house.settings(), self._house.settings, self._house.clock_accepted)
        gate_config = GateConfig(
            sessions=SessionKeys(self._house.session_secret()),
            trusted_proxies=site.config.trusted_proxies,
            memory_weight_max=site.config.memory_weight_max,
        )
        self._clock = clock
        self._intake = Intake()
        self._publisher = site.transport.publisher(name=self.name)
        self._consumer = site.transport.consumer(
            self._intake, name=self.name, prefetch=site.config.prefetch_messages
        )
        self._engine = engine_class(
            Gate(gate_config, clock, lambda: settings.current, MetricsObserver(self.metrics)),
            PostgresStore(site.database_url, name=self.name),
            self._intake,
            self._consumer,
            self._publisher,
            self.metrics,
            batch_messages_max=site.config.batch_messages_max,
            partitions=site.partitions,
        )
        me = Member(self.name, self.role, socket.gethostname(), os.getpid(), VERSION)
        self._members = MembershipThread(
            self.name,
            Membership(site.database_url, me),
            settings,
            clock,
            self._intake,
            self._engine,
            self._consumer,
            self.metrics,
            partitions=site.partitions,
            unavailable=(DatabaseUnavailable, DatabaseError),
        )
        self._draining = False
        self._watch()

    def start(self) -> None:
        """Begin."""
        self._engine.start()
        self._members.start()
        log.info("gate_started", worker=self.name)

    def stop(self) -> None:
        """Finish the batch at hand, answer, leave the lines, say goodbye. Idempotent."""
        if self._draining:
            return
        self._draining = True
        self._members.stop()
        if not self._engine.stop(ENGINE_STOP_SECONDS):
            log.warning("batch_abandoned")
        self._consumer.close()
        self._publisher.close(REPLIES_FLUSH_SECONDS)
        self._members.goodbye()
        self._house.close()
        log.info("gate_stopped", worker=self.name)

    @property
    def failure(self) -> BaseException | None:
        """What ended the engine, if something did."""
        return self._engine.failure

    def alive(self) -> dict[str, Check]:
        """Whether the loops turn."""
        return {
            "engine": lambda: _stuck("engine", self._engine.ticked_at),
            "members": lambda: _stuck("members", self._members.ticked_at),
        }

    def ready(self) -> dict[str, Check]:
        """Whether holds can be taken now."""
        return {
            "draining": lambda: "the worker is stopping" if self._draining else None,
            "database": self._database_problem,
            "publisher": lambda: "the broker takes no messages" if self._publisher.blocked else None,
            "partitions": self._line_problem,
        }

    def _line_problem(self) -> str | None:
        if self._members.in_line or self._members.is_spare:
            return None
        return "stands in no line yet"

    def _database_problem(self) -> str | None:
        seen_at = self._members.seen_at
        if seen_at is None or time.monotonic() - seen_at > 5.0:
            return "the database has not answered for five seconds"
        return None

    def _watch(self) -> None:
        metrics = self.metrics
        metrics.remembered.set_function(lambda: self._engine.occurrences_remembered)
        metrics.unconfirmed.set_function(lambda: self._publisher.unconfirmed)
        metrics.blocked.set_function(lambda: float(self._publisher.blocked))
        metrics.clock_jump.set_function(lambda: self._clock.jump.total_seconds() if self._clock.jump else 0.0)


def _stuck(name: str, ticked_at: float) -> str | None:
    still = time.monotonic() - ticked_at
    return f"the {name} loop has not turned for {still:.0f} s" if still > STUCK_SECONDS else None
