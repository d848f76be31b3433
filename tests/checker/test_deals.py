"""The model of bookings says what the table of docs/bookings.md says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.checker.booker import Deal
from tests.checker.deal_news import options
from tests.checker.pool import Pool
from tests.checker.world import Hold, Occasion, Ticket, World

DOCUMENT = Path(__file__).parents[2] / "docs" / "bookings.md"
STATES = {
    "converting": ("converting", "converting", None),
    "confirmed": ("confirmed", "confirmed", None),
    "parked (with seats)": ("parked", "converting", None),
    "parked (without)": ("parked", "", None),
    "refund_required": ("refund_required", "", None),
    "failed": ("failed", "", "saga"),
    "cancelled (by the buyer)": ("cancelled", "", "owner"),
    "cancelled (by the shop)": ("cancelled", "", "order"),
}
KINDS = {"settle": "settle", "cancel": "cancel", "order": "note_order", "resolve": "resolve"}
NOW = 1_800_000_000_000_000


def cells() -> list[tuple[str, str, str]]:
    """What happens, in which state, and what the table says."""
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    columns = next(row for row in rows if row[1:] == list(STATES))
    table = [row for row in rows if re.split("[ ,]", row[0])[0] in KINDS and len(row) == len(columns)]
    return [(row[0], column, cell) for row in table for column, cell in zip(columns[1:], row[1:], strict=True)]


def a_world(column: str) -> tuple[World, Occasion]:
    """One booking in that state, paid, in an empty room."""
    state, hold_state, ended_by = STATES[column]
    world, occasion = World({}, 0), Occasion("occ")
    occasion.pools, occasion.tickets = {"total": Pool(10)}, {"adult": Ticket(0, 10, [])}
    occasion.starts = occasion.ends = 2 * NOW
    price = {"hash": "h", "currency": "EUR", "total": 100}
    if hold_state:
        hold = Hold("hold", "occ", "buyer", None)
        hold.state, hold.items, hold.draws, hold.price = hold_state, {"adult": 1}, {"total": 1}, price
        (occasion.sold if hold_state == "confirmed" else occasion.live)["hold"] = hold
    view: dict[str, Any] = {"booking_id": "hold", "hold_id": "hold", "occurrence_id": "occ", "session_id": "buyer"}
    payment = {"method": "card", "amount": 100, "currency": "EUR", "status": "paid"}
    view |= {"state": state, "items": {"adult": 1}, "seats": 1, "quote": price, "payment": payment}
    if ended_by is not None or state == "refund_required":
        view |= {"refund": "due", "refund_due": 100}
    if ended_by == "order":
        changed_at = "2026-11-21T12:00:00Z"
        view["order"] = {"gateway": "local", "order_id": "1", "status": "cancelled", "changed_at": changed_at}
    world.deals["hold"] = Deal(view, price, ended_by)
    world.occasions["occ"] = occasion
    return world, occasion


def said(what: str) -> tuple[str, dict[str, Any]]:
    """The command of a row."""
    word, _, more = what.partition(", after it ")[0].partition(" ")
    body: dict[str, Any] = {"request_id": "again", "booking_id": "hold"}
    order = {"gateway": "local", "order_id": "1", "status": "pending"}
    match word:
        case "settle":
            body |= {"outcome": more, "order": order}
        case "order":
            status, _, given_back = more.partition(", ")
            body |= {"order_id": "1", "status": status, "changed_at": "2026-11-22T12:00:00Z"}
            body |= {"refunded": 100} if given_back else {}
        case "resolve":
            body |= {"action": more, "by": "ada"}
        case "cancel":
            body["session_id"] = "buyer"
    return f"booking.{KINDS[word]}.v1", body


@pytest.mark.parametrize(("what", "column", "cell"), cells())
def test_what_is_said_of_a_booking_comes_to_what_the_table_says(what: str, column: str, cell: str) -> None:
    world, occasion = a_world(column)
    before = world.deals["hold"]
    kind, body = said(what)
    when = what.partition(", after it ")[2]
    if when == "ended":
        occasion.starts = occasion.ends = NOW
    elif when:
        occasion.status = "cancelled"
    option = options(world, occasion, kind, body, NOW)[0]
    if option.apply is None:
        assert (cell, option.outcome) == ("–", "refused")
        return
    option.apply()
    after = world.deals["hold"]
    told = f"**{after.state}**" if after.state != before.state else ""
    if told or after.view.get("refund") != before.view.get("refund"):
        told += {"due": ", refund due", "done": ", refunded", None: ""}[after.view.get("refund")]
    assert (told.lstrip(", ") or "noted") == cell


def test_the_table_was_found() -> None:
    assert len(cells()) == 25 * len(STATES)
