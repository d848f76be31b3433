"""`holdgate quote`: what a basket costs on an occurrence now, as buyers are told."""

from __future__ import annotations

from typing import Any

import click

from holdgate_workers.cli.access import Access, pass_access, timeout_option
from holdgate_workers.cli.output.output import Output, output_option
from holdgate_workers.cli.output.selling_answers import tell_selling
from holdgate_workers.cli.params import QUANTITY, example, quantities, request_id_option


@click.group()
def quote() -> None:
    """Ask for prices without holding anything. `holdgate product price --explain` says why they are what they are."""


def pricing_options(command: Any) -> Any:
    """`--payment-method` and `--voucher`."""
    for option in (
        click.option("--voucher", metavar="CODE", help="A voucher to redeem."),
        click.option("--payment-method", metavar="NAME", help="How it is to be paid, such as credit_card."),
    ):
        command = option(command)
    return command


@quote.command(
    epilog=example(
        "holdgate quote get occ-1 adult=2 child=1",
        "holdgate quote get occ-1 adult=2 --payment-method credit_card --voucher WINTER-26",
    )
)
@click.argument("occurrence_id", metavar="OCCURRENCE")
@click.argument("items", nargs=-1, required=True, type=QUANTITY, metavar="TICKET=NUMBER...")
@click.option("--extra", "extras", multiple=True, type=QUANTITY, help="An extra and how many; may be repeated.")
@pricing_options
@request_id_option
@timeout_option
@output_option
@pass_access
def get(
    access: Access,
    occurrence_id: str,
    items: tuple[tuple[str, int], ...],
    extras: tuple[tuple[str, int], ...],
    payment_method: str | None,
    voucher: str | None,
    request_id: str | None,
    timeout_seconds: float,
    out: Output,
) -> None:
    """What the basket costs on OCCURRENCE. A hold that names the quote within its time has that price."""
    tickets, more = quantities(items, "TICKET=NUMBER"), quantities(extras, "--extra")
    with access.client(timeout_seconds) as client:
        answer = client.quote(
            occurrence_id,
            tickets,
            extras=more,
            payment_method=payment_method,
            voucher=voucher,
            request_id=request_id,
        )
    tell_selling(out, answer)
