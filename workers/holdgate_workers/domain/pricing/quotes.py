"""Prices as the gate sees them: asked for, and brought by the pricing worker. It computes none itself."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from holdgate_schema.answers.holds import FieldProblem, Reason
from holdgate_schema.answers.selling import Priced, Quoted, Quoting
from holdgate_schema.commands.selling import GetQuote, PriceHold, Pricing, PutQuote
from holdgate_schema.errors import ProblemCode
from holdgate_schema.events.selling import HoldPriced, QuoteRequested
from holdgate_schema.values.quotes import PriceProblem
from holdgate_workers.domain.bookings.booking import HoldQuote
from holdgate_workers.domain.decision import Decision
from holdgate_workers.domain.draft import Draft
from holdgate_workers.domain.occurrences.occurrence import Occurrence
from holdgate_workers.domain.refusals import Refusal

SUPERSEDED = "The hold was changed by a later request before it was priced; that request brings the hold's price"

_wishes = msgspec.json.Encoder()
_BASKET = {"ticket": "items", "extra": "extras"}
_SUPERSEDED = FieldProblem(code=ProblemCode.SUPERSEDED, field="items", reason=SUPERSEDED, pointer="/items")


def request_quote(draft: Draft, occurrence: Occurrence, command: GetQuote) -> Decision:
    """Have a basket priced that nobody holds."""
    definition = occurrence.definition
    for key in command.items:
        if key not in definition.ticket_types:
            return Refusal(draft).unknown(Reason.UNKNOWN_TICKET, key, definition.ticket_types)
    for key in command.extras:
        if key not in definition.extras:
            return Refusal(draft).unknown(Reason.UNKNOWN_EXTRA, key, definition.extras)
    draft.wish = _wishes.encode(Pricing(payment_method=command.payment_method, voucher=command.voucher))
    draft.events.append(
        QuoteRequested(
            **draft.event_fields(),
            product_id=definition.product_id,
            items=command.items,
            extras=command.extras,
            payment_method=command.payment_method,
        )
    )
    answer = Quoting(
        request_id=draft.request_id,
        occurrence_id=draft.occurrence_id,
        version=draft.version,
        decided_at=draft.context.now,
    )
    return draft.decided(answer)


def put_quote(draft: Draft, _: Occurrence, command: PutQuote) -> Decision:
    """Tell whoever asked."""
    draft.answers = command.answers
    if command.quote is None or command.valid_until is None:
        return _unpriced(draft, command.problems)
    answer = Quoted(
        request_id=draft.request_id,
        occurrence_id=draft.occurrence_id,
        version=draft.version,
        decided_at=draft.context.now,
        quote=command.quote,
        valid_until=command.valid_until,
    )
    return draft.decided(answer)


def price(draft: Draft, occurrence: Occurrence, command: PriceHold) -> Decision:
    """Give a hold its price, if it still is what was priced."""
    draft.answers = command.answers
    hold = occurrence.holds.get(command.hold_id) or draft.context.ended_holds.get(command.hold_id)
    if hold is None or hold.occurrence_id != occurrence.id:
        return Refusal(draft).hold_not_found(command.hold_id)
    if hold.state != "active" or hold.expires_at <= draft.context.now:
        return Refusal(draft).hold_final(hold.id, "expired" if hold.state == "active" else hold.state)
    if (hold.items, hold.extras) != (command.items, command.extras):
        return Refusal(draft).unpriced(SUPERSEDED, subject=hold.id, errors=[_SUPERSEDED])
    quote = command.quote
    if quote is None:
        return _unpriced(draft, command.problems)
    priced = replace(
        hold,
        quote=HoldQuote(
            hash=quote.hash,
            currency=quote.currency,
            total=quote.total,
            payment_method=quote.payment_method,
            voucher=command.voucher,
            voucher_uses_max=command.voucher_uses_max,
            outdated_hash=command.outdated_hash,
            shares=command.shares,
        ),
    )
    draft.holds.append(priced)
    view = priced.view()
    draft.events.append(HoldPriced(**draft.event_fields(), hold=view, quote=quote))
    answer = Priced(
        request_id=draft.request_id,
        occurrence_id=draft.occurrence_id,
        version=draft.version,
        decided_at=draft.context.now,
        hold=view,
        quote=quote,
    )
    return draft.decided(answer)


def _unpriced(draft: Draft, problems: list[PriceProblem]) -> Decision:
    said = "; ".join(problem.message for problem in problems)
    errors = [
        FieldProblem(
            code=problem.reason,
            field=f"{problem.what}.{problem.key}",
            reason=problem.message,
            pointer=f"/{_BASKET[problem.what]}/{problem.key}" if problem.what in _BASKET else None,
        )
        for problem in problems
    ]
    return Refusal(draft).unpriced(said or "There is no price", errors=errors)
