"""`holdgate product`: what is sold, and what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import click

from holdgate_workers.cli.access import Access, pass_access
from holdgate_workers.cli.documents import read_definition
from holdgate_workers.cli.output.cutting import part_of, tell_cut
from holdgate_workers.cli.output.formats import moment
from holdgate_workers.cli.output.output import Column, Output, output_option
from holdgate_workers.cli.params import by_option, example, limit_option

from .price import no_product, price, version_option

if TYPE_CHECKING:
    from holdgate_schema.values.products import Product
    from holdgate_workers.adapters.postgres.pricing.products import Version

VERSIONS_SHOWN = 50


@click.group()
def product() -> None:
    """Put, list and show products with their price rules; say what a basket costs, and why."""


product.add_command(price)


@product.command(
    epilog=example("holdgate product put harbour-tour.json", "holdgate product put - --by ada <tour.json")
)
@click.argument("file", type=click.File("rb"), metavar="FILE|-")
@by_option
@output_option
@pass_access
def put(access: Access, file: BinaryIO, changed_by: str, out: Output) -> None:
    """Put the product of FILE in force: JSON, as docs/pricing.md explains it; - is standard input.

    What is wrong with it is told field by field, and then nothing is stored. Earlier versions are kept; putting what
    is in force already makes no new one.
    """
    from holdgate_workers.adapters.postgres.pricing.products import PriceBook
    from holdgate_workers.domain.pricing.definitions.reading import read_product

    definition = read_definition(file, read_product, out)
    with access.opened(PriceBook) as book:
        done = book.products.put(definition.product_id, definition, changed_by=changed_by)
    if out.is_json:
        out.json({"product_id": definition.product_id, "version": done.stored.version, "is_new": done.is_new})
        return
    out.line("Stored" if done.is_new else "As before", style="bold green")
    out.details(_head(definition.product_id, done.stored))


@product.command(name="list", epilog=example("holdgate product list", "holdgate product list --output json"))
@limit_option(100)
@output_option
@pass_access
def list_(access: Access, limit: int, out: Output) -> None:
    """The products in force, with the prices of their tickets before any rule."""
    from holdgate_workers.adapters.postgres.pricing.products import PriceBook

    with access.opened(PriceBook) as book:
        found, is_cut = part_of(book.products.in_force, limit)
    if out.is_json:
        out.json({"products": found, "is_cut": is_cut})
        return
    out.table(
        [
            "product",
            Column("label", wrap=True),
            "currency",
            Column("tickets", wrap=True),
            Column("version", right=True),
            Column("changed", wrap=not out.is_plain),
        ],
        [
            (
                line.definition.product_id,
                line.definition.label,
                line.definition.currency,
                _tickets(line.definition),
                line.version,
                moment(line.changed_at),
            )
            for line in found
        ],
    )
    tell_cut(is_cut, limit)


def _tickets(definition: Product) -> str:
    from holdgate_workers.domain.pricing.money import shown

    return ", ".join(
        f"{ticket.key} {shown(ticket.price, definition.currency)}" for ticket in definition.ticket_types
    )


@product.command(
    epilog=example("holdgate product show harbour-tour", "holdgate product show harbour-tour --version 1")
)
@click.argument("product_id", metavar="PRODUCT")
@version_option
@output_option
@pass_access
def show(access: Access, product_id: str, version: int | None, out: Output) -> None:
    """PRODUCT with its prices, its rules and the versions that there were.

    The `definition` of the JSON output can be put again as it is.
    """
    from holdgate_workers.adapters.postgres.pricing.products import PriceBook

    with access.opened(PriceBook) as book:
        found = book.products.get(product_id, version)
        versions = book.products.versions(product_id, VERSIONS_SHOWN)
    if found is None:
        raise no_product(product_id, version)
    if out.is_json:
        out.json(
            {
                "version": found.version,
                "changed_at": found.changed_at,
                "changed_by": found.changed_by,
                "definition": found.definition,
                "versions": [
                    {"version": item.version, "changed_at": item.changed_at, "changed_by": item.changed_by}
                    for item in versions
                ],
            }
        )
        return
    out.details(_head(product_id, found), title=found.definition.label or product_id)
    _tell_prices(out, found.definition)
    _tell_rules(out, found.definition)
    if len(versions) > 1:
        out.line()
        out.table(
            [Column("version", right=True), "changed", "by"],
            [(item.version, moment(item.changed_at), item.changed_by) for item in versions],
        )
        if versions[-1].version > 1:
            out.line(f"… and {versions[-1].version - 1:,} older, each with --version")


def _head(product_id: str, stored: Version[Product]) -> list[tuple[str, object]]:
    return [
        ("product", product_id),
        ("currency", stored.definition.currency),
        ("time zone", stored.definition.timezone),
        ("version", stored.version),
        ("changed", f"{moment(stored.changed_at)} by {stored.changed_by}"),
    ]


def _tell_prices(out: Output, definition: Product) -> None:
    from holdgate_workers.domain.pricing.money import shown

    currency = definition.currency
    out.line()
    out.table(
        [
            "ticket",
            Column("label", wrap=True),
            Column(f"price {currency}", right=True),
            "counts as",
            "exempt from",
        ],
        [
            (item.key, item.label, shown(item.price, currency), item.counts_as, ", ".join(item.exempt))
            for item in definition.ticket_types
        ],
    )
    if definition.extras:
        out.line()
        out.table(
            ["extra", Column("label", wrap=True), Column(f"price {currency}", right=True), "per"],
            [(item.key, item.label, shown(item.price, currency), item.per) for item in definition.extras],
        )


def _tell_rules(out: Output, definition: Product) -> None:
    from holdgate_workers.domain.pricing.definitions.describing import described_rules

    out.line()
    out.table(
        ["rule", Column("label", wrap=True), Column("counts when", wrap=True), Column("does", wrap=True)],
        described_rules(definition),
    )
