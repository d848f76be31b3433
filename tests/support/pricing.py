"""Products, occasions and baskets for tests of prices: what a test does not care about has a default."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from holdgate_schema.values.products import ExtraPrice, PriceRules, Product, TicketPrice, Voucher
from holdgate_schema.values.quotes import PriceProblem, Quote, QuoteLine, Unpriced
from holdgate_workers.domain.occurrences.wall_time import instant_of
from holdgate_workers.domain.pricing.basket import Basket
from holdgate_workers.domain.pricing.definitions.checks import product_errors
from holdgate_workers.domain.pricing.engine import price
from holdgate_workers.domain.pricing.fees import Fees
from holdgate_workers.domain.pricing.price_context import Occasion

ZONE = "Europe/Berlin"
SATURDAY = "2026-12-05T10:00"
TUESDAY = "2026-12-08T10:00"
FREE = Fees(platform_percent=0)
ADULT = TicketPrice(key="adult", price=7500, counts_as="adult", label="Adult")
CHILD = TicketPrice(key="child", price=5000, counts_as="child", label="Child")


def a_product(rules: PriceRules | None = None, **fields: Any) -> Product:
    """A product with adults at 75.00 and children at 50.00 that passes all checks."""
    given: dict[str, Any] = {
        "product_id": "harbour-tour",
        "currency": "EUR",
        "timezone": ZONE,
        "ticket_types": [ADULT, CHILD],
        "rules": rules or PriceRules(),
    }
    product = Product(**given | fields)
    assert product_errors(product) == []
    return product


def a_ticket(amount: int, **fields: Any) -> list[TicketPrice]:
    """Adults alone, at this price."""
    return [replace(ADULT, price=amount, **fields)]


def an_extra(amount: int, key: str = "guide", **fields: Any) -> ExtraPrice:
    """An extra without bulk discounts."""
    given: dict[str, Any] = {"key": key, "price": amount, "bulk_discounts": []}
    return ExtraPrice(**given | fields)


def an_occasion(
    wall: str = TUESDAY, *, zone: str = ZONE, booked: str = "2026-12-01T10:00", **fields: Any
) -> Occasion:
    """An occurrence that starts at a wall time of its zone, booked at another."""
    given: dict[str, Any] = {
        "occurrence_id": "occ-1",
        "timezone": zone,
        "starts_at": instant_of(datetime.fromisoformat(wall), zone),
        "booked_at": instant_of(datetime.fromisoformat(booked), zone),
    }
    return Occasion(**given | fields)


def quote_of(
    product: Product,
    items: int | Mapping[str, int] = 1,
    extras: Mapping[str, int] | None = None,
    *,
    on: Occasion | str = TUESDAY,
    fees: Fees = FREE,
    method: str | None = None,
    voucher: Voucher | None = None,
) -> Quote | Unpriced:
    """What comes out for so many adults, or for these items, on that day."""
    basket = Basket(
        items={"adult": items} if isinstance(items, int) else items, extras=extras or {}, payment_method=method
    )
    occasion = an_occasion(on) if isinstance(on, str) else on
    return price(product, basket, occasion, fees=fees, voucher=voucher)


def quoted(*args: Any, **fields: Any) -> Quote:
    """The same where there must be a price."""
    quote = quote_of(*args, **fields)
    assert isinstance(quote, Quote), quote
    return quote


def problems(*args: Any, **fields: Any) -> list[PriceProblem]:
    """The same where there must be none."""
    unpriced = quote_of(*args, **fields)
    assert isinstance(unpriced, Unpriced), unpriced
    return unpriced.problems


def line(quote: Quote, kind: str, key: str | None = None) -> QuoteLine:
    """The one line of this kind (and for this ticket or extra)."""
    (found,) = (line for line in quote.lines if line.kind == kind and key in (None, line.key))
    return found


def kinds(quote: Quote) -> list[str]:
    """The kinds of the lines in their order."""
    return [line.kind for line in quote.lines]


def words(found: QuoteLine) -> list[str]:
    """What the steps of a line say, without the price that they start from."""
    return [step.label for step in found.steps[1:]]


def at(text: str) -> datetime:
    """An instant from a time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
