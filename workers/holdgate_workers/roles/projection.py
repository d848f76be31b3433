"""The role `projection`: keeps the read side in Redis as the rows are."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

import structlog

from holdgate_workers.adapters.postgres.projection.rows import CURSOR, ProjectionRows, TouchedCursor
from holdgate_workers.adapters.redis.diagnosis import fault_of as cache_fault
from holdgate_workers.adapters.redis.projection import CacheError, ProjectionCache
from holdgate_workers.app.installation import NotOurs
from holdgate_workers.app.projection.effects import (
    BeginGeneration,
    LookAtCache,
    MarkFresh,
    ProjectionEffect,
    ReadLag,
    ReadPage,
    ReadRows,
    ReadTouched,
    WriteEntries,
)
from holdgate_workers.app.projection.projector import Projected, Projector
from holdgate_workers.app.relay.relay import Advance
from holdgate_workers.config.environment import ConfigError
from holdgate_workers.ids import new_request_id
from holdgate_workers.wiring.site import Site

from .process.loops import LoopWorker

log = structlog.get_logger("holdgate.projection")

FOREIGN_WAY_OUT = (
    "Give each its own HOLDGATE_HOUSE or its own Redis; or, if the other one is gone for good, run "
    "`holdgate projection rebuild`."
)

IDLE_SECONDS = 0.1
STANDBY_SECONDS = 1.0
FAILED_MIN_SECONDS = 0.25
FAILED_MAX_SECONDS = 5.0
"""A pause after a failure doubles from the first to the second."""


class ProjectionWorker(LoopWorker):
    """Writes what changed. Two of them are safe; one works, the other waits for the right to the cursor.

    Redis may be away: then the cursor stays where it is. Raises `ConfigError` without HOLDGATE_REDIS_URL, and
    `NotOurs` where another installation's entries are.
    """

    role = CURSOR

    def __init__(self, site: Site, *, name: str | None = None) -> None:
        super().__init__(name)
        url = site.config.redis_url
        if url is None:
            raise ConfigError("HOLDGATE_REDIS_URL is not set; the role projection writes there")
        self._rows = ProjectionRows(site.database_url)
        self._cursor = TouchedCursor(site.database_url)
        try:
            self._cache = ProjectionCache(url, site.config.house, installation_name=site.installation.name)
        except CacheError as exc:
            raise ConfigError(f"HOLDGATE_REDIS_URL: {exc}") from exc
        self._refuse_foreign(site)
        self._projector = Projector(self._rows.house(), time.monotonic, new_request_id)
        self._failures = 0
        self._failing: str | None = None

    def _refuse_foreign(self, site: Site) -> None:
        try:
            theirs = self._cache.owner()
        except CacheError as exc:
            log.warning(
                "cache_not_reached", problem=f"{cache_fault(exc)} ({exc})"
            )  # it may come later, and is asked in each round
            return
        if theirs is not None and theirs.id != site.installation.id:
            raise NotOurs(
                f"The read side {site.config.house!r} in Redis", site.installation, theirs, FOREIGN_WAY_OUT
            )

    def round(self) -> float:
        """One page of the journal, and what time alone has changed."""
        told = self._drive(self._projector.round())
        self._tell(told)
        if told.failure is not None:
            self._failures += 1
            return min(FAILED_MAX_SECONDS, FAILED_MIN_SECONDS * 2.0 ** min(self._failures - 1, 10))
        self._failures = 0
        if told.standby:
            return STANDBY_SECONDS
        return 0.0 if told.busy else IDLE_SECONDS

    def close(self) -> None:
        """Close the connections."""
        self._cache.close()
        self._cursor.close()
        self._rows.close()

    def perform(self, effect: ProjectionEffect) -> Any:
        """Do one thing that the protocol asks for. The seam for failure injection."""
        match effect:
            case ReadTouched():
                return self._cursor.read(effect)
            case Advance():
                return self._cursor.advance(effect)
            case ReadRows():
                return self._rows.rows(effect)
            case ReadPage():
                return self._rows.page(effect)
            case ReadLag():
                return self._rows.lag(effect)
            case LookAtCache():
                return self._cache.look(effect)
            case BeginGeneration():
                log.info("cache_begun", worker=self.name, generation=effect.generation)
                return self._cache.begin(effect)
            case WriteEntries():
                return self._cache.write(effect)
            case MarkFresh():
                return self._cache.mark(effect)

    def _drive(self, protocol: Generator[ProjectionEffect, Any, Projected]) -> Projected:
        try:
            effect = next(protocol)
            while True:
                effect = protocol.send(self.perform(effect))
        except StopIteration as done:
            result: Projected = done.value
            return result

    def _tell(self, told: Projected) -> None:
        # What keeps it from Redis is told by what is tried in the background.
        self.problem = "the database cannot be read" if told.failure == "database" else None
        if told.lag_seconds is not None:
            self.metrics.journal_lag.labels(CURSOR).set(told.lag_seconds)
        self.metrics.projection_written.inc(told.written)
        self.metrics.projection_stale.inc(told.stale)
        self.metrics.projection_filling.set(told.filling)
        if told.failure is not None:
            self.metrics.projection_errors.labels(told.failure).inc()
        if told.failure != self._failing:
            if told.failure is None:
                log.info("projection_goes_on", worker=self.name)
            else:
                log.warning("projection_waits", worker=self.name, why=told.failure, detail=told.detail)
        self._failing = told.failure
