"""A quote as rows of a table: every line, and under it every rule that made its price."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, localcontext
from typing import NamedTuple

from holdgate_schema.values.quotes import Quote, QuoteLine
from holdgate_schema.values.views import QuoteView

from .money import EXACT, shown

HEADINGS = ("what", "quantity", "each", "amount")
INDENT = "  "


class Row(NamedTuple):
    """One row, cells as people read them; amounts are in the currency's major unit."""

    what: str
    quantity: str = ""
    each: str = ""
    amount: str = ""


def explained(quote: Quote | QuoteView, *, steps: bool = True) -> list[Row]:
    """The quote row by row, its total last. Without `steps` only what is charged, not why."""
    with localcontext(EXACT):
        rows = [row for line in quote.lines for row in _line(line, quote.currency, steps=steps)]
        return [*rows, Row(f"Total {quote.currency}", amount=shown(quote.total, quote.currency))]


def _line(line: QuoteLine, currency: str, *, steps: bool) -> Iterator[Row]:
    amount = shown(line.amount, currency)
    if line.each is None:
        yield Row(line.label, amount=amount)
    else:
        yield Row(line.label, str(line.quantity), shown(Decimal(line.each), currency), amount)
    if steps:
        for step in line.steps:
            yield Row(INDENT + step.label, each=shown(Decimal(step.amount), currency))
