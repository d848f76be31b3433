"""`holdgate availability`."""

from __future__ import annotations

import click

from holdgate_workers.cli.access import Access, pass_access, timeout_option
from holdgate_workers.cli.failures import warn
from holdgate_workers.cli.output.answers import tell
from holdgate_workers.cli.output.output import Output, output_option
from holdgate_workers.cli.params import example


@click.command(epilog=example("holdgate availability occ-1", "holdgate availability occ-1 --output json"))
@click.argument("occurrence_id", metavar="OCCURRENCE")
@click.option("--cached", is_flag=True, help="Take the read side's word, if it has one that is recent.")
@timeout_option
@output_option
@pass_access
def availability(access: Access, occurrence_id: str, cached: bool, timeout_seconds: float, out: Output) -> None:
    """What could be held on OCCURRENCE right now, asked through its queue.

    With --cached it is asked of the read side in Redis first, which may be some seconds behind.
    """
    with access.client(timeout_seconds, cached=cached) as client:
        answer = client.availability(occurrence_id, cached=cached)
        if cached and not client.stats.cached:
            warn("the read side had no recent answer, so the gate was asked")
    tell(out, answer)
