"""What is to be priced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from holdgate_schema.values.products import Product


@dataclass(slots=True, frozen=True, kw_only=True)
class Basket:
    """At least one ticket, and extras: key -> how many. `payment_method` is how it is to be paid, if known."""

    items: Mapping[str, int]
    extras: Mapping[str, int] = field(default_factory=dict)
    payment_method: str | None = None

    def __post_init__(self) -> None:
        quantities = (*self.items.values(), *self.extras.values())
        assert self.items, "a basket has a ticket"
        assert all(quantity >= 1 for quantity in quantities), "quantities are counted from one"

    @property
    def people(self) -> int:
        """How many tickets there are; each is a person."""
        return sum(self.items.values())

    def counted_as(self, product: Product, kind: str) -> int:
        """How many of the people the product counts as `adult` or `child`."""
        return sum(self.items.get(ticket.key, 0) for ticket in product.ticket_types if ticket.counts_as == kind)
