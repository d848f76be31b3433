"""What a command comes to: an answer, what happened, and what changes. Made by `decide`, applied once."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network
from typing import Protocol

from msgspec import Struct

from holdgate_schema.answers.holds import Answer
from holdgate_schema.events.holds import Event

from .bookings.booking import Booking
from .holds.sessions import SessionKeys
from .occurrences.occurrence import Definition, Hold, Occurrence, Pool, PoolChange, Unsaved, WaitEntry
from .settings.settings import Settings


class LimitKey(Struct, frozen=True, order=True, gc=False):
    """A limit that several occurrences share: scope `session`, `stock` or `voucher`, and which one."""

    scope: str
    key: str


class Claim(Struct, frozen=True, order=True, gc=False):
    """Take (or, negative, give back) so much of a shared limit."""

    limit: LimitKey
    delta: int
    cap: int


class Limits(Protocol):
    """The shared limits as far as they are known here."""

    def used(self, limit: LimitKey) -> int:
        """How much is used, claims of this batch included. May be a guess: a grant is verified at the commit."""

    def is_fresh(self, limit: LimitKey) -> bool:
        """Whether the number was read for this batch. A refusal must rest on one that was."""

    def cap(self, limit: LimitKey) -> int | None:
        """How much may be used, if that was read with the number: what a voucher allows now. None: not known."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Context:
    """Everything a decision may look at besides the occurrence."""

    now: datetime
    settings: Settings
    sessions: SessionKeys
    limits: Limits
    ended_holds: dict[str, Hold] = field(default_factory=dict)
    """Holds that were looked up because they are not among the live ones."""
    bookings: dict[str, Booking] = field(default_factory=dict)
    """Bookings that were looked up."""
    start_taken_by: dict[tuple[str, datetime], str] = field(default_factory=dict)
    """(product, start) -> the occurrence that has it."""
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()


class Decision(Struct, kw_only=True, gc=False):
    """The outcome of one command, made by a `Draft`.

    `recorded` is false for reads and for sweeps that found nothing: they leave no trace. `unsure` names limits
    that must be read before the command can be decided; such a decision must not be used. `answers` is the request
    that gets its second answer by this one. With a `wish` a second answer will follow: it says what that one needs.
    """

    answer: Answer
    events: list[Event]
    holds: list[Hold]
    new_holds: list[str]
    held: dict[str, int]
    sold: dict[str, int]
    claims: list[Claim]
    definition: Definition | None = None
    pools: dict[str, Pool] | None = None
    recorded: bool = True
    unsure: tuple[LimitKey, ...] = ()
    bookings: list[Booking] = []
    waiting: list[WaitEntry] = []
    answers: str | None = None
    wish: bytes | None = None

    def apply_to(self, occurrence: Occurrence) -> None:
        """Make it so in memory, and note what has to be saved."""
        if not self.recorded:
            return
        unsaved = occurrence.unsaved
        if unsaved is None:
            unsaved = occurrence.unsaved = Unsaved(occurrence.version)
        occurrence.version += 1
        if self.definition is not None:
            occurrence.definition = self.definition
            unsaved.definition = True
        if self.pools is not None:
            _redefine(occurrence, self.pools, unsaved)
        for hold in self.holds:
            occurrence.keep(hold)
            unsaved.holds[hold.id] = unsaved.holds.get(hold.id, False) or hold.id in self.new_holds
        for entry in self.waiting:
            _, is_new = unsaved.waiting.get(entry.id, (entry, entry.state == "waiting"))
            unsaved.waiting[entry.id] = (entry, is_new)
            occurrence.stand(entry)
        if self.held or self.sold:
            _count(occurrence, self.held, self.sold, unsaved)


def _redefine(occurrence: Occurrence, pools: dict[str, Pool], unsaved: Unsaved) -> None:
    unsaved.removed_pools |= occurrence.pools.keys() - pools.keys()
    unsaved.removed_pools -= pools.keys()
    occurrence.pools = pools
    for key in pools:
        unsaved.pools.setdefault(key, PoolChange()).redefined = True


def _count(occurrence: Occurrence, held: dict[str, int], sold: dict[str, int], unsaved: Unsaved) -> None:
    for key in held.keys() | sold.keys():
        pool = occurrence.pools[key]
        change = unsaved.pools.get(key)
        if change is None:
            change = unsaved.pools[key] = PoolChange()
        held_delta, sold_delta = held.get(key, 0), sold.get(key, 0)
        pool.held += held_delta
        pool.sold += sold_delta
        change.held += held_delta
        change.sold += sold_delta
        taken = pool.held + pool.sold
        if held_delta + sold_delta < 0 and pool.sellable is not None and pool.sellable > (pool.target or 0):
            pool.sellable = max(pool.target or 0, taken)
            change.redefined = True
        assert pool.held >= 0, f"pool {key} of {occurrence.id}: held is negative"
        assert pool.sold >= 0, f"pool {key} of {occurrence.id}: sold is negative"
        assert pool.sellable is None or taken <= pool.sellable, f"pool {key} of {occurrence.id}: oversold"
