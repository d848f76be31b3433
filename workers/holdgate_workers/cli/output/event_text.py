"""Events of the journal in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .formats import basket

Told = dict[str, Any]


def is_about(event: Told, thing_id: str) -> bool:
    """Whether the event is about this hold, booking, cart or entry in a waiting list."""
    hold, booking = event.get("hold", {}), event.get("booking", {})
    return thing_id in (
        hold.get("hold_id"),
        hold.get("cart_id"),
        booking.get("booking_id"),
        booking.get("hold_id"),
        event.get("cart_id"),
        event.get("entry_id"),
        event.get("hold_id"),
    )


def id_of(event: Told) -> str | None:
    """The hold, booking, cart or entry that the event is about; None if it is about the occurrence."""
    found: str | None = event.get("hold", {}).get("hold_id") or event.get("booking", {}).get("booking_id")
    return found or event.get("entry_id") or event.get("cart_id") or event.get("hold_id")


def in_words(event: Told, outcome: str) -> str:
    """What happened. What the request's outcome says already is left out."""
    group, name, _ = str(event["type"]).split(".")
    return _GROUPS.get(group, _other)(name, event, outcome)


def _hold(name: str, event: Told, outcome: str) -> str:
    if name == "priced":
        return f"priced at {_money(event['quote'])}"
    said = "" if name == outcome or (name, outcome) == ("created", "held") else f"{name} "
    return f"{said}{_basket(event['hold'])}{_why(event)}"


def _booking(name: str, event: Told, outcome: str) -> str:
    booking = event["booking"]
    if name == "reduced":
        return f"gave {_basket(event)} back for {_amount(event['amount'], booking['quote'])}, keeps {_basket(booking)}"
    said = booking["state"] if name in ("changed", "parked") else name
    parts = [] if said == outcome else [f"booking {said.replace('_', ' ')}"]
    parts.append(f"{_basket(booking)}, {_money(booking['quote'])}")
    order = booking.get("order")
    parts += [f"order {order['order_id']} is {order['status']}"] if order else []
    refund = booking.get("refund", "none")
    parts += [f"refund {refund}"] if refund != "none" else []
    parts += ["paid late"] if event.get("late") else []
    return ", ".join(parts) + (f" ({booking['reason']})" if booking.get("reason") else "")


def _capacity(name: str, event: Told, _outcome: str) -> str:
    if name == "deficit":
        return f"{event['pool']}: {event['taken']} taken, {event['target']} wanted"
    return f"{event['pool']} {name.replace('_', ' ')}: {event['taken']} of {event['sellable']} taken"


def _waitlist(name: str, event: Told, _outcome: str) -> str:
    if name == "offered":
        return f"offered {_basket(event['hold'])}"
    return f"waits for {event['seats']} seats" if name == "joined" else f"left the line{_why(event)}"


def _cart(name: str, event: Told, _outcome: str) -> str:
    if name == "begun":
        return "cart of " + ", ".join(f"{_basket(leg)} at {leg['occurrence_id']}" for leg in event["legs"])
    why = str(event.get("reason", "")).replace("_", " ")
    return f"cart {event.get('outcome', 'leg refused')}" + (f": {why}" if why else "")


def _occurrence(_name: str, event: Told, _outcome: str) -> str:
    return "created" if event.get("created") else f"now {event['status']}"


def _payment(_name: str, event: Told, _outcome: str) -> str:
    return f"paid {_amount(event['payment']['amount'], event['payment'])}, which was not taken{_why(event)}"


def _quote(_name: str, event: Told, _outcome: str) -> str:
    return f"price of {_basket(event)}"


def _other(name: str, event: Told, _outcome: str) -> str:
    return f"{event['type'].partition('.')[0]} {name}"


def _basket(of: Told) -> str:
    return basket(of["items"], of.get("extras"))


def _why(event: Told) -> str:
    return f" ({event['reason'].replace('_', ' ')})" if "reason" in event else ""


def _money(quote: Told) -> str:
    return _amount(quote["total"], quote)


def _amount(minor: int, quote: Told) -> str:
    from .selling_answers import money

    return money(minor, quote["currency"])


_GROUPS: dict[str, Callable[[str, Told, str], str]] = {
    "hold": _hold,
    "booking": _booking,
    "capacity": _capacity,
    "waitlist": _waitlist,
    "cart": _cart,
    "occurrence": _occurrence,
    "quote": _quote,
    "payment": _payment,
}
