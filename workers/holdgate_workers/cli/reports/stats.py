"""`holdgate stats`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from holdgate_workers.cli import exits
from holdgate_workers.cli.access import Access, pass_access
from holdgate_workers.cli.failures import Failure
from holdgate_workers.cli.output.formats import away, short, span
from holdgate_workers.cli.output.output import Column, Output, output_option
from holdgate_workers.cli.params import example, limit_option

if TYPE_CHECKING:
    from holdgate_workers.adapters.postgres.reports.figures import HoldStats, Most, OccurrenceStats, Stats, Totals

STYLES = {"open": "green", "low": "yellow", "nearly_full": "dark_orange", "full": "red"}
COLUMNS: tuple[Column | str, ...] = (
    *(Column(name, right=True) for name in ("capacity", "sellable", "held", "sold", "available", "used")),
    Column("band", wrap=True),
    Column("next release", wrap=True),
)


@click.command(epilog=example("holdgate stats", "holdgate stats --product tour", "holdgate stats -o json"))
@click.option("--occurrence", metavar="ID", help="Only this one.")
@click.option("--product", metavar="ID", help="Only this product's.")
@limit_option(50)
@output_option
@pass_access
def stats(access: Access, occurrence: str | None, product: str | None, limit: int, out: Output) -> None:
    """How full everything is, and how holds and bookings end; counted from the rows, at one instant.

    The band says how much of what may be sold is held or sold: open, low, nearly full or full, by the settings
    `alerts.*` and what an occurrence says instead. `--limit` bounds the lines of a table, never the sums.
    """
    from holdgate_workers.adapters.postgres.reports.statistics import Statistics

    with access.opened(Statistics) as reader:
        found = reader.read(occurrence=occurrence, product=product)
    if occurrence is not None and not found.occurrences:
        raise Failure(f"there is no occurrence {occurrence!r}; see `holdgate occurrence list`", exits.REFUSED)
    if out.is_json:
        out.json(
            {
                "read_at": found.read_at,
                "occurrences": found.occurrences[:limit],
                "products": found.products[:limit],
                "is_cut": len(found.occurrences) > limit or len(found.products) > limit,
                "totals": found.totals,
                "holds": found.holds,
                "bookings": found.bookings,
            }
        )
        return
    _tell_occurrences(out, found, limit)
    if len(found.products) > 1:
        _tell_products(out, found, limit)
    _tell_holds(out, found.holds)
    _tell_bookings(out, found)


def _tell_occurrences(out: Output, found: Stats, limit: int) -> None:
    rows = [_row(out, found, item.occurrence_id, item) for item in found.occurrences[:limit]]
    rows += _and_more(len(found.occurrences) - limit)
    rows.append(_row(out, found, f"all {found.totals.occurrences}", found.totals))
    out.table([Column("occurrence", wrap=True), *_columns(found)], rows)


def _tell_products(out: Output, found: Stats, limit: int) -> None:
    rows = [_row(out, found, item.product_id, item) for item in found.products[:limit]]
    out.line()
    rows += _and_more(len(found.products) - limit)
    out.table([Column("product", wrap=True), *_columns(found)], rows)


def _row(out: Output, found: Stats, name: str, item: OccurrenceStats | Totals) -> tuple[object, ...]:
    from rich.text import Text

    band = Text(item.band.replace("_", " "), style="" if out.is_plain else STYLES[item.band])
    numbers = (item.capacity, item.sellable, item.held, item.sold, item.available)
    release = away(item.next_release_at, found.read_at) if item.next_release_at else ""
    used = f"{item.utilisation_percent:.1f} %"
    waiting = [f"{item.waiting:,}"] if found.totals.waiting else []
    return (name, *(f"{number:,}" for number in numbers), used, band, release, *waiting)


def _columns(found: Stats) -> tuple[Column | str, ...]:
    """Most houses have nobody in line."""
    return (*COLUMNS, Column("waiting", right=True)) if found.totals.waiting else COLUMNS


def _and_more(number: int) -> list[tuple[object, ...]]:
    return [(f"… {number:,} more, with --limit",)] if number > 0 else []


def _tell_holds(out: Output, holds: HoldStats) -> None:
    out.line()
    life = None if holds.average_life_seconds is None else span(holds.average_life_seconds)
    rate = None if holds.conversion_percent is None else f"{holds.conversion_percent} %"
    out.details(
        [
            (
                "active",
                f"{holds.active:,}" + (f" ({holds.due} past their time, not swept yet)" if holds.due else ""),
            ),
            ("converting", f"{holds.converting:,}"),
            ("confirmed", f"{holds.confirmed:,}"),
            ("expired", f"{holds.expired:,}"),
            ("released", f"{holds.released:,}"),
            ("cancelled", f"{holds.cancelled:,}"),
            ("average life", life),
            ("converted", rate),
        ],
        title="Holds",
    )
    _tell_most(out, "session", holds.by_session)
    _tell_most(out, "occurrence", holds.by_occurrence)


def _tell_most(out: Output, name: str, most: list[Most]) -> None:
    if not most:
        return
    out.line()
    out.table(
        [Column(name, wrap=True), Column("live holds", right=True), Column("seats", right=True)],
        [(item.id, item.holds, item.seats) for item in most],
        title=f"Most live holds by {name}, ten at most",
    )


def _tell_bookings(out: Output, found: Stats) -> None:
    from holdgate_workers.domain.pricing.money import shown

    bookings = found.bookings
    states = ("converting", "confirmed", "cancelled", "failed", "parked", "refund_required")
    out.line()
    out.details([(state.replace("_", " "), f"{getattr(bookings, state):,}") for state in states], title="Bookings")
    parked = bookings.waiting_for_a_person
    if not parked:
        return
    waiting = bookings.parked + bookings.refund_required
    out.line()
    out.table(
        [
            "booking",
            Column("occurrence", wrap=True),
            Column("state", wrap=True),
            "since",
            Column("total", right=True),
            Column("why", wrap=True),
        ],
        [
            (
                short(item.booking_id),
                item.occurrence_id,
                item.state.replace("_", " "),
                away(item.since, found.read_at),
                f"{shown(item.total, item.currency)} {item.currency}",
                item.reason,
            )
            for item in parked
        ],
        title="Waiting for a person"
        if len(parked) == waiting
        else f"Waiting for a person, the {len(parked)} oldest of {waiting:,} (`holdgate booking list` has all)",
    )
    if bookings.parked + bookings.refund_required > len(parked):
        out.line(f"and {bookings.parked + bookings.refund_required - len(parked)} more")
