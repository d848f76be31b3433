"""Answers: a closed list. A refusal is one of them, says why, and teaches what would work."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from msgspec import Struct

HoldState = Literal["active", "converting", "confirmed", "released", "expired", "cancelled"]
OccurrenceStatus = Literal["active", "closed", "cancelled", "completed"]


class Reason(StrEnum):
    """Why a request was refused, in the order in which the checks are made."""

    INVALID = "invalid"
    FORBIDDEN = "forbidden"
    REQUEST_CONFLICT = "request_conflict"
    UNKNOWN_OCCURRENCE = "unknown_occurrence"
    HOLD_NOT_FOUND = "hold_not_found"
    HOLD_FINAL = "hold_final"
    NOT_ON_SALE = "not_on_sale"
    UNKNOWN_TICKET = "unknown_ticket"
    UNKNOWN_EXTRA = "unknown_extra"
    BELOW_MIN = "below_min"
    ABOVE_MAX = "above_max"
    LIMIT_PER_REQUEST = "limit_per_request"
    EXTENSION_LIMIT = "extension_limit"
    LIMIT_PER_SESSION = "limit_per_session"
    SOLD_OUT = "sold_out"
    BUSY = "busy"
    UNAVAILABLE = "unavailable"

    @property
    def retryable(self) -> bool:
        """Whether the same request under the same id could end differently: only where none was recorded."""
        return self in (Reason.BUSY, Reason.UNAVAILABLE)


class NotOnSale(StrEnum):
    """Why an occurrence is not on sale."""

    CANCELLED = "cancelled"
    CLOSED = "closed"
    COMPLETED = "completed"
    STARTED = "started"
    NOT_YET_OPEN = "not_yet_open"
    PAST_CUTOFF = "past_cutoff"


class _Answer(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="outcome", gc=False):
    """Base of the answers. `version` is the occurrence's after the decision; 0 where there is none."""

    request_id: str
    occurrence_id: str
    version: int
    decided_at: datetime


class HoldView(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A hold as its owner sees it."""

    hold_id: str
    occurrence_id: str
    session_id: str
    state: HoldState
    items: dict[str, int]
    seats: int
    created_at: datetime
    expires_at: datetime
    extensions_used: int = 0
    extras: dict[str, int] = {}
    user_id: str | None = None


class Held(_Answer, frozen=True, kw_only=True, tag="held"):
    """The basket is held until `hold.expires_at`; `available` is what is left per pool (null: unlimited)."""

    hold: HoldView
    available: dict[str, int | None]


class Changed(_Answer, frozen=True, kw_only=True, tag="changed"):
    """The hold now has these quantities."""

    hold: HoldView
    available: dict[str, int | None]


class Extended(_Answer, frozen=True, kw_only=True, tag="extended"):
    """The hold now runs until `hold.expires_at`."""

    hold: HoldView
    extensions_left: int


class Released(_Answer, frozen=True, kw_only=True, tag="released"):
    """The seats are free again."""

    hold: HoldView


class Swept(_Answer, frozen=True, kw_only=True, tag="swept"):
    """So many due holds were expired; `more` says that others are still due."""

    expired: int
    more: bool = False


class PoolView(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A pool's numbers. A hold past its time no longer counts as held here. Null: unlimited."""

    capacity: int | None
    sellable: int | None
    held: int
    sold: int
    available: int | None


class TicketView(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """How many of a ticket type one request could take now, if it took nothing else."""

    label: str
    min_per_order: int
    max_per_order: int
    available: int


class Availability(_Answer, frozen=True, kw_only=True, tag="availability"):
    """What could be held now. `next_release_at` is when the earliest hold could free its seats."""

    product_id: str
    status: OccurrenceStatus
    on_sale: bool
    starts_at: datetime
    ends_at: datetime
    pools: dict[str, PoolView]
    ticket_types: dict[str, TicketView]
    not_on_sale: NotOnSale | None = None
    next_release_at: datetime | None = None


class OccurrenceStored(_Answer, frozen=True, kw_only=True, tag="occurrence_stored"):
    """The occurrence is as the command says; `deficit` per pool where capacity is below what is taken."""

    created: bool
    status: OccurrenceStatus
    sellable: dict[str, int | None]
    deficit: dict[str, int] = {}


class FieldProblem(Struct, frozen=True, kw_only=True, gc=False):
    """One field and what is wrong with it."""

    field: str
    reason: str


class Refused(_Answer, frozen=True, kw_only=True, tag="refused"):
    """Nothing was changed. Which of the optional fields are there depends on `reason`, see docs/contract.md."""

    reason: Reason
    retryable: bool
    message: str
    errors: list[FieldProblem] = []
    not_on_sale: NotOnSale | None = None
    opens_at: datetime | None = None
    subject: str | None = None
    limit: int | None = None
    used: int | None = None
    requested: int | None = None
    available: dict[str, int | None] = {}
    held: dict[str, int] = {}
    next_release_at: datetime | None = None
    hold_state: HoldState | None = None


Answer = Held | Changed | Extended | Released | Swept | Availability | OccurrenceStored | Refused
ANSWER_TYPES: tuple[type[Answer], ...] = (
    Held,
    Changed,
    Extended,
    Released,
    Swept,
    Availability,
    OccurrenceStored,
    Refused,
)


def answer_type(answer: Answer | type[Answer]) -> str:
    """The AMQP `type` of an answer, such as `answer.held.v1`."""
    return f"answer.{answer.__struct_config__.tag}.v1"
