"""The history of one occurrence, told again from its events and counted against what was put on sale. Pure.

It uses nothing of the service's own arithmetic: which pools a ticket draws from comes from the command that
created the occurrence, and what was taken comes from the baskets in the events.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime

from holdgate_schema.answers.holds import HoldView
from holdgate_schema.commands.holds import PutOccurrence
from holdgate_schema.events.holds import Event, HoldChanged, HoldCreated, HoldExpired, HoldExtended, HoldReleased
from holdgate_schema.ids import TOTAL_POOL

from .rows import JournalRow

Report = Callable[[str, str], None]
"""Told the check that failed and what exactly is wrong."""


class Replay:
    """The occurrence after the rows that were applied so far."""

    def __init__(self, put: PutOccurrence, report: Report) -> None:
        self._report = report
        self._tickets = {ticket.key: (TOTAL_POOL, *ticket.pools) for ticket in put.ticket_types}
        self._extras = {extra.key: tuple(extra.pools) for extra in put.extras}
        self.sellable = sellable_of(put)
        self.taken: Counter[str] = Counter()
        self.peak: Counter[str] = Counter()
        self.over = 0
        """By how many seats any pool was ever oversold, at worst."""
        self.live: dict[str, HoldView] = {}
        self.ended: dict[str, str] = {}
        self._version = 0

    def apply(self, row: JournalRow) -> None:
        """One decision, in the order of versions."""
        if row.version != self._version + 1:
            self._report("history", f"version {row.version} of {row.request_id} comes after {self._version}")
        self._version = row.version
        for event in row.events:
            self._apply(event, row)
        for pool, taken in self.taken.items():
            self.peak[pool] = max(self.peak[pool], taken)
            limit = self.sellable.get(pool)
            if limit is not None and taken > limit:
                self.over = max(self.over, taken - limit)
                self._report("oversold", f"{taken} of {limit} in pool {pool} at version {row.version}")

    def fits(
        self, items: Mapping[str, int], extras: Mapping[str, int], at: datetime, *, instead_of: str | None = None
    ) -> bool:
        """Whether this basket can be taken at this instant, in place of a hold that is there already.

        A hold past its time stands in nobody's way, noticed or not.
        """
        wanted = self.draws(items, extras)
        for hold in self.live.values():
            if hold.hold_id == instead_of or (hold.state == "active" and hold.expires_at <= at):
                wanted.subtract(self.draws(hold.items, hold.extras))
        limits = {pool: self.sellable.get(pool) for pool in self.draws(items, extras)}
        return all(
            limit is None or wanted[pool] <= max(0, limit - self.taken[pool]) for pool, limit in limits.items()
        )

    def active_of(self, session_id: str, at: datetime) -> int:
        """How many holds the session has that are not past their time."""
        return sum(hold.session_id == session_id and hold.expires_at > at for hold in self.live.values())

    def draws(self, items: Mapping[str, int], extras: Mapping[str, int]) -> Counter[str]:
        """What a basket takes from each pool."""
        draws: Counter[str] = Counter()
        for key, count in items.items():
            for pool in self._tickets.get(key, (TOTAL_POOL,)):
                draws[pool] += count
        for key, count in extras.items():
            for pool in self._extras.get(key, ()):
                draws[pool] += count
        return draws

    def _apply(self, event: Event, row: JournalRow) -> None:
        if event.version != row.version:
            self._report("history", f"event {event.event_id} says version {event.version}, not {row.version}")
        match event:
            case HoldCreated(hold=hold):
                if hold.hold_id in self.live or hold.hold_id in self.ended:
                    self._report("holds", f"hold {hold.hold_id} was created twice")
                self._put(hold)
            case HoldChanged(hold=hold) | HoldExtended(hold=hold):
                if hold.hold_id in self.live:
                    self._put(hold)
                else:
                    self._report("holds", f"hold {hold.hold_id} was {self._was(hold)} and moved all the same")
            case HoldReleased(hold=hold) | HoldExpired(hold=hold):
                self._end(event, hold)
            case _:
                return

    def _end(self, event: HoldReleased | HoldExpired, hold: HoldView) -> None:
        before = self.live.pop(hold.hold_id, None)
        state = "expired" if isinstance(event, HoldExpired) else "released"
        if before is None:
            self._report("holds", f"hold {hold.hold_id} was {self._was(hold)} and then {state}")
            return
        if state == "expired" and event.occurred_at < before.expires_at:
            early = (before.expires_at - event.occurred_at).total_seconds()
            self._report("expiry", f"hold {hold.hold_id} expired {early:.3f} s early")
        self.ended[hold.hold_id] = state
        self.taken.subtract(self.draws(before.items, before.extras))

    def _put(self, hold: HoldView) -> None:
        before = self.live.get(hold.hold_id)
        if before is not None:
            self.taken.subtract(self.draws(before.items, before.extras))
        self.live[hold.hold_id] = hold
        self.taken.update(self.draws(hold.items, hold.extras))

    def _was(self, hold: HoldView) -> str:
        return self.ended.get(hold.hold_id, "never created")


def sellable_of(put: PutOccurrence) -> dict[str, int | None]:
    """What may be sold of each pool."""
    pools = {pool.key: (pool.capacity, pool.overbooking_percent, pool.buffer) for pool in put.pools}
    pools[TOTAL_POOL] = (put.capacity, put.overbooking_percent, put.buffer)
    return {
        key: None if capacity is None else max(0, capacity * (100 + percent) // 100 - buffer)
        for key, (capacity, percent, buffer) in pools.items()
    }
