"""One batch while it is being decided: what it knows, what it has decided, and what that comes to in rows."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime

from msgspec.structs import replace

from holdgate_schema.answers.holds import Refused
from holdgate_schema.codec import encode
from holdgate_schema.events.holds import event_type
from holdgate_schema.events.selling import PaymentRefused
from holdgate_workers.app.ports import Outgoing
from holdgate_workers.domain.bookings.booking import Booking
from holdgate_workers.domain.decision import Claim, Context, Decision, LimitKey
from holdgate_workers.domain.occurrences.occurrence import Definition, Hold, Occurrence, Unsaved

from .answers import answer_message, recorded_of
from .effects import Commit, DefinitionRow, Fence, JournalRow, Loaded, PoolRow, Recorded
from .incoming import Incoming, hold_of
from .memory import BatchLimits


@dataclass(slots=True)
class Settled:
    """What became of a batch's messages."""

    replies: list[Outgoing] = field(default_factory=list)
    dead: list[tuple[Incoming, str, str]] = field(default_factory=list)
    """Message, reason, detail."""
    outcomes: list[tuple[Incoming, Decision]] = field(default_factory=list)
    repeated: int = 0

    def add(self, other: Settled) -> None:
        """Take in what became of other messages."""
        self.replies += other.replies
        self.dead += other.dead
        self.outcomes += other.outcomes
        self.repeated += other.repeated


