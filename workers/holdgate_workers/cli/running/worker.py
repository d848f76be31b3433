"""`holdgate worker`: one role as a process of its own."""

from __future__ import annotations

import click

from holdgate_workers.cli.access import Access, pass_access
from holdgate_workers.cli.output.output import Output, output_option
from holdgate_workers.cli.params import example

from .running import logs, run, stop_in_order

WORKER_ROLES = ("gate", "expiry", "relay", "feeder", "pricing", "orders", "notifications", "projection")


@click.command(
    epilog=example(
        "holdgate worker gate", "HOLDGATE_METRICS_PORT=9464 HOLDGATE_LOG_FORMAT=json holdgate worker expiry"
    )
)
@click.argument("role", type=click.Choice(WORKER_ROLES))
@output_option
@pass_access
def worker(access: Access, role: str, out: Output) -> None:
    """Run one ROLE until Ctrl-C or SIGTERM. Run as many as you like, on as many machines as you like.

    `gate` decides the requests of its share of the partitions, `expiry` finds holds that are due, `relay`
    publishes the events. `feeder` notes down what follows from decisions, and `pricing`, `orders` and
    `notifications` do it. `projection` keeps the read side in Redis. Without URLs it joins what `holdgate up`
    runs in the data folder.
    """
    from holdgate_workers.roles.process.process import Process
    from holdgate_workers.roles.registry import ROLES
    from holdgate_workers.wiring.site import open_site

    config = access.config()
    logs(config, verbose=False, quiet=False)
    stop_in_order()
    site = open_site(config, access.database_url())
    process = Process(site, [ROLES[role](site)])

    def announce(problems: dict[str, str]) -> None:
        port = process.health.port if process.health else None
        if out.is_json:
            out.json(
                {"worker": process.workers[0].name, "ready": not problems, "problems": problems, "port": port}
            )
        else:
            state = "; ".join(f"{name}: {text}" for name, text in problems.items()) or "ready"
            out.line(f"{process.workers[0].name}: {state}")

    raise click.exceptions.Exit(run(process, announce))
