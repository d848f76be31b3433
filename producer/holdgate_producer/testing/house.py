"""What the test double decides: seats by counting, per occurrence, with a clock that only the test moves.

It keeps to the contract's answers, not to all of its rules: every ticket type and every extra is known, each
ticket takes one seat of `total`, extras take none, and no limit applies but the seats and the extensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from holdgate_schema.answers.holds import (
    Answer,
    Availability,
    Changed,
    Extended,
    Held,
    HoldShown,
    HoldView,
    NotOnSale,
    OccurrenceStatus,
    OccurrenceStored,
    PoolView,
    Reason,
    Refused,
    Released,
    Swept,
)
from holdgate_schema.commands.holds import (
    ChangeHold,
    CloseOccurrence,
    Command,
    ExtendHold,
    GetAvailability,
    GetHold,
    PlaceHold,
    PutOccurrence,
    ReleaseHold,
    SetCapacity,
    SweepHolds,
)
from holdgate_schema.commands.selling import INTERNAL_TYPES, SELLING_TYPES
from holdgate_schema.ids import TOTAL_POOL

from .selling import FakeSelling

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
TTL_SECONDS = 15 * 60
EXTENSIONS_MAX = 3


@dataclass
class Occurrence:
    """The seats of one occurrence and its holds by id."""

    capacity: int
    status: OccurrenceStatus = "active"
    version: int = 0
    holds: dict[str, HoldView] = field(default_factory=dict)
    held: int = 0
    """Seats that are held or sold, kept by `store`."""
    swept_at: datetime = NOW

    @property
    def available(self) -> dict[str, int | None]:
        """What is left, as answers say it."""
        return {TOTAL_POOL: max(self.capacity - self.held, 0)}

    def store(self, hold: HoldView) -> HoldView:
        """Put the hold in place of what it was before."""
        before = self.holds.get(hold.hold_id)
        self.held += _seats(hold) - _seats(before)
        self.holds[hold.hold_id] = hold
        self.version += 1
        return hold

    def expire(self, now: datetime) -> None:
        """Free the seats of the holds that are due."""
        if now == self.swept_at:
            return
        self.swept_at = now
        for hold in list(self.holds.values()):
            if hold.state == "active" and hold.expires_at <= now:
                self.store(replace(hold, state="expired"))


class FakeHouse:
    """Occurrences and what was decided about them."""

    def __init__(self, capacity: Mapping[str, int], prices: Mapping[str, int] | None = None) -> None:
        self.now = NOW
        self.selling = FakeSelling(self, prices or {})
        self.occurrences = {name: Occurrence(seats) for name, seats in capacity.items()}
        self._sessions = 0

    def answers(self, command: Command) -> list[Answer]:
        """The answers to a command that was not seen before: one or two."""
        occurrence = self.occurrences.get(command.occurrence_id)
        if occurrence is not None and isinstance(command, (*SELLING_TYPES, *INTERNAL_TYPES)):
            occurrence.expire(self.now)
            return self.selling.answers(command, occurrence)
        answer = self.decide(command)
        if occurrence is None or not isinstance(command, PlaceHold | ChangeHold):
            return [answer]
        if not isinstance(answer, Held | Changed):
            return [answer]
        return [answer, *self.selling.priced(command, occurrence, answer.hold)]

    def decide(self, command: Command) -> Answer:
        """The first answer to a command about holds or the catalogue."""
        if isinstance(command, PutOccurrence):
            return self._put(command)
        occurrence = self.occurrences.get(command.occurrence_id)
        if occurrence is None:
            return self.refuse(command, Reason.UNKNOWN_OCCURRENCE)
        occurrence.expire(self.now)
        if isinstance(command, PlaceHold):
            return self._place(command, occurrence)
        if isinstance(command, ChangeHold | ExtendHold | ReleaseHold):
            return self._on_hold(command, occurrence)
        if isinstance(command, GetHold):
            shown = occurrence.holds.get(command.hold_id)
            if shown is None or shown.session_id != command.session_id:
                return self.refuse(command, Reason.HOLD_NOT_FOUND, subject=command.hold_id)
            return HoldShown(**self.base(command), hold=shown)
        if isinstance(command, GetAvailability):
            return self._availability(command, occurrence)
        if isinstance(command, SweepHolds):
            return Swept(**self.base(command), expired=0)
        if isinstance(command, CloseOccurrence | SetCapacity):
            return self._catalogue(command, occurrence)
        return self.refuse(command, Reason.FORBIDDEN)

    def refuse(self, command: Command, reason: Reason, **fields: Any) -> Refused:
        """A refusal of this command; `fields` are those of `Refused`."""
        told: dict[str, Any] = {"retryable": reason.retryable, "message": f"refused: {reason}"} | fields
        return Refused(**self.base(command), reason=reason, **told)

    def _place(self, command: PlaceHold, occurrence: Occurrence) -> Answer:
        seats = sum(command.items.values())
        refusal = self._not_now(command, occurrence, seats)
        if refusal is not None:
            return refusal
        hold = HoldView(
            hold_id=command.request_id,
            occurrence_id=command.occurrence_id,
            session_id=command.session_id or self.new_session(),
            state="active",
            items=dict(command.items),
            extras=dict(command.extras),
            seats=seats,
            created_at=self.now,
            expires_at=self.now + timedelta(seconds=command.ttl_seconds or TTL_SECONDS),
            user_id=command.user_id,
        )
        occurrence.store(hold)
        return Held(**self.base(command), hold=hold, available=occurrence.available)

    def _on_hold(self, command: ChangeHold | ExtendHold | ReleaseHold, occurrence: Occurrence) -> Answer:
        hold = occurrence.holds.get(command.hold_id)
        if hold is None or hold.session_id != command.session_id:
            return self.refuse(command, Reason.HOLD_NOT_FOUND)
        if hold.state != "active":
            return self.refuse(command, Reason.HOLD_FINAL, hold_state=hold.state)
        if isinstance(command, ReleaseHold):
            hold = occurrence.store(replace(hold, state="released"))
            return Released(**self.base(command), hold=hold)
        if isinstance(command, ExtendHold):
            return self._extend(command, occurrence, hold)
        seats = sum(command.items.values())
        refusal = self._not_now(command, occurrence, seats - hold.seats)
        if refusal is not None:
            return refusal
        changed = replace(hold, items=dict(command.items), extras=dict(command.extras), seats=seats, quote=None)
        occurrence.store(changed)
        return Changed(**self.base(command), hold=changed, available=occurrence.available)

    def _extend(self, command: ExtendHold, occurrence: Occurrence, hold: HoldView) -> Answer:
        if hold.extensions_used >= EXTENSIONS_MAX:
            return self.refuse(command, Reason.EXTENSION_LIMIT, limit=EXTENSIONS_MAX, used=hold.extensions_used)
        until = self.now + timedelta(seconds=TTL_SECONDS)
        hold = occurrence.store(replace(hold, expires_at=until, extensions_used=hold.extensions_used + 1))
        return Extended(**self.base(command), hold=hold, extensions_left=EXTENSIONS_MAX - hold.extensions_used)

    def _not_now(self, command: Command, occurrence: Occurrence, more_seats: int) -> Refused | None:
        if occurrence.status != "active":
            return self.refuse(command, Reason.NOT_ON_SALE, not_on_sale=NotOnSale(occurrence.status))
        if more_seats > 0 and occurrence.held + more_seats > occurrence.capacity:
            return self.refuse(
                command,
                Reason.SOLD_OUT,
                subject=TOTAL_POOL,
                requested=more_seats,
                available=occurrence.available,
                held={TOTAL_POOL: occurrence.held},
                next_release_at=_next_release(occurrence),
            )
        return None

    def _availability(self, command: GetAvailability, occurrence: Occurrence) -> Availability:
        sold = sum(hold.seats for hold in occurrence.holds.values() if hold.state == "confirmed")
        held, left = occurrence.held - sold, occurrence.available[TOTAL_POOL]
        seats = occurrence.capacity
        on_sale = occurrence.status == "active"
        return Availability(
            **self.base(command),
            product_id="product-1",
            status=occurrence.status,
            on_sale=on_sale,
            starts_at=self.now + timedelta(days=1),
            ends_at=self.now + timedelta(days=1, hours=2),
            pools={TOTAL_POOL: PoolView(capacity=seats, sellable=seats, held=held, sold=sold, available=left)},
            ticket_types={},
            not_on_sale=None if on_sale else NotOnSale(occurrence.status),
            next_release_at=_next_release(occurrence),
        )

    def _put(self, command: PutOccurrence) -> Answer:
        created = command.occurrence_id not in self.occurrences
        occurrence = self.occurrences.setdefault(command.occurrence_id, Occurrence(command.capacity))
        before = occurrence.capacity, occurrence.status
        occurrence.capacity, occurrence.status = command.capacity, command.status
        return self._stored(command, occurrence, before, created=created)

    def _catalogue(self, command: CloseOccurrence | SetCapacity, occurrence: Occurrence) -> Answer:
        before = occurrence.capacity, occurrence.status
        if isinstance(command, CloseOccurrence):
            occurrence.status = command.status
        elif command.capacity is not None and command.pool == TOTAL_POOL:
            occurrence.capacity = command.capacity
        return self._stored(command, occurrence, before, created=False)

    def _stored(
        self, command: Command, occurrence: Occurrence, before: tuple[int, str], *, created: bool
    ) -> OccurrenceStored:
        occurrence.version += 1
        missing = occurrence.held - occurrence.capacity
        return OccurrenceStored(
            **self.base(command),
            created=created,
            changed=created or before != (occurrence.capacity, occurrence.status),
            status=occurrence.status,
            sellable={TOTAL_POOL: max(occurrence.capacity, occurrence.held)},
            deficit={TOTAL_POOL: missing} if missing > 0 else {},
        )

    def new_session(self) -> str:
        """A session that is issued."""
        self._sessions += 1
        return f"session-{self._sessions}"

    def base(self, command: Command) -> dict[str, Any]:
        """What all answers have."""
        occurrence = self.occurrences.get(command.occurrence_id)
        return {
            "request_id": command.request_id,
            "occurrence_id": command.occurrence_id,
            "version": 0 if occurrence is None else occurrence.version,
            "decided_at": self.now,
        }


def _seats(hold: HoldView | None) -> int:
    taking = ("active", "converting", "confirmed")
    return hold.seats if hold is not None and hold.state in taking else 0


def _next_release(occurrence: Occurrence) -> datetime | None:
    return min((hold.expires_at for hold in occurrence.holds.values() if hold.state == "active"), default=None)
