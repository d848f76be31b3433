"""Answers: a closed list. A refusal is one of them, says why, and teaches what would work."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from holdgate_schema.values.views import AnswerBase, QuoteRef
from holdgate_schema.values.views import FieldProblem as FieldProblem
from holdgate_schema.values.views import HoldState as HoldState
from holdgate_schema.values.views import HoldView as HoldView
from holdgate_schema.values.views import OccurrenceStatus as OccurrenceStatus

from .selling import SELLING_ANSWER_TYPES, SellingAnswer


class OpenEnum(StrEnum):
    """Values that may be added: one that this version does not know is kept as it was sent, and equals its text."""

    @classmethod
    def _missing_(cls, value: object) -> OpenEnum | None:
        if not isinstance(value, str) or not value:
            return None
        unknown = str.__new__(cls, value)
        unknown._name_, unknown._value_ = "UNKNOWN", value
        return unknown


class Reason(OpenEnum):
    """Why a request was refused, in the order in which the checks are made."""

    INVALID = "invalid"
    FORBIDDEN = "forbidden"
    REQUEST_CONFLICT = "request_conflict"
    UNKNOWN_OCCURRENCE = "unknown_occurrence"
    HOLD_NOT_FOUND = "hold_not_found"
    BOOKING_NOT_FOUND = "booking_not_found"
    ENTRY_NOT_FOUND = "entry_not_found"
    HOLD_FINAL = "hold_final"
    BOOKING_FINAL = "booking_final"
    TOO_LATE = "too_late"
    UNPAID = "unpaid"
    UNPRICED = "unpriced"
    QUOTE_EXPIRED = "quote_expired"
    PRICE_CHANGED = "price_changed"
    PAYMENT_MISMATCH = "payment_mismatch"
    NOT_ON_SALE = "not_on_sale"
    UNKNOWN_TICKET = "unknown_ticket"
    UNKNOWN_EXTRA = "unknown_extra"
    BELOW_MIN = "below_min"
    ABOVE_MAX = "above_max"
    LIMIT_PER_REQUEST = "limit_per_request"
    EXTENSION_LIMIT = "extension_limit"
    LIMIT_PER_SESSION = "limit_per_session"
    ALREADY_WAITING = "already_waiting"
    NOT_SOLD_OUT = "not_sold_out"
    SOLD_OUT = "sold_out"
    VOUCHER_USED_UP = "voucher_used_up"
    PARKED = "parked"
    REFUND_REQUIRED = "refund_required"
    ORDER_FAILED = "order_failed"
    UNAVAILABLE = "unavailable"

    @property
    def retryable(self) -> bool:
        """Whether the same request under the same id could end differently: only where none was recorded."""
        return self is Reason.UNAVAILABLE


class NotOnSale(OpenEnum):
    """Why an occurrence is not on sale."""

    CANCELLED = "cancelled"
    CLOSED = "closed"
    COMPLETED = "completed"
    STARTED = "started"
    NOT_YET_OPEN = "not_yet_open"
    PAST_CUTOFF = "past_cutoff"


class Held(AnswerBase, frozen=True, kw_only=True, tag="held"):
    """The basket is held until `hold.expires_at`; `available` is what is left per pool (null: unlimited)."""

    hold: HoldView
    available: dict[str, int | None]


class Changed(AnswerBase, frozen=True, kw_only=True, tag="changed"):
    """The hold now has these quantities.

    `keeps_pricing`: the change named no `pricing`, so the hold is priced by the way of paying and the voucher that were
    asked for before.
    """

    hold: HoldView
    available: dict[str, int | None]
    keeps_pricing: bool = False


class Extended(AnswerBase, frozen=True, kw_only=True, tag="extended"):
    """The hold now runs until `hold.expires_at`."""

    hold: HoldView
    extensions_left: int


class Released(AnswerBase, frozen=True, kw_only=True, tag="released"):
    """The seats are free again."""

    hold: HoldView


class HoldShown(AnswerBase, frozen=True, kw_only=True, tag="hold"):
    """The hold as it is; one that is past its time is `expired`, whether or not its seats were given back yet."""

    hold: HoldView


class Swept(AnswerBase, frozen=True, kw_only=True, tag="swept"):
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


class Availability(AnswerBase, frozen=True, kw_only=True, tag="availability"):
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


class OccurrenceStored(AnswerBase, frozen=True, kw_only=True, tag="occurrence_stored"):
    """The occurrence is as the command says; `deficit` per pool where capacity is below what is taken.

    `changed` is false if it was so before: then nothing is told to anybody.
    """

    created: bool
    status: OccurrenceStatus
    sellable: dict[str, int | None]
    deficit: dict[str, int] = {}
    changed: bool = True


class Refused(AnswerBase, frozen=True, kw_only=True, tag="refused"):
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
    quote: QuoteRef | None = None
    booking_id: str | None = None
    cart_id: str | None = None


Answer = (
    Held
    | Changed
    | Extended
    | Released
    | HoldShown
    | Swept
    | Availability
    | OccurrenceStored
    | SellingAnswer
    | Refused
)
ANSWER_TYPES: tuple[type[Answer], ...] = (
    Held,
    Changed,
    Extended,
    Released,
    HoldShown,
    Swept,
    Availability,
    OccurrenceStored,
    *SELLING_ANSWER_TYPES,
    Refused,
)


def answer_type(answer: Answer | type[Answer]) -> str:
    """The AMQP `type` of an answer, such as `answer.held.v1`."""
    return f"answer.{answer.__struct_config__.tag}.v1"
