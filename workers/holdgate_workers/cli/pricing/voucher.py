"""`holdgate voucher`: money or a percentage off an order."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import click

from holdgate_workers.cli import exits
from holdgate_workers.cli.access import Access, pass_access
from holdgate_workers.cli.documents import read_definition
from holdgate_workers.cli.failures import Failure
from holdgate_workers.cli.output.cutting import part_of, tell_cut
from holdgate_workers.cli.output.formats import moment
from holdgate_workers.cli.output.output import Column, Output, output_option
from holdgate_workers.cli.params import by_option, example, limit_option

from .price import version_option

if TYPE_CHECKING:
    from holdgate_schema.values.products import Voucher
    from holdgate_workers.adapters.postgres.pricing.products import Version


@click.group()
def voucher() -> None:
    """Put, list and show vouchers."""


@voucher.command(
    epilog=example(
        "holdgate voucher put winter.json",
        """echo '{"code": "WINTER-26", "percent": 12.5}' | holdgate voucher put -""",
    )
)
@click.argument("file", type=click.File("rb"), metavar="FILE|-")
@by_option
@output_option
@pass_access
def put(access: Access, file: BinaryIO, changed_by: str, out: Output) -> None:
    """Put the voucher of FILE in force: JSON, as docs/pricing.md explains it; - is standard input.

    What is wrong with it is told field by field, and then nothing is stored. Earlier versions are kept. To withdraw a
    voucher, put it with a `valid_until` that is over.
    """
    from holdgate_workers.adapters.postgres.pricing.products import PriceBook
    from holdgate_workers.domain.pricing.definitions.reading import read_voucher

    definition = read_definition(file, read_voucher, out)
    with access.opened(PriceBook) as book:
        done = book.vouchers.put(definition.code, definition, changed_by=changed_by)
    if out.is_json:
        out.json({"code": definition.code, "version": done.stored.version, "is_new": done.is_new})
        return
    out.line("Stored" if done.is_new else "As before", style="bold green")
    _tell(out, done.stored)


@voucher.command(name="list", epilog=example("holdgate voucher list"))
@limit_option(100)
@output_option
@pass_access
def list_(access: Access, limit: int, out: Output) -> None:
    """The vouchers, by their codes."""
    from holdgate_workers.adapters.postgres.pricing.products import PriceBook
    from holdgate_workers.domain.pricing.definitions.describing import worth

    with access.opened(PriceBook) as book:
        found, is_cut = part_of(book.vouchers.in_force, limit)
    if out.is_json:
        out.json({"vouchers": found, "is_cut": is_cut})
        return
    out.table(
        [
            "code",
            Column("worth", right=True),
            "valid from",
            "valid until",
            Column("uses at most", right=True),
            Column("version", right=True),
        ],
        [
            (
                line.definition.code,
                worth(line.definition),
                line.definition.valid_from,
                line.definition.valid_until,
                line.definition.uses_max,
                line.version,
            )
            for line in found
        ],
    )
    tell_cut(is_cut, limit)


@voucher.command(epilog=example("holdgate voucher show WINTER-26", "holdgate voucher show WINTER-26 --version 1"))
@click.argument("code")
@version_option
@output_option
@pass_access
def show(access: Access, code: str, version: int | None, out: Output) -> None:
    """What CODE is worth, and for what it is good."""
    from holdgate_workers.adapters.postgres.pricing.products import PriceBook

    with access.opened(PriceBook) as book:
        found = book.vouchers.get(code, version)
    if found is None:
        which = f"version {version} of voucher" if version is not None else "voucher"
        raise Failure(f"there is no {which} {code!r}; see `holdgate voucher list`", exits.REFUSED)
    if out.is_json:
        out.json(found)
    else:
        _tell(out, found)


def _tell(out: Output, found: Version[Voucher]) -> None:
    from holdgate_workers.domain.pricing.definitions.describing import worth
    from holdgate_workers.domain.pricing.money import shown

    what = found.definition
    least = f"{shown(what.minimum, what.currency)} {what.currency}" if what.minimum and what.currency else None
    out.details(
        [
            ("voucher", what.code),
            ("worth", worth(what)),
            ("valid from", what.valid_from),
            ("valid until", what.valid_until),
            ("for orders from", least),
            ("for products", ", ".join(what.products) or "all"),
            ("uses at most", what.uses_max),
            ("version", found.version),
            ("changed", f"{moment(found.changed_at)} by {found.changed_by}"),
        ]
    )
