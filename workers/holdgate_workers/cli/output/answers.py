"""What the answers look like to people. A refusal says why, and what would work."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import click

from holdgate_schema.answers.holds import (
    Answer,
    Availability,
    Changed,
    Extended,
    Held,
    HoldView,
    OccurrenceStored,
    Refused,
    Released,
)
from holdgate_workers.cli import exits

from .formats import amount, basket, moment
from .output import Column, Output


def tell(out: Output, answer: Answer) -> None:
    """Print an answer; a refusal ends the command with its exit code."""
    if out.is_json:
        out.json(answer)
    else:
        _tell_people(out, answer)
    if isinstance(answer, Refused):
        raise click.exceptions.Exit(exits.REFUSED)


def _tell_people(out: Output, answer: Answer) -> None:
    match answer:
        case Held() | Changed():
            out.line(type(answer).__name__, style="bold green")
            tell_hold(out, answer.hold, answer.decided_at, ("left", _amounts(answer.available)))
        case Extended():
            out.line("Extended", style="bold green")
            tell_hold(out, answer.hold, answer.decided_at, ("extensions left", answer.extensions_left))
        case Released():
            out.line("Released", style="bold green")
            tell_hold(out, answer.hold, answer.decided_at)
        case Availability():
            tell_availability(out, answer)
        case OccurrenceStored():
            _tell_stored(out, answer)
        case Refused():
            tell_refusal(out, answer)
        case _:
            out.details([("outcome", type(answer).__name__), ("decided", answer.decided_at)])


def tell_hold(out: Output, hold: HoldView, now: datetime, *more: tuple[str, object]) -> None:
    """A hold's fields, and what else the answer says."""
    out.details(
        [
            ("hold", hold.hold_id),
            ("occurrence", hold.occurrence_id),
            ("session", hold.session_id),
            ("user", hold.user_id),
            ("state", hold.state),
            ("basket", basket(hold.items, hold.extras)),
            ("seats", hold.seats),
            ("expires", moment(hold.expires_at, now) if hold.state == "active" else None),
            ("extensions", hold.extensions_used or None),
            *more,
        ]
    )


def _amounts(available: dict[str, int | None]) -> str:
    return ", ".join(f"{key} {amount(number)}" for key, number in available.items())


def tell_refusal(out: Output, answer: Refused) -> None:
    """Why not, and what would work."""
    out.line(f"Refused: {answer.reason.value}", style="bold red")
    out.line(f"  {answer.message}")
    now = answer.decided_at
    limit = None if answer.limit is None else _limit(answer)
    out.details(
        [
            *((error.field, error.reason) for error in answer.errors),
            ("concerns", answer.subject),
            ("requested", answer.requested),
            ("limit", limit),
            ("available now", _amounts(answer.available)),
            ("merely held", ", ".join(f"{key} {n}" for key, n in answer.held.items() if n) or None),
            ("next release", moment(answer.next_release_at, now) if answer.next_release_at else None),
            ("sales open", moment(answer.opens_at, now) if answer.opens_at else None),
            ("hold is", answer.hold_state),
            ("price", _price(answer)),
            ("booking", answer.booking_id),
            ("cart", answer.cart_id),
            ("what to do", _ADVICE.get(answer.reason.value, _sticky)(answer)),
            ("request id", answer.request_id),
        ]
    )


def _price(answer: Refused) -> str | None:
    if answer.quote is None:
        return None
    from holdgate_workers.domain.pricing.money import shown

    return f"{shown(answer.quote.total, answer.quote.currency)} {answer.quote.currency}"


def _limit(answer: Refused) -> str:
    return f"{answer.limit}" + (f", in use {answer.used}" if answer.used is not None else "")


def _sticky(answer: Refused) -> str:
    if answer.retryable:
        return "send it again in a moment, with the same request id"
    return "correct the request; this request id will always get this answer"


def _sold_out(answer: Refused) -> str:
    most = [number for number in answer.available.values() if number is not None]
    some = f"ask for at most {min(most)}" if most and min(most) > 0 else None
    later = "ask again after the next release, as a new request" if answer.next_release_at else None
    return ", or ".join(part for part in (some, later) if part) or "choose another occurrence"


_ADVICE: dict[str, Callable[[Refused], str]] = {
    "sold_out": _sold_out,
    "unknown_occurrence": lambda _: "see `holdgate occurrence list`",
    "hold_not_found": lambda _: "see `holdgate hold show ID`: occurrence and session must be the hold's own",
    "not_on_sale": lambda answer: (
        "ask again when sales are open, as a new request" if answer.opens_at else "choose another occurrence"
    ),
    "hold_final": lambda _: "place a new hold",
    "unpriced": lambda _: "see `holdgate product price --explain`; a hold is priced a moment after it was placed",
    "price_changed": lambda _: "show the buyer the price given here, and convert with its quote",
    "quote_expired": lambda _: "show the buyer the price given here, and convert with its quote",
    "voucher_used_up": lambda _: "have the hold priced without the voucher",
    "booking_not_found": lambda _: "see `holdgate booking list`",
    "not_sold_out": lambda _: "place a hold",
    "parked": lambda _: "see `holdgate booking list --state parked` and `holdgate booking resolve`",
    "refund_required": lambda _: "give the money back, then `holdgate booking resolve BOOKING refunded`",
    "limit_per_session": lambda _: "release a hold of the session, or let one end",
    "request_conflict": lambda _: "leave --request-id out, or repeat exactly what it was first used for",
}


def tell_availability(out: Output, answer: Availability) -> None:
    """Pools and ticket types."""
    now = answer.decided_at
    sale = "on sale" if answer.on_sale else f"not on sale: {answer.not_on_sale or answer.status}"
    out.line(f"{answer.occurrence_id} ({answer.product_id})", style="bold")
    out.details(
        [
            ("sale", sale),
            ("starts", moment(answer.starts_at, now)),
            ("next release", moment(answer.next_release_at, now) if answer.next_release_at else None),
        ]
    )
    out.line()
    numbers = [Column(name, right=True) for name in ("capacity", "sellable", "held", "sold", "available")]
    out.table(
        ["pool", *numbers],
        [
            (key, amount(p.capacity), amount(p.sellable), p.held, p.sold, amount(p.available))
            for key, p in answer.pools.items()
        ],
    )
    out.line()
    out.table(
        ["ticket", "label", Column("per order", right=True), Column("could take now", right=True)],
        [
            (key, ticket.label, f"{ticket.min_per_order}–{ticket.max_per_order}", ticket.available)
            for key, ticket in answer.ticket_types.items()
        ],
    )


def _tell_stored(out: Output, answer: OccurrenceStored) -> None:
    done = "Created" if answer.created else "Stored" if answer.changed else "Unchanged: it was so already"
    out.line(done, style="bold green")
    out.details(
        [
            ("occurrence", answer.occurrence_id),
            ("status", answer.status),
            ("version", answer.version),
            ("sellable", _amounts(answer.sellable)),
        ]
    )
    for key, missing in answer.deficit.items():
        out.line(
            f"  {key}: {missing} more are taken than may be sold now; nothing new is granted until they come back",
            style="yellow",
        )
