"""What there is to tell: a slot of a product, and a booking of it. Nothing here says who booked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from holdgate_schema.answers.holds import OccurrenceStatus
from holdgate_schema.values.quotes import Quote
from holdgate_workers.domain.bookings.booking import Booking as BookingDocument

BuyerState = Literal["held", "confirmed", "cancelled"]


@dataclass(slots=True, frozen=True, kw_only=True)
class Slot:
    """An occurrence as people are told of it. `timezone` is an IANA name that is known.

    `version` rises whenever anything of this changes, and `changed_at` is when it last did: the occurrence's
    version and the time of its last `occurrence.changed` are such.
    """

    occurrence_id: str
    product_id: str
    title: str
    starts_at: datetime
    ends_at: datetime
    timezone: str
    version: int
    changed_at: datetime
    status: OccurrenceStatus = "active"
    place: str = ""

    @property
    def local_start(self) -> datetime:
        """The start on a clock at the place."""
        return self.starts_at.astimezone(ZoneInfo(self.timezone))

    @property
    def local_end(self) -> datetime:
        """The end on a clock at the place."""
        return self.ends_at.astimezone(ZoneInfo(self.timezone))

    @property
    def times(self) -> tuple[datetime, datetime, str]:
        """What a visitor must know to come at the right time."""
        return (self.starts_at, self.ends_at, self.timezone)


@dataclass(slots=True, frozen=True, kw_only=True)
class ProductSlots:
    """A product's slots in a window, and what can be said of them without looking at each.

    `slots` come by their start and can be gone through once. `spans` has, per zone, the earliest start and the latest
    end. `since` and `until` bound the starts; `left_out` is how many slots the product has beyond them. `digest` is
    another one as soon as anything of the slots or the title is.
    """

    product_id: str
    title: str
    slots: Iterable[Slot]
    number: int
    spans: Mapping[str, tuple[datetime, datetime]]
    digest: str
    changed_at: datetime | None = None
    since: datetime | None = None
    until: datetime | None = None
    left_out: int = 0


@dataclass(slots=True, frozen=True, kw_only=True)
class Piece:
    """So many of one ticket type or one extra."""

    key: str
    label: str
    quantity: int


@dataclass(slots=True, frozen=True, kw_only=True)
class Booking:
    """A hold, or the booking that became of it, as people are told of it.

    `booking_id` is the hold's id; `reference` is what the customer is shown. `version` is the occurrence's when
    the state last changed, and `changed_at` is when that was. `refunded` is what was given back of a cancelled
    booking, in minor units; None: all of it. `invited` is false if the customer has no invitation to it.
    """

    booking_id: str
    session_id: str
    reference: str
    slot: Slot
    tickets: tuple[Piece, ...]
    version: int
    changed_at: datetime
    extras: tuple[Piece, ...] = ()
    state: BuyerState = "confirmed"
    quote: Quote | None = None
    refunded: int | None = None
    invited: bool = True

    @property
    def pieces(self) -> int:
        """How many tickets and extras it has."""
        return sum(piece.quantity for piece in (*self.tickets, *self.extras))

    @property
    def is_as_quoted(self) -> bool:
        """Whether it has what its price is of; some of it may have been given back since."""
        quote = self.quote
        return quote is not None and self.pieces == sum((*quote.items.values(), *quote.extras.values()))

    @property
    def is_cancelled(self) -> bool:
        """Whether nobody should come: the booking or the whole occurrence was cancelled."""
        return self.state == "cancelled" or self.slot.status == "cancelled"

    @property
    def sequence(self) -> int:
        """Rises whenever anything changes that an invitation says."""
        return max(self.version, self.slot.version)

    @property
    def told_at(self) -> datetime:
        """When what there is to tell last changed."""
        return max(self.changed_at, self.slot.changed_at)


def state_for_buyer(booking: BookingDocument) -> BuyerState:
    """What a booking is to its buyer. Cancelled is also what was sold and is not any more (all of its money went
    back, or it was paid after all and too late), and what was paid for and came to nothing."""
    if booking.state == "confirmed" or booking.state == "cancelled":
        return booking.state
    is_lost = booking.state in ("parked", "refund_required") and booking.confirmed_at is not None
    is_in_vain = booking.state == "failed" and booking.paid > 0
    return "cancelled" if is_lost or is_in_vain else "held"
