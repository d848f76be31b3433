"""Bookings as the model has them, and the moves that they make. What is decided is in deals.py and deal_news.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.checker.allowed import Option, Shown
from tests.checker.instants import stamp
from tests.checker.model import Body
from tests.checker.world import MINUTE, Hold, Occasion, World

View = dict[str, Any]
OVER = ("cancelled", "completed")
_NOT_SAID: dict[str, Any] = {
    "extras": {}, "user_id": None, "order": None, "confirmed_at": None, "ended_at": None, "refund": "none",
    "reason": "",
}  # fmt: skip


class Deal:
    """A booking: as it is shown, the whole price, and who ended it."""

    __slots__ = ("ended_by", "price", "view")

    def __init__(self, view: View, price: dict[str, Any], ended_by: str | None = None) -> None:
        self.view, self.price, self.ended_by = view, price, ended_by

    def but(self, *, ended_by: str | None = None, **fields: Any) -> Deal:
        """The same with other fields."""
        return Deal(shown({**self.view, **fields}), self.price, ended_by or self.ended_by)

    @property
    def state(self) -> str:
        return str(self.view["state"])

    @property
    def is_paid(self) -> bool:
        """Whether money was taken."""
        order = self.view.get("order")
        return self.view["payment"]["status"] == "paid" or (order is not None and order["status"] == "paid")

    def owed(self) -> str:
        """What is to happen with the money once it ends."""
        return "done" if self.view.get("refund") == "done" else "due" if self.is_paid else "none"


def shown(view: View) -> View:
    """Without what is as it mostly is."""
    return {name: value for name, value in view.items() if name not in _NOT_SAID or value != _NOT_SAID[name]}


# --- moves ------------------------------------------------------------------------------------------------------


def begin(world: World, hold: Hold, now: int) -> None:
    """An active hold can no longer expire."""
    hold.state = "converting"
    world.redeem(hold.price, 1, now)


def sell(world: World, occasion: Occasion, hold: Hold, now: int) -> None:
    """Held becomes sold."""
    hold.state = "confirmed"
    del occasion.live[hold.id]
    occasion.sold[hold.id] = hold
    world.ended[hold.id] = (occasion.id, hold.session, "confirmed")
    world.gauge("session", hold.session).add(-1, now, world.stale)
    for key, number in hold.draws.items():
        occasion.pools[key].held -= number
        occasion.pools[key].sold += number


def unsell(world: World, occasion: Occasion, hold: Hold, now: int) -> None:
    """What was sold is free again."""
    hold.state = "cancelled"
    del occasion.sold[hold.id]
    world.ended[hold.id] = (occasion.id, hold.session, "cancelled")
    world.just_ended[hold.id] = hold
    world.redeem(hold.price, -1, now)
    for key, number in hold.draws.items():
        occasion.pools[key].sold -= number
    for key, number in hold.stock.items():
        world.gauge("stock", key).add(-number, now, world.stale)


# --- what comes of a booking ------------------------------------------------------------------------------------


class Booker:
    """What one command about a booking comes to."""

    def __init__(self, world: World, occasion: Occasion, body: Body, now: int) -> None:
        self.world, self.occasion, self.body, self.now = world, occasion, body, now

    def hold_of(self, deal: Deal) -> Hold | None:
        """The converting hold that has its seats."""
        hold = self.occasion.live.get(deal.view["hold_id"])
        return hold if hold is not None and hold.state == "converting" else None

    def kept(
        self, deal: Deal, *moves: Callable[[], object], touched: tuple[Hold, ...] = ()
    ) -> Callable[[], object]:
        """Make the moves and keep the booking as it is now."""

        def apply() -> object:
            for move in moves:
                move()
            self.world.deals[deal.view["booking_id"]] = deal
            return [deal, *touched]

        return apply

    def changed(self, deal: Deal, *, free: bool = False) -> Option:
        """Noted: no seats move."""
        told = Shown(deal.view, free=free)
        events = [{"type": "booking.changed.v1", "booking": told}]
        return Option("booking", None, {"booking": told}, events, self.kept(deal))

    def confirmed(self, deal: Deal, hold: Hold, *, again: bool = False) -> Option:
        """Sold; `again`: the seats are taken first."""
        fields = {"ended_at": None, "refund": "none", "reason": ""}
        done = deal.but(state="confirmed", hold_id=hold.id, confirmed_at=stamp(self.now), **fields)
        done.ended_by = None
        told = Shown(done.view)
        created = [{"type": "hold.created.v1", "hold": Shown(hold.view())}] if again else []
        moves = [lambda: self.take(hold)] if again else []
        apply = self.kept(done, *moves, lambda: sell(self.world, self.occasion, hold, self.now), touched=(hold,))
        events = [*created, {"type": "booking.confirmed.v1", "booking": told}]
        return Option("confirmed", None, {"booking": told}, events, apply)

    def failed(
        self, deal: Deal, by: str, *, refunded: bool = False, outcome: str = "refused", **fields: Any
    ) -> Option:
        """What it still holds is given back."""
        hold = self.hold_of(deal)
        refund = "done" if refunded else deal.owed()
        done = deal.but(ended_by=by, state="failed", ended_at=stamp(self.now), refund=refund, **fields)
        told = Shown(done.view, free="reason" not in fields)
        events: list[dict[str, Any]] = [{"type": "booking.failed.v1", "booking": told}]
        apply = self.kept(done)
        if hold is not None:
            found = hold
            view = {**hold.view(), "state": "released"}
            events.insert(0, {"type": "hold.released.v1", "hold": Shown(view), "reason": "compensation"})
            move = lambda: self.world.end(self.occasion, found, "released", self.now)  # noqa: E731
            apply = self.kept(done, move, touched=(hold,))
        if outcome == "refused":
            return Option("refused", "order_failed", {"booking_id": done.view["booking_id"]}, events, apply)
        return Option("booking", None, {"booking": told}, events, apply)

    def ended(
        self, deal: Deal, by: str, *, refunded: bool = False, outcome: str = "booking", **fields: Any
    ) -> Option:
        """Over; its seats, if it has some, are free again."""
        refund = "done" if refunded else deal.owed()
        done = deal.but(ended_by=by, state="cancelled", ended_at=stamp(self.now), refund=refund, **fields)
        told = Shown(done.view, free="reason" not in fields)
        events = [{"type": "booking.cancelled.v1", "booking": told, "refund": refund}]
        hold = self.occasion.sold.get(deal.view["hold_id"]) if deal.state == "confirmed" else None
        apply = self.kept(done)
        if hold is not None:
            found = hold
            move = lambda: unsell(self.world, self.occasion, found, self.now)  # noqa: E731
            apply = self.kept(done, move, touched=(hold,))
        more = {"refund": refund} if outcome == "cancelled" else {}
        return Option(outcome, None, {"booking": told, **more}, events, apply)

    def parked(self, deal: Deal, state: str = "parked", **fields: Any) -> Option:
        """Left to a person."""
        done = deal.but(state=state, **fields)
        told = Shown(done.view, free="reason" not in fields)
        events = [{"type": "booking.parked.v1", "booking": told}]
        return Option("refused", state, {"booking_id": done.view["booking_id"]}, events, self.kept(done))

    # --- taken again --------------------------------------------------------------------------------------------

    def again(self, deal: Deal) -> tuple[Hold | None, bool]:
        """The hold that takes a booking's seats once more; and whether somebody may have thought that it cannot be."""
        world, occasion, view = self.world, self.occasion, deal.view
        extras = view.get("extras") or {}
        known = view["items"].keys() <= occasion.tickets.keys() and extras.keys() <= occasion.extras.keys()
        if not known or occasion.status in OVER:
            return None, True
        hold = Hold(self.body["request_id"], occasion.id, view["session_id"], view.get("user_id"))
        hold.state, hold.items, hold.extras, hold.price = "converting", view["items"], extras, deal.price
        hold.draws, hold.stock = occasion.draws(hold.items, extras), occasion.stock(extras)
        hold.seats = sum(hold.items.values())
        hold.ttl = world.rule(occasion, "ttl_minutes") * MINUTE
        hold.created, hold.expires = self.now, self.now + hold.ttl
        for pool, number in hold.draws.items():
            free = occasion.pools[pool].free()
            if free is not None and free < number:
                return None, True
        caps = {("stock", key): (number, occasion.caps().get(key, 0)) for key, number in hold.stock.items()}
        caps["session", hold.session] = (1, world.house["hold.max_per_session"])
        if "voucher" in deal.price:
            caps["voucher", deal.price["voucher"]] = (1, deal.price.get("voucher_uses_max") or 1)
        gauges = {key: world.gauge(*key) for key in caps}
        short = any(gauges[key].used + number > cap for key, (number, cap) in caps.items())
        stale = any(
            gauges[key].highest(self.now, world.stale) + number > cap for key, (number, cap) in caps.items()
        )
        return (None if short else hold), stale

    def take(self, hold: Hold) -> None:
        """Take the seats of `again`."""
        self.world.take(self.occasion, hold, self.now)
        self.world.redeem(hold.price, 1, self.now)

    def back_or_parked(self, deal: Deal) -> list[Option]:
        """Paid, and the seats are gone: by the setting."""
        policy = self.world.late_payment
        options = []
        hold, unsure = self.again(deal)
        if policy.startswith("fulfil") and hold is not None:
            options.append(self.confirmed(deal, hold, again=True))
            if not unsure:
                return options
        bare = deal.but(ended_at=None, refund="none")
        bare.ended_by = None
        return [*options, self.parked(bare, unfulfilled(policy))]


def unfulfilled(policy: str) -> str:
    """What becomes of a booking that is paid and gets no seats."""
    return "refund_required" if policy.endswith("refund") else "parked"
