"""The membership thread: heartbeats, hand-overs, and the settings as they change."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from holdgate_workers.app.clock import DatabaseTime
from holdgate_workers.app.partitions.line_watch import LineWatch, correct
from holdgate_workers.app.partitions.membership import News, Standing, View
from holdgate_workers.app.ports import Consumer
from holdgate_workers.domain.settings.settings import InvalidSettings, Settings
from holdgate_workers.roles.metrics.metrics import Metrics
from holdgate_workers.wiring.faults import told

from .delivery_buffer import Intake
from .engine import Engine

log = structlog.get_logger("holdgate.members")

BEAT_SECONDS = 1.0
WATCH_SECONDS = 3.0
"""Between two looks at where the consumer really stands; what differs at two of them is put right."""
STOP_SECONDS = 1.0


class Members(Protocol):
    """The heartbeat table."""

    def beat(self, news: News) -> View:
        """Tell that we live and what we know; see the others. Raises when the database is away."""

    def goodbye(self) -> None:
        """Leave for good."""

    def close(self) -> None:
        """Close the connection."""


class SharedSettings:
    """The settings in force, replaced as a whole when they change."""

    def __init__(
        self, settings: Settings, read: Callable[[], Settings], accepted: Callable[[], str | None]
    ) -> None:
        self.current = settings
        self._read = read
        self._accepted = accepted
        self._accepted_at = accepted()

    def refresh(self, clock: DatabaseTime) -> None:
        """Read the settings again, and whether a jump of the clock was accepted."""
        try:
            self.current = self._read()
        except InvalidSettings as exc:
            log.error("settings_invalid", problem=str(exc))
        accepted_at = self._accepted()
        if accepted_at != self._accepted_at:
            self._accepted_at = accepted_at
            clock.accept_jump()


class MembershipThread:
    """Beats every second, and at once when a channel was won, served or lost."""

    def __init__(
        self,
        me: str,
        members: Members,
        settings: SharedSettings,
        clock: DatabaseTime,
        intake: Intake,
        engine: Engine,
        consumer: Consumer,
        metrics: Metrics,
        *,
        partitions: int,
        unavailable: tuple[type[Exception], ...],
    ) -> None:
        self._members = members
        self._settings = settings
        self._clock = clock
        self._intake = intake
        self._engine = engine
        self._consumer = consumer
        self._metrics = metrics
        self._unavailable = unavailable
        self._standing = Standing(me, partitions)
        self._watch = LineWatch()
        self._looks_at = time.monotonic() + WATCH_SECONDS
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gate-members", daemon=True)
        self.ticked_at = time.monotonic()
        self.seen_at: float | None = None
        """When the database last answered."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End without saying goodbye. Idempotent."""
        self._stopping.set()
        self._intake.changed.set()
        self._thread.join(STOP_SECONDS)

    def goodbye(self) -> None:
        """Tell the others that we are gone. After `stop`."""
        if self._thread.is_alive():
            log.warning("goodbye_not_said")  # it waits for the database; the others see the heartbeat stop
            return
        try:
            self._members.goodbye()
        except self._unavailable:
            log.warning("goodbye_not_said")
        self._members.close()

    @property
    def in_line(self) -> int:
        """At how many partition queues we stand in line."""
        return len(self._standing.in_line)

    @property
    def is_spare(self) -> bool:
        """Whether others work every partition and wait for it: we are looked for when one of them is gone."""
        return self.seen_at is not None and not self._standing.wanted

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.ticked_at = time.monotonic()
            try:
                self._beat()
            except self._unavailable as exc:
                log.warning("heartbeat_failed", detail=told(exc))
            self._intake.changed.wait(BEAT_SECONDS)

    def _beat(self) -> None:
        self._note_changes()
        self._look_again()
        news = self._standing.news()
        view = self._members.beat(news)
        self._standing.told(news)
        self._settings.refresh(self._clock)
        todo = self._standing.follow(view)
        for partition in todo.join:
            log.info("partition_joined", partition=partition)
            self._consumer.subscribe(partition)
        for place in todo.leave:
            log.info("partition_left", partition=place.partition, channel=place.channel)
            self._engine.leave(place)
        self._metrics.partitions.set(self.in_line)
        self.seen_at = time.monotonic()

    def _look_again(self) -> None:
        if time.monotonic() < self._looks_at:
            return
        self._looks_at = time.monotonic() + WATCH_SECONDS
        found = self._watch.look(self._standing, self._consumer.standing(), self._engine.to_leave())
        for difference in found:
            log.error(
                "line_corrected",
                partition=difference.partition,
                channel=difference.channel,
                kind=difference.kind,
                why="membership and consumer disagreed for some seconds, which must never be: please report it",
            )
            self._metrics.lines_corrected.labels(difference.kind).inc()
        for partition in correct(self._standing, found):
            self._consumer.subscribe(partition)

    def _note_changes(self) -> None:
        for change, place in self._intake.changes():
            self._standing.note(change, place)
            if change == "lost":
                self._engine.lost(place)
