"""`holdgate stats`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from . import exits
from .failures import Failure
from .formats import away, span
from .output import Column, Output, output_option
from .params import example, limit_option
from .site import Access, pass_access

if TYPE_CHECKING:
    from holdgate_workers.adapters.postgres.statistics import HoldStats, Most, OccurrenceStats, Stats, Totals

STYLES = {"open": "green", "low": "yellow", "nearly_full": "dark_orange", "full": "red"}


@click.command(epilog=example("holdgate stats", "holdgate stats --product tour", "holdgate stats -o json"))
@click.option("--occurrence", metavar="ID", help="Only this one.")
@click.option("--product", metavar="ID", help="Only this product's.")
@limit_option(50)
@output_option
@pass_access
def stats(access: Access, occurrence: str | None, product: str | None, limit: int, out: Output) -> None:
    """How full everything is, and how holds end; counted from the rows, at one instant.

    The band says how much of what may be sold is held or sold: open under 80 %, low from 80 %, nearly full from
    95 %, full at 100 %. `--limit` bounds the occurrences shown, never the totals.
    """
    from holdgate_workers.adapters.postgres.statistics import Statistics

    with access.opened(Statistics) as reader:
        found = reader.read(occurrence=occurrence, product=product)
    if occurrence is not None and not found.occurrences:
        raise Failure(f"there is no occurrence {occurrence!r}; see `holdgate occurrence list`", exits.REFUSED)
    if out.is_json:
        out.json(
            {
                "read_at": found.read_at,
                "occurrences": found.occurrences[:limit],
                "totals": found.totals,
                "holds": found.holds,
            }
        )
        return
    _tell_occurrences(out, found, limit)
    _tell_holds(out, found.holds)


def _tell_occurrences(out: Output, found: Stats, limit: int) -> None:
    from rich.text import Text

    numbers = [Column(name, right=True) for name in ("capacity", "sellable", "held", "sold", "available", "used")]
    rows: list[tuple[object, ...]] = []

    def row(name: str, item: OccurrenceStats | Totals, release: str) -> tuple[object, ...]:
        style = "" if out.is_plain else STYLES[item.band]
        counts = (item.capacity, item.sellable, item.held, item.sold, item.available)
        used, word = f"{item.utilisation_percent:.1f} %", Text(item.band.replace("_", " "), style=style)
        return (name, *(f"{number:,}" for number in counts), used, word, release)

    for item in found.occurrences[:limit]:
        release = away(item.next_release_at, found.read_at) if item.next_release_at else ""
        rows.append(row(item.occurrence_id, item, release))
    if len(found.occurrences) > limit:
        rows.append((f"… {len(found.occurrences) - limit} more", *[""] * 8))
    rows.append(row(f"all {found.totals.occurrences}", found.totals, ""))
    out.table(["occurrence", *numbers, "band", "next release"], rows)


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
        title=f"Most live holds by {name}",
    )
