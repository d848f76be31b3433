"""A sequential model of prices and conversions, written from docs/bookings.md: what each request must be told."""

from __future__ import annotations

from typing import Any

from tests.checker.allowed import AnyOf, Between, Option, Shown, refused
from tests.checker.booker import Booker, Deal, begin, shown
from tests.checker.instants import stamp
from tests.checker.model import Body
from tests.checker.world import MINUTE, Hold, Occasion, World, shown_price

_PRICE = ("hash", "currency", "total", "payment_method")


def price_of(body: Body) -> dict[str, Any]:
    """The price that a command brings, as the hold's row keeps it."""
    quote = body["quote"]
    price = {name: quote[name] for name in _PRICE if quote.get(name) is not None}
    more = ("voucher", "voucher_uses_max", "outdated_hash")
    price |= {name: body[name] for name in more if body.get(name) is not None}
    return price | ({"shares": body["shares"]} if body.get("shares") else {})


# --- prices -----------------------------------------------------------------------------------------------------


def get_quote(world: World, occasion: Occasion, body: Body, now: int) -> list[Option]:
    """`quote.get.v1`."""
    items, extras = body["items"], body.get("extras") or {}
    unknown = [key for key in items if key not in occasion.tickets]
    if unknown:
        return [refused("unknown_ticket", subject=AnyOf(unknown))]
    unknown = [key for key in extras if key not in occasion.extras]
    if unknown:
        return [refused("unknown_extra", subject=AnyOf(unknown))]
    event = {"type": "quote.requested.v1", "product_id": occasion.product, "items": items, "extras": extras}
    return [Option("quoting", None, {}, [event | {"payment_method": body.get("payment_method")}])]


def put_quote(world: World, occasion: Occasion, body: Body, now: int) -> list[Option]:
    """`quote.put.v1`."""
    if body.get("quote") is None or body.get("valid_until") is None:
        return [refused("unpriced")]
    return [Option("quoted", None, {"quote": body["quote"], "valid_until": Shown(body["valid_until"])})]


def price_hold(world: World, occasion: Occasion, body: Body, now: int) -> list[Option]:
    """`hold.price.v1`: it counts only for the basket that it names, and only while that is held."""
    hold_id = body["hold_id"]
    hold = occasion.live.get(hold_id)
    if hold is None:
        ended = world.ended.get(hold_id)
        if ended is None or ended[0] != occasion.id:
            return [refused("hold_not_found", subject=hold_id)]
        return [refused("hold_final", subject=hold_id, hold_state=ended[2])]
    if hold.state != "active" or hold.expires <= now:
        state = "expired" if hold.state == "active" else hold.state
        return [refused("hold_final", subject=hold_id, hold_state=state)]
    if (hold.items, hold.extras) != (body["items"], body.get("extras") or {}):
        return [refused("unpriced", subject=hold_id)]
    if body.get("quote") is None:
        return [refused("unpriced")]
    found, price = hold, price_of(body)

    def apply() -> Hold:
        found.price = price
        return found

    fields = {"hold": hold, "quote": body["quote"]}
    return [Option("priced", None, fields, [{"type": "hold.priced.v1", **fields}], apply)]


# --- converting -------------------------------------------------------------------------------------------------


def convert(world: World, occasion: Occasion, body: Body, now: int) -> list[Option]:
    """`booking.convert.v1`: an expired one is never converted, unless the money came and the seats are free."""
    hold_id, session, payment = body["hold_id"], body["session_id"], body["payment"]
    hold = occasion.live.get(hold_id)
    state = "" if hold is None else hold.state
    if hold is None:
        ended = world.ended.get(hold_id)
        if ended is None or ended[:2] != (occasion.id, session):
            return [refused("hold_not_found", subject=hold_id)]
        state, hold = ended[2], world.priced.get(hold_id)
    elif hold.session != session:
        return [refused("hold_not_found", subject=hold_id)]
    elif state == "active" and hold.expires <= now:
        return [Option("refused as hold_final, or late, the hold being expired on the way")]
    late = state == "expired" and payment["status"] == "paid"
    if hold_id in world.deals or not (late or state == "active"):
        return [refused("hold_final", subject=hold_id, hold_state=state)]
    booker = Booker(world, occasion, body, now)
    over = booker.over()
    if over and not (payment["status"] == "paid" and payment["amount"]):
        return [refused("not_on_sale", not_on_sale=over)]
    if hold is None or hold.price is None:
        return [refused("unpriced", subject=hold_id)]
    no = _other_price(hold.price, body)
    if no is not None:
        return [no]
    return _convert(booker, hold, late=late, over=over)


