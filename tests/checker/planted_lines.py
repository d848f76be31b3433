"""More services with a bug: in how they serve a line and how they take a cart."""

from __future__ import annotations

from typing import Any

from tests.checker.allowed import Option
from tests.checker.carter import Carter, Errand, Verdict
from tests.checker.lines import could_have, offer
from tests.checker.model import Body, on_sale
from tests.checker.service import Service
from tests.checker.turns import WALK_INS
from tests.checker.world import Entry, Hold, Occasion

# --- lines ------------------------------------------------------------------------------------------------------


class ServesTheLineFromBehind(Service):
    """Last in line that fits."""

    def serve(self, occasion: Occasion, now: int) -> list[Hold]:
        _turn_round(occasion)
        offers = super().serve(occasion, now)
        _turn_round(occasion)
        return offers


def _turn_round(occasion: Occasion) -> None:
    entries = list(occasion.line.values())
    occasion.line.clear()
    occasion.line.update({entry.id: entry for entry in reversed(entries)})


class LetsTheFirstStandInEverybodysWay(Service):
    """Whoever does not fit is waited for."""

    def serve(self, occasion: Occasion, now: int) -> list[Hold]:
        offers: list[Hold] = []
        for entry in list(occasion.line.values()):
            if on_sale(occasion, now) is not None or not could_have(self.world, occasion, entry, now):
                break
            offers.append(offer(self.world, occasion, entry, now))
        return offers


class ServesWalkInsFirst(Service):
    """What is over belongs to whoever comes and takes it."""

    def comes_after_the_line(self, kind: str) -> bool:
        return kind not in WALK_INS and super().comes_after_the_line(kind)


class AsksNobodyInLine(Service):
    """Seats are freed, and no word of it."""

    def serve(self, occasion: Occasion, now: int) -> list[Hold]:
        return []


class OffersToWhoeverHasLeft(Service):
    """An entry stays in line when its owner leaves it."""

    def choose(self, options: list[Option], occasion: Occasion | None, body: Body, now: int) -> Option:
        option = options[0]
        if option.outcome == "left_waitlist" and option.events[0]["type"] == "waitlist.left.v1":
            option.apply = None
        return option


class OffersTheSamePlaceTwice(Service):
    """Whoever got an offer stands in line once more, under an id that nobody has asked for."""

    def serve(self, occasion: Occasion, now: int) -> list[Hold]:
        offers = super().serve(occasion, now)
        for hold in offers:
            again = Entry(f"ffffffff{hold.id[8:]}", hold.session, hold.user, hold.items, hold.extras)
            if again.id != hold.id:
                occasion.line[again.id] = again
        return offers


class OffersWithoutEnd(Service):
    """An offer lives as long as a hold of the house, and not as long as the setting says."""

    def serve(self, occasion: Occasion, now: int) -> list[Hold]:
        offers = super().serve(occasion, now)
        for hold in offers:
            hold.expires += 1
        return offers


class MiscountsTheLine(Service):
    """Everybody is told a place too far behind."""

    def choose(self, options: list[Option], occasion: Occasion | None, body: Body, now: int) -> Option:
        if options[0].outcome == "waiting":
            options[0].fields["position"] += 1
        return options[0]


class TakesAnybodyIntoLine(Service):
    """Though there is room."""

    def choose(self, options: list[Option], occasion: Occasion | None, body: Body, now: int) -> Option:
        if options[0].reason != "not_sold_out" or occasion is None:
            return options[0]
        entry = Entry(body["request_id"], body.get("session_id", "hgs."), None, body["items"], {})
        told: dict[str, Any] = {"entry_id": entry.id, "session_id": entry.session, "seats": entry.seats}
        occasion.line[entry.id] = entry
        event = {"type": "waitlist.joined.v1", **told}
        return Option("waiting", None, {**told, "position": len(occasion.line)}, [event])


# --- carts ------------------------------------------------------------------------------------------------------


class _BuyersOrder(Carter):
    def in_order(self, legs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return legs


class TakesLegsInTheBuyersOrder(Service):
    """Of two carts each may take what the other lacks."""

    carter = _BuyersOrder


class _Keeper(Carter):
    def to_give_back(self, errand: Errand) -> dict[str, str]:
        return {}


class KeepsTheLegsOfARefusedCart(Service):
    """The buyer is told that nothing is held."""

    carter = _Keeper


class _Optimist(Carter):
    def refusal(self, errand: Errand, place: str, reason: str) -> Verdict:
        return ("held", None, "") if errand.holds else super().refusal(errand, place, reason)


class HoldsACartWithALegMissing(Service):
    """What could be had is better than nothing."""

    carter = _Optimist


class _Stubborn(Carter):
    def settle(self, errand: Errand) -> None:
        super().settle(errand)
        if errand.verdict is not None and errand.verdict[0] == "refused":
            for leg in errand.legs[len(errand.holds) + 1 :]:
                self.hold(errand, leg)

    def _answered(self, errand: Errand, body: Body, answer: Body) -> None:
        if errand.verdict is None:
            super()._answered(errand, body, answer)


class TakesALegAfterTheVerdict(Service):
    """The cart is refused already."""

    carter = _Stubborn


class _Repeater(Carter):
    def settle(self, errand: Errand) -> None:
        super().settle(errand)
        if errand.verdict is not None and errand.verdict[0] == "held":
            errand.client = None
            errand.verdict = ("refused", errand.legs[0]["occurrence_id"], "hold_final")
            super().settle(errand)


class SettlesACartTwice(Service):
    """Held, and then refused."""

    carter = _Repeater


class _Blind(Carter):
    def verdict(self, errand: Errand) -> Verdict:
        return "held", None, ""


class HoldsACartThatWasNeverWhole(Service):
    """A leg had ended before the last one was taken."""

    carter = _Blind


class _Cautious(Carter):
    def verdict(self, errand: Errand) -> Verdict:
        return "refused", errand.legs[0]["occurrence_id"], "hold_final"


class RefusesACartThatIsWhole(Service):
    """All was held, and all is given back."""

    carter = _Cautious


LINES_AND_CARTS: tuple[tuple[type[Service], str], ...] = (
    (ServesTheLineFromBehind, "P19"),
    (LetsTheFirstStandInEverybodysWay, "P19"),
    (AsksNobodyInLine, "P19"),
    (OffersToWhoeverHasLeft, "P19"),
    (OffersTheSamePlaceTwice, "P19"),
    (OffersWithoutEnd, "P5"),
    (MiscountsTheLine, "P5"),
    (TakesAnybodyIntoLine, "P5"),
    (TakesLegsInTheBuyersOrder, "P18"),
    (KeepsTheLegsOfARefusedCart, "P18"),
    (HoldsACartWithALegMissing, "P18"),
    (TakesALegAfterTheVerdict, "P18"),
    (SettlesACartTwice, "P18"),
    (HoldsACartThatWasNeverWhole, "P18"),
    (RefusesACartThatIsWhole, "P18"),
)
