"""Money that was said to be paid and is not taken: who hears of it, from docs/bookings.md."""

from __future__ import annotations

from typing import Any

from tests.checker.allowed import Option
from tests.checker.model import Body
from tests.checker.validity import faults
from tests.checker.world import World

CONVERT = "booking.convert.v1"
_HAS_A_BOOKING = ("parked", "refund_required")
_UUID = "4f7d6b1e-0c55-4f0a-9a53-2f8f3f0f7c01"
_SOUND = {
    "type": CONVERT, "request_id": _UUID, "occurrence_id": "o", "session_id": "s", "quote_hash": "a" * 64,
}  # fmt: skip


def with_refused_money(world: World, options: list[Option], body: Body) -> list[Option]:
    """The options of a conversion: each refusal of what was paid tells of the money, unless a booking has it."""
    hold_id, payment = body.get("hold_id"), body.get("payment")
    if body.get("type") != CONVERT or faults({**_SOUND, "hold_id": hold_id, "payment": payment}):
        return options
    assert isinstance(payment, dict)
    if payment["status"] != "paid" or not payment["amount"] or _is_known(world, hold_id, payment):
        return options
    told = {name: payment[name] for name in ("method", "amount", "currency", "status")}
    told |= {"reference": payment["reference"]} if payment.get("reference") else {}
    event = {"type": "payment.refused.v1", "hold_id": hold_id, "payment": told}
    for option in options:
        if option.outcome == "refused" and option.reason not in _HAS_A_BOOKING:
            option.events = [*option.events, {**event, "reason": option.reason}]
    return options


def _is_known(world: World, hold_id: Any, payment: dict[str, Any]) -> bool:
    """Whether the hold's booking was paid by this very payment."""
    deal = world.deals.get(hold_id)
    if deal is None:
        return False
    known = deal.view["payment"]
    names = [one.get("reference") or "" for one in (payment, known)]
    if any(names):
        return bool(names[0] == names[1])
    return bool((payment["amount"], payment["currency"]) == (known["amount"], known["currency"]))
