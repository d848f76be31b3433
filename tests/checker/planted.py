"""Services with a bug: what they write is consistent in itself, only the decisions are not the contract's."""

from __future__ import annotations

from typing import Any

from tests.checker.allowed import Option, refused
from tests.checker.booker import Booker
from tests.checker.instants import SECOND
from tests.checker.model import Body, held
from tests.checker.planted_lines import LINES_AND_CARTS
from tests.checker.reducing import reduce
from tests.checker.rooms import Rooms
from tests.checker.service import Service
from tests.checker.world import Hold, Occasion


class RefusesThoughSeatsAreFree(Service):
    """Every tenth grant becomes a `sold_out`."""

    count = 0

    def choose(self, options: list[Option], occasion: Occasion | None, body: Body, now: int) -> Option:
        self.count += options[0].outcome == "held"
        if options[0].outcome != "held" or self.count % 10 or occasion is None:
            return options[0]
        self.count += 1
        pools = occasion.draws(body["items"], body.get("extras") or {})
        available = {pool: occasion.pools[pool].free() for pool in pools}
        held = {pool: occasion.pools[pool].held for pool in pools}
        return refused("sold_out", subject="total", requested=pools["total"], available=available, held=held)


class GrantsWhatIsSoldOut(Service):
    """`sold_out` becomes a grant."""

    def choose(self, options: list[Option], occasion: Occasion | None, body: Body, now: int) -> Option:
        if options[0].reason != "sold_out" or occasion is None or body["type"] != "hold.place.v1":
            return options[0]
        return held(self.world, occasion, body, now)


class LetsDeadHoldsStandInTheWay(Service):
    """Does not expire what is over before it refuses."""

    def needs_room(self, occasion: Occasion, body: Body, now: int) -> bool:
        return False

    def choose(self, options: list[Option], occasion: Occasion | None, body: Body, now: int) -> Option:
        if not options[0].outcome.startswith("granted, since") or occasion is None:
            return options[0]
        return refused("sold_out", subject="total", requested=1, available={"total": 0}, held={"total": 0})


class ReleasesForAnybody(Service):
    """Does not look at the session."""

    def choose(self, options: list[Option], occasion: Occasion | None, body: Body, now: int) -> Option:
        hold = occasion.live.get(body.get("hold_id", "")) if occasion else None
        if options[0].reason != "hold_not_found" or hold is None or occasion is None:
            return options[0]
        found, there = hold, occasion

        def apply() -> Hold:
            self.world.end(there, found, "released", now)
            return found

        events = [{"type": "hold.released.v1", "hold": found}]
        return Option("released", None, {"hold": found}, events, apply)


class ExtendsWithoutEnd(Service):
    """Every extension is granted, and for an hour more."""

    def choose(self, options: list[Option], occasion: Occasion | None, body: Body, now: int) -> Option:
        if options[0].outcome != "extended":
            return options[0]
        found = options[0].fields["hold"]

        def apply() -> Hold:
            found.expires += 3600 * SECOND
            found.extensions += 1
            return found

        return Option("extended", None, options[0].fields, options[0].events, apply)


class ForgetsTheSessionLimit(Service):
    """Takes any number of holds for a session."""

    def choose(self, options: list[Option], occasion: Occasion | None, body: Body, now: int) -> Option:
        if options[0].reason != "limit_per_session" or occasion is None:
            return options[0]
        return held(self.world, occasion, body, now)


class IgnoresTheTimeToLive(Service):
    """Every hold lives for a quarter of an hour."""

    def choose(self, options: list[Option], occasion: Occasion | None, body: Body, now: int) -> Option:
        if options[0].outcome != "held" or occasion is None:
            return options[0]
        return held(self.world, occasion, {**body, "ttl_seconds": None}, now)


class TellsNobodyThatARoomIsFull(Service):
    """The last seat goes, and there is no word of it."""

    def rooms(self, before: Rooms, after: Rooms) -> list[dict[str, Any]]:
        return [event for event in super().rooms(before, after) if event["type"] != "capacity.full.v1"]


class TellsAgainThatARoomIsFull(Service):
    """Every decision says it for as long as it is so, and not only the one that filled the room."""

    def rooms(self, before: Rooms, after: Rooms) -> list[dict[str, Any]]:
        told = super().rooms(before, after)
        for pool, (taken, target) in (after[0] if after else {}).items():
            if target and taken >= target and not any(event["pool"] == pool for event in told):
                told.append({"type": "capacity.full.v1", "pool": pool, "sellable": target, "taken": taken})
        return told


class DecidesBatchesBackwards(Service):
    """The last that came is decided first."""

    def commit(self, bodies: list[Body], now: int, committed_at: int) -> dict[str, str]:
        return super().commit(bodies[::-1], now, committed_at)


