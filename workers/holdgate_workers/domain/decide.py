"""One command, one occurrence, one instant: one decision. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from holdgate_schema.errors import FieldError
from holdgate_schema.messages import (
    ChangeHold,
    CloseOccurrence,
    Command,
    ExtendHold,
    GetAvailability,
    PlaceHold,
    PutOccurrence,
    ReleaseHold,
    SetCapacity,
    SweepHolds,
)

from .availability import availability
from .catalogue import close, put, set_capacity
from .decision import Context, Decision
from .draft import Draft
from .expiry import sweep
from .lifecycle import extend, release
from .occurrence import Occurrence
from .placing import change, place
from .refusals import Refusal


def decide(occurrence: Occurrence | None, command: Command, context: Context) -> Decision:
    """What the command comes to. The occurrence is only looked at; `Decision.apply_to` changes it.

    `occurrence` is None where there is none. Refusals are checked in the order of `Reason`. Raises
    `AssertionError` if an invariant does not hold: the message must then be isolated, not answered.
    """
    draft = Draft(command.request_id, command.occurrence_id, occurrence, context)
    session_id = getattr(command, "session_id", None)
    if session_id is not None and context.sessions.is_forged(session_id):
        return Refusal(draft).forbidden("The session_id claims to be issued here and was not")
    if isinstance(command, PutOccurrence):
        return put(draft, occurrence, command)
    if occurrence is None:
        read = isinstance(command, GetAvailability | SweepHolds)
        return Refusal(draft).unknown_occurrence(recorded=not read)
    return _on_occurrence(draft, occurrence, command)


def refuse_unreadable(
    occurrence: Occurrence | None,
    request_id: str,
    occurrence_id: str,
    errors: Sequence[FieldError],
    context: Context,
) -> Decision:
    """The refusal of a message whose ids could be read and nothing else can be trusted."""
    return Refusal(Draft(request_id, occurrence_id, occurrence, context)).invalid(errors)


def refuse_conflict(request_id: str, occurrence_id: str, context: Context) -> Decision:
    """The refusal of a request whose id was used before with another body. Leaves no trace."""
    return Refusal(Draft(request_id, occurrence_id, None, context)).conflict()


def _on_occurrence(draft: Draft, occurrence: Occurrence, command: Command) -> Decision:
    match command:
        case PlaceHold():
            return place(draft, occurrence, command)
        case ReleaseHold():
            return release(draft, occurrence, command)
        case ExtendHold():
            return extend(draft, occurrence, command)
        case ChangeHold():
            return change(draft, occurrence, command)
        case SweepHolds():
            return sweep(draft, occurrence, command)
        case GetAvailability():
            return availability(draft, occurrence, command)
        case CloseOccurrence():
            return close(draft, occurrence, command)
        case SetCapacity():
            return set_capacity(draft, occurrence, command)
        case _:
            raise AssertionError(f"no rule for {type(command).__name__}")
