"""What is said of a booking once it is under way: by the orders worker, its owner, the shop and the house's people."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.checker import deals
from tests.checker.allowed import Option, refused
from tests.checker.booker import Booker, Deal
from tests.checker.instants import micros
from tests.checker.model import Body
from tests.checker.world import Occasion, World

DEAD_ORDERS = ("cancelled", "refunded", "failed")
_LIFE = ("other", "pending", "failed", "paid", "cancelled", "refunded")


def options(world: World, occasion: Occasion, kind: str, body: Body, now: int) -> list[Option]:
    """What docs/bookings.md allows for a command that sells or prices."""
    first = _FIRST.get(kind)
    if first is not None:
        return first(world, occasion, body, now)
    deal = world.deals.get(body["booking_id"])
    theirs = deal is not None and body.get("session_id", deal.view["session_id"]) == deal.view["session_id"]
    if deal is None or deal.view["occurrence_id"] != occasion.id or not theirs:
        return [refused("booking_not_found", subject=body["booking_id"])]
    return _NEWS[kind](Booker(world, occasion, body, now), deal, body)


def _final(deal: Deal) -> list[Option]:
    return [refused("booking_final", subject=deal.state, booking_id=deal.view["booking_id"])]


def _settle(booker: Booker, deal: Deal, body: Body) -> list[Option]:
    if body["outcome"] == "ordered":
        return _ordered(booker, deal, body["order"])
    if deal.state not in ("converting", "parked") or deal.view.get("confirmed_at") is not None:
        return _final(deal)
    reason = body.get("reason") or ""
    if body["outcome"] == "failed":
        return [booker.failed(deal, "saga", reason=reason)]
    return [booker.parked(deal, reason=reason)]


def _ordered(booker: Booker, deal: Deal, order: dict[str, Any]) -> list[Option]:
    noted = deal.view.get("order")
    if noted is not None and noted["order_id"] != order["order_id"] and deal.state == "confirmed":
        return [booker.changed(deal.but(), free=True)]
    if noted is not None and noted["order_id"] == order["order_id"] and noted.get("changed_at") is not None:
        order = {**noted, "gateway": order["gateway"]}  # the shop has told more since
    deal = deal.but(order=order)
    hold = booker.hold_of(deal)
    if deal.state in ("converting", "parked") and hold is not None:
        if order["status"] in DEAD_ORDERS:
            return [booker.failed(deal, "order", refunded=order["status"] == "refunded")]
        return [booker.confirmed(deal, hold)]
    if deal.state == "confirmed" or deal.ended_by == "owner" or order["status"] in DEAD_ORDERS:
        return [booker.changed(deal)]
    return booker.back_or_parked(deal)


def _cancel(booker: Booker, deal: Deal, body: Body) -> list[Option]:
    if deal.state != "confirmed":
        return _final(deal)
    if booker.now >= booker.occasion.starts:
        return [refused("too_late", booking_id=deal.view["booking_id"])]
    return [booker.ended(deal, "owner", outcome="cancelled", reason=body.get("reason") or "")]


def _note_order(booker: Booker, deal: Deal, body: Body) -> list[Option]:
    known, status = deal.view.get("order"), body["status"]
    if known is not None and known["order_id"] != body["order_id"]:
        return [booker.changed(deal.but(), free=True)]
    if known is not None and known.get("changed_at") is not None:
        before = (micros(known["changed_at"]), _LIFE.index(known["status"]))
        if before >= (micros(body["changed_at"]), _LIFE.index(status)):
            return _old_news(booker, deal, status)
    gateway = "" if known is None else known["gateway"]
    order = {"gateway": gateway, "order_id": body["order_id"], "status": status, "changed_at": body["changed_at"]}
    deal = deal.but(order=order)
    total = deal.price["total"]
    refunded = status == "refunded" or (total > 0 and (body.get("refunded") or 0) >= total)
    if status in DEAD_ORDERS:
        return _order_is_over(booker, deal, refunded=refunded)
    if status == "paid":
        deal = deal.but(payment={**deal.view["payment"], "status": "paid"})
        if deal.state in ("cancelled", "failed"):
            if deal.ended_by not in ("owner", "staff"):
                return booker.back_or_parked(deal)
            done = refunded or deal.view.get("refund") == "done"
            deal = deal.but(refund="done" if done else "due")
    return [booker.changed(deal)]


def _old_news(booker: Booker, deal: Deal, status: str) -> list[Option]:
    if status != "paid" or deal.view["payment"]["status"] == "paid":
        return [Option("nothing that is recorded: the shop had said more before")]
    paid = deal.but(payment={**deal.view["payment"], "status": "paid"})
    if deal.state in ("cancelled", "failed") and "refund" not in deal.view:
        paid = paid.but(refund="due")
    return [booker.changed(paid)]


def _order_is_over(booker: Booker, deal: Deal, *, refunded: bool) -> list[Option]:
    if deal.state == "confirmed":
        return [booker.ended(deal, "order", refunded=refunded)]
    if deal.state in ("parked", "refund_required"):
        if booker.hold_of(deal) is not None:
            return [booker.failed(deal, "order", refunded=refunded, outcome="booking")]
        return [booker.ended(deal, "order", refunded=refunded)]
    return [booker.changed(deal.but(refund="done") if refunded else deal)]


def _resolve(booker: Booker, deal: Deal, body: Body) -> list[Option]:
    said = {"reason": body["note"]} if body.get("note") else {}
    if body["action"] == "refunded":
        if deal.state == "refund_required":
            return [booker.ended(deal, "staff", refunded=True, **said)]
        return [booker.changed(deal.but(refund="done"))] if deal.view.get("refund") == "due" else _final(deal)
    if deal.state not in ("parked", "refund_required"):
        return _final(deal)
    hold = booker.hold_of(deal)
    if body["action"] == "refund":
        if hold is not None:
            return [booker.failed(deal, "staff", outcome="booking", **said)]
        return [booker.ended(deal, "staff", **said)]
    if hold is not None:
        return [booker.confirmed(deal, hold)]
    hold, unsure = booker.again(deal)
    gone = refused("sold_out", booking_id=deal.view["booking_id"], requested=deal.view["seats"])
    if hold is None:
        return [gone]
    fulfilled = booker.confirmed(deal, hold, again=True)
    return [fulfilled, gone] if unsure else [fulfilled]


_FIRST: dict[str, Callable[[World, Occasion, Body, int], list[Option]]] = {
    "quote.get.v1": deals.get_quote,
    "quote.put.v1": deals.put_quote,
    "hold.price.v1": deals.price_hold,
    "booking.convert.v1": deals.convert,
}
_NEWS: dict[str, Callable[[Booker, Deal, Body], list[Option]]] = {
    "booking.settle.v1": _settle,
    "booking.cancel.v1": _cancel,
    "booking.note_order.v1": _note_order,
    "booking.resolve.v1": _resolve,
}
KINDS = (*_FIRST, *_NEWS)
