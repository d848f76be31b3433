"""`holdgate calendar`: the occurrences of a product for calendar programs."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from . import exits
from .failures import Failure
from .params import example
from .site import Access, pass_access


@click.group()
def calendar() -> None:
    """Feeds of occurrences, as iCalendar (RFC 5545). Nothing in them says who booked."""


@calendar.command(
    epilog=example(
        "holdgate calendar export harbour-tour", "holdgate calendar export harbour-tour --output tour.ics"
    )
)
@click.argument("product_id", metavar="PRODUCT")
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    metavar="FILE",
    help="Write it there. [default: standard output]",
)
@pass_access
def export(access: Access, product_id: str, output: Path | None) -> None:
    """The occurrences of PRODUCT, those that were cancelled as such.

    What changed keeps its id (HOLDGATE_CALENDAR_DOMAIN is part of it), so that importing it again moves and cancels
    what is there. To have programs subscribe to it, set HOLDGATE_CALENDAR_TOKEN: docs/notifications.md says how.
    """
    from holdgate_workers.adapters.calendars.feed import product_feed
    from holdgate_workers.adapters.postgres.slots import SlotBook

    domain = access.config().calendar_domain
    with access.opened(SlotBook) as book:
        found = book.of_product(product_id)
    if found is None:
        raise Failure(f"there is no product {product_id!r}; see `holdgate product list`", exits.REFUSED)
    content = product_feed(found.title, found.slots, domain=domain)
    if output is None:
        sys.stdout.buffer.write(content)
        sys.stdout.flush()
        return
    try:
        output.write_bytes(content)
    except OSError as exc:
        raise Failure(f"cannot write {output}: {exc.strerror}", exits.USAGE) from None
    click.echo(f"{len(found.slots)} occurrences of {found.title} in {output}", err=True)
