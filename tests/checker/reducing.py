"""What giving some tickets of a booking back comes to, written from docs/contract-selling.md and docs/bookings.md."""

from __future__ import annotations

from typing import Any

from tests.checker.allowed import ANYTHING, Option, Shown, refused
from tests.checker.booker import Booker, Deal
from tests.checker.model import Body
from tests.checker.world import Hold, Taken


def reduce(booker: Booker, deal: Deal, body: Body, *, by_staff: bool = False) -> list[Option]:
    """`booking.reduce.v1`, and the same by a person, whom neither the clock nor a buyer's limits bind."""
    had = {"items": deal.view["items"], "extras": deal.view.get("extras") or {}}
    kept = {"items": body["items"], "extras": body.get("extras") or {}}
    more = any(number > had[part].get(key, 0) for part, counts in kept.items() for key, number in counts.items())
    booking = {"booking_id": deal.view["booking_id"]}
    if more or kept == had or not kept["items"]:
        return [refused("invalid", errors=ANYTHING)]
    if deal.state != "confirmed":
        return [refused("booking_final", subject=deal.state, **booking)]
    if booker.now >= booker.occasion.starts and not by_staff:
        return [refused("too_late", **booking)]
    gone = {part: _less(had[part], kept[part]) for part in had}
    left, said = deal.kept - int(deal.view.get("refund_due", 0)), body.get("refund_amount")
    if by_staff and said is not None:
        if said and said >= left:
            return [refused("invalid", errors=ANYTHING)]
        return [_reduced(booker, deal, kept, gone, said, body.get("note"))]
    if deal.price["total"] and not deal.is_paid:
        return [refused("unpaid", **booking)]
    shares = deal.price.get("shares") or {}
    pieces = {f"{part[:-1].replace('item', 'ticket')}.{key}": n for part in gone for key, n in gone[part].items()}
    unknown = [name for name in pieces if name not in shares]
    if unknown and deal.price["total"]:
        return [refused("unpriced", subject=unknown[0], **booking)]
    share = sum(shares.get(name, 0) * n for name, n in pieces.items())
    if share and share >= left:
        return [refused("unpriced", **booking)]
    for key, number in () if by_staff else body["items"].items():
        ticket = booker.occasion.tickets.get(key)
        if ticket is not None and number < ticket.least:
            return [refused("below_min", subject=key, limit=ticket.least, requested=number)]
    return [_reduced(booker, deal, kept, gone, share, body.get("note") if by_staff else None)]


def _reduced(
    booker: Booker, deal: Deal, kept: dict[str, Taken], gone: dict[str, Taken], amount: int, note: str | None
) -> Option:
    hold = booker.occasion.sold[deal.view["hold_id"]]
    before = int(deal.view.get("refund_due", 0))
    due = min(before + amount, deal.kept)
    said = {"reason": note} if note else {}
    done = deal.but(**said, items=kept["items"], extras=kept["extras"], seats=sum(kept["items"].values())).owing(
        due
    )
    done.ended_by = deal.ended_by
    told = Shown(done.view)
    event: dict[str, Any] = {"type": "booking.reduced.v1", "booking": told, "items": gone["items"]}
    event |= {"extras": gone["extras"], "amount": due - before}
    move = lambda: _give_back(booker, hold, kept, gone)  # noqa: E731
    return Option("booking", None, {"booking": told}, [event], booker.kept(done, move, touched=(hold,)))


def _give_back(booker: Booker, hold: Hold, kept: dict[str, Taken], gone: dict[str, Taken]) -> None:
    """What goes is free; where the catalogue was changed meanwhile, nothing is that the rest still asks for."""
    occasion, world = booker.occasion, booker.world
    today = [_known(booker, basket) for basket in (gone, kept)]
    for field, taken in (("draws", hold.draws), ("stock", hold.stock)):
        number = 0 if field == "draws" else 1
        goes, stays = today[0][number], today[1][number]
        left = {key: max(n - min(n, goes.get(key, 0)), min(n, stays.get(key, 0))) for key, n in taken.items()}
        for key, before in taken.items():
            if field == "draws":
                occasion.pools[key].sold -= before - left[key]
            elif left[key] != before:
                world.gauge("stock", key).add(left[key] - before, booker.now, world.stale)
        setattr(hold, field, {key: n for key, n in left.items() if n})
    hold.items, hold.extras = kept["items"], kept["extras"]
    hold.seats = sum(hold.items.values())


def _known(booker: Booker, basket: dict[str, Taken]) -> tuple[Taken, Taken]:
    occasion = booker.occasion
    items = {key: n for key, n in basket["items"].items() if key in occasion.tickets}
    extras = {key: n for key, n in basket["extras"].items() if key in occasion.extras}
    return occasion.draws(items, extras), occasion.stock(extras)


def _less(had: Taken, kept: Taken) -> Taken:
    return {key: number - kept.get(key, 0) for key, number in had.items() if number > kept.get(key, 0)}
