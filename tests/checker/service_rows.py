"""Rows as a right service writes them, as far as anybody looks."""

from __future__ import annotations

from typing import Any

from tests.checker.decoding import Row
from tests.checker.history import compact
from tests.checker.instants import SECOND, row_stamp
from tests.checker.world import Entry, Hold, Occasion


def occurrence_row(occasion: Occasion) -> Row:
    """The row of an occurrence, as far as anybody looks."""
    return {
        "id": occasion.id,
        "product_id": occasion.product,
        "status": occasion.status,
        "definition": '{"kept": "elsewhere"}',
        "version": str(occasion.version),
    }


def hold_row(hold: Hold, now: int, *, offered: bool) -> Row:
    """The row of a hold."""
    basket: dict[str, Any] = {"draws": hold.draws, "items": hold.items}
    basket |= {"extras": hold.extras, "stock": hold.stock} if hold.extras else {}
    basket |= {"offered": True} if offered else {}
    basket |= {"terms": hold.terms} if hold.terms else {}
    return {
        "id": hold.id,
        "occurrence_id": hold.occurrence,
        "session_id": hold.session,
        "user_id": hold.user,
        "state": hold.state,
        "basket": compact(basket),
        "seats": str(hold.seats),
        "ttl_seconds": str(hold.ttl // SECOND),
        "created_at": row_stamp(hold.created),
        "expires_at": row_stamp(hold.expires),
        "extensions_used": str(hold.extensions),
        "client_address": None,
        "ended_at": None if hold.state in ("active", "converting", "confirmed") else row_stamp(now),
        "quote": None if hold.price is None else compact(hold.price),
        "cart_id": hold.cart,
    }


def entry_row(entry: Entry, occurrence_id: str, place: int, now: int) -> Row:
    """The row of somebody who has joined a line."""
    basket: dict[str, Any] = {"items": entry.items} | ({"extras": entry.extras} if entry.extras else {})
    return {
        "id": entry.id,
        "occurrence_id": occurrence_id,
        "session_id": entry.session,
        "user_id": entry.user,
        "state": "waiting",
        "basket": compact(basket),
        "seats": str(entry.seats),
        "place": str(place),
        "joined_at": row_stamp(now),
        "ended_at": None,
    }


def follow_up_row(request_id: str, answered_by: str | None) -> Row:
    """The row of a second answer: promised, or given."""
    return {
        "request_id": request_id,
        "reply_to": "there",
        "correlation_id": request_id,
        "answered_by": answered_by,
    }
