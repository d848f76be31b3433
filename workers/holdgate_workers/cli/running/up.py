"""`holdgate up`: everything in one terminal."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from holdgate_workers.cli import exits
from holdgate_workers.cli.access import Access, pass_access
from holdgate_workers.cli.output.formats import without_password
from holdgate_workers.cli.output.output import Output, output_option
from holdgate_workers.cli.params import example

from .running import logs, roles_text, run, stop_in_order, with_health_port

if TYPE_CHECKING:
    from holdgate_workers.config.environment import ServiceConfig
    from holdgate_workers.roles.process.process import Process
    from holdgate_workers.wiring.site import Site

UP_ROLES = ("gate", "expiry", "relay", "feeder", "pricing", "orders", "notifications")


@click.command(
    epilog=example(
        "holdgate up",
        "holdgate --data-dir /srv/holdgate up",
        "HOLDGATE_DATABASE_URL=postgresql://… HOLDGATE_AMQP_URL=amqp://… holdgate up",
    )
)
@click.option("--verbose", "-v", is_flag=True, help="Log what the workers do. [default: warnings only]")
@output_option
@pass_access
def up(access: Access, verbose: bool, out: Output) -> None:
    """Run all roles in this terminal until Ctrl-C.

    Without HOLDGATE_DATABASE_URL a PostgreSQL of its own is started in the data folder and stopped at the end;
    what was committed is there again next time. Without HOLDGATE_AMQP_URL the queue is in the database. A
    second terminal in the same folder finds it by itself.
    """
    from holdgate_workers.roles.process.process import Process
    from holdgate_workers.roles.registry import ROLES
    from holdgate_workers.wiring.site import embedded_database, open_site

    config = with_health_port(access.config())
    logs(config, verbose=verbose, quiet=True)
    stop_in_order()
    if not out.is_json and config.database_url is None:
        click.echo(f"Starting PostgreSQL in {config.data_dir} …", err=True)
    with embedded_database(config) as url:
        site = open_site(config, url, migrate=True)
        process = Process(site, [ROLES[role](site) for role in _roles(config)])
        code = run(process, lambda problems: _announce(out, site, process, problems))
        if not out.is_json:
            click.echo("Stopping …", err=True)
    if not out.is_json:
        click.echo("Stopped." if code == exits.OK else "A worker failed; its last words are above.", err=True)
    raise click.exceptions.Exit(code)


def _roles(config: ServiceConfig) -> tuple[str, ...]:
    """The read side only where there is a Redis for it."""
    return UP_ROLES if config.redis_url is None else (*UP_ROLES, "projection")


def _announce(out: Output, site: Site, process: Process, problems: dict[str, str]) -> None:
    health = f"http://{site.config.metrics_host}:{process.health.port}" if process.health else None
    if out.is_json:
        # One line, so that a script can wait for it.
        _one_line(site, health, problems)
        return
    embedded = site.config.database_url is None
    where = (
        f"embedded PostgreSQL in {site.config.data_dir.resolve()}"
        if embedded
        else without_password(site.database_url)
    )
    queue = "in the database" if site.is_embedded else without_password(site.config.amqp_url or "")
    head = "Holdgate is up" if not problems else "Holdgate is up, but not ready"
    out.line()
    out.line(head, style="bold green" if not problems else "bold yellow")
    out.details(
        [
            *((name, problem) for name, problem in problems.items()),
            ("database", where),
            ("queue", f"{queue}, {site.partitions} partitions"),
            ("workers", f"{roles_text(_roles(site.config))}, all in this process (pid {os.getpid()})"),
            ("health", f"{health}/readyz   {health}/livez" if health else None),
            ("metrics", f"{health}/metrics" if health else None),
        ]
    )
    out.line()
    out.line("From a second terminal:", style="bold")
    for line in _second_terminal(site, embedded=embedded):
        out.line(f"  {line}")
    out.line()
    out.line("Ctrl-C stops it; what was committed stays.")


def _second_terminal(site: Site, *, embedded: bool) -> list[str]:
    lines = [f"cd {Path.cwd()}"] if embedded and not site.config.data_dir.is_absolute() else []
    at = f" --data-dir {site.config.data_dir}" if embedded and site.config.data_dir != Path(".holdgate") else ""
    return [
        *lines,
        f"holdgate{at} occurrence put occ-1 --product tour --starts 2030-05-01T10:00 --duration 90 \\",
        "    --timezone Europe/Rome --capacity 12 --ticket adult --ticket child",
        f"holdgate{at} hold place occ-1 adult=2 child=1",
        f"holdgate{at} availability occ-1",
        f"holdgate{at} doctor",
    ]


def _one_line(site: Site, health: str | None, problems: dict[str, str]) -> None:
    import json

    fields = {
        "ready": not problems,
        "problems": problems,
        "pid": os.getpid(),
        "database_url": without_password(site.database_url),
        "amqp_url": without_password(site.config.amqp_url) if site.config.amqp_url else None,
        "data_dir": str(site.config.data_dir.resolve()),
        "partitions": site.partitions,
        "workers": list(_roles(site.config)),
        "health_url": health,
    }
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()
