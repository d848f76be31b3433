"""`holdgate demo`: a season and its on-sale night, with nothing but Python."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from holdgate_workers.cli import exits
from holdgate_workers.cli.access import Access, pass_access
from holdgate_workers.cli.failures import Failure, warn
from holdgate_workers.cli.output.output import Output
from holdgate_workers.cli.params import example

from .verdicts import exit_code, stop_like_ctrl_c, tell

if TYPE_CHECKING:
    from holdgate_schema.commands.holds import PutOccurrence
    from holdgate_workers.demo.display import Show
    from holdgate_workers.demo.plan import Scenario
    from holdgate_workers.demo.recount.verdict import Verdict
    from holdgate_workers.demo.services import Stage
    from holdgate_workers.wiring.site import Site

    Size = Callable[[PutOccurrence], Scenario]

PUT_SECONDS = 30.0
ONSALE_SECONDS = 10.0
SEASON = "season.ics"
MAILS = "mails"
SOLD_PRODUCT = "evening-tasting"


@click.command(epilog=example("holdgate demo", "holdgate demo --plain --requests 5000 --seed 7"))
@click.option("--clients", type=click.IntRange(1, 64), default=8, show_default=True, help="Client processes.")
@click.option(
    "--requests",
    "places",
    type=click.IntRange(1, 100_000),
    default=2400,
    show_default=True,
    help="Baskets that they ask for; changes, releases and repeats come on top.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed, the same buyers.")
@click.option("--plain", is_flag=True, help="Lines instead of a picture, as without a terminal.")
@click.option("--keep", is_flag=True, help="Keep the database, the notes and the logs.")
@pass_access
@click.pass_context
def demo(
    ctx: click.Context, access: Access, *, clients: int, places: int, seed: int, plain: bool, keep: bool
) -> None:
    """Bring everything up embedded, run an on-sale, kill a worker half-way, and prove that all went well.

    Starts a database of its own in a temporary folder (with `holdgate --data-dir FOLDER demo` in that folder,
    which is kept), two gate workers and one of each other role; imports a small season from an .ics file; lets many
    client processes compete for its 500 seats; sells some seats of another evening, with prices, orders and mails;
    and counts again from the rows and the clients' own notes.
    """
    from holdgate_workers.demo.plan import Scenario
    from holdgate_workers.demo.processes import CrewError

    def size(put: PutOccurrence) -> Scenario:
        return Scenario(put=put, clients=clients, places=places, seed=seed, seconds=ONSALE_SECONDS)

    stop_like_ctrl_c()
    folder = Path(tempfile.mkdtemp(prefix="holdgate-demo-"))
    data = access.data_dir or folder / "data"
    try:
        verdict = _perform(folder, data, size, plain=plain)
        keep = keep or not verdict.is_ok
    except CrewError as exc:
        keep = True
        raise Failure(str(exc), exits.INTERNAL) from exc
    finally:
        _clear_up(folder, data, keep=keep, own_data=access.data_dir is None)
    tell(verdict, Output("table"))
    ctx.exit(exit_code(verdict))


def _perform(folder: Path, data: Path, size: Size, *, plain: bool) -> Verdict:
    from holdgate_workers.adapters.embedded.server.server import EmbeddedServer
    from holdgate_workers.config.environment import read_config
    from holdgate_workers.demo.display import showing
    from holdgate_workers.demo.processes import crew, environment, mail_to
    from holdgate_workers.demo.services import Stage
    from holdgate_workers.wiring.site import open_site

    with showing(plain=plain) as show:
        show.say("starting the PostgreSQL that came with the installation")
        with EmbeddedServer(data) as server:
            if not server.owned:
                raise Failure(f"something runs in {data} already; choose another folder", exits.USAGE)
            # Whatever the environment says: the demo is about nothing but itself.
            config = read_config(database_url=server.url, data_dir=data).model_copy(update={"amqp_url": None})
            site = open_site(config, server.url, migrate=True)
            stage = Stage(folder, environment(server.url, None) | mail_to(folder / MAILS))
            with crew(stage.children):
                show.say("starting two gate workers and one of each other role as processes")
                stage.start()
                return _onsale(site, stage, folder, size, show)


def _onsale(site: Site, stage: Stage, folder: Path, size: Size, show: Show) -> Verdict:
    from holdgate_schema.routing import partition_of, slot_of
    from holdgate_workers.demo.recount.rows import Ledger
    from holdgate_workers.demo.run import Course, run

    puts = _import_season(site, show)
    put = max(puts, key=lambda put: put.capacity)
    partition = partition_of(slot_of(put.occurrence_id), site.partitions)
    ledger = Ledger(site.database_url, put.occurrence_id, partition)
    try:
        stage.wait_settled(ledger, site.partitions)
        show.say(
            f"the gate workers have shared out {site.partitions} partitions; the night is in number {partition}"
        )
        scenario = size(put)
        course = Course(
            scenario=scenario,
            folder=folder,
            told=stage.told,
            kill_after=scenario.places // 2,
            kill=stage.kill_server(show.killed.add),
        )
        verdict = run(course, ledger, show)
        _sell(site, puts, folder, show, verdict)
        return verdict
    finally:
        ledger.close()


def _sell(site: Site, puts: list[PutOccurrence], folder: Path, show: Show, verdict: Verdict) -> None:
    """Price, sell and confirm by mail some seats of another evening; what does not add up joins the verdict."""
    from contextlib import closing

    from holdgate_workers.adapters.postgres.pricing.products import PriceBook
    from holdgate_workers.demo.box_office import product_of, sell
    from holdgate_workers.demo.recount.sales import SalesBook
    from holdgate_workers.wiring.site import booking_client

    evening = next(put for put in puts if put.product_id == SOLD_PRODUCT)
    with closing(PriceBook(site.database_url)) as prices:
        prices.products.put(evening.product_id, product_of(evening), changed_by="holdgate-demo")
    show.say(f"the box office sells seats of {evening.occurrence_id}")
    client = booking_client(site.config, site.database_url, app_id="holdgate-demo", timeout_seconds=PUT_SECONDS)
    with client, closing(SalesBook(site.database_url)) as book:
        sales = sell(client, evening, book, folder / MAILS)
    show.say(
        f"{sales.priced} holds were priced, {len(sales.confirmed)} sold, {sales.underpaid} refused (too little paid), "
        f"{len(sales.given_back)} given back; {len(sales.mails)} mails"
    )
    verdict.add_sales(
        priced=sales.priced, bookings=len(sales.confirmed), mails=len(sales.mails), wrong=sales.problems
    )


def _import_season(site: Site, show: Show) -> list[PutOccurrence]:
    """Put the whole season."""
    from holdgate_schema.answers.holds import OccurrenceStored
    from holdgate_workers.wiring.site import booking_client

    puts = _read_season()
    client = booking_client(site.config, site.database_url, app_id="holdgate-demo", timeout_seconds=PUT_SECONDS)
    with client:
        for future in client.send_many(puts):
            answer = future.result()
            if not isinstance(answer, OccurrenceStored):
                raise Failure(f"{SEASON} was not imported: {answer}", exits.INTERNAL)
            if not answer.created:
                raise Failure(f"{site.config.data_dir} has had its on-sale; choose another folder", exits.USAGE)
    night = max(puts, key=lambda put: put.capacity)
    show.say(f"imported {len(puts)} occurrences from {SEASON}; {night.occurrence_id} has {night.capacity} seats")
    return puts


def _read_season() -> list[PutOccurrence]:
    from importlib.resources import files

    from holdgate_workers.cli.importing.reading.files import HowToRead, read
    from holdgate_workers.cli.importing.sources import Defaults, checked

    data = (files("holdgate_workers.demo") / SEASON).read_bytes()
    found = checked(read(data, SEASON, "ics", HowToRead()), Defaults())
    assert not found.problems, found.problems
    return [request.command for request in found.requests]


def _clear_up(folder: Path, data: Path, *, keep: bool, own_data: bool) -> None:
    from holdgate_workers.adapters.embedded.server.server import remove

    if keep:
        warn(f"kept: notes and logs in {folder}, the database in {data}")
        return
    if own_data:
        remove(data)
    shutil.rmtree(folder, ignore_errors=True)
