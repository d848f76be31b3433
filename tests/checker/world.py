"""The model's things: occurrences, pools, holds, sessions. Plain data and sums; what is decided is in model.py."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Any

from tests.checker.gauges import Gauge
from tests.checker.instants import SECOND, stamp
from tests.checker.pool import Pool

TOTAL = "total"
MINUTE = 60 * SECOND

Taken = dict[str, int]
Shape = tuple[frozenset[tuple[str, int]], frozenset[tuple[str, int]]]
"""Items and extras of a basket."""

HOUSE = {
    "hold.ttl_minutes": 15,
    "hold.lifetime_max_minutes": 60,
    "hold.extensions_max": 3,
    "hold.max_per_session": 10,
    "hold.max_seats_per_request": 50,
    "hold.max_seats_per_hold": 50,
    "alerts.low": 80,
    "alerts.nearly_full": 95,
    "alerts.full": 100,
    "conversion.timeout_minutes": 10,
    "conversion.paid_wait_minutes": 1440,
    "waitlist.offer_minutes": 30,
}


class Hold:
    """A basket of one session."""

    __slots__ = (
        "cart", "created", "draws", "expires", "extensions", "extras", "id", "items", "occurrence", "price", "seats",
        "session", "state", "stock", "terms", "ttl", "user",
    )  # fmt: skip

    def __init__(self, hold_id: str, occurrence: str, session: str, user: str | None) -> None:
        self.id, self.occurrence, self.session, self.user = hold_id, occurrence, session, user
        self.state = "active"
        self.items: dict[str, int] = {}
        self.extras: dict[str, int] = {}
        self.draws: dict[str, int] = {}
        self.stock: dict[str, int] = {}
        self.seats = self.ttl = self.created = self.expires = self.extensions = 0
        self.price: dict[str, Any] | None = None
        """With its voucher, as its row has it."""
        self.cart: str | None = None
        self.terms: dict[str, Any] = {}
        """How its owner asked to have it priced; a change that says nothing of it keeps it."""

    def view(self) -> dict[str, Any]:
        """As answers and events show it; defaults are left out."""
        view: dict[str, Any] = {
            "hold_id": self.id,
            "occurrence_id": self.occurrence,
            "session_id": self.session,
            "state": self.state,
            "items": self.items,
            "seats": self.seats,
            "created_at": stamp(self.created),
            "expires_at": stamp(self.expires),
        }
        if self.extensions:
            view["extensions_used"] = self.extensions
        if self.extras:
            view["extras"] = self.extras
        if self.user is not None:
            view["user_id"] = self.user
        if self.price is not None:
            view["quote"] = shown_price(self.price)
        if self.cart is not None:
            view["cart_id"] = self.cart
        return view


class Entry:
    """Who stands in line, and for what."""

    __slots__ = ("extras", "id", "items", "seats", "session", "shape", "user")

    def __init__(self, entry_id: str, session: str, user: str | None, items: Taken, extras: Taken) -> None:
        self.id, self.session, self.user = entry_id, session, user
        self.items, self.extras, self.seats = items, extras, sum(items.values())
        self.shape: Shape = (frozenset(items.items()), frozenset(extras.items()))
        """Baskets that are alike can be had, or not, alike."""


class Ticket:
    """A ticket type or an extra: what it draws from."""

    __slots__ = ("least", "most", "pools", "stock")

    def __init__(self, least: int, most: int, pools: list[str], stock: tuple[str, int] | None = None) -> None:
        self.least, self.most, self.pools, self.stock = least, most, pools, stock


class Occasion:
    """One occurrence."""

    __slots__ = (
        "alerts", "closes", "definition", "ends", "extras", "heaps", "id", "line", "live", "opens", "overrides",
        "pools", "product", "sold", "starts", "status", "tickets", "version",
    )  # fmt: skip

    def __init__(self, occurrence_id: str) -> None:
        self.id = occurrence_id
        self.version = 0
        self.product, self.status = "", "active"
        self.starts = self.ends = self.closes = 0
        self.opens: int | None = None
        self.definition: list[Any] | None = None
        """What the last put said, in the form in which two puts are compared; None: not known."""
        self.overrides: dict[str, int] = {}
        self.alerts: dict[str, int] = {}
        self.tickets: dict[str, Ticket] = {}
        self.extras: dict[str, Ticket] = {}
        self.pools: dict[str, Pool] = {}
        self.live: dict[str, Hold] = {}
        self.sold: dict[str, Hold] = {}
        self.line: dict[str, Entry] = {}
        """Who stands in line, in the order of joining."""
        self.heaps: dict[str, list[tuple[int, str]]] = {}
        """Per pool, when its holds end; entries that no longer hold are dropped on the way."""

    # --- time ---------------------------------------------------------------------------------------------------

    def await_end(self, hold: Hold) -> None:
        """Remember when a hold ends."""
        for pool in hold.draws:
            heappush(self.heaps.setdefault(pool, []), (hold.expires, hold.id))

    def next_end(self, pool: str = TOTAL) -> int | None:
        """When the earliest active hold on a pool ends."""
        heap = self.heaps.get(pool)
        while heap:
            expires, hold_id = heap[0]
            hold = self.live.get(hold_id)
            if hold is not None and hold.state == "active" and hold.expires == expires and pool in hold.draws:
                return expires
            heappop(heap)
        return None

    def next_ends(self, pool: str, now: int) -> set[int | None]:
        """The same; and, if that hold is over already, when the earliest ends that is not."""
        first = self.next_end(pool)
        if first is None or first > now:
            return {first}
        over = self._take_over(pool, now)
        later = self.next_end(pool)
        self._put_back(pool, over)
        return {first, later}

    def due(self, now: int) -> list[Hold]:
        """The active holds whose time is over, the longest overdue first."""
        first = self.next_end()
        if first is None or first > now:
            return []
        over = self._take_over(TOTAL, now)
        self._put_back(TOTAL, over)
        return [self.live[hold_id] for _, hold_id in over]

    def _take_over(self, pool: str, now: int) -> list[tuple[int, str]]:
        """Take the entries of those that are over out of a pool's heap: few, however many there are in all."""
        over: dict[str, int] = {}
        while (end := self.next_end(pool)) is not None and end <= now:
            expires, hold_id = heappop(self.heaps[pool])
            over[hold_id] = expires
        return [(expires, hold_id) for hold_id, expires in over.items()]

    def _put_back(self, pool: str, entries: list[tuple[int, str]]) -> None:
        for entry in entries:
            heappush(self.heaps[pool], entry)

    # --- seats --------------------------------------------------------------------------------------------------

    def draws(self, items: dict[str, int], extras: dict[str, int]) -> dict[str, int]:
        """What a basket takes from each pool."""
        draws = {TOTAL: 0}
        for key, quantity in items.items():
            draws[TOTAL] += quantity
            for pool in self.tickets[key].pools:
                draws[pool] = draws.get(pool, 0) + quantity
        for key, quantity in extras.items():
            for pool in self.extras[key].pools:
                draws[pool] = draws.get(pool, 0) + quantity
        return draws

    def stock(self, extras: dict[str, int]) -> dict[str, int]:
        """What a basket takes of stock that is shared."""
        taken: dict[str, int] = {}
        for key, quantity in extras.items():
            stock = self.extras[key].stock
            if stock is not None:
                taken[stock[0]] = taken.get(stock[0], 0) + quantity
        return taken

    def caps(self) -> dict[str, int]:
        """The cap of each shared stock, as this occurrence defines it."""
        return {extra.stock[0]: extra.stock[1] for extra in self.extras.values() if extra.stock is not None}


