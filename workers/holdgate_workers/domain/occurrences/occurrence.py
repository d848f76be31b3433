"""The state of one occurrence as its consumer has it in memory: definition, pools, live holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush
from sys import intern
from typing import Literal

from msgspec import Struct

from holdgate_schema.answers.holds import HoldState, HoldView, OccurrenceStatus
from holdgate_schema.commands.holds import AlertOverrides, ExtraDefinition, HoldOverrides, TicketType
from holdgate_schema.commands.selling import Pricing
from holdgate_schema.ids import TOTAL_POOL
from holdgate_workers.domain.bookings.booking import HoldQuote
from holdgate_workers.domain.interning import shared_counts

FEW_HOLDS = 4
"""Up to here it is quicker, and needs less memory, to look at all of them than to keep them in order."""


class Definition(Struct, frozen=True, kw_only=True):
    """What the catalogue says of an occurrence. Instants are UTC."""

    product_id: str
    status: OccurrenceStatus
    starts_at: datetime
    ends_at: datetime
    timezone: str
    opens_at: datetime | None
    closes_at: datetime
    ticket_types: dict[str, TicketType]
    extras: dict[str, ExtraDefinition]
    hold: HoldOverrides | None = None
    alerts: AlertOverrides | None = None
    yields_start: bool = False
    """Whether another occurrence of the product may take the start, because this one is to move away from it."""

    @property
    def claim(self) -> tuple[str, datetime] | None:
        """The product's start that no other occurrence may have; None if it is free for another one."""
        if self.status == "cancelled" or self.yields_start:
            return None
        return self.product_id, self.starts_at


