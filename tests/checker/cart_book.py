"""P18: what the decisions about one cart come to together. All its legs are held at one moment, or none is kept.

Written from docs/carts.md: the legs are taken one after another by their occurrence ids, there is one verdict, nothing
is taken once it stands, and the buyer is told last.
"""

from __future__ import annotations

from typing import Any

from tests.checker.carts import legs_of
from tests.checker.model import Body
from tests.checker.world import World

_OVER = ("released", "expired", "cancelled")


class Cart:
    """A cart that was begun, and how far it has come."""

    __slots__ = ("given_back", "holds", "id", "is_given_back", "legs", "refused", "settled", "was_whole", "wish")

    def __init__(self, body: Body, session: str) -> None:
        self.id = str(body["request_id"])
        self.legs = {
            leg["occurrence_id"]: leg for leg in sorted(legs_of(body), key=lambda leg: leg["occurrence_id"])
        }
        """In the order in which they are to be taken."""
        self.wish = (session, body.get("user_id"), body.get("ttl_seconds"))
        self.holds: dict[str, str] = {}
        """The legs that were held, by their occurrences."""
        self.refused: tuple[str, str] | None = None
        """Which leg was refused, and why."""
        self.was_whole = False
        """When the last leg was taken, all of them were held."""
        self.is_given_back = False
        """Something of it was asked to be given back."""
        self.given_back: set[str] = set()
        """The holds that were given back by that."""
        self.settled: str | None = None

    @property
    def is_answered(self) -> bool:
        """Whether nothing is left to be asked."""
        return self.refused is not None or len(self.holds) == len(self.legs)


class CartBook:
    """All carts of a run, decision by decision in commit order."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._carts: dict[str, Cart] = {}

    @property
    def unsettled(self) -> list[str]:
        """Carts that nobody was told the end of."""
        return [cart.id for cart in self._carts.values() if cart.settled is None]

    def note(self, kind: str, body: Body, reply: Body, events: list[Body], lost: set[str]) -> list[str]:
        """What is wrong with a decision about a cart, seen with those before it.

        `events` are its own; `lost`: occurrences of which nothing is known any more; carts with a leg there are not
        looked at.
        """
        if kind == "cart.place.v1":
            if reply["outcome"] == "cart_started":
                self._carts[body["request_id"]] = Cart(body, reply["session_id"])
            return []
        cart_id = str(body["answers"] if kind == "cart.settle.v1" else body["cart_id"])
        cart = self._carts.get(cart_id)
        if cart is None:
            return [f"{kind} is about cart {cart_id}, which nobody began"]
        if not lost.isdisjoint(cart.legs):
            cart.settled = cart.settled or "nobody knows"
            return []
        if kind == "cart.release.v1" and any(event["type"] == "hold.released.v1" for event in events):
            cart.given_back.add(str(body["hold_id"]))
        step = {"cart.hold.v1": self._hold, "cart.release.v1": self._release, "cart.settle.v1": self._settle}[kind]
        return [f"cart {cart.id}: {problem}" for problem in step(cart, body, reply)]

    # --- step by step -------------------------------------------------------------------------------------------

    def _hold(self, cart: Cart, body: Body, reply: Body) -> list[str]:
        place = str(body["occurrence_id"])
        leg = cart.legs.get(place)
        if leg is None:
            return [f"a leg on {place} was taken, which it does not have"]
        problems = []
        asked = {"occurrence_id": place, "items": body["items"], "extras": body.get("extras") or {}}
        if asked != {"extras": {}, **leg}:
            problems.append(f"the leg on {place} was taken as {asked}, it is {leg}")
        wish = (body.get("session_id"), body.get("user_id"), body.get("ttl_seconds"))
        if wish != cart.wish:
            problems.append(f"the leg on {place} was taken for {wish}, the cart is of {cart.wish}")
        if cart.is_answered or cart.is_given_back or cart.settled:
            problems.append(f"the leg on {place} was taken after it was decided how it ends")
        elif place != list(cart.legs)[len(cart.holds)]:
            problems.append(f"the leg on {place} was taken before its turn, after {list(cart.holds)}")
        if reply["outcome"] != "held":
            cart.refused = cart.refused or (place, str(reply["reason"]))
            return problems
        cart.holds[place] = str(body["request_id"])
        cart.was_whole = len(cart.holds) == len(cart.legs) and not self._ended(cart)
        return problems

    def _release(self, cart: Cart, body: Body, reply: Body) -> list[str]:
        cart.is_given_back = True
        if body["hold_id"] not in cart.holds.values():
            return [f"hold {body['hold_id']} was given back, which is none of its"]
        if cart.settled == "held":
            return [f"hold {body['hold_id']} was given back after it was told to be held"]
        if not self._may_be_refused(cart):
            return [f"hold {body['hold_id']} was given back, and nothing was refused"]
        return []

    def _settle(self, cart: Cart, body: Body, reply: Body) -> list[str]:
        if cart.settled is not None:
            return [f"it was settled as {cart.settled}, and then once more as {body['outcome']}"]
        cart.settled = str(body["outcome"])
        return self._held(cart, body) if cart.settled == "held" else self._refused(cart, body)

    def _held(self, cart: Cart, body: Body) -> list[str]:
        told: dict[str, Any] = body.get("hold_ids") or {}
        if told != cart.holds or len(told) != len(cart.legs):
            return [f"it was told to be held as {told}, it has {cart.holds} of {list(cart.legs)}"]
        if cart.is_given_back:
            return ["it was told to be held after a leg of it was given back"]
        return [] if cart.was_whole else ["it was told to be held, and never had all its legs at one moment"]

    def _refused(self, cart: Cart, body: Body) -> list[str]:
        still = [
            hold_id for place, hold_id in cart.holds.items() if self._world.state_of(place, hold_id) == "active"
        ]
        problems = [f"it was told to be refused while it holds {hold_id}" for hold_id in still]
        if not self._may_be_refused(cart):
            return [*problems, "it was told to be refused, and nothing of it was"]
        why = (body.get("refused_occurrence_id"), body.get("reason"))
        allowed = [cart.refused] if cart.refused else [(place, "hold_final") for place in self._ended(cart)]
        if why not in allowed:
            problems.append(f"it was told to be refused for {why}, not for {allowed}")
        return problems

    def _ended(self, cart: Cart) -> list[str]:
        """Where a hold has ended by itself."""
        by_itself = {place: one for place, one in cart.holds.items() if one not in cart.given_back}
        return [place for place, hold_id in by_itself.items() if self._world.state_of(place, hold_id) in _OVER]

    def _may_be_refused(self, cart: Cart) -> bool:
        """A leg was refused; or all were answered, and a hold had ended by then."""
        return cart.is_answered and (cart.refused is not None or bool(self._ended(cart)))
