"""Carts counted again from the rows, with SQL and JSON alone: each one ended once, as a whole or as nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from tests.support.recount import Books, Broken
from tests.support.site import TestSite

_CARTS = """
SELECT j.request_id::text, j.events, s.outcome, s.reply, c.state, c.document
FROM journal j LEFT JOIN carts c ON c.id = j.request_id
LEFT JOIN follow_ups f ON f.request_id = j.request_id LEFT JOIN journal s ON s.request_id = f.answered_by
WHERE j.kind = 'cart.place.v1' AND j.outcome = 'cart_started'"""
_HOLDS = """
SELECT cart_id::text, id::text, occurrence_id, state, (basket -> 'items' ->> 'adult')::int FROM holds
WHERE cart_id IS NOT NULL"""


class CartBooks:
    """A look at all the carts of a database."""

    def __init__(self, site: TestSite) -> None:
        self.carts = site.rows(_CARTS)
        self.holds: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
        for cart_id, *hold in site.rows(_HOLDS):
            self.holds[cart_id].append(tuple(hold))
        self._site = site

    @property
    def outcomes(self) -> dict[str, str]:
        """Cart -> held, refused or open."""
        words = {"cart_held": "held", "refused": "refused", None: "open"}
        return {cart[0]: words[cart[2]] for cart in self.carts}

    def problems(self) -> list[Broken]:
        """Whatever does not add up; empty once all carts have ended and all is well. Nobody else may hold anything, and
        no hold may have expired."""
        found = [*self._each(), *self._totals(), *self._tasks(), *Books(self._site.database_url).problems()]
        return [Broken(problem) for problem in found]

    def _each(self) -> Iterable[str]:
        for cart_id, events, outcome, reply, state, document in self.carts:
            legs = {leg["occurrence_id"]: leg for leg in events[0]["legs"]}
            holds = {hold[1]: hold for hold in self.holds[cart_id]}
            active = {hold[0] for hold in holds.values() if hold[2] == "active"}
            shown = {leg["occurrence_id"]: leg["state"] for leg in (document or {}).get("legs", ())}
            if shown.keys() != legs.keys():
                yield f"cart {cart_id} shows {shown}"
            if outcome == "cart_held":
                if holds.keys() != legs.keys() or set(reply["hold_ids"].values()) != active:
                    yield f"cart {cart_id} is held, but of {list(legs)} it has {list(holds.values())}"
                if state != "held" or set(shown.values()) != {"active"}:
                    yield f"cart {cart_id} is held, but shows {state} {shown}"
            elif outcome == "refused":
                if active:
                    yield f"cart {cart_id} was refused, and {active} is left"
                if state != "refused" or "refused" not in shown.values() or "active" in shown.values():
                    yield f"cart {cart_id} was refused, but shows {state} {shown}"
            else:
                yield f"cart {cart_id} has not ended ({state}, {shown})"

    def _totals(self) -> Iterable[str]:
        """What the pools say is what the carts that are held add up to."""
        wanted: Counter[str] = Counter()
        for _, events, outcome, *_ in self.carts:
            if outcome == "cart_held":
                for leg in events[0]["legs"]:
                    wanted[leg["occurrence_id"]] += leg["items"]["adult"]
        for occurrence_id, held in self._site.rows("SELECT occurrence_id, held FROM pools WHERE key = 'total'"):
            if held != wanted[occurrence_id]:
                yield f"{occurrence_id}: {held} seats are held, {wanted[occurrence_id]} by carts"

    def _tasks(self) -> Iterable[str]:
        for kind, key, state, error in self._site.rows(
            "SELECT kind, key, state, last_error FROM tasks WHERE kind LIKE 'cart.%' AND state IN ('open', 'dead')"
        ):
            yield f"task {kind} {key} is {state}: {error}"
