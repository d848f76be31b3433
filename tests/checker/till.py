"""What follows in a generated history from holds that are to be priced and bought."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from typing import Any

from tests.checker.jsonl import loads
from tests.checker.model import Body

VOUCHER = "WINTER-26"
Make = Callable[..., Body]
Told = tuple[Body, str | None]
"""A command of the service's own, and the client that hears the answer."""


class Till:
    """The pricing and the orders worker, and what buyers do with a price."""

    def __init__(self, make: Make, rng: random.Random, voucher_uses: int, *, reduces: bool = False) -> None:
        self._make, self._random, self._uses = make, rng, voucher_uses
        self._reduces = reduces
        """Whether buyers give single tickets back, too; otherwise the histories are those of before."""
        self._due: list[Told] = []
        self._priced: list[Body] = []
        self._sold: list[Body] = []
        self._parked: list[Body] = []

    def remember(self, body: Body, text: str, client: str | None) -> None:
        """An answer was given: what follows from it."""
        kind = body["type"]
        if kind in ("hold.place.v1", "hold.change.v1") and "pricing" in body and '"outcome":"refused"' not in text:
            self._due.append((self._price(body, loads(text)["hold"]), client))
        elif kind == "hold.price.v1" and text.startswith('{"outcome":"priced"'):
            self._priced.append(loads(text))
        elif kind == "booking.convert.v1" and text.startswith('{"outcome":"converting"'):
            self._due.append((self._settle(body, loads(text)["booking"]), client))
        elif kind == "booking.settle.v1":
            if text.startswith('{"outcome":"confirmed"'):
                self._sold.append(loads(text)["booking"])
            elif '"reason":"parked"' in text:
                self._parked.append(body)

    def due(self) -> list[Told]:
        """What the service has to say by itself now."""
        due, self._due = self._due, []
        if self._parked and self._random.randrange(3) == 0:
            parked = self._parked.pop()
            more = {"booking_id": parked["booking_id"], "by": "ada"}
            action = self._random.choice(("fulfil", "refund"))
            due.append((self._make("booking.resolve.v1", parked["occurrence_id"], action=action, **more), None))
        if self._sold and self._random.randrange(5) == 0:
            due += self._given_back(self._sold.pop(self._random.randrange(len(self._sold))))
        return due

    def _given_back(self, booking: dict[str, Any]) -> list[Told]:
        """The shop gives money back, part of it or all, and its order goes on all the same."""
        amount = booking["payment"]["amount"]
        refunded = self._random.choice((amount // 3, amount, amount))
        words = (("paid", refunded), ("refunded", amount), ("paid", refunded))
        return [
            (
                self._make(
                    "booking.note_order.v1",
                    booking["occurrence_id"],
                    booking_id=booking["booking_id"],
                    order_id=booking["order"]["order_id"],
                    status=status,
                    changed_at=f"2027-01-0{day}T00:00:00Z",
                    refunded=gone,
                ),
                None,
            )
            for day, (status, gone) in enumerate(words, start=1)
            if refunded == amount or status == "paid"
        ]

    def next(self) -> Body | None:
        """What a buyer does who has a price, or a booking."""
        if self._sold and self._random.randrange(6) == 0:
            booking = self._sold.pop(self._random.randrange(len(self._sold)))
            if self._reduces and self._random.randrange(3):
                return self._reduce(booking)
            session = booking["session_id"] if self._random.randrange(9) else "somebody-else"
            more = {"session_id": session, "booking_id": booking["booking_id"], "reason": "ill"}
            return self._make("booking.cancel.v1", booking["occurrence_id"], **more)
        if not self._priced:
            return None
        place = self._random.randrange(len(self._priced))
        self._priced[place], self._priced[-1] = self._priced[-1], self._priced[place]
        return self._convert(self._priced.pop() if self._random.randrange(5) else self._priced[-1])

    def _reduce(self, booking: Body) -> Body:
        self._sold.append(booking)
        counts = {part: booking.get(part) or {} for part in ("items", "extras")}
        more: dict[str, Any] = {
            part: {key: self._random.randrange(1, number + 2 - (number > 1)) for key, number in had.items()}
            for part, had in counts.items()
        }
        more |= {"session_id": booking["session_id"], "booking_id": booking["booking_id"]}
        return self._make("booking.reduce.v1", booking["occurrence_id"], **more)

    def _price(self, body: Body, hold: dict[str, Any]) -> Body:
        total = 2500 * hold["seats"]
        seen = f"{hold['hold_id']} {hold['items']} {hold.get('extras')}"
        quote = {"hash": hashlib.sha256(seen.encode()).hexdigest(), "currency": "EUR", "total": total}
        quote |= {"tickets_total": total, "extras_total": 0}
        more: dict[str, Any] = {"items": hold["items"], "answers": body["request_id"], "quote": quote}
        if "extras" in hold:
            more["extras"] = hold["extras"]
        if self._reduces and self._random.randrange(8):
            pieces = [f"ticket.{key}" for key in hold["items"]] + [
                f"extra.{key}" for key in hold.get("extras", {})
            ]
            more["shares"] = dict.fromkeys(pieces, 1100)
        if "voucher" in body["pricing"]:
            more |= {"voucher": VOUCHER, "voucher_uses_max": self._uses}
        if self._random.randrange(10) == 0:
            more["quote"] = None
        return self._make("hold.price.v1", body["occurrence_id"], hold_id=hold["hold_id"], **more)

    def _convert(self, answer: Body) -> Body:
        hold, quote = answer["hold"], answer["quote"]
        amount = quote["total"] + (self._random.randrange(12) == 0)
        status = self._random.choice(("paid", "paid", "pending"))
        payment = {"method": "card", "amount": amount, "currency": "EUR", "status": status}
        agreed = quote["hash"] if self._random.randrange(12) else "0" * 64
        more = {"session_id": hold["session_id"], "hold_id": hold["hold_id"], "quote_hash": agreed}
        return self._make("booking.convert.v1", answer["occurrence_id"], payment=payment, **more)

    def _settle(self, body: Body, booking: dict[str, Any]) -> Body:
        more: dict[str, Any] = {"booking_id": booking["booking_id"], "answers": body["request_id"]}
        match self._random.randrange(8):
            case 0:
                more |= {"outcome": "failed", "reason": "refused by the shop"}
            case 1:
                more |= {"outcome": "unknown", "reason": "no answer"}
            case _:
                order = {"gateway": "local", "order_id": booking["booking_id"][:8], "status": "pending"}
                more |= {"outcome": "ordered", "order": order}
        return self._make("booking.settle.v1", body["occurrence_id"], **more)
