"""The expiry worker and the relay: loops of the product's protocols."""

from __future__ import annotations

from functools import partial
from typing import Any

from holdgate_workers.app.clock import DatabaseTime
from holdgate_workers.app.expiry.sweep import ReadDue, ReadWorked, Round, SendSweeps, SweepEffect, Sweeper
from holdgate_workers.app.relay import relay
from holdgate_workers.app.relay.relay import Advance, Announce, Page, ReadJournal, RelayEffect

from .broker import Publisher
from .process import Answer, Process
from .world import MS, SECOND


class Loop(Process):
    """A round, a wait, a round."""

    def round(self) -> None:
        """Begin a round."""
        raise NotImplementedError

    def stop(self) -> None:
        """SIGTERM: nothing that a kill would not do as well."""
        self.reach(self.life, self.exit, ())

    def told(self, life: int, result: Any) -> None:
        """The broker's word on what was published arrives."""
        self.reach(life, self.advance, (result,))


class ExpiryWorker(Loop):
    """Looks every second for holds that are due."""

    role = "expiry"

    def boot(self) -> None:
        """Begin."""
        self.time = DatabaseTime(self.monotonic)
        # Room for two commands or so, that the pace is felt with few holds, too.
        self.sweeper = Sweeper(self.time, self.monotonic, self.site.new_id, weight_max=25)
        self.publisher = Publisher(self.site.broker, 5 * SECOND)
        self._accepted = self.site.clock_accepted
        self.later(self.delay(), self.round)

    def round(self) -> None:
        """One look."""
        self.drive(self.sweeper.round(), self._looked)

    def _looked(self, result: Round) -> None:
        if result.paused:
            self.world.sometimes("expiry paused after a jump of the clock")
        if self._accepted != self.site.clock_accepted:
            self._accepted = self.site.clock_accepted
            self.time.accept_jump()
        if self.world.chance(0.2):
            self.site.database.forget_idle_limits()
        self.later(0 if result.unfinished else 250 * MS if result.busy else SECOND, self.round)

    def perform(self, effect: SweepEffect) -> None:
        """Do what the protocol asks for."""
        if isinstance(effect, ReadDue):
            self.ask(self.site.database.due, effect)
        elif isinstance(effect, ReadWorked):
            wait = 8 * MS if effect.patiently else 0
            self.later(wait, partial(self.ask, self.site.database.worked, effect))
        else:
            assert isinstance(effect, SendSweeps)
            self.publisher.publish(effect.messages, partial(self.told, self.life))


class RelayWorker(Loop):
    """Tells the world what the journal says."""

    role = "relay"

    def boot(self) -> None:
        """Begin."""
        self.publisher = Publisher(self.site.broker, 10 * SECOND)
        self.later(self.delay(), self.round)

    def round(self) -> None:
        """One page."""
        self.drive(relay.relay_round(20), self._told)

    def _told(self, page: Page) -> None:
        if page.failed:
            self.world.sometimes("a page of events was not confirmed")
        self.later(SECOND if page.failed else 0 if page.rows == 20 else 200 * MS, self.round)

    def perform(self, effect: RelayEffect) -> None:
        """Do what the protocol asks for."""
        database = self.site.database
        if isinstance(effect, ReadJournal):
            self.ask(partial(_then, database.read_journal, self.name), effect)
        elif isinstance(effect, Announce):
            self.publisher.publish(effect.messages, partial(self.told, self.life))
        else:
            assert isinstance(effect, Advance)
            self.ask(partial(_then, database.advance, self.name), effect)


def _then(action: Any, *arguments: Any) -> None:
    """Do something that answers at once, and hand its answer to the last argument."""
    *given, answer = arguments
    told: Answer = answer
    told(action(*given))
