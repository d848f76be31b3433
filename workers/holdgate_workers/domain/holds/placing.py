"""Taking a basket, and changing one: the whole of it or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

import msgspec
from msgspec.structs import replace

from holdgate_schema.answers.holds import Changed, Held, NotOnSale, Reason
from holdgate_schema.commands.holds import ChangeHold, ExtraDefinition, PlaceHold, TicketType
from holdgate_schema.commands.selling import Pricing
from holdgate_schema.errors import FieldError, ProblemCode
from holdgate_schema.events.holds import HoldChanged, HoldCreated
from holdgate_workers.domain.decision import Decision
from holdgate_workers.domain.draft import Draft
from holdgate_workers.domain.interning import shared_counts
from holdgate_workers.domain.occurrences.occurrence import Definition, Hold, Occurrence
from holdgate_workers.domain.refusals import Refusal
from holdgate_workers.domain.settings.settings import HoldRules

from .client_addresses import client_address
from .lifecycle import find_hold

_wishes = msgspec.json.Encoder()
_NOTHING_SPECIAL = Pricing()


class Basket(Protocol):
    """What is wished for, whoever says so."""

    @property
    def items(self) -> dict[str, int]:
        """Ticket type -> how many."""

    @property
    def extras(self) -> dict[str, int]:
        """Extra -> how many."""


def place(draft: Draft, occurrence: Occurrence, command: PlaceHold, *, cart_id: str | None = None) -> Decision:
    """Hold the basket for a session until its time is over."""
    context = draft.context
    rules = context.settings.for_occurrence(occurrence.definition.hold)
    ttl = rules.ttl(command.ttl_seconds)
    if ttl is None:
        longest = f"must be at most {rules.lifetime_max_minutes * 60}, the greatest age of a hold"
        return Refusal(draft).invalid([FieldError("ttl_seconds", longest, ProblemCode.OUT_OF_RANGE)])
    refused = unfit_basket(draft, occurrence, command, rules)
    if refused is not None:
        return refused
    draws, stock = occurrence.draws_of(command.items, command.extras), occurrence.stock_of(command.extras)
    session_id = command.session_id or context.sessions.issue(command.request_id)
    refused = no_room(draft, occurrence, command.request_id, session_id, draws, stock, new=True)
    if refused is not None:
        return refused
    hold = Hold(
        id=command.request_id,
        occurrence_id=occurrence.id,
        session_id=session_id,
        user_id=command.user_id,
        state="active",
        items=shared_counts(command.items),
        extras=shared_counts(command.extras),
        draws=draws,
        stock=stock,
        seats=sum(command.items.values()),
        ttl_seconds=int(ttl.total_seconds()),
        created_at=context.now,
        expires_at=context.now + ttl,
        client_address=client_address(command.client, context.trusted_proxies) if command.client else None,
        cart_id=cart_id,
        terms=_terms_of(command.pricing),
    )
    draft.wish = wish_of(command)
    draft.holds.append(hold)
    draft.new_holds.append(hold.id)
    view = hold.view()
    draft.events.append(
        HoldCreated(
            event_id=draft.event_id(),
            occurrence_id=occurrence.id,
            version=draft.version,
            occurred_at=context.now,
            hold=view,
        )
    )
    answer = Held(
        request_id=command.request_id,
        occurrence_id=occurrence.id,
        version=draft.version,
        decided_at=context.now,
        hold=view,
        available=draft.available(hold.draws),
    )
    return draft.decided(answer)


def change(draft: Draft, occurrence: Occurrence, command: ChangeHold) -> Decision:
    """Set a hold's quantities to absolute numbers. Its own seats never stand in its way."""
    context = draft.context
    hold = find_hold(draft, occurrence, command)
    if isinstance(hold, Decision):
        return hold
    rules = context.settings.for_occurrence(occurrence.definition.hold)
    refused = unfit_basket(draft, occurrence, command, rules)
    if refused is not None:
        return refused
    draws = occurrence.draws_of(command.items, command.extras)
    stock = occurrence.stock_of(command.extras)
    refused = no_room(
        draft, occurrence, hold.id, hold.session_id, _difference(draws, hold.draws), _difference(stock, hold.stock)
    )
    if refused is not None:
        return refused
    changed = replace(
        hold,
        items=shared_counts(command.items),
        extras=shared_counts(command.extras),
        draws=draws,
        stock=stock,
        seats=sum(command.items.values()),
        quote=None,
        terms=hold.terms if command.pricing is None else _terms_of(command.pricing),
    )
    draft.wish = wish_of(command)
    draft.holds.append(changed)
    view = changed.view()
    draft.events.append(
        HoldChanged(
            event_id=draft.event_id(),
            occurrence_id=occurrence.id,
            version=draft.version,
            occurred_at=context.now,
            hold=view,
        )
    )
    answer = Changed(
        request_id=command.request_id,
        occurrence_id=occurrence.id,
        version=draft.version,
        decided_at=context.now,
        hold=view,
        available=draft.available(draws),
        keeps_pricing=command.pricing is None and changed.terms is not None,
    )
    return draft.decided(answer)