class Batch:
    """The working memory of one attempt. If the attempt fails, all of it goes."""

    def __init__(self, incoming: Sequence[Incoming], limits: BatchLimits) -> None:
        self.incoming = incoming
        self.limits = limits
        self.occurrences: dict[str, Occurrence] = {}
        self.ended_holds: dict[str, Hold] = {}
        self.bookings: dict[str, Booking] = {}
        self.starts: dict[tuple[str, datetime], str] = {}
        self.known: dict[str, Recorded] = {}
        self.second: dict[str, Recorded] = {}
        """Request id -> the second answer that it has had."""
        self.recorded: dict[str, Recorded] = {}
        self.settled = Settled()
        self.context: Context
        """Set once everything that the batch needs was read."""
        self._journal: list[JournalRow] = []
        self._claims: dict[LimitKey, tuple[int, int]] = {}
        self._created: set[str] = set()
        self._booked: set[str] = set()
        self._refused_payments: list[PaymentRefused] = []

    def take_in(self, loaded: Loaded) -> None:
        """Use what was read."""
        self.occurrences.update(loaded.occurrences)
        self.ended_holds.update(loaded.holds)
        self.starts.update(loaded.starts)
        self.bookings.update(loaded.bookings)
        self.known.update(loaded.requests)
        self.second.update(loaded.second)
        self.limits.read(loaded.limits, loaded.caps)

    @property
    def claimed(self) -> list[LimitKey]:
        """The shared limits that the batch takes from or gives back to."""
        return sorted(self._claims)

    def add(self, item: Incoming, decision: Decision) -> None:
        """Apply a decision in memory and note what has to be written for it."""
        self._apply(decision)
        recorded = recorded_of(item, decision.answer)
        if decision.answers is not None:
            self.second[decision.answers] = recorded
        if decision.answers is not None or getattr(item.command, "answers", None) is None:
            self.reply(item, recorded)
        self.settled.outcomes.append((item, decision))
        if decision.recorded:
            assert item.request_id is not None
            self.known[item.request_id] = recorded
            self.recorded[item.request_id] = recorded
            self._journal.append(_journal_row(item, decision, recorded))
            if decision.events and type(decision.answer) is Refused:
                told = (event for event in decision.events if type(event) is PaymentRefused)
                self._refused_payments += told

    def reply(self, item: Incoming, recorded: Recorded) -> None:
        """Answer, if an answer is wanted."""
        if item.reply_to is not None:
            self.settled.replies.append(answer_message(item, recorded))

    def commit(self) -> Commit:
        """The rows."""
        commit = Commit(
            journal=self._journal,
            bookings=[self.bookings[key] for key in sorted(self._booked)],
            refused_payments=self._refused_payments,
        )
        for occurrence in self.occurrences.values():
            unsaved = occurrence.unsaved
            if unsaved is None:
                commit.fences.append(Fence(occurrence.id, occurrence.version, occurrence.version))
            else:
                self._save(commit, occurrence, unsaved)
        commit.claims = [Claim(limit, delta, cap) for limit, (delta, cap) in sorted(self._claims.items()) if delta]
        commit.expired_until = max(
            (
                hold.expires_at
                for _, decision in self.settled.outcomes
                for hold in decision.holds
                if hold.state == "expired"
            ),
            default=None,
        )
        return commit

    def _apply(self, decision: Decision) -> None:
        occurrence_id = decision.answer.occurrence_id
        occurrence = self.occurrences.get(occurrence_id)
        if occurrence is None and decision.definition is not None:
            assert decision.pools is not None
            occurrence = Occurrence(occurrence_id, decision.definition, decision.pools)
            self.occurrences[occurrence_id] = occurrence
            self._created.add(occurrence_id)
        if occurrence is None:
            return
        if decision.definition is not None:
            self._claim_start(occurrence.definition, decision.definition, occurrence_id)
        decision.apply_to(occurrence)
        for hold in decision.holds:
            self.ended_holds[hold.id] = hold
        for booking in decision.bookings:
            before = self.bookings.get(booking.id)
            if before is not None and booking.customer is None and before.customer is not None:
                booking = replace(booking, customer=before.customer)
            self.bookings[booking.id] = booking
            self._booked.add(booking.id)
        self.limits.claim(decision.claims)
        for claim in decision.claims:
            delta, cap = self._claims.get(claim.limit, (0, 0))
            self._claims[claim.limit] = (delta + claim.delta, max(cap, claim.cap))

    def _claim_start(self, before: Definition, after: Definition, occurrence_id: str) -> None:
        """What moves away leaves its start to the next request of the same batch."""
        if before.claim is not None and self.starts.get(before.claim) == occurrence_id:
            del self.starts[before.claim]
        if after.claim is not None:
            self.starts[after.claim] = occurrence_id

    def _save(self, commit: Commit, occurrence: Occurrence, unsaved: Unsaved) -> None:
        row = DefinitionRow(occurrence.id, occurrence.definition, occurrence.version)
        if occurrence.id in self._created:
            commit.created.append(row)
        else:
            commit.fences.append(Fence(occurrence.id, unsaved.version_before, occurrence.version))
            if unsaved.definition:
                commit.redefined.append(row)
        commit.removed_pools += [(occurrence.id, key) for key in sorted(unsaved.removed_pools)]
        for key, change in unsaved.pools.items():
            if key not in unsaved.removed_pools:
                # A copy: the next batch may change the pool while this one is on its way.
                redefined = copy(occurrence.pools[key]) if change.redefined else None
                commit.pools.append(PoolRow(occurrence.id, key, change.held, change.sold, redefined))
        for hold_id, is_new in unsaved.holds.items():
            hold = occurrence.holds.get(hold_id) or self.ended_holds[hold_id]
            (commit.new_holds if is_new else commit.changed_holds).append(hold)
        for entry, is_new in unsaved.waiting.values():
            (commit.new_entries if is_new else commit.ended_entries).append(entry)


def _journal_row(item: Incoming, decision: Decision, recorded: Recorded) -> JournalRow:
    answer = decision.answer
    shown = getattr(answer, "hold", None) or getattr(answer, "booking", None)
    expected = decision.wish is not None
    assert item.request_id is not None
    return JournalRow(
        request_id=item.request_id,
        fingerprint=item.fingerprint,
        occurrence_id=answer.occurrence_id,
        version=answer.version,
        kind=item.kind,
        outcome=recorded.outcome,
        reason=answer.reason.value if isinstance(answer, Refused) else None,
        session_id=shown.session_id
        if shown is not None
        else item.session_id or getattr(answer, "session_id", None),
        hold_id=hold_of(item.command),
        app_id=item.delivery.properties.app_id,
        reply=recorded.reply,
        events=[(event_type(event), encode(event)) for event in decision.events],
        decided_at=answer.decided_at,
        answers=decision.answers,
        reply_to=item.reply_to if expected else None,
        correlation_id=(item.delivery.properties.correlation_id or item.request_id) if expected else None,
        wish=decision.wish,
    )
