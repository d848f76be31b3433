"""The field types and the base that all commands share."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from holdgate_schema.ids import NAME_PATTERN, ExtraKey, OccurrenceId, RequestId, TicketKey

from .characters import TEXT_CLASS

QUANTITY_MAX = 500
CAPACITY_MAX = 1_000_000
TEXT_PATTERN = rf"^{TEXT_CLASS}*$(?!\n)"

Quantity = Annotated[int, Meta(ge=1, le=QUANTITY_MAX)]
Items = Annotated[dict[TicketKey, Quantity], Meta(max_length=50, description="Ticket type -> how many")]
Extras = Annotated[dict[ExtraKey, Quantity], Meta(max_length=50, description="Extra -> how many")]
Address = Annotated[str, Meta(min_length=2, max_length=45, pattern=r"^[0-9a-fA-F:.]+$(?!\n)")]
Label = Annotated[str, Meta(max_length=100, pattern=TEXT_PATTERN)]
AwareTime = Annotated[datetime, Meta(tz=True, description="RFC 3339 with an offset")]
LocalTime = Annotated[
    datetime, Meta(tz=False, description="Wall time without an offset, in the occurrence's time zone")
]


AMOUNT_MAX = 1_000_000_000

Amount = Annotated[int, Meta(ge=0, le=AMOUNT_MAX, description="Minor units, such as 2050 for 20.50 EUR")]
VoucherCode = Annotated[
    str,
    Meta(pattern=r"^[A-Z0-9][A-Z0-9-]{3,49}$(?!\n)", description="4 to 50 of A-Z, 0-9 and '-', such as WINTER-26"),
]
PaymentMethod = Annotated[str, Meta(pattern=NAME_PATTERN, description="A way of paying, such as credit_card")]


class CommandBase(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="type", gc=False
):
    """Base of the commands: `type` names the message and its version."""

    request_id: RequestId
    occurrence_id: OccurrenceId


class Client(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """Where the buyer's request came from, as the upstream service saw it.

    `address` is the peer of upstream's own connection; `forwarded_for` the addresses of X-Forwarded-For in
    their order. Only hops that operations trust are believed; the rest is ignored.
    """

    address: Address
    forwarded_for: Annotated[list[Address], Meta(max_length=10)] = []
