"""`holdgate availability`."""

from __future__ import annotations

import click

from .answers import tell
from .output import Output, output_option
from .params import example
from .site import Access, pass_access, timeout_option


@click.command(epilog=example("holdgate availability occ-1", "holdgate availability occ-1 --output json"))
@click.argument("occurrence_id", metavar="OCCURRENCE")
@timeout_option
@output_option
@pass_access
def availability(access: Access, occurrence_id: str, timeout_seconds: float, out: Output) -> None:
    """What could be held on OCCURRENCE right now, asked through its queue."""
    with access.client(timeout_seconds) as client:
        answer = client.availability(occurrence_id)
    tell(out, answer)