class SellsAtAnyPrice(Service):
    """Does not look at the quote that the buyer agreed to."""

    def choose(self, options: list[Option], occasion: Occasion | None, body: Body, now: int) -> Option:
        if options[0].reason != "price_changed" or occasion is None:
            return options[0]
        agreed = {**body, "quote_hash": options[0].fields["quote"]["hash"]}
        return self.options(occasion, agreed, [], now)[0]


class RedeemsVouchersWithoutEnd(Service):
    """Does not count how often a voucher was used."""

    def choose(self, options: list[Option], occasion: Occasion | None, body: Body, now: int) -> Option:
        return options[-1] if options[0].reason == "voucher_used_up" else options[0]


class SellsToWhoeverComesTooLate(Service):
    """Takes seats again though money did not come for them."""

    def choose(self, options: list[Option], occasion: Occasion | None, body: Body, now: int) -> Option:
        if body["type"] != "booking.convert.v1" or options[0].reason != "hold_final" or occasion is None:
            return options[0]
        paid = {**body, "payment": {**body["payment"], "status": "paid"}}
        return self.options(occasion, paid, [], now)[0]


class FreesSeatsOfABookingTwice(Service):
    """Forgets that seats which are given back were sold."""

    def choose(self, options: list[Option], occasion: Occasion | None, body: Body, now: int) -> Option:
        if options[0].outcome == "cancelled" and occasion is not None:
            hold = occasion.sold[self.world.deals[body["booking_id"]].view["hold_id"]]
            occasion.pools["total"].sold -= hold.draws["total"]
        return options[0]


class SellsAgainWhatWasGivenBack(Service):
    """Forgets a full refund as soon as the shop says that the order is paid."""

    def choose(self, options: list[Option], occasion: Occasion | None, body: Body, now: int) -> Option:
        if body["type"] != "booking.note_order.v1" or options[0].reason != "parked" or occasion is None:
            return options[0]
        deal = self.world.deals[body["booking_id"]]
        self.world.deals[body["booking_id"]] = deal.owing(0, 0)
        return self.options(occasion, {**body, "refunded": 0}, [], now)[0]


class OwesTooMuchForATicket(Service):
    """Gives a minor unit more back than a ticket's share, wherever some tickets are given back."""

    def choose(self, options: list[Option], occasion: Occasion | None, body: Body, now: int) -> Option:
        if body["type"] == "booking.reduce.v1" and body["booking_id"] in self.world.deals and occasion is not None:
            price = self.world.deals[body["booking_id"]].price
            dearer = {key: share + 1 for key, share in (price.get("shares") or {}).items()}
            if dearer:
                price["shares"], shares = dearer, price["shares"]
                options = reduce(
                    Booker(self.world, occasion, body, now), self.world.deals[body["booking_id"]], body
                )
                price["shares"] = shares
        return options[0]


class ForgetsMoneyThatItRefuses(Service):
    """Refuses what was paid and tells nobody of the money."""

    def choose(self, options: list[Option], occasion: Occasion | None, body: Body, now: int) -> Option:
        option = options[0]
        option.events = [event for event in option.events if event["type"] != "payment.refused.v1"]
        return option


class TellsWhatIsOld(Service):
    """Calls a definition that was there already another one."""

    def choose(self, options: list[Option], occasion: Occasion | None, body: Body, now: int) -> Option:
        if body["type"] == "occurrence.put.v1" and options[0].outcome == "occurrence_stored":
            options[0].fields.pop("changed")
        return options[0]


PLANTED: tuple[tuple[type[Service], str], ...] = (
    *LINES_AND_CARTS,
    (RefusesThoughSeatsAreFree, "P5"),
    (GrantsWhatIsSoldOut, "P1"),
    (GrantsWhatIsSoldOut, "P5"),
    (LetsDeadHoldsStandInTheWay, "P5"),
    (ReleasesForAnybody, "P5"),
    (ExtendsWithoutEnd, "P5"),
    (ForgetsTheSessionLimit, "P1"),
    (IgnoresTheTimeToLive, "P5"),
    (TellsNobodyThatARoomIsFull, "P5"),
    (TellsAgainThatARoomIsFull, "P5"),
    (DecidesBatchesBackwards, "P6"),
    (SellsAtAnyPrice, "P5"),
    (RedeemsVouchersWithoutEnd, "P1"),
    (SellsToWhoeverComesTooLate, "P5"),
    (FreesSeatsOfABookingTwice, "P10"),
    (SellsAgainWhatWasGivenBack, "P5"),
    (ForgetsMoneyThatItRefuses, "P5"),
)
