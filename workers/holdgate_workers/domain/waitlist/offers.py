"""Offering what is free to whoever stands in line: in the order of joining, each one whose basket fits.

The line is served in the very decision that frees something, and before a stranger's basket is looked at. So what is
left after a decision fits nobody in line, and no walk-in is given what somebody in line could have had. An offer is a
hold like any other; the entry itself holds nothing, so nothing can be counted twice. See docs/waiting-lists.md.
"""

from __future__ import annotations

from copy import copy
from datetime import timedelta
from itertools import islice

from msgspec.structs import replace

from holdgate_schema.answers.holds import Changed, Swept
from holdgate_schema.commands.holds import SWEEP_HOLDS_MAX, ChangeHold, Command, PlaceHold
from holdgate_schema.commands.selling import HoldCartLeg
from holdgate_schema.events.holds import HoldCreated
from holdgate_schema.events.selling import WaitlistLeft, WaitlistOffered
from holdgate_schema.ids import TOTAL_POOL
from holdgate_workers.domain.decision import Decision
from holdgate_workers.domain.draft import Draft
from holdgate_workers.domain.holds.placing import not_on_sale, unfit_basket
from holdgate_workers.domain.occurrences.catalogue import FINAL
from holdgate_workers.domain.occurrences.occurrence import Hold, Occurrence, WaitEntry
from holdgate_workers.domain.settings.settings import HoldRules

WAITING_MAX = 500
"""Entries in line for one occurrence, and so the most offers that one decision makes: it serves the whole line."""

_WALK_INS = (PlaceHold, ChangeHold, HoldCartLeg)
"""They take what is left, or what is due and in their way: both belong to the line first."""


def serve_before(draft: Draft, occurrence: Occurrence, command: Command) -> None:
    """Serve the line before a walk-in: time has gone by, or a limit was freed elsewhere."""
    if isinstance(command, _WALK_INS):
        serve_line(draft, occurrence, spare=getattr(command, "hold_id", None))


def serve_after(draft: Draft, occurrence: Occurrence, command: Command, decision: Decision) -> None:
    """Offer what the decision frees, as a part of it. If it ends the occurrence, the line ends, too.

    A decision that leaves no trace frees nothing; only the expiry worker's sweep serves the line all the same.
    """
    swept = isinstance(decision.answer, Swept)
    if not (decision.recorded or swept) or isinstance(command, PlaceHold | HoldCartLeg):
        return
    occurrence = draft.occurrence = _as_it_will_be(occurrence, decision)
    if occurrence.definition.status in FINAL:
        _send_home(draft, occurrence)
    else:
        serve_line(draft, occurrence, due_too=not swept)
    decision.unsure = tuple(draft.unsure)
    if draft.waiting and not decision.recorded:
        decision.recorded = True
        decision.answer = replace(decision.answer, version=draft.version)
    if isinstance(decision.answer, Changed):
        decision.answer = replace(decision.answer, available=draft.available(decision.answer.available))


def serve_line(draft: Draft, occurrence: Occurrence, *, spare: str | None = None, due_too: bool = True) -> None:
    """Offer what is free, first in line first. Whoever does not fit keeps the place and is asked again next time.

    What is due counts as free: it is expired here, except the hold `spare`, whose owner has come to change it.
    """
    if not_on_sale(occurrence.definition, draft.context.now) is not None:
        return
    if due_too:
        for hold in list(islice(draft.due(), SWEEP_HOLDS_MAX)):
            if hold.id != spare:
                draft.expire(hold, "seats_needed")
    over = {entry.id for entry in draft.waiting}
    rules = draft.context.settings.for_occurrence(occurrence.definition.hold)
    left = draft.available((TOTAL_POOL,))[TOTAL_POOL]
    assert left is not None, "the pool 'total' is never unlimited"
    for entry in occurrence.waiting.values():
        if left <= 0:
            return
        # Most who wait want more than is left: they cost one comparison.
        if entry.seats <= left and entry.id not in over and _offer(draft, occurrence, entry, rules):
            left -= entry.seats


def _offer(draft: Draft, occurrence: Occurrence, entry: WaitEntry, rules: HoldRules) -> bool:
    """Give the entry its hold, if all of the basket can be had now by the rules that are in force now."""
    if unfit_basket(draft, occurrence, entry, rules) is not None:
        return False
    settings, now = draft.context.settings, draft.context.now
    draws, stock = occurrence.draws_of(entry.items, entry.extras), occurrence.stock_of(entry.extras)
    if draft.lacking(draws) or not draft.allows("session", entry.session_id, 1, settings.max_per_session):
        return False
    if not all(draft.allows("stock", key, taken, occurrence.stock_cap(key)) for key, taken in stock.items()):
        return False
    ttl = timedelta(minutes=min(settings.offer_minutes, rules.lifetime_max_minutes))
    hold = Hold(
        id=entry.id,
        occurrence_id=occurrence.id,
        session_id=entry.session_id,
        user_id=entry.user_id,
        state="active",
        items=entry.items,
        extras=entry.extras,
        draws=draws,
        stock=stock,
        seats=entry.seats,
        ttl_seconds=int(ttl.total_seconds()),
        created_at=now,
        expires_at=min(now + ttl, occurrence.definition.closes_at),
        offered=True,
    )
    draft.take(draws)
    draft.claim("session", hold.session_id, 1, settings.max_per_session)
    for key, taken in stock.items():
        draft.claim("stock", key, taken, occurrence.stock_cap(key))
    draft.holds.append(hold)
    draft.new_holds.append(hold.id)
    draft.waiting.append(replace(entry, state="offered", ended_at=now))
    view = hold.view()
    draft.events.append(HoldCreated(**draft.event_fields(), hold=view))
    draft.events.append(WaitlistOffered(**draft.event_fields(), entry_id=entry.id, hold=view))
    return True


def _send_home(draft: Draft, occurrence: Occurrence) -> None:
    for entry in occurrence.waiting.values():
        draft.waiting.append(replace(entry, state="left", ended_at=draft.context.now))
        draft.events.append(
            WaitlistLeft(
                **draft.event_fields(), entry_id=entry.id, session_id=entry.session_id, reason="occurrence_ended"
            )
        )


def _as_it_will_be(occurrence: Occurrence, decision: Decision) -> Occurrence:
    """The occurrence under the definition and capacity that the decision gives it."""
    if decision.definition is None:
        return occurrence
    after = copy(occurrence)
    after.definition = decision.definition
    after.pools = occurrence.pools if decision.pools is None else decision.pools
    return after