class World:
    """Everything there is."""

    def __init__(self, house: dict[str, int], stale: int) -> None:
        self.house = {**HOUSE, **house}
        self.stale = stale
        self.occasions: dict[str, Occasion] = {}
        self.ended: dict[str, tuple[str, str, str]] = {}
        """Holds that have ended still answer `hold_final`: (occurrence, session, state)."""
        self.just_ended: dict[str, Hold] = {}
        """Those that ended in the transaction that is being read."""
        self.sessions: dict[str, Gauge] = {}
        self.stocks: dict[str, Gauge] = {}
        self.vouchers: dict[str, Gauge] = {}
        self.deals: dict[str, Any] = {}
        """Bookings, by their ids."""
        self.priced: dict[str, Hold] = {}
        """Holds that have expired and had a price: money may still come for them."""
        self.late_payment = "fulfil_or_park"
        self.until = "end"
        """Until which instant of an occurrence money still buys it."""
        self.offered: set[str] = set()
        """Holds that were offered to somebody in line."""
        self.cart_of: dict[str, str] = {}
        """Which cart a hold is a leg of."""
        self.issued: set[str] = set()
        """Sessions that were issued here."""
        self.starts: dict[tuple[str, int], str] = {}

    def rule(self, occasion: Occasion, name: str) -> int:
        """A hold setting as it applies to an occurrence."""
        own = occasion.overrides
        value = own.get(name)
        if value is not None:
            return value
        house = self.house[f"hold.{name}"]
        # What the occurrence says stands; the house's value gives way where the two would not go together.
        if name == "ttl_minutes":
            return min(house, own.get("lifetime_max_minutes") or house)
        return max(house, own.get("ttl_minutes") or 0) if name == "lifetime_max_minutes" else house

    def thresholds(self, occasion: Occasion) -> tuple[int, ...]:
        """From which percentage on an occurrence is low, nearly full and full."""
        own, house = occasion.alerts, self.house
        if own:
            return self.alerts(own)
        return house["alerts.low"], house["alerts.nearly_full"], house["alerts.full"]

    def alerts(self, own: dict[str, Any]) -> tuple[int, ...]:
        """The thresholds where some are given and the others are the house's."""
        return tuple(
            self.house[f"alerts.{name}"] if own.get(name) is None else own[name]
            for name in ("low", "nearly_full", "full")
        )

    def gauge(self, scope: str, key: str) -> Gauge:
        gauges = {"session": self.sessions, "stock": self.stocks, "voucher": self.vouchers}[scope]
        gauge = gauges.get(key)
        if gauge is None:
            gauge = gauges[key] = Gauge()
        return gauge

    def state_of(self, occurrence_id: str, hold_id: str) -> str | None:
        """What has become of a hold; None if there is none."""
        occasion = self.occasions.get(occurrence_id)
        hold = None if occasion is None else occasion.live.get(hold_id) or occasion.sold.get(hold_id)
        if hold is not None:
            return hold.state
        ended = self.ended.get(hold_id)
        return ended[2] if ended is not None and ended[0] == occurrence_id else None

    # --- moves --------------------------------------------------------------------------------------------------

    def take(self, occasion: Occasion, hold: Hold, now: int) -> None:
        """A new hold takes its seats."""
        occasion.live[hold.id] = hold
        if hold.cart is not None:
            self.cart_of[hold.id] = hold.cart
        self.gauge("session", hold.session).add(1, now, self.stale)
        self._move(occasion, hold.draws, hold.stock, 1, now)
        occasion.await_end(hold)

    def swap(
        self, occasion: Occasion, hold: Hold, items: dict[str, int], extras: dict[str, int], now: int
    ) -> None:
        """A hold takes other seats instead."""
        before = (hold.draws, hold.stock)
        hold.items, hold.extras = items, extras
        hold.draws, hold.stock = occasion.draws(items, extras), occasion.stock(extras)
        hold.seats = sum(items.values())
        hold.price = None
        self._move(occasion, differences(before[0], hold.draws), differences(before[1], hold.stock), 1, now)
        occasion.await_end(hold)

    def end(self, occasion: Occasion, hold: Hold, state: str, now: int) -> None:
        """A hold gives back what it took."""
        if hold.state == "converting":
            self.redeem(hold.price, -1, now)
        if hold.price is not None and state == "expired":
            self.priced[hold.id] = hold
        hold.state = state
        del occasion.live[hold.id]
        self.ended[hold.id] = (occasion.id, hold.session, state)
        self.just_ended[hold.id] = hold
        self.gauge("session", hold.session).add(-1, now, self.stale)
        self._move(occasion, hold.draws, hold.stock, -1, now)

    def redeem(self, price: dict[str, Any] | None, times: int, now: int) -> None:
        """A price's voucher is used, or given back."""
        if price is not None and "voucher" in price:
            self.gauge("voucher", price["voucher"]).add(times, now, self.stale)

    def _move(self, occasion: Occasion, draws: Taken, stock: Taken, sign: int, now: int) -> None:
        for pool, number in draws.items():
            occasion.pools[pool].held += sign * number
        for key, number in stock.items():
            self.gauge("stock", key).add(sign * number, now, self.stale)


def shown_price(price: dict[str, Any]) -> dict[str, Any]:
    """A price as everybody may see it."""
    return {name: price[name] for name in ("hash", "currency", "total", "payment_method") if name in price}


def differences(before: Taken, after: Taken) -> Taken:
    """How much more of each is wanted; negative for what is given back."""
    return {key: after.get(key, 0) - before.get(key, 0) for key in {**before, **after}}
