"""`holdgate occurrence`: the catalogue side."""

from __future__ import annotations

from datetime import datetime
from typing import Any, BinaryIO

import click

from holdgate_schema.commands.holds import CloseOccurrence, SetCapacity
from holdgate_workers.cli import exits
from holdgate_workers.cli.access import Access, pass_access, timeout_option
from holdgate_workers.cli.documents import read_object
from holdgate_workers.cli.failures import Failure
from holdgate_workers.cli.importing.importing import import_
from holdgate_workers.cli.output.answers import tell
from holdgate_workers.cli.output.cutting import part_of, tell_cut
from holdgate_workers.cli.output.formats import amount, local, moment, thresholds
from holdgate_workers.cli.output.output import Column, Output, output_option, plain
from holdgate_workers.cli.params import SEATS, TIME, by_option, example, in_utc, limit_option, request_id_option

from . import specs
from .calling_off import Extent, call_off, extent


@click.group()
def occurrence() -> None:
    """Put, import, list, show and close occurrences; set their capacity."""


occurrence.add_command(import_)


@occurrence.command(
    epilog=example(
        "holdgate occurrence put occ-1 --product tour --starts 2030-05-01T10:00 --duration 90 \\",
        "    --timezone Europe/Rome --capacity 12 --ticket adult --ticket 'child;label=Child;pools=kids' \\",
        "    --pool kids=4 --extra 'wine;max=2;stock=cellar:40'",
        "holdgate occurrence put --file occ-1.json",
        "holdgate contract occurrence.put.v1     (what such a file may say, without type and request_id)",
    )
)
@click.argument("occurrence_id", metavar="[OCCURRENCE]", required=False)
@click.option("--file", type=click.File("rb"), help="The definition as JSON; - is standard input.")
@click.option("--product", metavar="ID", help="What it is a date of.")
@click.option("--starts", type=TIME, help="Wall time of the zone, or with an offset.")
@click.option("--ends", type=TIME, help="The same; or give --duration.")
@click.option("--duration", type=click.IntRange(1), metavar="MINUTES", help="Instead of --ends.")
@click.option("--timezone", metavar="ZONE", help="IANA name, such as Europe/Rome.")
@click.option("--capacity", type=click.IntRange(0), help="Seats in all: the pool 'total'.")
@click.option("--ticket", "tickets", multiple=True, metavar=specs.TICKET_HELP, help="A ticket type; repeat it.")
@click.option("--pool", "pools", multiple=True, metavar=specs.POOL_HELP, help="A counter beside 'total'.")
@click.option("--extra", "extras", multiple=True, metavar=specs.EXTRA_HELP, help="Something sold beside tickets.")
@click.option("--overbooking", type=click.IntRange(0, 100), metavar="PERCENT", help="Sell more than there is.")
@click.option("--buffer", type=click.IntRange(0), metavar="SEATS", help="Keep some seats back.")
@click.option("--cutoff", type=click.IntRange(0), metavar="MINUTES", help="Sales close so long before the start.")
@click.option("--sales-open", type=TIME, help="Wall time of the zone.")
@click.option("--sales-close", type=TIME, help="Wall time of the zone.")
@click.option("--alerts", metavar=specs.ALERTS_HELP, help="When to tell that it fills up, unlike the settings.")
@click.option("--status", type=click.Choice(["active", "closed"]))
@request_id_option
@timeout_option
@output_option
@pass_access
def put(
    access: Access,
    /,
    occurrence_id: str | None,
    file: BinaryIO | None,
    request_id: str | None,
    timeout_seconds: float,
    out: Output,
    **flags: Any,
) -> None:
    """Create OCCURRENCE or replace its definition. What is held and sold on it stays."""
    from .definition import Checker, InvalidDefinition

    try:
        document = _from_file(file, flags) if file is not None else _from_flags(flags)
        if occurrence_id is not None:
            document["occurrence_id"] = occurrence_id
        if request_id is not None:
            document["request_id"] = request_id
        command = Checker().command(document)
    except (InvalidDefinition, specs.InvalidSpec) as exc:
        raise click.UsageError(str(exc)) from exc
    with access.client(timeout_seconds) as client:
        answer = client.call(command)
    tell(out, answer)


def _from_file(file: BinaryIO, flags: dict[str, Any]) -> specs.Document:
    given = [name for name, value in flags.items() if value not in (None, ())]
    if given:
        raise click.UsageError(f"--file says everything; leave out: {', '.join(given)}")
    document = read_object(file)
    return {name: value for name, value in document.items() if name not in ("type", "request_id")}


