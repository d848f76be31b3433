"""Products made of titles, where nothing else names one."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from .rows import Finding, Row

ID_CHARS_MAX = 64
ADVICE = "give --product, or X-HOLDGATE-PRODUCT in the event"

_NOT_IN_AN_ID = re.compile(r"[^\w]+|_+")


def product_id(title: str) -> str:
    """The title in lower case with hyphens, in whichever script; empty if it has neither letters nor digits."""
    text = unicodedata.normalize("NFKC", title).casefold()
    return _NOT_IN_AN_ID.sub("-", text).strip("-")[:ID_CHARS_MAX].rstrip("-")


def products_of(rows: Iterable[Row]) -> tuple[dict[str, str], list[Finding]]:
    """The product of each title, and what keeps a title from being one.

    Titles that differ in capitals, accents' encoding or blanks are the same. Two that differ in more are never made one
    product: both are errors then, as is a title that has nothing an id could be made of.
    """
    products: dict[str, str] = {}
    first: dict[str, tuple[str, int]] = {}
    findings: list[Finding] = []
    for row in rows:
        if row.title is None:
            findings.append(
                Finding(row.line, "product_id", "the event has neither a product nor a SUMMARY", ADVICE)
            )
            continue
        if row.title in products:
            continue
        made = product_id(row.title)
        if not made:
            findings.append(
                Finding(
                    row.line, "product_id", f"{row.title!r} has no letters a product id can be made of", ADVICE
                )
            )
            continue
        before, line = first.setdefault(made, (row.title, row.line))
        if _same(before) != _same(row.title):
            findings.append(
                Finding(
                    row.line,
                    "product_id",
                    f"{row.title!r} and {before!r} (line {line}) would be one product, {made!r}",
                    ADVICE,
                )
            )
            continue
        products[row.title] = made
    return products, findings


def _same(title: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", title).casefold().split())
