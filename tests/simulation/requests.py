"""What clients ask for, and what everybody must remember of it to judge the answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b
from typing import Any

from holdgate_schema.answers.holds import Answer
from holdgate_schema.codec import encode
from holdgate_schema.commands.holds import (
    Command,
    ExtraDefinition,
    PoolDefinition,
    PutOccurrence,
    SharedStock,
    TicketType,
    type_name,
)
from holdgate_schema.commands.selling import INTERNAL_TYPES

from .swarm import Options
from .tables import BEGINNING

SECRET = b"a secret that only the simulation has"
TTL_SECONDS = 15 * 60
"""How long a hold lives if the request does not say."""


@dataclass(slots=True)
class Request:
    """One body under one request id. Another body under the same id is another `Request`."""

    id: str
    correlation: str
    occurrence_id: str
    kind: str
    body: bytes
    client: int
    fields: dict[str, Any]
    seq: int = 0
    """Its place among what the client has sent."""
    poison: str = ""
    """Why it ends in the dead letters: `unreadable`, `cursed` (by the database), `breaks` (deciding); else empty."""
    broken: bool = False
    """Whether only its ids can be read."""
    publishes: int = 0
    deliveries: int = 0
    confirmed: bool = False
    answer: bytes | None = None
    expects_second: bool = False
    """Whether the first answer said that another one follows."""
    second: bytes | None = None
    sealed: bool = True
    """False for what only the house's own workers may ask, and somebody else did."""

    @property
    def fingerprint(self) -> bytes:
        """What the journal keeps of the body."""
        return b"" if self.broken else blake2b(self.body, digest_size=16).digest()

    @property
    def is_read(self) -> bool:
        """Whether it leaves no trace."""
        return (
            self.kind in ("availability.get.v1", "booking.get.v1", "hold.get.v1", "waitlist.get.v1")
            or not self.sealed
        )

    @property
    def is_answered(self) -> bool:
        """Whether nothing more is to come."""
        return self.answer is not None and (self.second is not None or not self.expects_second)


def request_of(command: Command, client: int, *, correlation: str | None = None) -> Request:
    """A sound request."""
    fields = {name: getattr(command, name) for name in command.__struct_fields__}
    return Request(
        command.request_id,
        correlation or command.request_id,
        command.occurrence_id,
        type_name(command),
        encode(command),
        client,
        fields,
    )


def put_of(request_id: str, number: int, options: Options, capacity: int, status: Any = "active") -> PutOccurrence:
    """Children draw from a pool of their own besides, dinners from the tables; wine comes from one cellar for all."""
    starts_at = BEGINNING + timedelta(days=400 + number)
    return PutOccurrence(
        request_id=request_id,
        occurrence_id=occurrence_name(number),
        product_id="tour",
        starts_at=starts_at,
        ends_at=starts_at + timedelta(hours=2),
        timezone="UTC",
        capacity=capacity,
        ticket_types=[TicketType(key="adult"), TicketType(key="child", pools=["kids"])],
        pools=[
            PoolDefinition(key="kids", capacity=max(1, capacity // 2)),
            PoolDefinition(key="tables", capacity=2),
        ],
        extras=[
            ExtraDefinition(key="dinner", pools=["tables"]),
            ExtraDefinition(key="wine", stock=SharedStock(key="cellar", cap=options.stock_cap)),
        ],
        status=status,
    )


def expects_second(request: Request, answer: Answer) -> bool:
    """Whether another answer is to follow this first one."""
    if answer.__struct_config__.tag in ("held", "changed"):
        return request.fields["pricing"] is not None
    return answer.__struct_config__.tag in ("converting", "quoting", "cart_started")


def is_internal(command: Command) -> bool:
    """Whether only the house's own workers may ask that."""
    return isinstance(command, INTERNAL_TYPES)


def occurrence_name(number: int) -> str:
    """The id of the occurrence with this number."""
    return f"occ-{number}"


def draws_of(items: dict[str, int], extras: dict[str, int]) -> dict[str, int]:
    """What a basket takes of each pool, as `put_of` has it."""
    return {
        "total": sum(items.values()),
        "kids": items.get("child", 0),
        "tables": extras.get("dinner", 0),
    }
