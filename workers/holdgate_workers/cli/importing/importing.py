"""`holdgate occurrence import`: a whole file of occurrences, or nothing of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from holdgate_workers.cli import exits
from holdgate_workers.cli.access import Access, pass_access, timeout_option
from holdgate_workers.cli.failures import Failure, one_line, warn
from holdgate_workers.cli.occurrences import specs
from holdgate_workers.cli.output.output import Output, output_option
from holdgate_workers.cli.params import TIME, example

if TYPE_CHECKING:
    from holdgate_workers.domain.schedule.dates import Plan

    from .reading.rows import Finding, Reading
    from .sources import Defaults

NOTICES_SHOWN = 10

HELP = f"""Put every occurrence of FILE (a table or a calendar), or none if anything in it is wrong.

The whole file is read first and compared with what is stored. What it does not say stays as it is: a date
that was closed stays closed, a capacity that was raised stays raised. Options such as --capacity speak for
dates that are new. What is unchanged is left alone. Dates are moved in an order in which no two of a product
ever have the same start, so that a schedule can be shifted by a slot and dates can swap. STATUS:CANCELLED
cancels, which is final. Customers of confirmed bookings are written to when their date moves or is
cancelled: --dry-run says how many, and without --yes the command asks. It can be stopped at any time; the
same file goes on from there. docs/import-files.md says what is read and how.

\b
CSV: the first line names the columns, in any order, divided by comma, semicolon, tab or |:
  occurrence_id        up to 64 visible characters without blanks (required)
  product_id           what it is a date of (or --product)
  starts_at            2030-05-01T10:00, wall time of the zone, or with an offset (required)
  ends_at              the same; or duration_minutes (or --duration)
  timezone             IANA name, such as Europe/Rome (or --timezone)
  capacity             seats of the pool 'total' (or --capacity)
  tickets              {specs.TICKET_HELP}, several
                       separated by | (or --ticket)
  pools                {specs.POOL_HELP}, separated by |
  extras               {specs.EXTRA_HELP},
                       separated by |
  overbooking_percent, buffer, cutoff_minutes   numbers
  sales_open, sales_close                       wall times without an offset
  status               active, closed or cancelled
  alerts               {specs.ALERTS_HELP}

\b
iCalendar: each VEVENT is one occurrence, each date of a series (RRULE, RDATE) too:
  UID                  the occurrence id; one with blanks or over 64 characters is cut and gets a digest;
                       a date of a series has its date added
  DTSTART, DTEND       with TZID (also as Outlook and others name zones), or without a zone (X-WR-TIMEZONE
                       or --timezone); in UTC the zone is the product's or --timezone;
                       DURATION or --duration instead of DTEND; a date alone is its whole day
  STATUS, CLASS        TENTATIVE, PRIVATE, CONFIDENTIAL: not on sale
  X-HOLDGATE-OCCURRENCE  the occurrence id, before the UID: our own feeds have it
  X-HOLDGATE-PRODUCT   the product; else --product; else made from SUMMARY
  X-HOLDGATE-CAPACITY  the seats; else --capacity
  X-HOLDGATE-TICKET    {specs.TICKET_HELP},
                       once for each; else --ticket
  X-HOLDGATE-POOL      {specs.POOL_HELP}, once for each
  X-HOLDGATE-ALERTS    {specs.ALERTS_HELP}
