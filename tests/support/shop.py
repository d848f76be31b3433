"""A shop for tests of the whole house: products with prices, occurrences of them, and what is answered."""

from __future__ import annotations

from typing import Any

from tests.support.pricing import a_product, a_ticket, an_extra
from tests.support.requests import put

from holdgate_producer import BookingClient, Priced, Refused
from holdgate_schema.commands.holds import ExtraDefinition
from holdgate_workers.adapters.postgres.pricing.products import PriceBook

ADULT = 2500
LONG = 120.0
"""Seconds in which an answer must have come."""


def sell(book: PriceBook, client: BookingClient, name: str, capacity: int = 20, **rules: Any) -> None:
    """An occurrence `name` of a product of the same name, with adults at 25.00 and guides at 4.00."""
    product = a_product(
        product_id=name, ticket_types=a_ticket(ADULT), extras=[an_extra(400, per="fixed")], **rules
    )
    book.products.put(name, product, changed_by="test")
    put(client, name, capacity, product_id=name, extras=[ExtraDefinition(key="guide")])


def with_fees(total: int) -> int:
    """With the platform's 2.5 %, rounded half-up."""
    return total + (total * 25 + 500) // 1000


def priced(answer: object) -> Priced:
    assert isinstance(answer, Priced), answer
    return answer


def refused(answer: object) -> Refused:
    assert isinstance(answer, Refused), answer
    return answer
