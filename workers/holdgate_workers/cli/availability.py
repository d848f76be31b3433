"""`holdgate availability`."""

from __future__ import annotations

import click

from .answers import tell
from .failures import warn
from .output import Output, output_option
from .params import example
from .site import Access, pass_access, timeout_option


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
