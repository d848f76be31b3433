"""`holdgate demo`: a season and its on-sale night, with nothing but Python."""

from __future__ import annotations

import click


@click.command()
def demo() -> None:
    """Bring everything up embedded, run an on-sale and prove from the rows that it went well."""
    raise click.ClickException("not there yet")
