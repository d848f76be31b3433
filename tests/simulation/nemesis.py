"""What goes wrong from outside, at moments that the seed chooses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from .broker import Channel
from .process import Process, Site
from .requests import occurrence_name
from .world import MS, SECOND

BACK_MAX = timedelta(seconds=15)


class Nemesis:
    """Strikes again and again until the world is healed."""

    def __init__(self, site: Site, gates: Sequence[Process], background: Sequence[Process]) -> None:
        self.site = site
        self.world = site.world
        self._gates = gates
        self._background = background
        self._back = timedelta()

    def begin(self) -> None:
        """Start striking."""
        if self.site.options.nemeses:
            self.world.after(self.world.between(0, 2 * self.site.options.nemesis_every), self._strike)

    def _strike(self) -> None:
        if not self.world.faulty:
            return
        kind = self.world.choice(self.site.options.nemeses)
        self.world.note("NEMESIS", kind)
        getattr(self, f"_{kind}")()
        self.world.after(self.world.between(0, 2 * self.site.options.nemesis_every), self._strike)

    def _kill_gate(self) -> None:
        self.world.choice(self._gates).kill()

    def _pause_gate(self) -> None:
        self.world.sometimes("a worker was stopped and went on")
        self.world.choice(self._gates).pause(self.world.between(20 * MS, 2500 * MS))

    def _drain_gate(self) -> None:
        self.world.choice(self._gates).stop()

    def _kill_background(self) -> None:
        self.world.choice(self._background).kill()

    def _pause_background(self) -> None:
        process = self.world.choice(self._background)
        process.pause(self.world.between(20 * MS, 1500 * MS))
        self.site.database.cut_off(process.name)

    def _zombie(self) -> None:
        """The broker drops the head of a line, which goes on in good faith."""
        self._close_head(self.world.between(50 * MS, 1500 * MS), "zombie")

    def _disconnect(self) -> None:
        self._close_head(self.world.between(0, 5 * MS), "disconnected")

    def _close_head(self, told_after: int, what: str) -> None:
        line = self.world.choice(self.site.broker.lines)
        if line:
            self.world.sometimes(what)
            self.site.broker.close(line[0], told_after)

    def _broker_restart(self) -> None:
        if not self.site.broker.down:
            self.world.sometimes("broker restarted")
            self.site.broker.restart(self.world.between(20 * MS, 500 * MS))

    def _alarm(self) -> None:
        self.site.broker.alarm_until = self.world.now + self.world.between(50 * MS, 900 * MS)

    def _database_restart(self) -> None:
        if not self.site.database.down:
            self.world.sometimes("database restarted")
            self.site.database.restart(self.world.between(20 * MS, 500 * MS))

    def _stall(self) -> None:
        """Somebody holds the tables for a while. Meanwhile the lines of a partition are cut again and again, or the
        broker closes what has been given messages and has acknowledged none (406)."""
        world = self.world
        database, broker = self.site.database, self.site.broker
        lasts = world.between(200 * MS, world.choice((800, 4000)) * MS)
        database.stalled_until = max(database.stalled_until, world.now + lasts)
        world.sometimes("the tables were held by somebody else")
        partition = world.between(0, self.site.options.partitions)
        strikes = world.choice(
            (
                lambda: list(broker.lines[partition]),
                lambda: [c for line in broker.lines for c in line if c.unacked],
            )
        )
        for _ in range(world.between(1, 5)):
            world.after(world.between(0, lasts), self._cut_all, strikes)

    def _cut_all(self, which: Callable[[], list[Channel]]) -> None:
        if self.world.faulty:
            for channel in which():
                self.world.sometimes("lines were cut while the tables were held")
                self.site.broker.close(channel, self.world.between(0, 5 * MS))

    def _clock_ahead(self) -> None:
        self.world.sometimes("clock jumped ahead")
        self.site.database.jump(timedelta(milliseconds=self.world.between(50, self.world.choice((1500, 20_000)))))

    def _clock_far_ahead(self) -> None:
        self.world.sometimes("clock jumped far ahead")
        self.site.database.jump(timedelta(seconds=self.world.between(61, 4000)))
        self.world.after(self.world.between(200 * MS, 2 * SECOND), self.accept_clock)

    def _clock_back(self) -> None:
        """Not far in all: for as long as it went back, workers that died before are still taken for living."""
        if self._back < BACK_MAX:
            self.world.sometimes("clock jumped back")
            by = timedelta(milliseconds=self.world.between(50, self.world.choice((200, 800, 6000))))
            self._back += by
            self.site.database.jump(-by)

    def accept_clock(self) -> None:
        """An operator says that the clock is right as it is now."""
        self.site.clock_accepted += 1

    def _reroute(self) -> None:
        options = self.site.options
        if options.partitions > 1:
            self.world.sometimes("rerouted")
            occurrence_id = occurrence_name(self.world.between(0, options.occurrences))
            self.site.broker.reroute(occurrence_id, self.world.between(0, options.partitions))
