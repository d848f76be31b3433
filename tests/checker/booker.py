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
    "refund_due": 0, "refunded": 0, "reason": "",
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

    @property
    def gone(self) -> int:
        """How much went back."""
        return int(self.view.get("refunded", 0))

    @property
    def kept(self) -> int:
        """What was paid less what went back."""
        return max(0, self.view["payment"]["amount"] - self.gone) if self.is_paid else 0

    @property
    def all_gone(self) -> bool:
        """A full refund."""
        return 0 < self.view["payment"]["amount"] <= self.gone

    def owing(self, due: int, gone: int | None = None) -> Deal:
        """With so much to be given back, and the word for it."""
        gone = self.gone if gone is None else gone
        return self.but(refund_due=due, refunded=gone, refund="due" if due else "done" if gone else "none")

    def told(self, status: str, refunded: int) -> Deal:
        """With what a word of the shop says of money: it is true however old the word is."""
        amount = self.view["payment"]["amount"]
        gone = max(self.gone, amount if status == "refunded" else min(refunded, amount))
        due = max(0, self.view.get("refund_due", 0) - (gone - self.gone))
        paid = "paid" if status == "paid" or gone else self.view["payment"]["status"]
        return self.but(payment={**self.view["payment"], "status": paid}).owing(due, gone)


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
        fields = {"ended_at": None, "reason": ""}
        done = deal.but(state="confirmed", hold_id=hold.id, confirmed_at=stamp(self.now), **fields).owing(0)
        done.ended_by = None
        told = Shown(done.view)
        created = [{"type": "hold.created.v1", "hold": Shown(hold.view())}] if again else []
        moves = [lambda: self.take(hold)] if again else []
        apply = self.kept(done, *moves, lambda: sell(self.world, self.occasion, hold, self.now), touched=(hold,))
        events = [*created, {"type": "booking.confirmed.v1", "booking": told}]
        return Option("confirmed", None, {"booking": told}, events, apply)

    def failed(
        self, deal: Deal, by: str, *, due: int | None = None, outcome: str = "refused", **fields: Any
    ) -> Option:
        """What it still holds is given back."""
        hold = self.hold_of(deal)
        done = deal.owing(deal.kept if due is None else due)
        done = done.but(ended_by=by, state="failed", ended_at=stamp(self.now), **fields)
        told = Shown(done.view, free="reason" not in fields)
        events: list[dict[str, Any]] = [{"type": "booking.failed.v1", "booking": told}]
        apply = self.kept(done)
        if hold is not None:
            events.insert(0, self._freed(hold))
            apply = self.kept(done, self._freeing(hold), touched=(hold,))
        if outcome == "refused":
            return Option("refused", "order_failed", {"booking_id": done.view["booking_id"]}, events, apply)
        return Option("booking", None, {"booking": told}, events, apply)

    def _freed(self, hold: Hold) -> dict[str, Any]:
        view = {**hold.view(), "state": "released"}
        return {"type": "hold.released.v1", "hold": Shown(view), "reason": "compensation"}

    def _freeing(self, hold: Hold) -> Callable[[], object]:
        return lambda: self.world.end(self.occasion, hold, "released", self.now)

    def ended(
        self, deal: Deal, by: str, *, due: int | None = None, outcome: str = "booking", **fields: Any
    ) -> Option:
        """Over; its seats, if it has some, are free again."""
        done = deal.owing(deal.kept if due is None else due)
        done = done.but(ended_by=by, state="cancelled", ended_at=stamp(self.now), **fields)
        refund = done.view.get("refund", "none")
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

    def parked(
        self,
        deal: Deal,
        state: str = "parked",
        *,
        hold: Hold | None = None,
        sold: Hold | None = None,
        **fields: Any,
    ) -> Option:
        """Left to a person. What it has is freed first: the `hold`, or what was `sold`."""
        done = deal.but(state=state, **fields)
        told = Shown(done.view, free="reason" not in fields)
        events: list[dict[str, Any]] = [{"type": "booking.parked.v1", "booking": told}]
        moves: list[Callable[[], object]] = []
        if hold is not None:
            events.insert(0, self._freed(hold))
            moves.append(self._freeing(hold))
        if sold is not None:
            found = sold
            moves.append(lambda: unsell(self.world, self.occasion, found, self.now))
        touched = tuple(one for one in (hold, sold) if one is not None)
        apply = self.kept(done, *moves, touched=touched)
        return Option("refused", state, {"booking_id": done.view["booking_id"]}, events, apply)

    # --- taken again --------------------------------------------------------------------------------------------

    def over(self) -> str:
        """Why nothing of the occurrence is sold any more, as `not_on_sale` says it; empty if it is."""
        if self.occasion.status in OVER:
            return self.occasion.status
        ends = self.occasion.starts if self.world.until == "start" else self.occasion.ends
        return "started" if self.now >= ends else ""

    def again(self, deal: Deal, *, is_kept: bool = False, by_staff: bool = False) -> tuple[Hold | None, list[str]]:
        """The hold that takes a booking's seats once more; and why somebody may have thought that it cannot be.

        `is_kept`: it is one of the session's holds. A person may fulfil what is over, but not what was cancelled.
        """
        world, occasion, view = self.world, self.occasion, deal.view
        extras = view.get("extras") or {}
        if occasion.status == "cancelled" or (self.over() and not by_staff):
            return None, ["not_on_sale"]
        if not view["items"].keys() <= occasion.tickets.keys():
            return None, ["unknown_ticket"]
        if not extras.keys() <= occasion.extras.keys():
            return None, ["unknown_extra"]
        hold = Hold(self.body["request_id"], occasion.id, view["session_id"], view.get("user_id"))
        hold.state, hold.items, hold.extras, hold.price = "converting", view["items"], extras, deal.price
        hold.draws, hold.stock = occasion.draws(hold.items, extras), occasion.stock(extras)
        hold.seats = sum(hold.items.values())
        hold.ttl = world.rule(occasion, "ttl_minutes") * MINUTE
        hold.created, hold.expires = self.now, self.now + hold.ttl
        why: list[str] = []
        wanted = []
        if "voucher" in deal.price:
            wanted.append(("voucher", deal.price["voucher"], 1, deal.price.get("voucher_uses_max") or 1))
        if is_kept:
            wanted.append(("session", hold.session, 1, world.house["hold.max_per_session"]))
        if self._is_short(wanted, why):
            return None, why
        for pool, number in hold.draws.items():
            free = occasion.pools[pool].free()
            if free is not None and free < number:
                return None, [*why, "sold_out"]
        caps = occasion.caps()
        if self._is_short([("stock", key, number, caps.get(key, 0)) for key, number in hold.stock.items()], why):
            return None, why
        return hold, why

    def _is_short(self, wanted: list[tuple[str, str, int, int]], why: list[str]) -> bool:
        """Whether a shared limit has no room; adds to `why` each that somebody may have thought full."""
        for scope, key, number, cap in wanted:
            gauge = self.world.gauge(scope, key)
            if gauge.highest(self.now, self.world.stale) + number > cap:
                why.append(_FULL[scope])
            if gauge.used + number > cap:
                return True
        return False

    def take(self, hold: Hold) -> None:
        """Take the seats of `again`."""
        self.world.take(self.occasion, hold, self.now)
        self.world.redeem(hold.price, 1, self.now)

    def back_or_parked(self, deal: Deal) -> list[Option]:
        """Paid, and the seats are gone: by the setting. Not if all of it went back: that is final."""
        options = []
        if self.world.late_payment.startswith("fulfil") and not deal.all_gone:
            hold, why = self.again(deal)
            if hold is not None:
                options.append(self.confirmed(deal, hold, again=True))
                if not why:
                    return options
        return [*options, self.left(deal)]

    def left(self, deal: Deal, hold: Hold | None = None, *, sold: Hold | None = None) -> Option:
        """Paid and without seats: to be refunded or parked by the setting."""
        required = self.world.late_payment.endswith("refund") or deal.state == "refund_required"
        state = "refund_required" if required and not deal.all_gone else "parked"
        bare = deal.owing(deal.kept if state == "refund_required" else 0).but(ended_at=None)
        bare.ended_by = None
        return self.parked(bare, state, hold=hold, sold=sold)

    def too_late(self, deal: Deal, hold: Hold) -> Option:
        """A conversion that ends when nothing is sold any more: parked or refunded if it was paid, else it fails."""
        if deal.kept or deal.all_gone:
            return self.left(deal, hold)
        return self.failed(deal, "saga")


_FULL = {"voucher": "voucher_used_up", "session": "limit_per_session", "stock": "sold_out"}
