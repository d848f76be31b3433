"""What follows in a generated history from carts: the orders worker where it takes them, as docs/carts.md says."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from tests.checker.carts import legs_of
from tests.checker.jsonl import loads
from tests.checker.model import Body
from tests.checker.till import Make, Told

StateOf = Callable[[str, str], str | None]
"""What has become of the hold on an occurrence."""
OVER = ("released", "expired", "cancelled")
Verdict = tuple[str, str | None, str]
"""The outcome; if it is refused, because of which leg, and why."""


class Errand:
    """A cart that is being taken."""

    def __init__(self, body: Body, legs: list[dict[str, Any]], session: str, client: str | None) -> None:
        self.body, self.legs, self.session, self.client = body, legs, session, client
        self.holds: dict[str, str] = {}
        self.verdict: Verdict | None = None
        self.giving_back: set[str] = set()


class Carter:
    """Takes the legs one after another, and gives them back if one cannot be had."""

    def __init__(self, make: Make, rng: random.Random, state_of: StateOf) -> None:
        self._make, self._random, self._state_of = make, rng, state_of
        self._due: list[Told] = []
        self._errands: dict[str, Errand] = {}

    # --- buyers -------------------------------------------------------------------------------------------------

    def place(self, ids: list[str], items: Callable[[], dict[str, int]]) -> Body:
        """A cart of two or three occurrences in any order; one of them may be none."""
        places = self._random.sample(ids, 2) + ["occ-never"] * (self._random.randrange(8) == 0)
        legs: list[dict[str, Any]] = [{"occurrence_id": one, "items": items()} for one in places]
        if self._random.randrange(6) == 0:
            legs[0]["extras"] = {"guide": 1}
        more: dict[str, Any] = {"legs": legs}
        if self._random.randrange(3):
            more["session_id"] = f"carter-{self._random.getrandbits(40):x}"
        if self._random.randrange(6) == 0:
            more["user_id"] = "user-c"
        if self._random.randrange(4) == 0:
            more["ttl_seconds"] = 1
        if self._random.randrange(12) == 0:
            legs[1]["occurrence_id"] = places[0]  # which cannot be
        return self._make("cart.place.v1", places[0], **more)

    # --- the worker ---------------------------------------------------------------------------------------------

    def remember(self, body: Body, text: str, client: str | None) -> None:
        """An answer was given: what follows from it."""
        kind = body["type"]
        if kind == "cart.place.v1" and text.startswith('{"outcome":"cart_started"'):
            errand = Errand(body, self.in_order(legs_of(body)), loads(text)["session_id"], client)
            self._errands[body["request_id"]] = errand
            self.hold(errand, errand.legs[0])
        elif kind == "cart.hold.v1":
            self._answered(self._errands[body["cart_id"]], body, loads(text))
        elif kind == "cart.release.v1":
            errand = self._errands[body["cart_id"]]
            errand.giving_back.discard(body["request_id"])
            if not errand.giving_back:
                self.settle(errand)

    def due(self) -> list[Told]:
        """What the worker has to say now."""
        due, self._due = self._due, []
        return due

    def in_order(self, legs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """One order for all carts."""
        return sorted(legs, key=lambda leg: str(leg["occurrence_id"]))

    def refusal(self, errand: Errand, place: str, reason: str) -> Verdict:
        """How a cart ends of which a leg was refused."""
        return "refused", place, reason

    def verdict(self, errand: Errand) -> Verdict:
        """How a cart ends of which all legs were held."""
        for place, hold_id in errand.holds.items():
            if self._state_of(place, hold_id) in OVER:
                return "refused", place, "hold_final"
        return "held", None, ""

    def to_give_back(self, errand: Errand) -> dict[str, str]:
        """The holds of a cart that is refused, as far as they are still held."""
        return {place: one for place, one in errand.holds.items() if self._state_of(place, one) == "active"}

    def _answered(self, errand: Errand, body: Body, answer: Body) -> None:
        place = body["occurrence_id"]
        if answer["outcome"] != "held":
            return self._end(errand, self.refusal(errand, place, answer["reason"]))
        errand.holds[place] = body["request_id"]
        if len(errand.holds) < len(errand.legs):
            return self.hold(errand, errand.legs[len(errand.holds)])
        return self._end(errand, self.verdict(errand))

    def _end(self, errand: Errand, verdict: Verdict) -> None:
        errand.verdict = verdict
        back = self.to_give_back(errand) if verdict[0] == "refused" else {}
        for place, hold_id in back.items():
            more = {"cart_id": errand.body["request_id"], "hold_id": hold_id, "session_id": errand.session}
            command = self._make("cart.release.v1", place, **more)
            errand.giving_back.add(command["request_id"])
            self._due.append((command, None))
        if not back:
            self.settle(errand)

    def hold(self, errand: Errand, leg: dict[str, Any]) -> None:
        """Take one leg."""
        more: dict[str, Any] = {
            name: errand.body[name] for name in ("user_id", "ttl_seconds") if name in errand.body
        }
        more |= {"cart_id": errand.body["request_id"], "session_id": errand.session, **leg}
        place = more.pop("occurrence_id")
        self._due.append((self._make("cart.hold.v1", place, **more), None))

    def settle(self, errand: Errand) -> None:
        """Tell the buyer."""
        assert errand.verdict is not None
        outcome, place, reason = errand.verdict
        more: dict[str, Any] = {"answers": errand.body["request_id"], "outcome": outcome}
        if outcome == "held":
            more["hold_ids"] = errand.holds
        else:
            more |= {"refused_occurrence_id": place, "reason": reason, "message": "Not this time"}
        self._due.append((self._make("cart.settle.v1", errand.body["occurrence_id"], **more), errand.client))
