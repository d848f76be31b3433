"""Standing in line for a basket that is sold out, and leaving the line."""

from __future__ import annotations

from msgspec.structs import replace

from holdgate_schema.answers.holds import HoldView
from holdgate_schema.answers.selling import LeftWaitlist, Waiting, WaitlistPlace
from holdgate_schema.commands.holds import ReleaseHold
from holdgate_schema.commands.selling import GetWaitlistEntry, JoinWaitlist, LeaveWaitlist
from holdgate_schema.events.holds import HoldReleased
from holdgate_schema.events.selling import WaitlistJoined, WaitlistLeft
from holdgate_workers.domain.decision import Decision
from holdgate_workers.domain.draft import Draft
from holdgate_workers.domain.holds.lifecycle import find_hold, seen_now
from holdgate_workers.domain.holds.placing import unfit_basket
from holdgate_workers.domain.occurrences.occurrence import Hold, Occurrence, WaitEntry
from holdgate_workers.domain.refusals import Refusal

from .offers import WAITING_MAX, serve_line


def join(draft: Draft, occurrence: Occurrence, command: JoinWaitlist) -> Decision:
    """Take the last place in line. Whoever could have the basket now is told so: they place a hold."""
    context = draft.context
    rules = context.settings.for_occurrence(occurrence.definition.hold)
    refused = unfit_basket(draft, occurrence, command, rules)
    if refused is not None:
        return refused
    serve_line(draft, occurrence)
    over = {entry.id for entry in draft.waiting}
    line = [entry for entry in occurrence.waiting.values() if entry.id not in over]
    session_id = command.session_id or context.sessions.issue(command.request_id)
    for position, entry in enumerate(line, start=1):
        if entry.session_id == session_id:
            return Refusal(draft).already_waiting(entry.id, position)
    draws, stock = occurrence.draws_of(command.items, command.extras), occurrence.stock_of(command.extras)
    if not draft.lacking(draws) and all(
        draft.allows("stock", key, taken, occurrence.stock_cap(key)) for key, taken in stock.items()
    ):
        draft.rests_on("stock", stock)
        return Refusal(draft).not_sold_out(draws)
    if len(line) >= WAITING_MAX:
        return Refusal(draft).line_full(WAITING_MAX, len(line))
    entry = WaitEntry(
        id=command.request_id,
        occurrence_id=occurrence.id,
        session_id=session_id,
        user_id=command.user_id,
        state="waiting",
        items=command.items,
        extras=command.extras,
        seats=sum(command.items.values()),
        place=draft.version,
        joined_at=context.now,
    )
    draft.waiting.append(entry)
    draft.events.append(
        WaitlistJoined(
            **draft.event_fields(),
            entry_id=entry.id,
            session_id=session_id,
            seats=entry.seats,
            user_id=entry.user_id,
        )
    )
    answer = Waiting(
        request_id=draft.request_id,
        occurrence_id=draft.occurrence_id,
        version=draft.version,
        decided_at=context.now,
        entry_id=entry.id,
        session_id=session_id,
        position=len(line) + 1,
        seats=entry.seats,
    )
    return draft.decided(answer)


def leave(draft: Draft, occurrence: Occurrence, command: LeaveWaitlist) -> Decision:
    """Leave the line, or decline the offer that was made: the entry's hold is released then."""
    entry = occurrence.waiting.get(command.entry_id)
    if entry is None or entry.session_id != command.session_id:
        return _decline(draft, occurrence, command)
    draft.waiting.append(replace(entry, state="left", ended_at=draft.context.now))
    draft.events.append(WaitlistLeft(**draft.event_fields(), entry_id=entry.id, session_id=entry.session_id))
    return _left(draft, command)


def show_entry(draft: Draft, occurrence: Occurrence, command: GetWaitlistEntry) -> Decision:
    """The session's place in line, or the offer that came of it. Changes nothing."""
    for position, entry in enumerate(occurrence.waiting.values(), start=1):
        if entry.id == command.entry_id and entry.session_id == command.session_id:
            return _shown(draft, occurrence, entry, position=position)
    hold = occurrence.holds.get(command.entry_id) or draft.context.ended_holds.get(command.entry_id)
    is_offer = hold is not None and hold.offered and hold.occurrence_id == occurrence.id
    if hold is None or not is_offer or hold.session_id != command.session_id:
        return Refusal(draft).entry_not_found(command.entry_id, recorded=False)
    return _shown(draft, occurrence, hold, hold=seen_now(hold, draft.context.now))


def _shown(
    draft: Draft,
    occurrence: Occurrence,
    entry: WaitEntry | Hold,
    *,
    position: int | None = None,
    hold: HoldView | None = None,
) -> Decision:
    answer = WaitlistPlace(
        request_id=draft.request_id,
        occurrence_id=draft.occurrence_id,
        version=occurrence.version,
        decided_at=draft.context.now,
        entry_id=entry.id,
        session_id=entry.session_id,
        state="waiting" if hold is None else "offered",
        items=entry.items,
        extras=entry.extras,
        seats=entry.seats,
        position=position,
        hold=hold,
    )
    return draft.decided(answer, recorded=False)


def _decline(draft: Draft, occurrence: Occurrence, command: LeaveWaitlist) -> Decision:
    hold = occurrence.holds.get(command.entry_id) or draft.context.ended_holds.get(command.entry_id)
    if (
        hold is None
        or not hold.offered
        or hold.session_id != command.session_id
        or hold.occurrence_id != occurrence.id
    ):
        return Refusal(draft).entry_not_found(command.entry_id)
    found = find_hold(
        draft,
        occurrence,
        ReleaseHold(
            request_id=draft.request_id,
            occurrence_id=draft.occurrence_id,
            session_id=command.session_id,
            hold_id=hold.id,
        ),
    )
    if isinstance(found, Decision):
        return found
    released = draft.end(found, "released")
    draft.events.append(HoldReleased(**draft.event_fields(), hold=released.view(), reason="offer_declined"))
    return _left(draft, command)


def _left(draft: Draft, command: LeaveWaitlist) -> Decision:
    answer = LeftWaitlist(
        request_id=draft.request_id,
        occurrence_id=draft.occurrence_id,
        version=draft.version,
        decided_at=draft.context.now,
        entry_id=command.entry_id,
    )
    return draft.decided(answer)