def wish_of(command: PlaceHold | ChangeHold) -> bytes | None:
    """What the second answer needs, if one is wanted."""
    return None if command.pricing is None else _wishes.encode(command.pricing)


def _terms_of(pricing: Pricing | None) -> Pricing | None:
    """What a hold keeps of it: nothing where nothing special was asked for."""
    return None if pricing == _NOTHING_SPECIAL else pricing


def not_on_sale(definition: Definition, now: datetime) -> NotOnSale | None:
    """Why the occurrence is not on sale at this instant; None if it is."""
    if definition.status != "active":
        return NotOnSale(definition.status)
    if now >= definition.starts_at:
        return NotOnSale.STARTED
    if definition.opens_at is not None and now < definition.opens_at:
        return NotOnSale.NOT_YET_OPEN
    if now >= definition.closes_at:
        return NotOnSale.PAST_CUTOFF
    return None


def unfit_basket(draft: Draft, occurrence: Occurrence, command: Basket, rules: HoldRules) -> Decision | None:
    """The refusals that need no counting, in their fixed order."""
    definition = occurrence.definition
    why = not_on_sale(definition, draft.context.now)
    if why is not None:
        return Refusal(draft).not_on_sale(why, definition)
    for key in command.items:
        if key not in definition.ticket_types:
            return Refusal(draft).unknown(Reason.UNKNOWN_TICKET, key, definition.ticket_types)
    for key in command.extras:
        if key not in definition.extras:
            return Refusal(draft).unknown(Reason.UNKNOWN_EXTRA, key, definition.extras)
    return _wrong_quantity(draft, definition, command) or _over_seat_limit(draft, command, rules)


def _wrong_quantity(draft: Draft, definition: Definition, command: Basket) -> Decision | None:
    for key, quantity in command.items.items():
        ticket = definition.ticket_types[key]
        if quantity < ticket.min_per_order:
            return Refusal(draft).quantity(Reason.BELOW_MIN, key, limit=ticket.min_per_order, requested=quantity)
    return _above_max(draft, definition.ticket_types, command.items) or _above_max(
        draft, definition.extras, command.extras
    )


def _above_max(
    draft: Draft, kinds: Mapping[str, TicketType | ExtraDefinition], wanted: dict[str, int]
) -> Decision | None:
    for key, quantity in wanted.items():
        limit = kinds[key].max_per_order
        if quantity > limit:
            return Refusal(draft).quantity(Reason.ABOVE_MAX, key, limit=limit, requested=quantity)
    return None


