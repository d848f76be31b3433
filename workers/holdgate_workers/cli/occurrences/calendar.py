"""`holdgate calendar`: the occurrences of a product for calendar programs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from holdgate_workers.cli import exits
from holdgate_workers.cli.access import Access, pass_access
from holdgate_workers.cli.failures import Failure
from holdgate_workers.cli.params import TIME, example, in_utc

if TYPE_CHECKING:
    from holdgate_workers.app.notifications.facts import ProductSlots


@click.group()
def calendar() -> None:
    """Feeds of occurrences, as iCalendar (RFC 5545). Nothing in them says who booked."""


@calendar.command(
    epilog=example(
        "holdgate calendar export harbour-tour",
        "holdgate calendar export harbour-tour --output tour.ics",
        "holdgate calendar export harbour-tour --from 2030-05-01 --until 2030-06-01",
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
@click.option("--from", "since", type=TIME, help="Those that start then or later (UTC without an offset).")
@click.option("--until", type=TIME, help="Those that start before.")
@pass_access
def export(
    access: Access, product_id: str, output: Path | None, since: datetime | None, until: datetime | None
) -> None:
    """All occurrences of PRODUCT, past ones too, those that were cancelled as such.

    What changed keeps its id (HOLDGATE_CALENDAR_DOMAIN is part of it), so that importing it again moves and cancels
    what is there. To have programs subscribe to it, set HOLDGATE_CALENDAR_TOKEN: docs/notifications.md says how.
    """
    from holdgate_workers.adapters.calendars.feed import left_out, product_feed
    from holdgate_workers.adapters.postgres.notifications.slots import SlotBook

    domain = access.config().calendar_domain

    def write(found: ProductSlots) -> str:
        with _opened(output) as file:
            for piece in product_feed(found, domain=domain):
                file.write(piece)
        number = f"{found.number} occurrence" + ("" if found.number == 1 else "s")
        without = f"; without {left_out(found)}" if found.left_out else ""
        where = "" if output is None else f" in {output}"
        return f"{number} of {found.title}{where}{without}"

    with access.opened(SlotBook) as book:
        try:
            said = book.of_product(product_id, write, since=in_utc(since), until=in_utc(until))
        except OSError as exc:
            if output is None:
                raise
            raise Failure(f"cannot write {output}: {exc.strerror}", exits.USAGE) from None
    if said is None:
        raise Failure(f"there is no product {product_id!r}; see `holdgate product list`", exits.REFUSED)
    click.echo(said, err=True)


@contextmanager
def _opened(output: Path | None) -> Iterator[IO[bytes]]:
    """Standard output, or the file, which is whole or as it was before."""
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    part = output.with_name(f".{output.name}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)
