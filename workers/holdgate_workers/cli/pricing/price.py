"""`holdgate product price`: what a basket costs, and why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from holdgate_schema.values.quotes import PriceProblem, Quote, Unpriced
from holdgate_workers.cli import exits
from holdgate_workers.cli.access import Access, pass_access
from holdgate_workers.cli.failures import Failure
from holdgate_workers.cli.output.formats import amount, local
from holdgate_workers.cli.output.output import Output, output_option
from holdgate_workers.cli.output.selling_answers import tell_lines
from holdgate_workers.cli.params import QUANTITY, TIME, example, quantities

if TYPE_CHECKING:
    from holdgate_schema.values.products import Product
    from holdgate_workers.adapters.postgres.pricing.products import Basis, Version
    from holdgate_workers.domain.pricing.basket import Basket
    from holdgate_workers.domain.pricing.price_context import Occasion


@dataclass(slots=True, frozen=True)
class When:
    """What the call says of the occurrence: its id, or when it would be."""

    occurrence_id: str | None
    starts_at: datetime | None
    timezone: str | None
    booked_at: datetime | None
    share_sold: int | None

    def check(self) -> None:
        """Raise `UsageError` if the options do not go together."""
        if (self.occurrence_id is None) == (self.starts_at is None):
            raise click.UsageError("give either --at with an occurrence or --starts-at with a time")
        if self.occurrence_id is not None and self.timezone is not None:
            raise click.UsageError("--timezone goes with --starts-at; an occurrence has its own")


def version_option(command: Any) -> Any:
    """`--version`: an earlier one."""
    return click.option("--version", type=click.IntRange(1), metavar="NUMBER", help="[default: the one in force]")(
        command
    )


@click.command(
    epilog=example(
        "holdgate product price harbour-tour --ticket adult=2 --ticket child=1 --extra lunch=1 --at occ-1 --explain",
        "holdgate product price harbour-tour --ticket adult=5 --starts-at 2030-07-06T10:00 --share-sold 80 \\",
        "    --on 2030-05-01T12:00 --payment credit_card --voucher WINTER-26 --explain",
    )
)
@click.argument("product_id", metavar="PRODUCT")
@click.option(
    "--ticket", "tickets", type=QUANTITY, multiple=True, required=True, help="Such as adult=2; repeat it."
)
@click.option("--extra", "extras", type=QUANTITY, multiple=True, help="Such as lunch=1; repeat it.")
@click.option("--at", "occurrence_id", metavar="OCCURRENCE", help="Day, zone and what is taken are this one's.")
@click.option("--starts-at", type=TIME, help="Instead of --at: wall time of the zone, or with an offset.")
@click.option("--timezone", metavar="ZONE", help="IANA name, for --starts-at.  [default: the product's]")
@click.option("--on", "booked_at", type=TIME, help="Booked then: wall time of the zone.  [default: now]")
@click.option(
    "--share-sold",
    type=click.IntRange(0, 100),
    metavar="PERCENT",
    help="As if so much were held or sold.  [default: what is; without an occurrence 0]",
)
@click.option("--voucher", metavar="CODE", help="With this voucher; it is not used up.")
@click.option("--payment", "payment_method", metavar="METHOD", help="With the fee of this way of paying.")
@click.option("--explain", is_flag=True, help="Every rule that made a price, too.")
@version_option
@output_option
@pass_access
def price(
    access: Access,
    /,
    product_id: str,
    tickets: tuple[tuple[str, int], ...],
    extras: tuple[tuple[str, int], ...],
    voucher: str | None,
    payment_method: str | None,
    explain: bool,
    version: int | None,
    out: Output,
    **when: Any,
) -> None:
    """What a basket of PRODUCT costs. Nothing is held and nothing is used up.

    The price is made of what is stored: the product, the fees, the voucher, and how full the occurrence is. What has no
    price is refused with the reason.
    """
    from holdgate_workers.adapters.postgres.pricing.products import PriceBook
    from holdgate_workers.domain.pricing.basket import Basket

    asked = When(**when)
    asked.check()
    items, more = quantities(tickets, "--ticket"), quantities(extras, "--extra")
    with access.opened(PriceBook) as book:
        basis = book.basis(product_id, version=version, occurrence_id=asked.occurrence_id, voucher=voucher)
    if basis.product is None:
        raise no_product(product_id, version)
    occasion = _occasion(asked, basis, basis.product.definition)
    basket = Basket(items=items, extras=more, payment_method=payment_method)
    result = _priced(basis, basis.product.definition, basket, occasion, voucher)
    if out.is_json:
        _tell_programs(out, basis.product, occasion, result)
    else:
        _tell_people(out, basis.product, occasion, result, asked, explain=explain)
    if isinstance(result, Unpriced):
        raise click.exceptions.Exit(exits.REFUSED)


def no_product(product_id: str, version: int | None) -> Failure:
    """What to say where there is no such product, or no such version of it."""
    if version is None:
        return Failure(f"there is no product {product_id!r}; see `holdgate product list`", exits.REFUSED)
    where = f"`holdgate product show {product_id}`"
    return Failure(f"there is no version {version} of product {product_id!r}; see {where}", exits.REFUSED)


def _occasion(asked: When, basis: Basis, product: Product) -> Occasion:
    occasion = _imagined(asked, product, basis.read_at) if asked.starts_at else _found(asked, basis, product)
    if asked.booked_at is not None:
        occasion = replace(occasion, booked_at=_instant("--on", asked.booked_at, occasion.timezone))
    if asked.share_sold is not None:
        occasion = replace(occasion, taken=asked.share_sold, sellable=100)
    return occasion


def _found(asked: When, basis: Basis, product: Product) -> Occasion:
    """The occurrence as the database has it."""
    name, found = asked.occurrence_id, basis.occurrence
    if found is None:
        raise Failure(f"there is no occurrence {name!r}; see `holdgate occurrence list`", exits.REFUSED)
    if found.product_id != product.product_id:
        raise Failure(
            f"{name} is an occurrence of {found.product_id!r}, not of {product.product_id!r}", exits.USAGE
        )
    return found.occasion


def _imagined(asked: When, product: Product, now: datetime) -> Occasion:
    """One that need not exist, with nothing taken."""
    from holdgate_workers.domain.occurrences.wall_time import zone_exists
    from holdgate_workers.domain.pricing.price_context import Occasion

    zone = asked.timezone or product.timezone
    if not zone_exists(zone):
        raise click.BadParameter(f"{zone!r} is not a known IANA zone", param_hint="--timezone")
    assert asked.starts_at is not None
    starts_at = _instant("--starts-at", asked.starts_at, zone)
    return Occasion(occurrence_id="", starts_at=starts_at, timezone=zone, booked_at=now)


def _instant(option: str, time: datetime, zone: str) -> datetime:
    from holdgate_workers.cli.occurrences.definition import at_zone
    from holdgate_workers.domain.occurrences.catalogue import YEAR_MAX, YEAR_MIN

    if not YEAR_MIN <= time.year <= YEAR_MAX:
        raise click.BadParameter(f"must be in a year from {YEAR_MIN} to {YEAR_MAX}", param_hint=option)
    return at_zone(time, zone)


def _priced(
    basis: Basis, product: Product, basket: Basket, occasion: Occasion, voucher: str | None
) -> Quote | Unpriced:
    from holdgate_workers.domain.pricing.engine import price as price_of

    if voucher is not None and basis.voucher is None:
        message = f"There is no voucher {voucher!r}; see `holdgate voucher list`"
        return Unpriced(problems=[PriceProblem(what="voucher", key=voucher, reason="unknown", message=message)])
    definition = basis.voucher.definition if basis.voucher else None
    return price_of(product, basket, occasion, fees=basis.fees, voucher=definition)


def _tell_programs(out: Output, product: Version[Product], occasion: Occasion, result: Quote | Unpriced) -> None:
    outcome = {"problems": result.problems} if isinstance(result, Unpriced) else {"quote": result}
    out.json(
        {
            "outcome": "unpriced" if isinstance(result, Unpriced) else "priced",
            "product_id": product.definition.product_id,
            "version": product.version,
            "occurrence_id": occasion.occurrence_id or None,
            "starts_at": occasion.starts_at,
            "timezone": occasion.timezone,
            "booked_at": occasion.booked_at,
            "taken": occasion.taken,
            "sellable": occasion.sellable,
            **outcome,
        }
    )


def _tell_people(
    out: Output,
    product: Version[Product],
    occasion: Occasion,
    result: Quote | Unpriced,
    asked: When,
    *,
    explain: bool,
) -> None:
    zone = occasion.timezone
    out.details(
        [
            ("product", f"{product.definition.product_id}, version {product.version}"),
            ("starts", f"{occasion.weekday_name} {local(occasion.starts_at, zone)} ({zone})"),
            ("booked", local(occasion.booked_at, zone)),
            ("taken", _taken(occasion, asked)),
        ],
        title=occasion.occurrence_id or product.definition.label,
    )
    out.line()
    if isinstance(result, Unpriced):
        out.line("Refused: unpriced", style="bold red")
        out.details([(f"{problem.what} {problem.key}", problem.message) for problem in result.problems])
    else:
        tell_lines(out, result, steps=explain)


def _taken(occasion: Occasion, asked: When) -> str:
    if asked.share_sold is not None or asked.occurrence_id is None:
        return f"{asked.share_sold or 0} %"
    return f"{occasion.taken} of {amount(occasion.sellable)}"