def target_sellable(capacity: int | None, overbooking_percent: int, buffer: int) -> int | None:
    """How much may be sold of a capacity: the one place where overbooking and buffer count. None: unlimited."""
    if capacity is None:
        return None
    return max(0, capacity * (100 + overbooking_percent) // 100 - buffer)


class Pool(Struct, kw_only=True, gc=False):
    """A counter. `held + sold <= sellable` always; `sellable` is above its target only while seats that were
    taken before the capacity was lowered come back."""

    key: str
    capacity: int | None
    sellable: int | None
    overbooking_percent: int = 0
    buffer: int = 0
    held: int = 0
    sold: int = 0
    target: int | None = None
    """What `sellable` is, or sinks to. Follows from the capacity, whatever was given."""

    def __post_init__(self) -> None:
        # One object where several would be equal: there is a pool or two for every occurrence in memory.
        self.key = intern(self.key)
        target = target_sellable(self.capacity, self.overbooking_percent, self.buffer)
        self.target = self.capacity if target == self.capacity else target
        if self.sellable == self.target:
            self.sellable = self.target

    def available(self, held_delta: int = 0) -> int | None:
        """What could be taken if so much more were held; None: unlimited. Never negative."""
        if self.target is None:
            return None
        available = self.target - self.held - held_delta - self.sold
        return available if available > 0 else 0

    def redefined(self, capacity: int | None, overbooking_percent: int, buffer: int) -> Pool:
        """The same counter under another capacity; what is taken stays taken."""
        target = target_sellable(capacity, overbooking_percent, buffer)
        return Pool(
            key=self.key,
            capacity=capacity,
            overbooking_percent=overbooking_percent,
            buffer=buffer,
            held=self.held,
            sold=self.sold,
            sellable=None if target is None else max(target, self.held + self.sold),
        )


class Hold(Struct, frozen=True, kw_only=True, gc=False):
    """A basket on the occurrence for one session.

    `draws` is what it took per pool and `stock` per shared stock when it was taken: a later change of the
    catalogue must give back exactly that.
    """

    id: str
    occurrence_id: str
    session_id: str
    user_id: str | None
    state: HoldState
    items: dict[str, int]
    extras: dict[str, int]
    draws: dict[str, int]
    stock: dict[str, int]
    seats: int
    ttl_seconds: int
    created_at: datetime
    expires_at: datetime
    extensions_used: int = 0
    client_address: str | None = None
    ended_at: datetime | None = None
    quote: HoldQuote | None = None
    cart_id: str | None = None
    offered: bool = False
    """Whether it was offered to somebody in line."""
    terms: Pricing | None = None
    """How its owner asked to have it priced, which a change that names no pricing keeps."""

    def view(self) -> HoldView:
        """The hold as its owner sees it."""
        return HoldView(
            hold_id=self.id,
            occurrence_id=self.occurrence_id,
            session_id=self.session_id,
            user_id=self.user_id,
            state=self.state,
            items=self.items,
            extras=self.extras,
            seats=self.seats,
            created_at=self.created_at,
            expires_at=self.expires_at,
            extensions_used=self.extensions_used,
            quote=None if self.quote is None else self.quote.ref(),
            cart_id=self.cart_id,
        )

    @property
    def ttl(self) -> timedelta:
        """How long an extension gives it."""
        return timedelta(seconds=self.ttl_seconds)


class WaitEntry(Struct, frozen=True, kw_only=True, gc=False):
    """A place in an occurrence's line, and the basket that is wished for.

    It holds nothing: what is offered is a hold, whose id is the entry's, and with it the entry is over.
    """

    id: str
    occurrence_id: str
    session_id: str
    user_id: str | None
    state: Literal["waiting", "offered", "left"]
    items: dict[str, int]
    extras: dict[str, int]
    seats: int
    place: int
    """The occurrence's version at which it joined, which is the order of the line."""
    joined_at: datetime
    ended_at: datetime | None = None


class PoolChange(Struct, kw_only=True):
    """What a batch did to one pool: deltas, and its new definition where that changed."""

    held: int = 0
    sold: int = 0
    redefined: bool = False


@dataclass(slots=True)
class Unsaved:
    """What was applied to an occurrence since it was last saved."""

    version_before: int
    pools: dict[str, PoolChange] = field(default_factory=dict)
    holds: dict[str, bool] = field(default_factory=dict)
    """Hold id -> whether it is new."""
    waiting: dict[str, tuple[WaitEntry, bool]] = field(default_factory=dict)
    """Entry id -> the entry, and whether it is new."""
    removed_pools: set[str] = field(default_factory=set)
    definition: bool = False


@dataclass(slots=True)
class Occurrence:
    """One occurrence. `holds` has the active and converting ones; all others are in the database only. `waiting`
    has who stands in line, in the order of joining.

    Nothing but `Decision.apply_to` may change it, and what was applied and could not be saved must be thrown
    away with it.
    """

    id: str
    definition: Definition
    pools: dict[str, Pool]
    version: int = 0
    holds: dict[str, Hold] = field(default_factory=dict)
    waiting: dict[str, WaitEntry] = field(default_factory=dict)
    unsaved: Unsaved | None = None
    remembered_weight: int = field(default=0, compare=False)
    """What it counted for when a worker's memory took it in."""
    _by_expiry: list[tuple[datetime, str]] | None = field(default=None, compare=False)
    """A heap, once there have been more than a few holds: very many occurrences have but one or two."""

    @property
    def total(self) -> Pool:
        """The pool that every ticket draws from."""
        return self.pools[TOTAL_POOL]

    def keep(self, hold: Hold) -> None:
        """Put in a hold's new value."""
        before = self.holds.get(hold.id)
        if hold.state in ("active", "converting"):
            self.holds[hold.id] = hold
            moved = before is None or before.expires_at != hold.expires_at
            if moved and self._by_expiry is not None and hold.state == "active":
                heappush(self._by_expiry, (hold.expires_at, hold.id))
        else:
            self.holds.pop(hold.id, None)

    def stand(self, entry: WaitEntry) -> None:
        """Put in an entry's new value: at the end of the line, or out of it."""
        if entry.state == "waiting":
            self.waiting[entry.id] = entry
        else:
            self.waiting.pop(entry.id, None)

    def next_expiry(self) -> datetime | None:
        """When the earliest active hold ends; None if there is none."""
        heap = self._by_expiry
        if heap is None:
            if len(self.holds) <= FEW_HOLDS:
                return min((hold.expires_at for hold in self._active()), default=None)
            heap = self._by_expiry = [(hold.expires_at, hold.id) for hold in self._active()]
            heapify(heap)
        while heap:
            hold = self.holds.get(heap[0][1])
            if hold is not None and hold.state == "active" and hold.expires_at == heap[0][0]:
                return heap[0][0]
            heappop(heap)
        return None

    def next_release(self, now: datetime) -> datetime | None:
        """When the earliest active hold that is not past its time ends; None if there is none."""
        first = self.next_expiry()
        if first is None or first > now:
            return first
        return min((hold.expires_at for hold in self._active() if hold.expires_at > now), default=None)

    def due(self, now: datetime) -> Iterator[Hold]:
        """The active holds whose time is over, the longest overdue first."""
        first = self.next_expiry()
        if first is None or first > now:
            return
        if self._by_expiry is None:
            over = (hold for hold in self._active() if hold.expires_at <= now)
            yield from sorted(over, key=lambda hold: (hold.expires_at, hold.id))
            return
        seen: set[str] = set()
        left = self._by_expiry.copy()  # mostly a few of very many are wanted
        while left and left[0][0] <= now:
            expires_at, hold_id = heappop(left)
            hold = self.holds.get(hold_id)
            if (
                hold is not None
                and hold.state == "active"
                and hold.expires_at == expires_at
                and hold_id not in seen
            ):
                seen.add(hold_id)
                yield hold

    def _active(self) -> Iterator[Hold]:
        return (hold for hold in self.holds.values() if hold.state == "active")

    def draws_of(self, items: dict[str, int], extras: dict[str, int]) -> dict[str, int]:
        """What a basket takes from each pool, summed over everything in it."""
        draws: dict[str, int] = {}
        for key, quantity in items.items():
            draws[TOTAL_POOL] = draws.get(TOTAL_POOL, 0) + quantity
            for pool in self.definition.ticket_types[key].pools:
                draws[pool] = draws.get(pool, 0) + quantity
        for key, quantity in extras.items():
            for pool in self.definition.extras[key].pools:
                draws[pool] = draws.get(pool, 0) + quantity
        return shared_counts(draws)

    def stock_of(self, extras: dict[str, int]) -> dict[str, int]:
        """What a basket takes from each shared stock."""
        stock: dict[str, int] = {}
        for key, quantity in extras.items():
            shared = self.definition.extras[key].stock
            if shared is not None:
                stock[shared.key] = stock.get(shared.key, 0) + quantity
        return shared_counts(stock)

    def stock_cap(self, key: str) -> int:
        """The cap of a shared stock as this occurrence's catalogue has it; 0 if it no longer knows it."""
        caps = [
            extra.stock.cap for extra in self.definition.extras.values() if extra.stock and extra.stock.key == key
        ]
        return max(caps, default=0)
