"""Ending the holds whose time is over. Never early; what noticed it decides only the event's reason."""

from __future__ import annotations

from itertools import islice

from holdgate_schema.answers.holds import Swept
from holdgate_schema.commands.holds import SweepHolds
from holdgate_workers.domain.decision import Decision
from holdgate_workers.domain.draft import Draft
from holdgate_workers.domain.occurrences.occurrence import Occurrence


def sweep(draft: Draft, occurrence: Occurrence, command: SweepHolds) -> Decision:
    """Expire what is due, up to the command's bound. Finding nothing leaves no record."""
    due = list(islice(occurrence.due(draft.context.now), command.holds_max + 1))
    chosen = due[: command.holds_max]
    for hold in chosen:
        draft.expire(hold, "swept")
    answer = Swept(
        request_id=command.request_id,
        occurrence_id=occurrence.id,
        version=draft.version if chosen else occurrence.version,
        decided_at=draft.context.now,
        expired=len(chosen),
        more=len(due) > len(chosen),
    )
    return draft.decided(answer, recorded=bool(chosen))