def _over_seat_limit(draft: Draft, command: Basket, rules: HoldRules) -> Decision | None:
    seats = sum(command.items.values())
    limits = (("seats_per_request", rules.max_seats_per_request), ("seats_per_hold", rules.max_seats_per_hold))
    for subject, limit in limits:
        if seats > limit:
            message = f"At most {limit} seats per {subject.rpartition('_')[2]}, not {seats}"
            return Refusal(draft).limit(
                Reason.LIMIT_PER_REQUEST, subject, message, limit=limit, used=0, requested=seats
            )
    return None


def no_room(
    draft: Draft,
    occurrence: Occurrence,
    hold_id: str,
    session_id: str,
    draws: dict[str, int],
    stock: dict[str, int],
    *,
    new: bool = False,
    counts: bool = True,
) -> Decision | None:
    """Take seats, stock and a place among the session's holds; the refusal if one of them is not there.

    `counts` is false for what never is a hold that the session keeps: it is sold in the same decision. Holds that are
    past their time are expired first wherever they stand in the way.
    """
    cap = draft.context.settings.max_per_session
    if new and counts and not draft.allows("session", session_id, 1, cap):
        for overdue in list(draft.due()):
            if overdue.session_id == session_id:
                draft.expire(overdue, "seats_needed")
        if not draft.allows("session", session_id, 1, cap):
            return _session_full(draft, session_id, cap)
    lacking = draft.lacking(draws)
    if lacking:
        lacking = _make_room(draft, occurrence, draws, lacking, spare=hold_id)
        if lacking:
            return Refusal(draft).sold_out(next(iter(lacking)), {key: max(0, n) for key, n in draws.items()})
    for key, taken in stock.items():
        if taken > 0 and not _stock_fits(draft, occurrence, key, taken, spare=hold_id):
            return _stock_gone(draft, key, occurrence.stock_cap(key), taken)
    draft.take(draws)
    if new:
        draft.claim("session", session_id, 1, cap)
    for key, taken in stock.items():
        if taken:
            draft.claim("stock", key, taken, occurrence.stock_cap(key))
    return None


def _make_room(
    draft: Draft, occurrence: Occurrence, draws: dict[str, int], lacking: dict[str, int], *, spare: str
) -> dict[str, int]:
    """Expire the due holds that hold what is lacking, no more of them than needed; what is lacking then.

    Where somebody stands in line, what is due is theirs.
    """
    if occurrence.waiting:
        return lacking
    for hold in list(draft.due()):
        if hold.id == spare or not hold.draws.keys() & lacking.keys():
            continue
        draft.expire(hold, "seats_needed")
        lacking = draft.lacking(draws)
        if not lacking:
            break
    return lacking


def _stock_fits(draft: Draft, occurrence: Occurrence, key: str, taken: int, *, spare: str) -> bool:
    """Whether a shared stock has room, once the due holds here that have some of it are expired."""
    cap = occurrence.stock_cap(key)
    if draft.allows("stock", key, taken, cap):
        return True
    for hold in list(draft.due()) if not occurrence.waiting else ():
        if hold.id == spare or key not in hold.stock:
            continue
        draft.expire(hold, "seats_needed")
        if draft.used_of("stock", key) + taken <= cap:
            return True
    return False


def _session_full(draft: Draft, session_id: str, cap: int) -> Decision:
    used = draft.used_of("session", session_id)
    message = f"The session has {used} active holds, at most {cap} are allowed; release one or wait for one to end"
    return Refusal(draft).limit(
        Reason.LIMIT_PER_SESSION, "holds_per_session", message, limit=cap, used=used, requested=1
    )


def _stock_gone(draft: Draft, key: str, cap: int, taken: int) -> Decision:
    return Refusal(draft).stock_gone(key, cap=cap, used=draft.used_of("stock", key), requested=taken)


def _difference(wanted: dict[str, int], had: dict[str, int]) -> dict[str, int]:
    return {key: wanted.get(key, 0) - had.get(key, 0) for key in {**wanted, **had}}
