"""What the statistics say. See docs/alerts.md for the bands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from holdgate_workers.domain.occurrences.alerts import Band, band
from holdgate_workers.domain.settings.settings import AlertRules


@dataclass(slots=True, frozen=True)
class OccurrenceStats:
    """One occurrence's pool `total`. `utilisation_percent` is held + sold of sellable, rounded down; `band` says how
    full that is. `waiting` is how many stand in line."""

    occurrence_id: str
    product_id: str
    status: str
    starts_at: datetime
    capacity: int
    sellable: int
    held: int
    sold: int
    available: int
    utilisation_percent: float
    band: Band
    next_release_at: datetime | None
    waiting: int = 0


@dataclass(slots=True, frozen=True)
class Totals:
    """The sums over several occurrences; the band is by the house's thresholds."""

    occurrences: int
    capacity: int
    sellable: int
    held: int
    sold: int
    available: int
    utilisation_percent: float
    band: Band
    next_release_at: datetime | None
    waiting: int


@dataclass(slots=True, frozen=True)
class ProductStats(Totals):
    """The sums over a product's occurrences."""

    product_id: str


@dataclass(slots=True, frozen=True)
class Most:
    """Who has how many live holds, and seats in them."""

    id: str
    holds: int
    seats: int


@dataclass(slots=True, frozen=True)
class HoldStats:
    """Holds by state. `due` are active ones past their time. `average_life_seconds` is measured on those that
    expired or were released; `conversion_percent` is confirmed of all that have ended or were confirmed."""

    active: int
    due: int
    converting: int
    confirmed: int
    expired: int
    released: int
    cancelled: int
    average_life_seconds: float | None
    conversion_percent: float | None
    by_session: list[Most]
    by_occurrence: list[Most]


@dataclass(slots=True, frozen=True)
class ParkedBooking:
    """A booking that waits for a person: to decide (`parked`) or to give money back (`refund_required`)."""

    booking_id: str
    occurrence_id: str
    state: str
    since: datetime
    seats: int
    total: int
    currency: str
    reason: str


@dataclass(slots=True, frozen=True)
class BookingStats:
    """Bookings by state, and the first of those that wait for a person, the longest waiting first."""

    converting: int
    confirmed: int
    cancelled: int
    failed: int
    parked: int
    refund_required: int
    waiting_for_a_person: list[ParkedBooking]


@dataclass(slots=True, frozen=True)
class Stats:
    """Everything at one instant."""

    read_at: datetime
    occurrences: list[OccurrenceStats]
    products: list[ProductStats]
    totals: Totals
    holds: HoldStats
    bookings: BookingStats


def utilisation(taken: int, sellable: int) -> float:
    """Percent with one decimal, rounded down: only what is full is 100. Nothing to sell counts as full."""
    return 1000 * taken // sellable / 10 if sellable else 100.0


def totals(lines: Sequence[OccurrenceStats], rules: AlertRules) -> Totals:
    """The sums."""
    held, sold, sellable = (sum(getattr(line, name) for line in lines) for name in ("held", "sold", "sellable"))
    releases = [line.next_release_at for line in lines if line.next_release_at is not None]
    return Totals(
        occurrences=len(lines),
        capacity=sum(line.capacity for line in lines),
        sellable=sellable,
        held=held,
        sold=sold,
        available=sum(line.available for line in lines),
        utilisation_percent=utilisation(held + sold, sellable) if lines else 0.0,
        band=band(held + sold, sellable, rules) if lines else "open",
        next_release_at=min(releases, default=None),
        waiting=sum(line.waiting for line in lines),
    )


def by_product(lines: Sequence[OccurrenceStats], rules: AlertRules) -> list[ProductStats]:
    """The sums of each product, by its id."""
    grouped: dict[str, list[OccurrenceStats]] = {}
    for line in lines:
        grouped.setdefault(line.product_id, []).append(line)
    return [_of_product(product_id, totals(grouped[product_id], rules)) for product_id in sorted(grouped)]


def _of_product(product_id: str, sums: Totals) -> ProductStats:
    return ProductStats(**{name: getattr(sums, name) for name in Totals.__slots__}, product_id=product_id)
