"""The life of a hold after it was placed: found, extended, released. Final states absorb.

active -> converting -> confirmed -> cancelled
active -> released | expired
converting -> confirmed | released
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from holdgate_schema.answers.holds import Extended, HoldShown, HoldView, Reason, Released
from holdgate_schema.commands.holds import ChangeHold, ExtendHold, GetHold, HoldCommand, ReleaseHold
from holdgate_schema.events.holds import HoldExtended, HoldReleased
from holdgate_workers.domain.decision import Decision
from holdgate_workers.domain.draft import Draft
from holdgate_workers.domain.occurrences.occurrence import Hold, Occurrence
from holdgate_workers.domain.refusals import Refusal


def find_hold(draft: Draft, occurrence: Occurrence, command: HoldCommand | ChangeHold) -> Hold | Decision:
    """The session's active hold, or the refusal.

    A hold past its time is over, whether or not anybody has noticed: it is expired here and not revived.
    """
    hold = occurrence.holds.get(command.hold_id) or draft.context.ended_holds.get(command.hold_id)
    if hold is None or hold.session_id != command.session_id or hold.occurrence_id != occurrence.id:
        return Refusal(draft).hold_not_found(command.hold_id)
    if hold.state != "active":
        return Refusal(draft).hold_final(hold.id, hold.state)
    if hold.expires_at <= draft.context.now:
        draft.expire(hold, "touched_late")
        return Refusal(draft).hold_final(hold.id, "expired")
    return hold


def extend(draft: Draft, occurrence: Occurrence, command: ExtendHold) -> Decision:
    """Give the hold its full time again from now, within its greatest age and number of extensions."""
    hold = find_hold(draft, occurrence, command)
    if isinstance(hold, Decision):
        return hold
    now = draft.context.now
    rules = draft.context.settings.for_occurrence(occurrence.definition.hold)
    if hold.extensions_used >= rules.extensions_max:
        message = f"The hold was extended {hold.extensions_used} times, at most {rules.extensions_max} are allowed"
        return Refusal(draft).limit(
            Reason.EXTENSION_LIMIT,
            "extensions",
            message,
            limit=rules.extensions_max,
            used=hold.extensions_used,
            requested=1,
        )
    oldest = hold.created_at + timedelta(minutes=rules.lifetime_max_minutes)
    if oldest <= hold.expires_at:
        message = f"A hold lives at most {rules.lifetime_max_minutes} minutes from its creation"
        return Refusal(draft).limit(
            Reason.EXTENSION_LIMIT,
            "lifetime_minutes",
            message,
            limit=rules.lifetime_max_minutes,
            used=int((now - hold.created_at).total_seconds() // 60),
            requested=hold.ttl_seconds // 60,
        )
    if hold.offered:
        # What is offered is offered for sale, so it ends with sales at the latest.
        closes_at = occurrence.definition.closes_at
        if closes_at <= hold.expires_at:
            return Refusal(draft).offer_ends_with_sales(closes_at)
        oldest = min(oldest, closes_at)
    expires_at = max(hold.expires_at, min(now + hold.ttl, oldest))
    extended = replace(hold, expires_at=expires_at, extensions_used=hold.extensions_used + 1)
    draft.holds.append(extended)
    view = extended.view()
    draft.events.append(
        HoldExtended(
            event_id=draft.event_id(),
            occurrence_id=occurrence.id,
            version=draft.version,
            occurred_at=now,
            hold=view,
        )
    )
    answer = Extended(
        request_id=command.request_id,
        occurrence_id=occurrence.id,
        version=draft.version,
        decided_at=now,
        hold=view,
        extensions_left=rules.extensions_max - extended.extensions_used,
    )
    return draft.decided(answer)


def release(draft: Draft, occurrence: Occurrence, command: ReleaseHold) -> Decision:
    """Give the hold's seats back."""
    hold = find_hold(draft, occurrence, command)
    if isinstance(hold, Decision):
        return hold
    view = draft.end(hold, "released").view()
    draft.events.append(
        HoldReleased(
            event_id=draft.event_id(),
            occurrence_id=occurrence.id,
            version=draft.version,
            occurred_at=draft.context.now,
            hold=view,
            reason="offer_declined" if hold.offered else "by_owner",
        )
    )
    answer = Released(
        request_id=command.request_id,
        occurrence_id=occurrence.id,
        version=draft.version,
        decided_at=draft.context.now,
        hold=view,
    )
    return draft.decided(answer)


def show_hold(draft: Draft, occurrence: Occurrence, command: GetHold) -> Decision:
    """The session's hold as it is at this instant. Changes nothing, not even a hold that is past its time."""
    hold = occurrence.holds.get(command.hold_id) or draft.context.ended_holds.get(command.hold_id)
    if hold is None or hold.session_id != command.session_id or hold.occurrence_id != occurrence.id:
        return Refusal(draft).hold_not_found(command.hold_id, recorded=False)
    answer = HoldShown(
        request_id=draft.request_id,
        occurrence_id=draft.occurrence_id,
        version=occurrence.version,
        decided_at=draft.context.now,
        hold=seen_now(hold, draft.context.now),
    )
    return draft.decided(answer, recorded=False)


def seen_now(hold: Hold, now: datetime) -> HoldView:
    """The hold as its owner sees it: over at its time, whether or not it was noticed."""
    is_over = hold.state == "active" and hold.expires_at <= now
    return (replace(hold, state="expired") if is_over else hold).view()
