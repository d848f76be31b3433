"""`holdgate projection`: the read side in Redis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import click

from holdgate_workers.cli import exits
from holdgate_workers.cli.access import Access, pass_access
from holdgate_workers.cli.failures import Failure, stderr_is_terminal
from holdgate_workers.cli.output.output import Output, output_option
from holdgate_workers.cli.params import example

if TYPE_CHECKING:
    from holdgate_workers.roles.read_side import ReadSide

SHOWN_MAX = 50


@click.group()
def projection() -> None:
    """The read side in Redis: fill it again, compare it with the rows."""


@projection.command(epilog=example("holdgate projection rebuild"))
@output_option
@pass_access
def rebuild(access: Access, out: Output) -> None:
    """Throw the read side away and fill it from the rows. Safe at any time, with the role running or not.

    Until an occurrence is filled again, those who ask for it are answered by the gate. Needed after the database
    was restored from a backup, and to take over the entries of another installation; a Redis that was flushed is
    filled again by the role itself.
    """
    with _opened(access) as side:
        filled = side.rebuild(_shown)
    if stderr_is_terminal():
        click.echo("\r\033[K", nl=False, err=True)
    if out.is_json:
        out.json({"written": filled.written, "newer_already": filled.stale, "generation": filled.generation})
    else:
        out.line(f"{filled.written} entries written; the role `projection` keeps them fresh.", style="green")


@projection.command(epilog=example("holdgate projection check", "holdgate projection check --output json"))
@output_option
@pass_access
def check(access: Access, out: Output) -> None:
    """Compare the read side with the rows and list what differs. Changes nothing.

    What differs is looked at again for some seconds first, for decisions that are only on their way. Ends with 1 if
    something stays different.
    """
    with _opened(access) as side:
        total, found = side.check()
        age = side.age_seconds()
    if out.is_json:
        out.json({"entries": total, "age_seconds": age, "differences": found})
    elif not found:
        out.line(f"{total} entries are as the rows are.", style="green")
    else:
        out.line(f"{len(found)} of {total} entries are not as the rows are.", style="bold red")
        columns = ["what", "id", "why", "in Redis", "in the rows"]
        rows = [(item.kind, item.id, item.why, item.stored_version, item.rows_version) for item in found]
        out.table(columns, rows[:SHOWN_MAX])
        if len(rows) > SHOWN_MAX:
            out.line(f"… and {len(rows) - SHOWN_MAX} more")
        out.line("Is the role running? holdgate worker projection; else: holdgate projection rebuild")
    if found:
        raise click.exceptions.Exit(exits.REFUSED)


def _shown(written: int) -> None:
    """A count that grows, for whom it is worth it."""
    if stderr_is_terminal():
        click.echo(f"\r{written} entries …", nl=False, err=True)


@contextmanager
def _opened(access: Access) -> Iterator[ReadSide]:
    from holdgate_workers.adapters.postgres.maintenance.installation import House
    from holdgate_workers.adapters.redis.projection import CacheError
    from holdgate_workers.roles.read_side import ReadSide

    config = access.config()
    if config.redis_url is None:
        raise Failure("HOLDGATE_REDIS_URL is not set: there is no read side", exits.USAGE)
    try:
        url = access.database_url()
        with closing(House(url)) as house:
            name = house.installation().name
        side = ReadSide(url, config.redis_url, config.house, installation_name=name)
        try:
            yield side
        finally:
            side.close()
    except CacheError as exc:
        raise Failure(f"Redis cannot be used: {exc} (`holdgate doctor` looks closer)", exits.NOT_RUNNING) from exc