def _other_price(price: dict[str, Any], body: Body) -> Option | None:
    payment, told = body["payment"], shown_price(price)
    if body["quote_hash"] != price["hash"]:
        outdated = body["quote_hash"] == price.get("outdated_hash")
        return refused("quote_expired" if outdated else "price_changed", quote=told)
    if (payment["amount"], payment["currency"]) != (price["total"], price["currency"]):
        return refused("payment_mismatch", subject="payment.amount", quote=told)
    if price.get("payment_method") not in (None, payment["method"]) or _costs_more(price, payment):
        return refused("payment_mismatch", subject="payment.method", quote=told)
    return None


def _costs_more(price: dict[str, Any], payment: dict[str, Any]) -> bool:
    """A price for no way of paying, and paid in the one that costs something unless operations say otherwise."""
    return price.get("payment_method") is None and payment["method"] == "credit_card" and price["total"] > 0


def _convert(booker: Booker, hold: Hold, *, late: bool, over: str) -> list[Option]:
    world, now, body = booker.world, booker.now, booker.body
    price = hold.price
    assert price is not None
    payment = {name: body["payment"][name] for name in ("method", "amount", "currency", "status")}
    if body["payment"].get("reference"):
        payment["reference"] = body["payment"]["reference"]
    view = {
        "booking_id": hold.id, "hold_id": hold.id, "occurrence_id": hold.occurrence, "session_id": hold.session,
        "state": "converting", "items": hold.items, "seats": hold.seats, "quote": shown_price(price),
        "payment": payment, "created_at": stamp(now),
        "timeout_at": stamp(now + world.house["conversion.timeout_minutes"] * MINUTE),
        "wait_until": stamp(now + world.house["conversion.paid_wait_minutes"] * MINUTE),
        "extras": hold.extras, "user_id": hold.user,
    }  # fmt: skip
    deal = Deal(shown(view), price)
    if late:
        return _convert_late(booker, deal)
    if over:
        return [booker.left(deal, hold)]
    used_up, is_short = _voucher_used_up(world, price, now)
    told = Shown(deal.view)
    events = [{"type": "booking.converting.v1", "booking": told, "late": False}]
    apply = booker.kept(deal, lambda: begin(world, hold, now), touched=(hold,))
    granted = Option("converting", None, {"booking": told}, events, apply)
    return [*used_up, granted] if is_short else [granted, *used_up]


def _voucher_used_up(world: World, price: dict[str, Any], now: int) -> tuple[list[Option], bool]:
    if "voucher" not in price:
        return [], False
    gauge, limit = world.gauge("voucher", price["voucher"]), price.get("voucher_uses_max") or 1
    highest = gauge.highest(now, world.stale)
    if highest < limit:
        return [], False
    used = Between(max(limit, gauge.lowest(now, world.stale)), highest)
    return [
        refused("voucher_used_up", subject="voucher_uses", limit=limit, used=used, requested=1)
    ], gauge.used >= limit


def _convert_late(booker: Booker, deal: Deal) -> list[Option]:
    options = []
    hold, unsure = booker.again(deal, is_kept=True)
    if booker.world.late_payment.startswith("fulfil") and hold is not None:
        found, again = hold, deal.but(hold_id=hold.id)
        told = Shown(again.view)
        events: list[dict[str, Any]] = [{"type": "hold.created.v1", "hold": Shown(hold.view())}]
        events.append({"type": "booking.converting.v1", "booking": told, "late": True})
        apply = booker.kept(again, lambda: booker.take(found), touched=(hold,))
        options.append(Option("converting", None, {"booking": told}, events, apply))
        if not unsure:
            return options
    return [*options, booker.left(deal)]
