"""`holdgate occurrence import`: a whole file of occurrences, or nothing of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from holdgate_schema.outcomes import Answer, OccurrenceStored, Refused

from . import exits, specs
from .failures import Failure, one_line, stderr_is_terminal, warn
from .output import Column, Output, output_option
from .params import TIME, example
from .site import Access, pass_access, timeout_option

if TYPE_CHECKING:
    from holdgate_producer.client import BookingClient

    from .reading.rows import Finding, Reading
    from .sources import Checked, Request

PROBLEMS_SHOWN = 20
NOTICES_SHOWN = 10
AT_ONCE = 500
"""So many requests are under way at a time: enough to keep the queues busy, few enough to watch them."""

HELP = f"""Put every occurrence of FILE (a table or a calendar), or none if anything in it is wrong.

The whole file is read and checked first, as the workers will check it; only then requests are sent. Those
that the workers refuse all the same (a start that another occurrence has, a cancelled one) are reported by line.
An occurrence that exists is replaced; what is held and sold on it stays. docs/importing.md says what is read and how.

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
        "holdgate occurrence import tours.ics --product tour --capacity 12 --ticket 'adult;max=6' --ticket child",
    ),
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--format", "form", type=click.Choice(["csv", "ics"]), help="[default: by the file's name]")
@click.option("--product", metavar="ID", help="The product where the file does not say.")
@click.option("--timezone", metavar="ZONE", help="The zone where the file does not say.")
@click.option("--capacity", type=click.IntRange(0), help="The capacity where the file does not say.")
@click.option(
    "--duration", type=click.IntRange(1), metavar="MINUTES", help="The length where the file does not say."
)
@click.option(
    "--ticket", "tickets", multiple=True, metavar=specs.TICKET_HELP, help="Ticket types where it does not."
)
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
@click.option("--dry-run", is_flag=True, help="Read and check the file, send nothing.")
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
    dry_run: bool,
    timeout_seconds: float,
    out: Output,
) -> None:
    """Put every occurrence of a file."""
    from .sources import Defaults, checked
    from .stored_zones import StoredZones

    reading = _read(file, form, since, until, zone_maps, encoding)
    with StoredZones(access) as stored:
        found = checked(reading, Defaults(product, timezone, capacity, duration, tickets), stored.of_product)
    if not out.is_json:
        for notice in found.notices[:NOTICES_SHOWN]:
            warn(f"line {notice.line}: {notice.field} {notice.text}" if notice.line else notice.text)
        if len(found.notices) > NOTICES_SHOWN:
            warn(f"… and {len(found.notices) - NOTICES_SHOWN} more notes; --output json has all")
    if found.problems:
        _tell_problems(out, file, found)
        raise click.exceptions.Exit(exits.USAGE)
    if dry_run:
        _tell_dry_run(out, found)
        return
    with access.client(timeout_seconds) as client:
        results = list(_sent(client, found.requests, timeout_seconds))
    _tell_results(out, results)


def _read(
    file: Path,
    form: str | None,
    since: datetime | None,
    until: datetime | None,
    zone_maps: tuple[str, ...],
    encoding: str | None,
) -> Reading:
    from .reading.files import HowToRead, form_of, read
    from .reading.rows import Window
    from .reading.zone_maps import explained

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


class Result:
    """What became of one request."""

    def __init__(self, line: int, occurrence_id: str, outcome: str, detail: str = "") -> None:
        self.line = line
        self.occurrence_id = occurrence_id
        self.outcome = outcome
        self.detail = detail

    def fields(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            "line": self.line,
            "occurrence_id": self.occurrence_id,
            "outcome": self.outcome,
            "detail": self.detail,
        }


def _sent(client: BookingClient, requests: Sequence[Request], timeout_seconds: float) -> Iterator[Result]:
    with _progress(len(requests)) as advance:
        for start in range(0, len(requests), AT_ONCE):
            part = requests[start : start + AT_ONCE]
            futures = client.send_many([request.command for request in part], timeout_seconds=timeout_seconds)
            for request, future in zip(part, futures, strict=True):
                yield _result(request, future)
                advance()


def _result(request: Request, future: Future[Answer]) -> Result:
    from holdgate_producer.errors import ProducerError

    line, occurrence_id = request.line, request.command.occurrence_id
    try:
        answer = future.result()
    except ProducerError as exc:
        return Result(line, occurrence_id, "unknown", one_line(str(exc)))
    if isinstance(answer, OccurrenceStored):
        lacking = ", ".join(f"{key}: {number} over capacity" for key, number in answer.deficit.items())
        return Result(line, occurrence_id, "created" if answer.created else "changed", lacking)
    detail = f"{answer.reason.value}: {answer.message}" if isinstance(answer, Refused) else type(answer).__name__
    return Result(line, occurrence_id, "refused", detail)


@contextmanager
def _progress(total: int) -> Iterator[Any]:
    """A bar on stderr, if that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("Putting occurrences"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not stderr_is_terminal(), transient=True) as progress:
        task = progress.add_task("put", total=total)
        yield lambda: progress.advance(task)


def told(findings: Sequence[Finding]) -> list[dict[str, object]]:
    """As JSON has them."""
    return [
        {"line": item.line, "field": item.field, "reason": item.reason, "advice": item.advice} for item in findings
    ]


def _tell_problems(out: Output, file: Path, found: Checked) -> None:
    problems = found.problems
    if out.is_json:
        out.json({"ok": False, "sent": 0, "problems": told(problems), "notices": told(found.notices)})
        return
    shown = problems[:PROBLEMS_SHOWN]
    out.table(
        [Column("line", right=True), "field", Column("problem", wrap=True)],
        [(problem.line or "", problem.field, problem.text) for problem in shown],
    )
    if len(problems) > len(shown):
        out.line(f"… and {len(problems) - len(shown)} more")
    number = f"{len(problems)} problem" + ("s" if len(problems) > 1 else "")
    out.line(f"{number} in {file}; nothing was sent.", style="bold red")


def _tell_dry_run(out: Output, found: Checked) -> None:
    if out.is_json:
        rows = [{"line": line, "occurrence_id": command.occurrence_id} for line, command in found.requests]
        out.json({"ok": True, "sent": 0, "problems": [], "notices": told(found.notices), "occurrences": rows})
        return
    out.line(f"{len(found.requests)} occurrences, all as they must be; nothing was sent.", style="bold green")


def _tell_results(out: Output, results: Sequence[Result]) -> None:
    counts = {
        name: sum(r.outcome == name for r in results) for name in ("created", "changed", "refused", "unknown")
    }
    if out.is_json:
        out.json(
            {"ok": not counts["refused"] and not counts["unknown"], "sent": len(results), **counts}
            | {"results": [result.fields() for result in results]}
        )
    else:
        told = [result for result in results if result.detail]
        if told:
            out.table(
                [Column("line", right=True), "occurrence", "outcome", Column("why", wrap=True)],
                [(r.line, r.occurrence_id, r.outcome, r.detail) for r in told],
            )
        text = ", ".join(f"{number} {name}" for name, number in counts.items() if number or name == "created")
        out.line(text, style="bold green" if not counts["refused"] and not counts["unknown"] else "bold yellow")
    if counts["unknown"]:
        raise Failure("not every request was answered; the file can be imported again", exits.TIMED_OUT)
    if counts["refused"]:
        raise click.exceptions.Exit(exits.REFUSED)