"""


@click.command(
    name="import",
    help=HELP,
    epilog=example(
        "holdgate occurrence import season.csv --dry-run",
        "holdgate occurrence import season.csv --timezone Europe/Rome",
        "holdgate occurrence import season.csv --close-missing --yes",
        "holdgate occurrence import tours.ics --product tour --capacity 12 --ticket 'adult;max=6' --ticket child",
    ),
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--format", "form", type=click.Choice(["csv", "ics"]), help="[default: by the file's name]")
@click.option("--product", metavar="ID", help="The product where the file does not say.")
@click.option("--timezone", metavar="ZONE", help="The zone where the file does not say.")
@click.option("--capacity", type=click.IntRange(0), help="The capacity of new dates where the file does not say.")
@click.option(
    "--duration",
    type=click.IntRange(1),
    metavar="MINUTES",
    help="The length of new dates where the file does not say.",
)
@click.option("--ticket", "tickets", multiple=True, metavar=specs.TICKET_HELP, help="Ticket types of new dates.")
@click.option("--from", "since", type=TIME, help="Only dates from then on (wall time without an offset).")
@click.option("--until", type=TIME, help="Only dates before; also how far series without an end are read.")
@click.option(
    "--zone-map",
    "zone_maps",
    multiple=True,
    metavar="NAME=ZONE|FILE",
    help="The IANA zone that a name in the file means; repeat it, or give a file with one on each line.",
)
@click.option(
    "--encoding", metavar="NAME", help="How the file is encoded, such as windows-1252. [default: by its bytes]"
)
@click.option("--close-missing", is_flag=True, help="Take upcoming dates off sale that the file does not name.")
@click.option("--dry-run", is_flag=True, help="Say what would change and who would be written to, send nothing.")
@click.option(
    "--yes", is_flag=True, help="Do not ask before customers are written to or dates are taken off sale."
)
@timeout_option
@output_option
@pass_access
def import_(
    access: Access,
    file: Path,
    form: str | None,
    product: str | None,
    timezone: str | None,
    capacity: int | None,
    duration: int | None,
    tickets: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    zone_maps: tuple[str, ...],
    encoding: str | None,
    close_missing: bool,
    dry_run: bool,
    yes: bool,
    timeout_seconds: float,
    out: Output,
) -> None:
    """Put every occurrence of a file."""
    from .sources import Defaults

    reading = _read(file, form, since, until, zone_maps, encoding)
    if not out.is_json:
        _warn(reading.notices)
    defaults = Defaults(product, timezone, capacity, duration, tickets)
    bounds = _bounds(reading, since, until)
    plan = _planned(access, out, file, reading, defaults, bounds, close_missing=close_missing, dry_run=dry_run)
    if plan is None:
        return
    if dry_run or plan.problems or not plan.rounds:
        _tell_only(out, file, plan, reading, dry_run=dry_run)
        return
    if not yes:
        _confirm(out, plan)
    _send(access, out, plan, reading, timeout_seconds)


def _planned(
    access: Access,
    out: Output,
    file: Path,
    reading: Reading,
    defaults: Defaults,
    bounds: tuple[datetime | None, datetime | None],
    *,
    close_missing: bool,
    dry_run: bool,
) -> Plan | None:
    """The plan; None if there is nothing to compare with and the file alone was to be checked, which it is then."""
    from holdgate_workers.adapters.postgres.connection import DatabaseUnavailable
    from holdgate_workers.adapters.postgres.reports.schedule import ScheduleBook
    from holdgate_workers.domain.schedule.judging import plan
    from holdgate_workers.wiring.site import NotRunning

    from .merging import merged
    from .telling import tell_problems

    if reading.errors and not reading.rows:
        tell_problems(out, file, reading.errors, reading.notices)
        raise click.exceptions.Exit(exits.USAGE)
    try:
        with access.opened(ScheduleBook) as book:
            found = merged(reading, defaults, book, access.config().calendar_domain)
    except (NotRunning, DatabaseUnavailable) as exc:
        if not dry_run and not reading.errors:
            raise
        _check_alone(out, file, reading, defaults, str(exc))
        return None
    if found.problems:
        tell_problems(out, file, found.problems, reading.notices)
        raise click.exceptions.Exit(exits.USAGE)
    since, until = bounds
    stored = found.stored
    return plan(found.wanted, stored.dates, stored.read_at, since=since, until=until, close_missing=close_missing)


def _check_alone(out: Output, file: Path, reading: Reading, defaults: Defaults, reason: str) -> None:
    """The file is checked as the workers will check it; what it would change is not known."""
    from .sources import checked
    from .telling import found, tell_problems

    alone = checked(reading, defaults)
    if alone.problems:
        tell_problems(out, file, alone.problems, alone.notices)
        raise click.exceptions.Exit(exits.USAGE)
    if out.is_json:
        rows = [{"line": line, "occurrence_id": command.occurrence_id} for line, command in alone.requests]
        notices = found(alone.notices)
        out.json(
            {"ok": True, "sent": 0, "problems": [], "notices": notices, "occurrences": rows, "compared": False}
        )
        return
    warn(f"not compared with what is stored: {one_line(reason)}")
    out.line(f"{len(alone.requests)} occurrences, all as they must be; nothing was sent.", style="bold green")


def _tell_only(out: Output, file: Path, plan: Plan, reading: Reading, *, dry_run: bool) -> None:
    """What would be done, where nothing is."""
    from .telling import as_json, tell_missing, tell_plan

    if out.is_json:
        out.json(as_json(plan, sent=None, notices=reading.notices) | {"compared": True})
    else:
        tell_plan(out, plan)
        if plan.problems:
            number = "1 date" if len(plan.problems) == 1 else f"{len(plan.problems)} dates"
            out.line(f"{number} of {file} cannot be put like that; nothing was sent.", style="bold red")
        elif dry_run:
            out.line("Nothing was sent.")
        else:
            out.line("There is nothing to do.", style="bold green")
        if not plan.problems:
            tell_missing(out, plan.missing)
    if plan.problems:
        raise click.exceptions.Exit(exits.REFUSED)


def _confirm(out: Output, plan: Plan) -> None:
    """Ask before anybody is written to, and before what a file does not say in so many words."""
    from .telling import customers, tell_plan

    cancelled, closed = plan.count("cancelled"), plan.count("closed")
    if not plan.buyers and not cancelled and not closed:
        return
    if not out.is_json:
        tell_plan(out, plan)
    questions = [f"{customers(plan)} will be written to."] if plan.buyers and out.is_json else []
    questions += [f"{cancelled} will be cancelled, which is final."] if cancelled else []
    questions += [f"{closed} that the file does not name will be taken off sale."] if closed else []
    try:
        click.confirm("\n".join([*questions, "Go on?"]), abort=True, err=True)
    except click.Abort:
        raise Failure("nothing was sent; --yes answers the question", exits.REFUSED) from None


def _send(access: Access, out: Output, plan: Plan, reading: Reading, timeout_seconds: float) -> None:
    from .sending import send
    from .telling import as_json, tell_missing, tell_sent

    with access.client(timeout_seconds) as client:
        sent = send(client, plan, timeout_seconds)
    if out.is_json:
        out.json(as_json(plan, sent=sent, notices=reading.notices) | {"compared": True})
    else:
        tell_sent(out, plan, sent)
        if sent.is_whole:
            tell_missing(out, plan.missing)
    if sent.is_stopped:
        raise Failure(
            f"stopped: {len(sent.done)} of {sent.total} changes are known to be done, those sent last may be done too. "
            "Import the file again: what is done is unchanged then, and the rest follows",
            exits.STOPPED,
        )
    if any(how == "unknown" for how, _ in sent.failed.values()):
        raise Failure(
            "not every request was answered. Import the file again: what is done is unchanged then",
            exits.TIMED_OUT,
        )
    if sent.failed:
        raise click.exceptions.Exit(exits.REFUSED)


def _warn(notices: Sequence[Finding]) -> None:
    for notice in notices[:NOTICES_SHOWN]:
        warn(f"line {notice.line}: {notice.field} {notice.text}" if notice.line else notice.text)
    if len(notices) > NOTICES_SHOWN:
        warn(f"… and {len(notices) - NOTICES_SHOWN} more notes; --output json has all")


def _bounds(
    reading: Reading, since: datetime | None, until: datetime | None
) -> tuple[datetime | None, datetime | None]:
    """Which dates can be missing from the file: those that were looked for in it."""
    horizon = reading.horizon
    if horizon is not None:
        since, until = horizon.since or since, horizon.until or until
    return since, until


def _read(
    file: Path,
    form: str | None,
    since: datetime | None,
    until: datetime | None,
    zone_maps: tuple[str, ...],
    encoding: str | None,
) -> Reading:
    from .reading.calendar.zone_maps import explained
    from .reading.files import HowToRead, form_of, read
    from .reading.rows import Window

    known = "ics" if form == "ics" else "csv" if form == "csv" else form_of(file)
    if known is None:
        raise click.BadParameter(
            f"{file.name!r} ends neither in .csv nor in .ics; give --format", param_hint="FILE"
        )
    try:
        zones = explained(zone_maps)
        data = file.read_bytes()
    except ValueError as exc:
        raise click.BadParameter(str(exc), param_hint="--zone-map") from exc
    except OSError as exc:
        raise Failure(f"cannot read {file}: {exc.strerror}; nothing was sent", exits.USAGE) from exc
    how = HowToRead(zone_map=zones, window=Window(since, until), now=datetime.now(UTC), encoding=encoding)  # noqa: TID251
    return read(data, file.name, known, how)
