"""docs/pricing.md says what the engine does."""

from __future__ import annotations

import re
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from msgspec import Struct

from holdgate_schema.values.products import PriceRule, Product, Voucher
from holdgate_schema.values.quotes import LineKind, Quote
from holdgate_workers.domain.pricing.basket import Basket
from holdgate_workers.domain.pricing.definitions.checks import product_errors, voucher_errors
from holdgate_workers.domain.pricing.engine import price
from holdgate_workers.domain.pricing.explaining import explained
from holdgate_workers.domain.pricing.fees import HOUSE_FEES
from holdgate_workers.domain.pricing.price_context import Occasion

PROSE = (Path(__file__).parents[3] / "docs" / "pricing.md").read_text(encoding="utf-8")
FENCED = re.compile(r"^```(\S+ \S+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BLOCKS = [(found[1], found[2]) for found in FENCED.finditer(PROSE)]


class Asked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an example asks."""

    starts_at: datetime
    booked_at: datetime
    taken: int
    sellable: int
    items: dict[str, int]
    extras: dict[str, int] = {}
    payment_method: str | None = None
    voucher: Voucher | None = None


def the_product() -> Product:
    (body,) = (text for tag, text in BLOCKS if tag == "json product")
    return msgspec.json.decode(body, type=Product)


def laid_out(asked: Asked) -> str:
    quote = price(
        the_product(),
        Basket(items=asked.items, extras=asked.extras, payment_method=asked.payment_method),
        Occasion(
            occurrence_id="harbour-tour-1",
            timezone=the_product().timezone,
            starts_at=asked.starts_at,
            booked_at=asked.booked_at,
            taken=asked.taken,
            sellable=asked.sellable,
        ),
        fees=HOUSE_FEES,
        voucher=asked.voucher,
    )
    assert isinstance(quote, Quote), quote
    return "".join(
        f"{row.what:<36}{row.quantity:>4}{row.each:>12}{row.amount:>12}".rstrip() + "\n"
        for row in explained(quote)
    )


EXAMPLES = [(asked, quote) for (tag, asked), (_, quote) in pairwise(BLOCKS) if tag == "json basket"]


@pytest.mark.parametrize(("asked", "quote"), EXAMPLES)
def test_the_worked_examples_come_out_as_shown(asked: str, quote: str) -> None:
    decoded = msgspec.json.decode(asked, type=Asked)
    assert decoded.voucher is None or voucher_errors(decoded.voucher) == []
    assert laid_out(decoded) == quote


def test_there_are_worked_examples_of_a_valid_product() -> None:
    assert len(EXAMPLES) == 3
    assert product_errors(the_product()) == []


def test_every_field_of_a_product_and_a_voucher_is_explained() -> None:
    named = set(re.findall(r"`([a-z_.]+)`", PROSE)) | {"type", "code"}
    assert _fields([Product, Voucher]) - named == set()
    assert set(get_args(PriceRule)) <= named


def test_every_kind_of_line_is_named_in_its_order() -> None:
    kinds = list(get_args(LineKind))
    assert re.search(r",\s+".join(f"`{kind}`" for kind in kinds), PROSE)


def _fields(kinds: list[type[Struct]]) -> set[str]:
    """The names of all fields of these types and of everything in them."""
    _, components = msgspec.json.schema_components(kinds, ref_template="{name}")
    return {name for schema in components.values() for name in schema["properties"]}
