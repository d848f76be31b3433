"""`holdgate waitlist`: lines for what is sold out."""

from __future__ import annotations

import click

from holdgate_workers.cli import exits
from holdgate_workers.cli.access import Access, pass_access, timeout_option
from holdgate_workers.cli.failures import Failure
from holdgate_workers.cli.output.cutting import part_of, tell_cut
from holdgate_workers.cli.output.formats import basket, moment, short
from holdgate_workers.cli.output.output import Column, Output, output_option
from holdgate_workers.cli.output.selling_answers import tell_selling
from holdgate_workers.cli.params import QUANTITY, example, limit_option, quantities, request_id_option


@click.group()
def waitlist() -> None:
    """Stand in line for what is sold out, leave, and see who waits."""


@waitlist.command(epilog=example("holdgate waitlist join occ-1 adult=2 --session cart-17"))
@click.argument("occurrence_id", metavar="OCCURRENCE")
@click.argument("items", nargs=-1, required=True, type=QUANTITY, metavar="TICKET=NUMBER...")
@click.option("--extra", "extras", multiple=True, type=QUANTITY, help="An extra and how many; may be repeated.")
@click.option("--session", metavar="ID", help="Who waits. [default: a new session is issued]")
@click.option("--user", metavar="ID", help="The buyer, if known.")
@request_id_option
@timeout_option
@output_option
@pass_access
def join(
    access: Access,
    occurrence_id: str,
    items: tuple[tuple[str, int], ...],
    extras: tuple[tuple[str, int], ...],
    session: str | None,
    user: str | None,
    request_id: str | None,
    timeout_seconds: float,
    out: Output,
) -> None:
    """Stand in line for a basket on OCCURRENCE. The offer will be a hold with the id of the entry."""
    tickets, more = quantities(items, "TICKET=NUMBER"), quantities(extras, "--extra")
    with access.client(timeout_seconds) as client:
        answer = client.join_waitlist(
            occurrence_id, tickets, extras=more, session_id=session, user_id=user, request_id=request_id
        )
    tell_selling(out, answer)


@waitlist.command(epilog=example("holdgate waitlist leave occ-1 --session cart-17"))
@click.argument("occurrence_id", metavar="OCCURRENCE")
@click.option("--session", required=True, metavar="ID", help="Who waits.")
@click.option("--entry", "entry_id", metavar="UUID", help="Its place. [default: looked up in the database]")
@request_id_option
@timeout_option
@output_option
@pass_access
def leave(
    access: Access,
    occurrence_id: str,
    session: str,
    entry_id: str | None,
    request_id: str | None,
    timeout_seconds: float,
    out: Output,
) -> None:
    """Leave the line of OCCURRENCE, or decline what was offered there."""
    found = entry_id or _entry(access, occurrence_id, session)
    with access.client(timeout_seconds) as client:
        answer = client.leave_waitlist(occurrence_id, session, found, request_id=request_id)
    tell_selling(out, answer)


@waitlist.command(epilog=example("holdgate waitlist show occ-1 --session cart-17"))
@click.argument("occurrence_id", metavar="OCCURRENCE")
@click.option("--session", required=True, metavar="ID", help="Who waits.")
@click.option("--entry", "entry_id", metavar="UUID", help="Its place. [default: looked up in the database]")
@timeout_option
@output_option
@pass_access
def show(
    access: Access,
    occurrence_id: str,
    session: str,
    entry_id: str | None,
    timeout_seconds: float,
    out: Output,
) -> None:
    """The place in the line of OCCURRENCE, or what was offered there, as a shop is told it."""
    found = entry_id or _entry(access, occurrence_id, session)
    with access.client(timeout_seconds) as client:
        answer = client.waitlist_entry(occurrence_id, session, found)
    tell_selling(out, answer)


def _entry(access: Access, occurrence_id: str, session: str) -> str:
    from holdgate_workers.adapters.postgres.reports.sales import Sales

    with access.opened(Sales) as sales:
        places = sales.line(100, occurrence_id=occurrence_id, session_id=session, ended=True)
    for place in places:
        if place.state in ("waiting", "offered"):
            return place.entry_id
    raise Failure(f"{session} does not stand in the line of {occurrence_id!r}", exits.REFUSED)


@waitlist.command(
    name="list", epilog=example("holdgate waitlist list", "holdgate waitlist list --occurrence occ-1 --all")
)
@click.option("--occurrence", metavar="ID", help="Only this occurrence's line.")
@click.option("--session", metavar="ID", help="Only this session.")
@click.option("--all", "ended", is_flag=True, help="Those whose place is over, too.")
@limit_option(100)
@output_option
@pass_access
def list_(
    access: Access, occurrence: str | None, session: str | None, ended: bool, limit: int, out: Output
) -> None:
    """Who waits, first in line first."""
    from holdgate_workers.adapters.postgres.reports.sales import Sales

    with access.opened(Sales) as sales:
        found, is_cut = part_of(
            lambda most: sales.line(most, occurrence_id=occurrence, session_id=session, ended=ended), limit
        )
    if out.is_json:
        out.json({"entries": found, "is_cut": is_cut})
        return
    if not found:
        out.line("Nobody waits.")
        return
    out.table(
        [
            "occurrence",
            Column("position", right=True),
            "entry",
            "state",
            "session",
            "basket",
            Column("seats", right=True),
            "joined",
        ],
        [
            (
                item.occurrence_id,
                item.position,
                short(item.entry_id),
                item.state,
                item.session_id,
                basket(item.items, item.extras),
                item.seats,
                moment(item.joined_at),
            )
            for item in found
        ],
    )
    tell_cut(is_cut, limit)
