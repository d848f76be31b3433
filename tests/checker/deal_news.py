"""What is said of a booking once it is under way: by the orders worker, its owner, the shop and the house's people."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.checker import deals
from tests.checker.allowed import Option, refused
from tests.checker.booker import Booker, Deal
from tests.checker.instants import micros
from tests.checker.model import Body
from tests.checker.reducing import reduce
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
    if body["outcome"] == "waiting":
        return [booker.changed(deal.but(reason=reason))] if deal.state == "converting" else _final(deal)
    if body["outcome"] == "failed":
        return [booker.failed(deal, "saga", reason=reason)]
    return [booker.parked(deal, reason=reason)]


def _ordered(booker: Booker, deal: Deal, order: dict[str, Any]) -> list[Option]:
    noted = deal.view.get("order")
    if noted is not None and noted["order_id"] != order["order_id"] and deal.state == "confirmed":
        return [booker.changed(deal.but(), free=True)]
    if noted is not None and noted["order_id"] == order["order_id"] and noted.get("changed_at") is not None:
        order = {**noted, "gateway": order["gateway"]}  # the shop has told more since
    deal = deal.told(order["status"], 0).but(order=order)
    hold = booker.hold_of(deal)
    if deal.state in ("converting", "parked") and hold is not None:
        if order["status"] in DEAD_ORDERS:
            return [booker.failed(deal, "order")]
        if booker.over() or deal.all_gone:
            return [booker.too_late(deal, hold)]
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
            return _old_news(booker, deal, deal.told(status, body.get("refunded") or 0))
    gateway = "" if known is None else known["gateway"]
    order = {"gateway": gateway, "order_id": body["order_id"], "status": status, "changed_at": body["changed_at"]}
    now = deal.told(status, body.get("refunded") or 0).but(order=order)
    if status in DEAD_ORDERS:
        return _order_is_over(booker, now)
    if now.all_gone and not deal.all_gone and now.state in _NOT_OVER:
        return [_all_went_back(booker, now)]
    if status == "paid" and now.state in ("cancelled", "failed"):
        if now.ended_by not in ("owner", "staff"):
            return booker.back_or_parked(now)
        return [booker.changed(_owing_now(deal, now))]
    return [booker.changed(now)]


_NOT_OVER = ("confirmed", "parked", "refund_required")


def _old_news(booker: Booker, deal: Deal, now: Deal) -> list[Option]:
    """Of an old word only what it says of money counts."""
    if now.view == deal.view:
        return [Option("nothing that is recorded: the shop had said more before")]
    if now.all_gone and not deal.all_gone and now.state in _NOT_OVER:
        return [_all_went_back(booker, now)]
    return [booker.changed(_owing_now(deal, now) if now.state in ("cancelled", "failed") else now)]


def _owing_now(before: Deal, now: Deal) -> Deal:
    """What ended before it was known to be paid owes what was paid."""
    return now.owing(now.kept) if not before.is_paid and "refund" not in now.view else now


def _all_went_back(booker: Booker, deal: Deal) -> Option:
    """A full refund is final: what it has is free, and a person looks."""
    sold = booker.occasion.sold.get(deal.view["hold_id"]) if deal.state == "confirmed" else None
    return booker.left(deal, booker.hold_of(deal), sold=sold)


def _order_is_over(booker: Booker, deal: Deal) -> list[Option]:
    if deal.state == "confirmed":
        return [booker.ended(deal, "order")]
    if deal.state in ("parked", "refund_required"):
        if booker.hold_of(deal) is not None:
            return [booker.failed(deal, "order", outcome="booking")]
        return [booker.ended(deal, "order")]
    return [booker.changed(deal)]


def _resolve(booker: Booker, deal: Deal, body: Body) -> list[Option]:
    said = {"reason": body["note"]} if body.get("note") else {}
    if body["action"] == "refunded":
        due, total = int(deal.view.get("refund_due", 0)), body.get("refund_amount")
        gone = deal.gone + due if total is None else max(deal.gone, min(total, deal.view["payment"]["amount"]))
        left = max(0, due - (gone - deal.gone))
        back = deal.owing(left, gone)
        if deal.state == "refund_required" and not left:
            return [booker.ended(back, "staff", due=0, **said)]
        is_news = deal.view.get("refund") == "due" and (left, gone) != (due, deal.gone)
        return [booker.changed(back)] if is_news else _final(deal)
    if body["action"] == "reduce":
        return reduce(booker, deal, {"items": {}, **body}, by_staff=True)
    if body["action"] in ("refund", "cancel"):
        return _give_back(booker, deal, body, said)
    if deal.state not in ("parked", "refund_required"):
        return _final(deal)
    hold = booker.hold_of(deal)
    if hold is not None and booker.occasion.status != "cancelled":
        return [booker.confirmed(deal, hold)]
    hold, why = booker.again(deal, by_staff=True)
    told = {"booking_id": deal.view["booking_id"], "requested": deal.view["seats"]}
    options = [] if hold is None else [booker.confirmed(deal, hold, again=True)]
    return options + [refused(one, **told) for one in why]


def _give_back(booker: Booker, deal: Deal, body: Body, said: dict[str, Any]) -> list[Option]:
    """A person gives back, whatever the clock says; at most what was paid less what went back."""
    due = body.get("refund_amount")
    due = deal.kept if due is None else due
    if due > deal.kept:
        return [refused("invalid")]
    if deal.state == "confirmed" and body["action"] == "cancel":
        return [booker.ended(deal, "staff", due=due, **said)]
    if deal.state in ("parked", "refund_required"):
        if booker.hold_of(deal) is not None:
            return [booker.failed(deal, "staff", due=due, outcome="booking", **said)]
        return [booker.ended(deal, "staff", due=due, **said)]
    is_over = deal.state in ("cancelled", "failed") and deal.view.get("refund") != "due"
    if is_over and body["action"] == "refund" and due:
        return [booker.changed(deal.owing(due).but(**said), free=not said)]
    return _final(deal)


_FIRST: dict[str, Callable[[World, Occasion, Body, int], list[Option]]] = {
    "quote.get.v1": deals.get_quote,
    "quote.put.v1": deals.put_quote,
    "hold.price.v1": deals.price_hold,
    "booking.convert.v1": deals.convert,
}
_NEWS: dict[str, Callable[[Booker, Deal, Body], list[Option]]] = {
    "booking.settle.v1": _settle,
    "booking.cancel.v1": _cancel,
    "booking.reduce.v1": reduce,
    "booking.note_order.v1": _note_order,
    "booking.resolve.v1": _resolve,
}
KINDS = (*_FIRST, *_NEWS)
