"""`holdgate migrate`."""

from __future__ import annotations

import click

from holdgate_workers.cli.access import Access, pass_access
from holdgate_workers.cli.output.output import Output, output_option
from holdgate_workers.cli.params import example


@click.command(epilog=example("holdgate migrate", "holdgate migrate --check", "holdgate migrate --no-queues"))
@click.option("--check", is_flag=True, help="Only say whether the schema is the one that this version needs.")
@click.option(
    "--queues/--no-queues", default=True, show_default=True, help="Declare exchanges and queues as well."
)
@output_option
@pass_access
def migrate(access: Access, check: bool, queues: bool, out: Output) -> None:
    """Bring the database's schema and the queues up to date. Safe to run again, and by several at once.

    Without HOLDGATE_DATABASE_URL the embedded database is started for it if it does not run.
    """
    from holdgate_workers.adapters.postgres.maintenance import migrations, revision
    from holdgate_workers.wiring.site import embedded_database, open_site

    config = access.config()
    with embedded_database(config) as url:
        if check:
            found, partitions = revision.check(url), None
        else:
            found = migrations.migrate(url)
            partitions = open_site(config, url, migrate=True).partitions if queues else None
    if out.is_json:
        out.json({"revision": found, "changed": not check, "partitions": partitions})
        return
    out.line(f"The schema is at {found}.", style="green")
    if partitions is not None:
        where = "in the database" if config.is_embedded else "on RabbitMQ"
        out.line(f"The queues {where} are declared: {partitions} partitions.", style="green")
