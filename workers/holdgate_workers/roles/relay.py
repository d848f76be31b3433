"""The role `relay`: tells the world what the journal says."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from holdgate_workers.adapters.postgres.cursor import JournalCursor
from holdgate_workers.app.relay.relay import Advance, Announce, Page, ReadJournal, RelayEffect, relay_round
from holdgate_workers.wiring.site import Site

from .process.loops import LoopWorker

CURSOR = "events"
ROWS_MAX = 500
CONFIRM_SECONDS = 10.0
IDLE_SECONDS = 0.1
FAILED_SECONDS = 1.0


class RelayWorker(LoopWorker):
    """Publishes domain events. Two of them are safe; one works, the other waits for the right to the cursor."""

    role = "relay"

    def __init__(self, site: Site, *, name: str | None = None) -> None:
        super().__init__(name)
        self._cursor = JournalCursor(site.database_url, name=CURSOR)
        self._publisher = site.transport.publisher(name=self.name)

    def round(self) -> float:
        """One page of the journal."""
        page = self._drive(relay_round(ROWS_MAX))
        self.problem = "the last round failed" if page.failed else None
        self.metrics.journal_lag.labels(CURSOR).set(page.lag_seconds)
        self.metrics.events.inc(page.announced)
        if page.failed:
            return FAILED_SECONDS
        return 0.0 if page.rows == ROWS_MAX else IDLE_SECONDS

    def close(self) -> None:
        """Close the connections."""
        self._publisher.close(1.0)
        self._cursor.close()

    def perform(self, effect: RelayEffect) -> Any:
        """Do one thing that the protocol asks for. The seam for failure injection."""
        if isinstance(effect, ReadJournal):
            return self._cursor.read(effect)
        if isinstance(effect, Announce):
            return not self._publisher.publish(effect.messages).wait(CONFIRM_SECONDS)
        assert isinstance(effect, Advance)
        return self._cursor.advance(effect)

    def _drive(self, protocol: Generator[RelayEffect, Any, Page]) -> Page:
        try:
            effect = next(protocol)
            while True:
                effect = protocol.send(self.perform(effect))
        except StopIteration as done:
            page: Page = done.value
            return page
