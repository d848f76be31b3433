"""`holdgate cart`: baskets of several occurrences, all or nothing."""

from __future__ import annotations

from typing import Any

import click

from holdgate_schema.commands.selling import CartLeg
from holdgate_workers.cli import exits
from holdgate_workers.cli.access import Access, pass_access, timeout_option
from holdgate_workers.cli.failures import Failure
from holdgate_workers.cli.holds.lookups import only
from holdgate_workers.cli.output.formats import moment, short
from holdgate_workers.cli.output.output import Column, Output, output_option
from holdgate_workers.cli.output.selling_answers import tell_both
from holdgate_workers.cli.params import ID_PART, QUANTITY, example, quantities, request_id_option


@click.group()
def cart() -> None:
    """Hold baskets of several occurrences, and see how far a cart has come."""


class _Leg(click.ParamType):  # type: ignore[type-arg]
    """`occ-1 adult=2 +wine=1`: an occurrence, tickets, and extras behind a plus."""

    name = "OCCURRENCE TICKET=NUMBER..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> CartLeg:
        if isinstance(value, CartLeg):
            return value
        occurrence_id, *pieces = str(value).split()
        items = [QUANTITY.convert(piece, param, ctx) for piece in pieces if not piece.startswith("+")]
        extras = [QUANTITY.convert(piece[1:], param, ctx) for piece in pieces if piece.startswith("+")]
        if not items:
            self.fail(
                f"{value!r} is not an occurrence and its tickets, such as 'occ-1 adult=2 +wine=1'", param, ctx
            )
        return CartLeg(
            occurrence_id=occurrence_id,
            items=quantities(tuple(items), "--leg"),
            extras=quantities(tuple(extras), "--leg"),
        )


@cart.command(
    epilog=example(
        "holdgate cart place --leg 'occ-1 adult=2' --leg 'occ-2 adult=2 +wine=1'",
        "holdgate cart place --leg 'occ-1 adult=2' --leg 'occ-2 adult=2' --session cart-17 --ttl 600",
    )
)
@click.option(
    "--leg", "legs", multiple=True, required=True, type=_Leg(), help="Two to ten of them; + marks an extra."
)
@click.option("--session", metavar="ID", help="Whose holds they are. [default: a new session is issued]")
@click.option("--user", metavar="ID", help="The buyer, if known.")
@click.option("--ttl", "ttl_seconds", type=click.IntRange(1, 7200), metavar="SECONDS", help="How long to hold.")
@request_id_option
@timeout_option
@output_option
@pass_access
def place(
    access: Access,
    legs: tuple[CartLeg, ...],
    session: str | None,
    user: str | None,
    ttl_seconds: int | None,
    request_id: str | None,
    timeout_seconds: float,
    out: Output,
) -> None:
    """Hold every leg, or nothing of the cart."""
    with access.client(timeout_seconds) as client:
        answers = client.place_cart(
            legs, session_id=session, user_id=user, ttl_seconds=ttl_seconds, request_id=request_id
        )
        tell_both(out, answers)


@cart.command(epilog=example("holdgate cart show 3f2a91c0"))
@click.argument("cart_id", metavar="CART", type=ID_PART)
@output_option
@pass_access
def show(access: Access, cart_id: str, out: Output) -> None:
    """How far CART has come, leg by leg, and how it ended."""
    from holdgate_workers.adapters.postgres.reports.sales import Sales

    with access.opened(Sales) as sales:
        row = sales.cart(only("cart", cart_id, sales.carts_like))
    if row is None:
        raise Failure(f"there is no cart {cart_id!r}, or nobody has begun to take it", exits.REFUSED)
    if out.is_json:
        out.json(row)
        return
    verdict = row.document.get("verdict") or {}
    out.details(
        [
            ("cart", row.cart_id),
            ("session", row.session_id),
            ("state", row.state),
            ("why", ": ".join(part for part in (verdict.get("occurrence_id"), verdict.get("message")) if part)),
            ("begun", moment(row.created_at, row.read_at)),
            ("changed", moment(row.changed_at, row.read_at)),
        ]
    )
    out.line()
    out.table(
        ["occurrence", "hold", Column("state")],
        [(leg["occurrence_id"], short(leg["hold_id"]), leg["state"]) for leg in row.document.get("legs", [])],
    )
