"""What the read side keeps of an occurrence and of a product: the gate's own answer, and for how long it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from holdgate_schema.answers.holds import Availability
from holdgate_schema.codec import decode_answer, encode
from holdgate_schema.commands.holds import GetAvailability
from holdgate_workers.domain.decision import Context, LimitKey
from holdgate_workers.domain.draft import Draft
from holdgate_workers.domain.holds.sessions import SessionKeys
from holdgate_workers.domain.occurrences.availability import availability
from holdgate_workers.domain.occurrences.occurrence import Occurrence
from holdgate_workers.domain.settings.settings import Settings

Kind = Literal["availability", "product"]

NOBODY = "00000000-0000-0000-0000-000000000000"
"""The request id of an entry: nobody asked for it. The client puts in its caller's own."""
KEPT_AFTER_END = timedelta(days=7)
PRODUCT_KEPT = timedelta(days=90)
"""How long the sums of a product stay after they were last written."""
LINE_LOOKED_AT_AFTER = timedelta(seconds=5)
"""How long an entry is taken to be true while somebody stands in the occurrence's line."""
FORMAT = 1
"""Of the entries. Another one is another generation's."""


class ProductTotals(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The sums over the pools `total` of all occurrences of a product, as `holdgate stats` has them."""

    product_id: str
    version: int
    """Grows with every snapshot of the database that could show anything else."""
    decided_at: datetime
    occurrences: int
    capacity: int
    sellable: int
    held: int
    sold: int
    available: int


@dataclass(slots=True, frozen=True)
class Rows:
    """What the database said in one snapshot. An occurrence that was asked for and is missing does not exist. `last`
    is where a page ends, in the database's own order; None: it is empty."""

    now: datetime
    settings: Settings
    occurrences: Mapping[str, Occurrence] = field(default_factory=dict)
    products: Mapping[str, ProductTotals] = field(default_factory=dict)
    last: str | None = None
    limits: Mapping[LimitKey, int] = field(default_factory=dict)
    """The shared limits of who stands in line, and of what they wish for."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Entry:
    """One entry of the read side.

    `true_until` is when it becomes wrong by time alone (None: never), `kept_until` when nobody needs it any more.
    """

    kind: Kind
    id: str
    version: int
    decided_at: datetime
    body: bytes
    product_id: str
    true_until: datetime | None
    kept_until: datetime


class _Read:
    """The shared limits as they were read. One that has no row is not used."""

    def __init__(self, used: Mapping[LimitKey, int]) -> None:
        self._used = used

    def used(self, limit: LimitKey) -> int:
        """How much of it is used."""
        return self._used.get(limit, 0)

    def is_fresh(self, limit: LimitKey) -> bool:  # noqa: ARG002
        """All were read."""
        return True

    def cap(self, limit: LimitKey) -> int | None:  # noqa: ARG002
        """Nothing is known."""
        return None


_SESSIONS = SessionKeys(b"availability looks at no session")


def entries_of(rows: Rows) -> list[Entry]:
    """Everything that was read, as entries."""
    seen = [_availability(occurrence, rows) for occurrence in rows.occurrences.values()]
    return [*seen, *(_product(totals, rows.now) for totals in rows.products.values())]


def rules_of(settings: Settings) -> str:
    """A name for the settings that entries depend on: when it changes, all are made again."""
    rules = msgspec.json.encode([settings.for_occurrence(None), settings.max_per_session])
    return f"{FORMAT}.{blake2b(rules, digest_size=8).hexdigest()}"


def comparable(body: bytes) -> bytes:
    """An entry of an occurrence without what differs from one reading to the next. Raises `InvalidMessage`."""
    answer = decode_answer(body)
    assert isinstance(answer, Availability), f"an entry is a {type(answer).__name__}"
    return encode(replace(answer, request_id=NOBODY, decided_at=answer.starts_at))


def _availability(occurrence: Occurrence, rows: Rows) -> Entry:
    command = GetAvailability(request_id=NOBODY, occurrence_id=occurrence.id)
    limits = _Read(rows.limits)
    context = Context(now=rows.now, settings=rows.settings, sessions=_SESSIONS, limits=limits)
    answer = availability(Draft(NOBODY, occurrence.id, occurrence, context), occurrence, command).answer
    assert isinstance(answer, Availability), f"availability answers {type(answer).__name__}"
    return Entry(
        kind="availability",
        id=occurrence.id,
        version=occurrence.version,
        decided_at=rows.now,
        body=encode(answer),
        product_id=answer.product_id,
        true_until=_true_until(occurrence, answer.next_release_at, rows.now),
        kept_until=occurrence.definition.ends_at + KEPT_AFTER_END,
    )


def _true_until(occurrence: Occurrence, next_release_at: datetime | None, now: datetime) -> datetime | None:
    """The next instant at which the same rows give another answer: sales open or close, or a hold's time is over.

    What a line leaves over rests on limits that change elsewhere, so that is looked at again and again.
    """
    definition = occurrence.definition
    again = now + LINE_LOOKED_AT_AFTER if occurrence.waiting else None
    instants = (definition.opens_at, definition.closes_at, definition.starts_at, next_release_at, again)
    return min((instant for instant in instants if instant is not None and instant > now), default=None)


def _product(totals: ProductTotals, now: datetime) -> Entry:
    return Entry(
        kind="product",
        id=totals.product_id,
        version=totals.version,
        decided_at=totals.decided_at,
        body=msgspec.json.encode(totals),
        product_id=totals.product_id,
        true_until=None,
        kept_until=now + PRODUCT_KEPT,
    )