def _from_flags(flags: dict[str, Any]) -> specs.Document:
    from .definition import with_times

    needed = {name: flags[name] for name in ("product", "starts", "timezone", "capacity", "tickets")}
    missing = [
        f"--{name.rstrip('s') if name == 'tickets' else name}"
        for name, value in needed.items()
        if value in (None, ())
    ]
    if missing:
        raise click.UsageError(f"missing: {', '.join(missing)} (or give --file)")
    plain = {
        "product_id": flags["product"],
        "timezone": flags["timezone"],
        "capacity": flags["capacity"],
        "overbooking_percent": flags["overbooking"],
        "buffer": flags["buffer"],
        "cutoff_minutes": flags["cutoff"],
        "sales_open": flags["sales_open"],
        "sales_close": flags["sales_close"],
        "status": flags["status"],
        "alerts": None if flags["alerts"] is None else specs.alerts(flags["alerts"]),
        "ticket_types": [specs.ticket(text) for text in flags["tickets"]],
        "pools": [specs.pool(text) for text in flags["pools"]],
        "extras": [specs.extra(text) for text in flags["extras"]],  # noqa: S610
    }
    document = {name: value for name, value in plain.items() if value is not None}
    return with_times(document, starts=flags["starts"], ends=flags["ends"], minutes=flags["duration"])


@occurrence.command(
    epilog=example(
        "holdgate occurrence close occ-1",
        "holdgate occurrence close occ-1 --status cancelled --yes",
        "holdgate occurrence close occ-1 --status cancelled --refund --reason 'Storm'",
    )
)
@click.argument("occurrence_id", metavar="OCCURRENCE")
@click.option(
    "--status",
    type=click.Choice(["closed", "cancelled", "completed"]),
    default="closed",
    show_default=True,
    help="`closed` can be opened again by a put, the others are final.",
)
@click.option("--yes", is_flag=True, help="Do not ask before a final status.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and how many it is about; change nothing.")
@click.option(
    "--refund",
    is_flag=True,
    help="With cancelled: cancel every booking too, and have all that was paid given back. Safe to repeat.",
)
@click.option("--reason", default="", help="With --refund: why, for whoever looks later.")
@by_option
@request_id_option
@timeout_option
@output_option
@pass_access
def close(
    access: Access,
    occurrence_id: str,
    status: Any,
    yes: bool,
    dry_run: bool,
    refund: bool,
    reason: str,
    changed_by: str,
    request_id: str | None,
    timeout_seconds: float,
    out: Output,
) -> None:
    """Take OCCURRENCE off sale. Holds on it live on until they end by themselves."""
    from holdgate_workers.ids import new_request_id

    if refund and status != "cancelled":
        raise click.UsageError(
            "--refund goes with --status cancelled: what takes place is not given back as a whole"
        )
    if dry_run or (status != "closed" and not yes):
        about = f"{status} is final: {occurrence_id} can never be opened again"
        if status == "closed":
            about = f"{occurrence_id} is taken off sale, and can be opened again"
        found = extent(access, occurrence_id, refund=refund) if status == "cancelled" else None
        if found is not None:
            about = f"{about}. {found.in_words(refund=refund)}"
        if dry_run:
            _tell_dry(out, occurrence_id, status, found, about)
            return
        click.confirm(f"{about}. Go on?", abort=True, err=True)
    command = CloseOccurrence(
        request_id=request_id or new_request_id(), occurrence_id=occurrence_id, status=status
    )
    with access.client(timeout_seconds) as client:
        answer = client.call(command)
    if not refund or answer.__struct_config__.tag == "refused":
        tell(out, answer)
        return
    said = reason or "the occurrence was cancelled"
    call_off(access, out, occurrence_id, by=changed_by, reason=said, timeout_seconds=timeout_seconds)


def _tell_dry(out: Output, occurrence_id: str, status: str, found: Extent | None, about: str) -> None:
    if out.is_json:
        said = {"occurrence_id": occurrence_id, "status": status, "dry_run": True}
        out.json({**said, **({} if found is None else plain(found))})
    else:
        out.line(f"Not done: {about}.")


