"""From what somebody wrote to an `occurrence.put`, checked as the gate will check it, before anything is sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from holdgate_schema.answers.holds import Refused
from holdgate_schema.commands.holds import AlertOverrides, PutOccurrence
from holdgate_schema.decoding.prepared import Prepared
from holdgate_schema.decoding.problems import problems_of, shape_of, without_nulls
from holdgate_schema.errors import FieldError
from holdgate_workers.domain.decide import decide
from holdgate_workers.domain.decision import Context, LimitKey
from holdgate_workers.domain.holds.sessions import SessionKeys
from holdgate_workers.domain.occurrences.wall_time import instant_of, zone_exists
from holdgate_workers.domain.settings.settings import Settings
from holdgate_workers.ids import new_request_id

from .specs import Document

_put_occurrence: Prepared[PutOccurrence] = Prepared(PutOccurrence)
# What the pure rules want to know and the definition of an occurrence does not depend on.
_INSTANT = datetime(2000, 1, 1, tzinfo=UTC)
_SECRET = bytes(16)


class InvalidDefinition(ValueError):
    """The occurrence cannot be put like that; `errors` has every problem found."""

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__("; ".join(f"{error.field} {error.reason}" for error in errors))
        self.errors = errors


class _NoLimits:
    def used(self, limit: LimitKey) -> int:  # noqa: ARG002
        return 0

    def is_fresh(self, limit: LimitKey) -> bool:  # noqa: ARG002
        return True

    def cap(self, limit: LimitKey) -> int | None:  # noqa: ARG002
        """Nothing is known."""
        return None


@dataclass(slots=True)
class Checker:
    """Checks one definition after the other, also against one another: each id and each start only once."""

    ids: set[str] = field(default_factory=set)
    starts: dict[tuple[str, datetime], str] = field(default_factory=dict)

    def command(self, document: Document) -> PutOccurrence:
        """The request; raises `InvalidDefinition`."""
        command = _converted(document)
        if command.occurrence_id in self.ids:
            raise InvalidDefinition([FieldError("occurrence_id", f"{command.occurrence_id!r} comes twice")])
        answer = decide(None, command, self._context(command.alerts)).answer
        if isinstance(answer, Refused):
            raise InvalidDefinition(
                [FieldError(error.field, error.reason, error.code, error.pointer) for error in answer.errors]
            )
        self.ids.add(command.occurrence_id)
        self.starts[command.product_id, command.starts_at.astimezone(UTC)] = command.occurrence_id
        return command

    def _context(self, alerts: AlertOverrides | None) -> Context:
        # Which thresholds the house has is not known here: those with which it would accept these.
        lowest = alerts.low if alerts and alerts.low else 1
        return Context(
            now=_INSTANT,
            settings=Settings(alerts_low=1, alerts_nearly_full=lowest + 1, alerts_full=100),
            sessions=SessionKeys(_SECRET),
            limits=_NoLimits(),
            start_taken_by=self.starts,
        )


def _converted(document: Document) -> PutOccurrence:
    """The command, by the rules of the contract: every problem at once, in its words."""
    shape = shape_of(PutOccurrence)
    body = without_nulls(msgspec.to_builtins({"request_id": new_request_id(), **document}), shape)
    errors = list(problems_of(body, shape))
    if errors:
        raise InvalidDefinition(errors)
    try:
        return _put_occurrence.convert(body)
    except msgspec.ValidationError as exc:
        raise InvalidDefinition([FieldError("definition", str(exc))]) from exc


def with_times(
    document: Document, *, starts: datetime | None, ends: datetime | None, minutes: int | None
) -> Document:
    """The document with its instants: a time without an offset is one of the occurrence's zone.

    Raises `InvalidDefinition`.
    """
    errors = []
    zone = str(document.get("timezone") or "")
    if not zone_exists(zone):
        errors.append(FieldError("timezone", f"is not a known IANA zone: {zone!r}" if zone else "is missing"))
    if starts is None:
        errors.append(FieldError("starts_at", "is missing"))
    if (ends is None) == (minutes is None):
        errors.append(FieldError("ends_at", "needs either an end or a duration"))
    if errors or starts is None:
        raise InvalidDefinition(errors)
    try:
        starts_at = at_zone(starts, zone)
        ends_at = at_zone(ends, zone) if ends is not None else starts_at + timedelta(minutes=minutes or 0)
    except (OverflowError, ValueError) as exc:
        raise InvalidDefinition([FieldError("starts_at", f"cannot be used: {exc}")]) from exc
    return document | {"starts_at": starts_at, "ends_at": ends_at}


def at_zone(time: datetime, zone: str) -> datetime:
    """The instant: the time's own offset counts if it has one."""
    return time if time.tzinfo is not None else instant_of(time, zone)


def parsed(errors: list[FieldError], name: str, parse: Callable[[str], Any], text: str | None) -> Any:
    """`parse(text)`, or None with the problem noted; None for an empty text."""
    if text is None or not text.strip():
        return None
    try:
        return parse(text.strip())
    except ValueError as exc:
        errors.append(FieldError(name, str(exc)))
        return None
