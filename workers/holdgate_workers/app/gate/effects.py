"""What a protocol asks the world to do, and what the world says back.

The protocols of this package are generators: they yield effects and are sent results. Production drives them
with PostgreSQL and RabbitMQ, the simulator with a heap and a random number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from msgspec import Struct

from holdgate_schema.events.selling import PaymentRefused
from holdgate_workers.app.ports import ChannelId, Outgoing
from holdgate_workers.domain.bookings.booking import Booking
from holdgate_workers.domain.decision import Claim, LimitKey
from holdgate_workers.domain.occurrences.occurrence import Definition, Hold, Occurrence, Pool, WaitEntry


@dataclass(slots=True, frozen=True, kw_only=True)
class Load:
    """Read what a batch needs, in one round trip. Answered by `Loaded` or `Unavailable`."""

    occurrences: Sequence[str] = ()
    holds: Sequence[str] = ()
    """Holds that may have ended; looked up by id."""
    starts: Sequence[tuple[str, datetime]] = ()
    limits: Sequence[LimitKey] = ()
    requests: Sequence[str] = ()
    """Request ids that may have been answered before."""
    bookings: Sequence[str] = ()
    """Bookings by id; the holds that have their seats come with them."""


class Recorded(Struct, frozen=True, gc=False):
    """An answer in the journal."""

    fingerprint: bytes
    reply: bytes
    outcome: str


@dataclass(slots=True, frozen=True, kw_only=True)
class Loaded:
    """What was read. An occurrence that is missing does not exist; so does a hold or an answer."""

    now: datetime
    occurrences: dict[str, Occurrence] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)
    starts: dict[tuple[str, datetime], str] = field(default_factory=dict)
    limits: dict[LimitKey, int] = field(default_factory=dict)
    caps: dict[LimitKey, int] = field(default_factory=dict)
    """How much of a limit may be used now, where that is not the decision's to say: what a voucher allows."""
    requests: dict[str, Recorded] = field(default_factory=dict)
    second: dict[str, Recorded] = field(default_factory=dict)
    """Request id -> the second answer to it, if it has been given."""
    bookings: dict[str, Booking] = field(default_factory=dict)


@dataclass(slots=True, frozen=True)
class Unavailable:
    """The database did not answer; nothing was changed by this effect."""

    detail: str


class Fence(Struct, frozen=True, gc=False):
    """An occurrence's version as it was read and as it will be; equal where it was only looked at."""

    occurrence_id: str
    before: int
    after: int


class PoolRow(Struct, frozen=True, gc=False):
    """What a commit does to one pool: deltas, and its definition where that changed."""

    occurrence_id: str
    key: str
    held: int
    sold: int
    redefined: Pool | None


class DefinitionRow(Struct, frozen=True, gc=False):
    """An occurrence's new definition."""

    occurrence_id: str
    definition: Definition
    version: int


class JournalRow(Struct, frozen=True, kw_only=True, gc=False):
    """One decided command."""

    request_id: str
    fingerprint: bytes
    occurrence_id: str
    version: int
    kind: str
    outcome: str
    reason: str | None
    session_id: str | None
    hold_id: str | None
    app_id: str | None
    reply: bytes
    events: Sequence[tuple[str, bytes]]
    """(type, JSON) of each event."""
    decided_at: datetime
    answers: str | None = None
    reply_to: str | None = None
    correlation_id: str | None = None
    wish: bytes | None = None


@dataclass(slots=True, kw_only=True)
class Commit:
    """Send everything a batch changes, as one transaction. Answered by nothing: `AwaitCommit` is for that, and
    nothing but `Prepare` may be asked of the database in between.

    `expired_until` is the latest expiry time among the holds that the batch expires: the database refuses the
    batch if its own clock has not reached it.
    """

    fences: list[Fence] = field(default_factory=list)
    created: list[DefinitionRow] = field(default_factory=list)
    redefined: list[DefinitionRow] = field(default_factory=list)
    pools: list[PoolRow] = field(default_factory=list)
    removed_pools: list[tuple[str, str]] = field(default_factory=list)
    new_holds: list[Hold] = field(default_factory=list)
    changed_holds: list[Hold] = field(default_factory=list)
    bookings: list[Booking] = field(default_factory=list)
    refused_payments: list[PaymentRefused] = field(default_factory=list)
    new_entries: list[WaitEntry] = field(default_factory=list)
    ended_entries: list[WaitEntry] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    journal: list[JournalRow] = field(default_factory=list)
    expired_until: datetime | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write and nothing to verify."""
        return not (self.journal or self.fences)


@dataclass(slots=True, frozen=True)
class Prepare:
    """Have a `Commit` ready while the one before is on its way: it may be the next to be sent, or never be. Answered
    by nothing; nobody else can see it."""

    commit: Commit


@dataclass(slots=True, frozen=True)
class AwaitCommit:
    """Wait for what becomes of the `Commit` that was sent. Answered by a `CommitResult`."""


@dataclass(slots=True, frozen=True)
class Committed:
    """It is durable. `used` has the limits that were claimed, after the claim."""

    now: datetime
    used: dict[LimitKey, int]


@dataclass(slots=True, frozen=True)
class Conflict:
    """It was rolled back because the world had moved on; what was known must be read again.

    `kind`: `stale` (another writer), `duplicate` (a request id is in the journal), `limit` (a claim did not go
    through), `early` (the database's clock has not reached an expiry), `retry` (deadlock, serialization). The gate
    itself makes two: `torn` (what it has read at different times does not go together) and `upset` (the batch was
    decided on top of one that was not committed).
    """

    kind: str
    detail: str = ""


@dataclass(slots=True, frozen=True)
class Impossible:
    """It was rolled back because some row cannot be: a message in the batch is poison."""

    detail: str


@dataclass(slots=True, frozen=True)
class Unknown:
    """The connection was lost: it may be durable, may not be, or may still become so."""

    detail: str


CommitResult = Committed | Conflict | Impossible | Unknown | Unavailable


@dataclass(slots=True, frozen=True)
class Reply:
    """Publish answers. Best effort: a lost one is asked for again under the same request id."""

    messages: Sequence[Outgoing]


@dataclass(slots=True, frozen=True)
class Bury:
    """Publish to the dead letters and wait for the confirm. What they refuse, because they are full, is left to the
    queue it came from. Answered by True, or False: try again."""

    messages: Sequence[Outgoing]
    deliveries: Sequence[tuple[ChannelId, int] | None] = ()
    """Whence each came; None if its queue could not put it with the dead letters either."""


@dataclass(slots=True, frozen=True)
class Ack:
    """Acknowledge everything up to the tag, per channel."""

    tags: dict[ChannelId, int]


@dataclass(slots=True, frozen=True)
class Pause:
    """Wait before the next attempt, the longer the more attempts there were. Answered by False to give up
    (the process is stopping, or the partition is gone): what is unacknowledged is delivered again."""

    attempt: int
    why: str


Effect = Load | Prepare | Commit | AwaitCommit | Reply | Bury | Ack | Pause