@occurrence.command(
    epilog=example(
        "holdgate occurrence capacity occ-1 20", "holdgate occurrence capacity occ-1 unlimited --pool deck"
    )
)
@click.argument("occurrence_id", metavar="OCCURRENCE")
@click.argument("seats", type=SEATS, metavar="NUMBER|unlimited")
@click.option("--pool", default="total", show_default=True, metavar="KEY")
@request_id_option
@timeout_option
@output_option
@pass_access
def capacity(
    access: Access,
    occurrence_id: str,
    seats: int | str,
    pool: str,
    request_id: str | None,
    timeout_seconds: float,
    out: Output,
) -> None:
    """Set the capacity of one pool. Below what is taken is allowed: then nothing new is granted until it fits."""
    from holdgate_workers.ids import new_request_id

    command = SetCapacity(
        request_id=request_id or new_request_id(),
        occurrence_id=occurrence_id,
        capacity=seats if isinstance(seats, int) else None,
        pool=pool,
    )
    with access.client(timeout_seconds) as client:
        answer = client.call(command)
    tell(out, answer)


@occurrence.command(
    name="list",
    epilog=example("holdgate occurrence list", "holdgate occurrence list --product tour --from 2030-05-01"),
)
@click.option("--product", metavar="ID")
@click.option("--status", type=click.Choice(["active", "closed", "cancelled", "completed"]))
@click.option("--from", "starts_from", type=TIME, help="Those that start then or later (UTC without an offset).")
@click.option("--until", "starts_until", type=TIME, help="Those that start before.")
@limit_option(100)
@output_option
@pass_access
def list_(
    access: Access,
    product: str | None,
    status: str | None,
    starts_from: datetime | None,
    starts_until: datetime | None,
    limit: int,
    out: Output,
) -> None:
    """The occurrences by their start, with the numbers of the pool `total`."""
    from holdgate_workers.adapters.postgres.reports.catalogue import Catalogue

    with access.opened(Catalogue) as catalogue:
        found, is_cut = part_of(
            lambda most: catalogue.list(
                product=product,
                status=status,
                starts_from=in_utc(starts_from),
                starts_until=in_utc(starts_until),
                limit=most,
            ),
            limit,
        )
    if out.is_json:
        out.json({"occurrences": found, "is_cut": is_cut})
        return
    numbers = [Column(name, right=True) for name in ("sellable", "held", "sold", "available")]
    out.table(
        ["occurrence", "product", Column("starts", wrap=not out.is_plain), "status", *numbers],
        [
            (
                line.occurrence_id,
                line.product_id,
                local(line.starts_at, line.timezone),
                line.status,
                amount(line.sellable),
                line.held,
                line.sold,
                amount(line.available),
            )
            for line in found
        ],
    )
    tell_cut(is_cut, limit)


@occurrence.command(epilog=example("holdgate occurrence show occ-1"))
@click.argument("occurrence_id", metavar="OCCURRENCE")
@output_option
@pass_access
def show(access: Access, occurrence_id: str, out: Output) -> None:
    """OCCURRENCE as the database has it: definition, pools, live holds."""
    from holdgate_workers.adapters.postgres.reports.catalogue import Catalogue

    with access.opened(Catalogue) as catalogue:
        found = catalogue.get(occurrence_id)
    if found is None:
        raise Failure(f"there is no occurrence {occurrence_id!r}; see `holdgate occurrence list`", exits.REFUSED)
    if out.is_json:
        out.json(found)
        return
    what, now = found.definition, found.read_at
    release = moment(found.next_release_at, now) if found.next_release_at else None
    out.details(
        [
            ("product", what.product_id),
            ("status", what.status),
            ("starts", f"{local(what.starts_at, what.timezone)} ({what.timezone})"),
            ("ends", local(what.ends_at, what.timezone)),
            ("sales open", local(what.opens_at, what.timezone) if what.opens_at else None),
            ("sales close", local(what.closes_at, what.timezone)),
            ("alerts", thresholds(what.alerts) if what.alerts else None),
            ("version", found.version),
            ("live holds", found.live_holds),
            ("due, not swept", found.due_holds or None),
            ("next release", release),
        ],
        title=found.occurrence_id,
    )
    out.line()
    numbers = [Column(name, right=True) for name in ("capacity", "sellable", "held", "sold", "available")]
    out.table(
        ["pool", *numbers],
        [
            (
                pool.key,
                amount(pool.capacity),
                amount(pool.sellable),
                pool.held,
                pool.sold,
                amount(pool.available()),
            )
            for pool in found.pools
        ],
    )
    things = [
        (t.key, "ticket", t.label, f"{t.min_per_order}–{t.max_per_order}", t.pools)
        for t in what.ticket_types.values()
    ]
    things += [(e.key, "extra", e.label, f"0–{e.max_per_order}", e.pools) for e in what.extras.values()]
    out.line()
    out.table(
        ["sold", "kind", "label", Column("per order", right=True), "draws from"],
        [
            (key, kind, label, order, ", ".join([*(["total"] if kind == "ticket" else []), *pools]) or "–")
            for key, kind, label, order, pools in things
        ],
    )
