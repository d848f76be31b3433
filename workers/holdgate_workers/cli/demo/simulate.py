"""`holdgate simulate`: many real clients on one occurrence, and the proof from the rows."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from holdgate_schema.answers.holds import Refused
from holdgate_workers.cli import exits
from holdgate_workers.cli.access import Access, pass_access
from holdgate_workers.cli.failures import Failure, warn
from holdgate_workers.cli.output.output import Output, output_option
from holdgate_workers.cli.params import example

from .verdicts import exit_code, stop_like_ctrl_c, tell

if TYPE_CHECKING:
    from holdgate_schema.commands.holds import PutOccurrence
    from holdgate_workers.demo.display import Show
    from holdgate_workers.demo.plan import Scenario
    from holdgate_workers.demo.recount.rows import Progress
    from holdgate_workers.demo.recount.verdict import Verdict
    from holdgate_workers.wiring.site import Site

PUT_SECONDS = 20.0


@click.command(
    epilog=example(
        "holdgate simulate",
        "holdgate simulate --clients 16 --requests 20000 --capacity 1000 --seed 7",
        "holdgate simulate --kill-after 1000 --output json",
    )
)
@click.option("--clients", type=click.IntRange(1, 64), default=8, show_default=True, help="Client processes.")
@click.option(
    "--requests",
    "places",
    type=click.IntRange(1, 1_000_000),
    default=2000,
    show_default=True,
    help="Baskets that they ask for; changes, releases and repeats come on top.",
)
@click.option("--capacity", type=click.IntRange(1, 1_000_000), default=500, show_default=True, help="Seats.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed, the same buyers.")
@click.option(
    "--kill-after",
    type=click.IntRange(1),
    metavar="REQUESTS",
    help="Kill the gate worker that serves them once so many are decided. It must be on this host, and not alone.",
)
@click.option("--plain", is_flag=True, help="Lines instead of a picture, as without a terminal.")
@click.option("--keep", is_flag=True, help="Keep the rows, the notes and the logs.")
@output_option
@pass_access
@click.pass_context
def simulate(
    ctx: click.Context,
    access: Access,
    *,
    clients: int,
    places: int,
    capacity: int,
    seed: int,
    kill_after: int | None,
    plain: bool,
    keep: bool,
    out: Output,
) -> None:
    """Let many clients compete for one occurrence, and prove that nothing was oversold or lost.

    Works on the installation that runs: makes an occurrence of its own ten years ahead, lets real client processes
    place, change, extend, release and repeat as fast as they can, and counts again from the rows and the clients'
    own notes. Removes its rows afterwards, unless a promise was broken. The domain events of its holds are told
    like all others.
    """
    from holdgate_workers.demo.display import showing
    from holdgate_workers.demo.occurrence import occasion
    from holdgate_workers.demo.plan import Scenario
    from holdgate_workers.demo.processes import CrewError
    from holdgate_workers.demo.recount.rows import database_now
    from holdgate_workers.wiring.site import open_site

    site = open_site(access.config(), access.database_url(), migrate=False)
    put = occasion(database_now(site.database_url), capacity)
    scenario = Scenario(put=put, clients=clients, places=places, seed=seed)
    stop_like_ctrl_c()
    folder = Path(tempfile.mkdtemp(prefix="holdgate-simulation-"))
    try:
        with showing(plain=plain, to_stderr=out.is_json) as show:
            verdict = _compete(site, scenario, folder, kill_after, show, keep=keep)
        keep = keep or not verdict.is_ok
    except CrewError as exc:
        keep = True
        raise Failure(str(exc), exits.INTERNAL) from exc
    finally:
        if keep:
            warn(f"kept: the rows of {put.occurrence_id}, notes and logs in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    tell(verdict, out)
    ctx.exit(exit_code(verdict))


def _compete(
    site: Site, scenario: Scenario, folder: Path, kill_after: int | None, show: Show, *, keep: bool
) -> Verdict:
    from holdgate_schema.routing import partition_of, slot_of
    from holdgate_workers.demo.processes import environment
    from holdgate_workers.demo.recount.rows import Ledger
    from holdgate_workers.demo.run import Course, run

    put = scenario.put
    ledger = Ledger(
        site.database_url, put.occurrence_id, partition_of(slot_of(put.occurrence_id), site.partitions)
    )
    try:
        _put(site, put)
        show.say(f"{put.occurrence_id}: {put.capacity} seats, {scenario.places} baskets asked for")
        if kill_after is not None:
            _server(ledger.progress())
        course = Course(
            scenario=scenario,
            folder=folder,
            told=environment(site.database_url, site.config.amqp_url),
            kill_after=kill_after,
            kill=lambda progress: _kill(progress, show),
        )
        verdict = run(course, ledger, show)
        keep = keep or not verdict.is_ok
        return verdict
    finally:
        if not keep:
            ledger.remove()
        ledger.close()


def _put(site: Site, put: PutOccurrence) -> None:
    from holdgate_workers.wiring.site import booking_client

    client = booking_client(
        site.config, site.database_url, app_id="holdgate-simulate", timeout_seconds=PUT_SECONDS
    )
    with client:
        answer = client.call(put)
    if isinstance(answer, Refused):
        raise Failure(f"the occurrence was refused: {answer.message}", exits.REFUSED)


def _server(progress: Progress) -> tuple[str, int]:
    """Worker and pid of the gate to kill; raises `Failure` if it must not or cannot be killed from here."""
    if len(progress.line) < 2:
        raise Failure("--kill-after needs a second gate worker in line that can take over", exits.USAGE)
    worker, host, pid = progress.line[0]
    if host != socket.gethostname():
        raise Failure(f"--kill-after: the gate that serves here runs on {host}", exits.USAGE)
    return worker, pid


def _kill(progress: Progress, show: Show) -> str:
    worker, pid = _server(progress)
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError as exc:
        return f"could not kill {worker}: {exc}"
    show.killed.add(worker)
    return f"killed the gate that serves the occurrence (pid {pid}, SIGKILL)"
