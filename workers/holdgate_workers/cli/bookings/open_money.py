"""`holdgate booking money` and `payment-settled`: money that is open, and what was done about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from holdgate_workers.cli import exits
from holdgate_workers.cli.access import Access, pass_access
from holdgate_workers.cli.failures import Failure
from holdgate_workers.cli.holds.lookups import only
from holdgate_workers.cli.output.formats import short
from holdgate_workers.cli.output.output import Column, Output, output_option
from holdgate_workers.cli.output.selling_answers import money
from holdgate_workers.cli.params import ID_PART, by_option, example

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from holdgate_workers.adapters.postgres.reports.money import OpenMoney, RefusedPayment

_ISOLATE, _POP = "\u2068", "\u2069"
"""What stands between them does not turn the direction of what stands around it."""


@click.command(name="money", epilog=example("holdgate booking money", "holdgate booking money --output json"))
@output_option
@pass_access
def money_(access: Access, out: Output) -> None:
    """Money that is open, and what to do about each: refunds that are due, payments that were refused, and what was
    paid for something that is undecided or has no order yet."""
    from holdgate_workers.adapters.postgres.reports.money import KINDS, Money

    with access.opened(Money) as book:
        found: list[OpenMoney | RefusedPayment] = [*book.open(), *book.refused()]
    found.sort(key=lambda item: item.since)
    totals: dict[str, dict[str, int]] = {}
    for item in found:
        sums = totals.setdefault(item.currency, dict.fromkeys(KINDS, 0))
        sums[item.kind] += item.amount
    if out.is_json:
        out.json({"open": [_fields(item) for item in found], "totals": totals})
        return
    if not found:
        out.line("No money is open: nothing is owed, nothing was refused, and nothing that was paid is undecided.")
        return
    _table(out, found)
    for currency, sums in sorted(totals.items()):
        said = ", ".join(f"{kind} {money(amount, currency)}" for kind, amount in sums.items() if amount)
        out.line(f"in all: {said}")


def _table(out: Output, found: Sequence[OpenMoney | RefusedPayment]) -> None:
    out.table(
        ["booking", "kind", Column("amount", right=True), Column("why, and what to do", wrap=True)],
        [
            (short(item.name), item.kind, money(item.amount, item.currency), f"{_why(item)}; {item.to_do}")
            for item in found
        ],
    )


def _why(item: OpenMoney | RefusedPayment) -> str:
    if item.kind != "refused":
        return item.state or ""
    named = f" {_ISOLATE}{item.reference}{_POP}" if item.reference else ""
    return f"{item.reason}: paid by {item.method}{named}"


def _fields(item: OpenMoney | RefusedPayment) -> dict[str, Any]:
    """An entry for programs: the same names for all, null where there is no such thing."""
    is_refused = item.kind == "refused"
    return {
        "booking_id": None if is_refused else item.name,
        "payment_id": item.name if is_refused else None,
        "hold_id": item.hold_id,
        "occurrence_id": item.occurrence_id,
        "state": item.state,
        "kind": item.kind,
        "amount": item.amount,
        "currency": item.currency,
        "method": item.method,
        "reference": item.reference,
        "since": item.since,
        "reason": item.reason,
        "message": item.message,
        "trouble": item.trouble,
        "to_do": item.to_do,
    }


@click.command(
    name="payment-settled",
    epilog=example("holdgate booking payment-settled 01a20730-122e-7691 --note 'given back by bank transfer'"),
)
@click.argument("payment_id", metavar="PAYMENT", type=ID_PART)
@click.option("--note", required=True, help="What became of the money; it is kept with the payment.")
@by_option
@output_option
@pass_access
def payment_settled(access: Access, payment_id: str, note: str, changed_by: str, out: Output) -> None:
    """Take a refused PAYMENT off the list of open money: it was given back, or taken for something else.

    What a later booking of the same session is paid with leaves the list by itself.
    """
    from holdgate_workers.adapters.postgres.reports.money import Money

    if not note.strip():
        raise click.UsageError("--note must say what became of the money")
    with access.opened(Money) as book:
        whole = only("refused payment", payment_id, book.payments_like, see="holdgate booking money")
        if not book.settle(whole, changed_by, note):
            raise Failure(f"there is no open refused payment {whole}; see `holdgate booking money`", exits.REFUSED)
    if out.is_json:
        out.json({"payment_id": whole, "settled_by": changed_by, "note": note})
    else:
        out.line(f"Settled: {short(whole)}")
