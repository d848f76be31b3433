"""`holdgate simulate`: many real clients on one occurrence, and the proof from the rows."""

from __future__ import annotations

import click


@click.command()
def simulate() -> None:
    """Let many real clients compete for one occurrence and prove that nothing was oversold or lost."""
    raise click.ClickException("not there yet")
