"""`holdgate expiry`."""

from __future__ import annotations

import click

from holdgate_workers.cli.access import Access, pass_access
from holdgate_workers.cli.output.output import Output, output_option
from holdgate_workers.cli.params import example


@click.group()
def expiry() -> None:
    """Expiry after the database's clock jumped ahead."""


@expiry.command(epilog=example("holdgate expiry resume"))
@output_option
@pass_access
def resume(access: Access, out: Output) -> None:
    """Say that the database's clock is right: holds past their time may expire again.

    Expiry pauses by itself when the clock jumps ahead by more than a minute, because a wrong clock would end every
    hold at once. Look at the clock first (`holdgate doctor`); the workers go on within a second or two.
    """
    from holdgate_workers.adapters.postgres.maintenance.installation import House

    with access.opened(House) as house:
        house.accept_clock()
        accepted = house.clock_accepted()
    if out.is_json:
        out.json({"clock_accepted": accepted})
    else:
        out.line(f"The clock is accepted as of {accepted}; expiry goes on.", style="green")
